"""Funding of accounts on paper that are filled at the prices of a real venue.

The rate that the venue told last before a settlement is what it costs on paper. What falls due
while no desk runs is charged to nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from rebalancer.core.events import FundingExpected
from rebalancer.core.funding import NEAR_MS
from rebalancer.ports import Clock
from rebalancer.venues.expected_rates import ExpectedRates
from rebalancer.venues.funding_watch import EVERY_SECONDS, FundingWatch
from rebalancer.venues.paper_venue import PaperVenue

#: how late a settlement may be charged
SETTLED_WITHIN_SECONDS = 1.0


class PaperFunding:
    """Tells accounts on paper what funding is expected, and charges it when it falls due."""

    def __init__(
        self,
        venues: Sequence[PaperVenue],
        rates: ExpectedRates,
        contracts: Collection[str],
        clock: Clock,
    ) -> None:
        self._venues = venues
        self._clock = clock
        self._watch = FundingWatch("paper", rates, contracts, clock)
        #: what is to be charged: of a contract the next one, and the one before where the venue's
        #: clock is past it and ours is not
        self._waiting: list[FundingExpected] = []

    async def run(self) -> None:
        """Ask, tell and charge until cancelled; prices come first."""
        self._watch.begin(self.take)
        while not any(venue.book.marks for venue in self._venues):  # noqa: ASYNC110 - no event
            await asyncio.sleep(SETTLED_WITHIN_SECONDS)
        while True:
            await self._watch.round(self.take)
            for _ in range(round(EVERY_SECONDS / SETTLED_WITHIN_SECONDS)):
                self.settle()
                await asyncio.sleep(SETTLED_WITHIN_SECONDS)

    def take(self, told: FundingExpected) -> None:
        """Keep what is expected until it falls due, and tell it."""
        self.settle()
        if told.rate is not None:
            if told.due_ms <= self._clock.now_ms():
                return  # it was charged; the venue has not told the next one yet
            others = [each for each in self._waiting if not _instead(told, each)]
            self._waiting = [*others, told]
        for venue in self._venues:
            venue.expect_funding(told.contract, told.rate, told.from_ms, told.due_ms)

    def settle(self) -> None:
        """Charge what has fallen due, at the marks of now."""
        now_ms = self._clock.now_ms()
        due = [each for each in self._waiting if each.due_ms <= now_ms]
        self._waiting = [each for each in self._waiting if each.due_ms > now_ms]
        for told in due:
            for venue in self._venues:
                mark = venue.book.marks.get(told.contract)
                if mark is not None and told.rate is not None:
                    venue.settle_funding(told.contract, told.rate, mark, now_ms)


def _instead(told: FundingExpected, before: FundingExpected) -> bool:
    """Return whether what is told is in place of what was: of an interval that meets its own."""
    return told.contract == before.contract and told.from_ms + NEAR_MS < before.due_ms
