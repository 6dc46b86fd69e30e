"""The watch over expected funding: told each round, by our clock, until cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from rebalancer.clock import VirtualClock
from rebalancer.core.events import FundingExpected
from rebalancer.core.funding import TOLD_WITHIN_MS
from rebalancer.core.instant import HOUR_MS
from rebalancer.errors import VenueUnavailable
from rebalancer.venues import funding_watch
from rebalancer.venues.funding_watch import (
    CONTRACTS_PER_ROUND,
    EVERY_SECONDS,
    ROUNDS_MOST,
    FundingWatch,
)
from rebalancer.venues.statements import ExpectedFunding
from tests.loopback.binance.market import next_funding_ms
from tests.venues.accounts import BTC, CONTRACTS, ETH, D, account

NOW_MS, AHEAD_MS = 1_767_268_800_000, 250


class Told:
    """Stands in for what reads the venue."""

    def __init__(self, *, together: bool = False) -> None:
        self.together = together
        self.asked: list[list[str]] = []
        self.silent: set[str] = set()
        self.takes_s = 0.0

    async def read(self, contracts: Sequence[str], now_ms: int) -> Mapping[str, ExpectedFunding]:
        assert now_ms == NOW_MS + AHEAD_MS
        self.asked.append(list(contracts))
        await asyncio.sleep(self.takes_s)
        if self.silent.issuperset(contracts):
            raise VenueUnavailable("venue: no answer")
        return {
            each: ExpectedFunding(
                contract=each, rate=D("0.0001"), from_ms=NOW_MS - HOUR_MS, due_ms=NOW_MS + HOUR_MS
            )
            for each in contracts
            if each not in self.silent
        }


def watch(told: Told, contracts: Sequence[str] = (BTC, ETH)) -> FundingWatch:
    rates: Any = told
    return FundingWatch("main", rates, contracts, VirtualClock(NOW_MS), lambda: AHEAD_MS)


async def test_the_loopback_binance_tells_the_desk_what_it_expects():
    async with account() as desk:
        desk.venue.begin_funding(desk.events.append)
        asked = desk.told(FundingExpected)
        assert [(each.contract, each.rate) for each in asked] == [(BTC, None), (ETH, None)]
        desk.events.clear()
        await desk.venue._funding.round(desk.venue._tell)
        first, _ = told = desk.told(FundingExpected)
        assert [each.contract for each in told] == list(CONTRACTS)
        assert (first.account, first.rate) == ("main", D("0.0001"))
        due_ms = next_funding_ms(desk.market.now_ms())
        assert abs(first.due_ms + desk.venue.clock_offset_ms - due_ms) <= 1
        assert first.due_ms - first.from_ms == 8 * HOUR_MS
        paths = [call.path.rsplit("/", 1)[-1] for call in desk.market.calls]
        assert paths == ["fundingInfo", "premiumIndex", "premiumIndex"]


async def test_times_are_told_by_our_clock():
    events: list[Any] = []
    await watch(Told()).round(events.append)
    assert events[0] == FundingExpected(
        NOW_MS,
        "main",
        BTC,
        D("0.0001"),
        NOW_MS - HOUR_MS - AHEAD_MS,
        NOW_MS + HOUR_MS - AHEAD_MS,
    )


async def test_a_contract_that_is_not_told_is_told_as_that_and_keeps_no_other_from_it(
    monkeypatch: pytest.MonkeyPatch,
):
    logged: list[str] = []
    log = SimpleNamespace(warning=lambda event, **_: logged.append(event))
    monkeypatch.setattr(funding_watch, "_log", log)
    told = Told()
    events: list[Any] = []
    told.silent = {BTC}
    watching = watch(told)
    await watching.round(events.append)
    await watching.round(events.append)
    assert [(each.contract, each.rate is None) for each in events[:2]] == [
        (BTC, True),
        (ETH, False),
    ]
    assert logged == ["funding_rate_not_read"], "once until it is back"
    told.silent = set()
    await watching.round(events.append)
    assert events[-2].rate is not None


async def test_of_contracts_that_are_told_together_one_that_is_not_is_told_as_that():
    told = Told(together=True)
    told.silent = {BTC}
    events: list[Any] = []
    await watch(told).round(events.append)
    assert [(each.contract, each.rate is None) for each in events] == [(BTC, True), (ETH, False)]


async def test_a_round_asks_about_so_many_contracts_and_the_next_about_the_others():
    names = [f"C{n}/USDT:USDT" for n in range(CONTRACTS_PER_ROUND + 5)]
    told = Told(together=True)
    watching = watch(told, names)
    await watching.round(lambda _: None)
    await watching.round(lambda _: None)
    assert told.asked == [names[:CONTRACTS_PER_ROUND], names[CONTRACTS_PER_ROUND:] + names[:15]]


async def test_however_many_contracts_there_are_each_is_asked_about_while_its_rate_is_fresh():
    names = [f"C{n}/USDT:USDT" for n in range(500)]
    told = Told(together=True)
    watching = watch(told, names)
    for _ in range(ROUNDS_MOST):
        await watching.round(lambda _: None)
    assert {each for asked in told.asked for each in asked} == set(names)
    assert ROUNDS_MOST * EVERY_SECONDS * 1_000 < TOLD_WITHIN_MS


async def test_the_time_that_a_round_takes_makes_the_next_no_later(
    monkeypatch: pytest.MonkeyPatch,
):
    """Of 500 contracts a round asks 63: at 0.3 s each, 8 rounds would take 631 s, not 480."""
    waits: list[float] = []

    async def rest(seconds: float) -> None:
        waits.append(seconds)
        raise asyncio.CancelledError

    told = Told()
    told.takes_s = 0.01
    watching = watch(told)
    resting = SimpleNamespace(sleep=rest, get_running_loop=asyncio.get_running_loop)
    monkeypatch.setattr(funding_watch, "asyncio", resting)
    with pytest.raises(asyncio.CancelledError):
        await watching.run(lambda _: None)
    (waited,) = waits
    assert EVERY_SECONDS - 1 < waited <= EVERY_SECONDS - 2 * told.takes_s


async def test_it_asks_round_after_round_until_it_is_cancelled(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(funding_watch, "EVERY_SECONDS", 0.001)
    events: list[Any] = []
    running = asyncio.create_task(watch(Told()).run(events.append))
    async with asyncio.timeout(20):
        while len(events) < 6:  # noqa: ASYNC110 - nothing to wait on
            await asyncio.sleep(0.001)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert running.cancelled()
