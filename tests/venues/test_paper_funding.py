"""Funding on paper at real prices: expected as the venue says, and charged when it falls due."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest

from rebalancer.clock import VirtualClock
from rebalancer.core.events import FundingExpected, FundingPaid
from rebalancer.core.instant import HOUR_MS
from rebalancer.venues import paper_funding
from rebalancer.venues.paper_funding import PaperFunding
from rebalancer.venues.paper_venue import PaperVenue
from rebalancer.venues.statements import ExpectedFunding
from tests.contracts.test_venue_contract import intent
from tests.desk.rig import Recorder, tick
from tests.factories import BTC
from tests.venues.test_paper_venue import CASH, book

D = Decimal
DUE = 8 * HOUR_MS


class Rates:
    """What the venue expects: the same rate of every interval of eight hours."""

    together = False

    async def read(self, contracts: Sequence[str], now_ms: int) -> Mapping[str, ExpectedFunding]:
        due_ms = (now_ms // DUE + 1) * DUE
        return {
            each: ExpectedFunding(
                contract=each, rate=D("0.01"), from_ms=due_ms - DUE, due_ms=due_ms
            )
            for each in contracts
        }


class Desk:
    """An account on paper that holds three coins, and who charges it."""

    def __init__(self) -> None:
        self.told = Recorder()
        self.clock = VirtualClock(0)
        self.venue = PaperVenue(book(), self.clock)
        self.venue.publish([CASH])
        rates: Any = Rates()
        self.funding = PaperFunding([self.venue], rates, [BTC], self.clock)

    async def started(self) -> Desk:
        await self.venue.start(self.told)
        self.venue.observe(tick(100))
        await self.venue.submit(intent("r1", 3))
        self.told.events.clear()
        return self

    def expect(self, due_ms: int = DUE) -> None:
        told = FundingExpected(self.clock.now_ms(), "paper", BTC, D("0.01"), due_ms - DUE, due_ms)
        self.funding.take(told)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.told.events if isinstance(event, kind)]


@pytest.fixture
async def desk() -> Desk:
    return await Desk().started()


async def test_what_is_expected_is_told_for_the_account_and_charged_once_when_it_falls_due(
    desk: Desk,
):
    desk.expect()
    assert desk.told.events == [FundingExpected(0, "main", BTC, D("0.01"), 0, DUE)]
    desk.clock.advance(DUE - 1)
    desk.funding.settle()
    assert desk.of(FundingPaid) == []
    desk.clock.advance(2)
    desk.venue.observe(tick(200))
    before = desk.venue.book.cash
    desk.funding.settle()
    desk.funding.settle()
    assert desk.of(FundingPaid) == [FundingPaid(DUE + 1, "main", BTC, D("0.01"), D(200))]
    assert desk.venue.book.cash == before - 6


async def test_a_settlement_that_the_venue_still_calls_the_next_is_not_charged_again(desk: Desk):
    desk.expect()
    desk.clock.advance(DUE)
    desk.expect()
    desk.expect()
    desk.funding.settle()
    assert len(desk.of(FundingPaid)) == len(desk.of(FundingExpected)) == 1


async def test_the_one_before_is_charged_before_the_next_is_kept(desk: Desk):
    desk.expect()
    desk.clock.advance(DUE)
    desk.expect(2 * DUE)
    kinds = [type(event) for event in desk.told.events]
    assert kinds == [FundingExpected, FundingPaid, FundingExpected]
    desk.clock.advance(DUE)
    desk.funding.settle()
    assert len(desk.of(FundingPaid)) == 2


async def test_the_one_before_is_charged_though_the_venue_tells_the_next_before_our_clock_is_there(
    desk: Desk,
):
    desk.expect()
    desk.clock.advance(DUE - 2_000)
    desk.expect(2 * DUE)
    desk.expect(2 * DUE)
    desk.clock.advance(2_000)
    desk.funding.settle()
    assert len(desk.of(FundingPaid)) == 1
    desk.clock.advance(DUE)
    desk.funding.settle()
    assert len(desk.of(FundingPaid)) == 2


async def test_a_shorter_interval_is_charged_instead_of_the_longer_one(desk: Desk):
    desk.expect(2 * DUE)
    desk.expect(DUE + DUE // 2)
    desk.clock.advance(2 * DUE)
    desk.funding.settle()
    assert len(desk.of(FundingPaid)) == 1


async def test_a_rate_that_is_not_told_is_told_as_that_and_the_last_one_is_charged(desk: Desk):
    desk.expect()
    desk.funding.take(FundingExpected(0, "paper", BTC, None))
    assert desk.told.events[-1] == FundingExpected(0, "main", BTC, None)
    desk.clock.advance(DUE)
    desk.funding.settle()
    assert len(desk.of(FundingPaid)) == 1


async def test_it_begins_once_there_are_prices_and_goes_on_until_it_is_cancelled(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(paper_funding, "SETTLED_WITHIN_SECONDS", 0.001)
    monkeypatch.setattr(paper_funding, "EVERY_SECONDS", 0.002)
    desk = Desk()
    await desk.venue.start(desk.told)
    running = asyncio.create_task(desk.funding.run())
    await asyncio.sleep(0.01)
    assert [each.rate for each in desk.of(FundingExpected)] == [None]
    desk.venue.observe(tick(100))
    async with asyncio.timeout(20):
        while len(desk.of(FundingExpected)) < 3:  # noqa: ASYNC110 - nothing to wait on
            await asyncio.sleep(0.001)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert running.cancelled()
