"""Whether the desk lives, whether it can be relied on, and what it counts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rebalancer.api.health import look
from rebalancer.core.actions import Alert, Severity
from tests.api.rig import published
from tests.factories import NOON

#: base units, plural, as the naming rules of Prometheus ask
UNITS = ("_ratio", "_quote", "_seconds", "_shares", "_info", "_total")
STATES = (
    "_ready",
    "_stale",
    "_state",
    "_rebalancing",
    "_publications",
    "_bucket",
    "_count",
    "_sum",
    "_breaks",
    "_alerts",
    "_readers",
)


def test_a_check_that_fails_says_why() -> None:
    health = look({"one": lambda: "", "two": lambda: "too old"})
    assert not health.well
    assert health.words("readyz") == "[+]one ok\n[-]two failed: too old\nreadyz check failed\n"
    assert look({"two": lambda: "too old"}, ["two"]).well


async def test_a_desk_that_works_is_alive_and_ready(tmp_path: Path) -> None:
    async with published(tmp_path) as desk_at_work:
        alive = await desk_at_work.private.get("/livez")
        ready = await desk_at_work.private.get("/readyz")
        verbose = await desk_at_work.public.get("/readyz?verbose")
        alias = await desk_at_work.private.get("/healthz")
    assert (alive.text, ready.text, alias.text) == ("ok\n", "ok\n", "ok\n")
    assert re.findall(r"\[\+\](\w+) ok", verbose.text) == [
        "desk",
        "publication",
        "prices",
        "store",
    ]


async def test_an_old_price_makes_it_not_ready_unless_that_is_excluded(tmp_path: Path) -> None:
    async with published(tmp_path) as desk_at_work:
        desk_at_work.clock.advance(60_000)
        await desk_at_work.quiet()
        ready = await desk_at_work.private.get("/readyz")
        without = await desk_at_work.private.get("/readyz?exclude=prices")
        alive = await desk_at_work.private.get("/livez")
    assert ready.status_code == 503
    assert "[-]prices failed: 2 of 2 have an old price or none: BTC3L, BTC3S" in ready.text
    assert (without.status_code, alive.status_code) == (200, 200)


async def test_publications_that_stand_still_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with published(tmp_path) as desk_at_work:
        desk_at_work.service._tasks[0].cancel()
        assert desk_at_work.service.board.published_s is not None
        desk_at_work.service.board.published_s -= 60
        ready = await desk_at_work.private.get("/readyz")
    assert "[-]publication failed: the last was 60 s ago" in ready.text


async def test_metrics_show_the_funds_and_count_what_happened(tmp_path: Path) -> None:
    async with published(tmp_path) as desk_at_work:
        desk_at_work.service.take(Alert(NOON, Severity.WARNING, "drift", "BTC3L", "x"))
        answer = await desk_at_work.private.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert samples["rebalancer_fund_nav_quote", "BTC3L"] == 100
    assert samples["rebalancer_fund_target_leverage_ratio", "BTC3S"] == -3
    assert samples["rebalancer_rebalances_total", "BTC3L", "done", "launch"] == 1
    assert samples["rebalancer_fixed_instants_total", "BTC3L", "missed"] == 0
    assert samples["rebalancer_order_reports_total", "rejected"] == 0
    assert samples["rebalancer_stream_readers_dropped_total", "too slow"] == 0
    assert samples["rebalancer_alerts_total", "drift", "warning"] == 1
    assert samples["rebalancer_fund_state", "BTC3L", "active"] == 1
    assert samples["rebalancer_ready",] == 1
    assert samples["rebalancer_open_breaks",] == 0
    assert samples["rebalancer_fund_margin_ratio", "BTC3L"] == pytest.approx(0.015)
    assert samples["rebalancer_fund_liquidation_distance_ratio", "BTC3L"] == pytest.approx(
        0.32998, abs=1e-5
    )


async def test_names_follow_the_rules_of_prometheus(tmp_path: Path) -> None:
    """One prefix, base units, _total for what only grows (prometheus/docs practices/naming.md)."""
    async with published(tmp_path) as desk_at_work:
        text = (await desk_at_work.private.get("/metrics")).text
    families = list(text_string_to_metric_families(text))
    assert len(families) > 20
    for family in families:
        assert family.name.startswith("rebalancer_")
        assert family.documentation.endswith(".")
        for sample in family.samples:
            if sample.name.endswith("_created"):
                continue
            assert sample.name.endswith(UNITS + STATES), sample.name
            if family.type == "counter":
                assert sample.name.endswith("_total")
            assert set(sample.labels) <= {
                *("fund", "state", "trigger", "result", "account", "name", "severity"),
                *("outcome", "reason", "version", "mode", "le", "edge"),
            }
