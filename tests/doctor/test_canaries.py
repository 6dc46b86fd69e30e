"""No key and no signature is found in what the doctor says, whatever a venue answers it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from rebalancer import logs
from rebalancer.doctor.findings import Finding, Level
from rebalancer.venues import exchange_account
from tests.doctor.test_examination import Clinic, at_the_venue
from tests.loopback import presets
from tests.loopback.calls import Answer, Call
from tests.loopback.faults import Fault, Shape
from tests.loopback.presets import demo_account
from tests.loopback.server import LoopbackVenue

KEY = "canarykeycanarykeycanarykey0123456789"
SECRET = "canarysecretcanarysecretcanary9876543210"
GIVEN = {"REBALANCER__ACCOUNTS__MAIN__API_KEY": KEY, "REBALANCER__ACCOUNTS__MAIN__SECRET": SECRET}
PRIVATE = ("account", "positionRisk", "apiRestrictions", "positionSide", "symbolConfig", "openOrd")
ASIDE = ("ccxt", "aiohttp.client", "aiohttp.internal", "asyncio")


@pytest.fixture(autouse=True)
def _quick_and_quiet_after(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(exchange_account, "EMPTY_AGAIN_SECONDS", 0.001)
    monkeypatch.setattr("rebalancer.venues.live_dry_run.REQUEST_SECONDS", 0.8)
    monkeypatch.setattr("rebalancer.venues.ccxt_client.QUESTION_SECONDS", 0.1)
    monkeypatch.setattr("rebalancer.exchanges.LONGEST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr("rebalancer.venues.shared_rates.SHUT_OUT_SECONDS_MAX", 0)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in ASIDE:
        logging.getLogger(name).setLevel(logging.NOTSET)
    structlog.reset_defaults()


@asynccontextmanager
async def clinic(tmp_path: Path) -> AsyncIterator[tuple[Clinic, io.StringIO]]:
    """A venue whose owner's keys are canaries, and all that is logged, at any level."""
    stream = io.StringIO()
    logs.configure(level="debug", style="console", stream=stream)
    for name in ASIDE:
        logging.getLogger(name).setLevel(logging.DEBUG)
    owner = demo_account("demo", KEY, SECRET)
    async with LoopbackVenue(presets.binance(accounts=[owner]), beat_ms=20) as market:
        yield Clinic(market, "binanceusdm", tmp_path, keys=GIVEN), stream


def leaks(clinic: Clinic, findings: list[Finding], stream: io.StringIO) -> list[str]:
    made = {call.params.get("signature", "") for call in clinic.market.calls} - {""}
    assert made, "the venue was asked with signatures, so there is something to find"
    document = json.dumps([finding.document() for finding in findings])
    said = "\n".join([stream.getvalue(), document, repr(findings)])
    return [each for each in sorted({KEY, SECRET, *made}) if each in said]


@pytest.mark.parametrize(
    "shape",
    [Shape.UNAUTHORIZED, Shape.HTML, Shape.BAD_GATEWAY, Shape.REDIRECT_REPEATED, Shape.SILENCE,
     Shape.CUT_BODY, Shape.DUPLICATE_KEYS],
    ids=str,
)  # fmt: skip
async def test_no_key_is_in_the_lines_whatever_comes_back(tmp_path: Path, shape: Shape) -> None:
    async with clinic(tmp_path) as (desk, stream):
        desk.market.faults.plan(
            *(Fault(shape=shape, path=each, times=99, hold_ms=1_200) for each in PRIVATE)
        )
        findings = await desk.examine()
        assert len(findings) > 8
        assert leaks(desk, findings, stream) == []


async def test_a_venue_that_quotes_the_keys_is_not_quoted(tmp_path: Path) -> None:
    async with clinic(tmp_path) as (desk, stream):
        honest = desk.market.dialect.act

        def act(core: Any, call: Call) -> Answer:
            if not any(each in call.path for each in PRIVATE):
                return honest(core, call)
            told = {"code": -2015, "msg": f"Invalid key {KEY} or {SECRET} in {call.query}"}
            return Answer.of(told, 401)

        desk.market.dialect.act = act  # type: ignore[method-assign]
        findings = await desk.examine()
        assert at_the_venue(findings, Level.FAIL).keys() == {"keys"}
        assert leaks(desk, findings, stream) == []


async def test_a_leak_would_be_found(tmp_path: Path) -> None:
    async with clinic(tmp_path) as (desk, stream):
        findings = await desk.examine()
        found = Finding(Level.OK, "here", "keys", f"the key is {KEY}")
        assert leaks(desk, [*findings, found], stream) == [KEY]
