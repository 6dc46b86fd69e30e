"""Tells the desk what the next settlement of each contract is expected to cost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence

import structlog

from rebalancer.core.events import FundingExpected
from rebalancer.errors import VenueUnavailable
from rebalancer.ports import Clock
from rebalancer.venues.expected_rates import ExpectedRates
from rebalancer.venues.statements import ExpectedFunding

Tell = Callable[[FundingExpected], None]

_log = structlog.get_logger(__name__)

#: rates move slowly, and are a part of nothing but the price of a flow
EVERY_SECONDS = 60.0
#: contracts asked about in one round, in turn, where there are no more than fit into these rounds
CONTRACTS_PER_ROUND = 20
#: each is asked about once in so many rounds: a rate counts for ten minutes
ROUNDS_MOST = 8


class FundingWatch:
    """Asks in rounds what is expected of each contract of an account."""

    def __init__(
        self,
        name: str,
        rates: ExpectedRates,
        contracts: Collection[str],
        clock: Clock,
        ahead_ms: Callable[[], int] = lambda: 0,
    ) -> None:
        """Watch for an account by its name; `ahead_ms` is how far the venue's clock is ahead."""
        self._name = name
        self._rates = rates
        self._clock = clock
        self._ahead_ms = ahead_ms
        self._waiting = list(contracts)
        self._at_once = max(CONTRACTS_PER_ROUND, -(-len(self._waiting) // ROUNDS_MOST))
        #: contracts that were not told when they were last asked about
        self._silent: set[str] = set()

    def begin(self, emit: Tell) -> None:
        """Tell the desk of what it will be told: until then it does not know those rates."""
        for contract in self._waiting:
            emit(FundingExpected(self._clock.now_ms(), self._name, contract, None))

    async def run(self, emit: Tell) -> None:
        """Begin a round every minute until cancelled, or where one takes longer, after it."""
        loop = asyncio.get_running_loop()
        while True:
            next_s = loop.time() + EVERY_SECONDS
            await self.round(emit)
            await asyncio.sleep(next_s - loop.time())

    async def round(self, emit: Tell) -> None:
        """Ask about the contracts whose turn it is; what is not told is told as that."""
        turn, rest = self._waiting[: self._at_once], self._waiting[self._at_once :]
        self._waiting = rest + turn
        if not turn:
            return
        for asked in [turn] if self._rates.together else [[each] for each in turn]:
            found = await self._read(asked)
            for contract in asked:
                emit(self._told(contract, found.get(contract)))

    async def _read(self, asked: Sequence[str]) -> Mapping[str, ExpectedFunding]:
        found: Mapping[str, ExpectedFunding] = {}
        reason = "unreadable answer"
        try:
            found = await self._rates.read(asked, self._clock.now_ms() + self._ahead_ms())
        except VenueUnavailable as outage:
            reason = str(outage)
        silent = {*asked} - found.keys()
        if new := sorted(silent - self._silent):
            _log.warning("funding_rate_not_read", account=self._name, contracts=new, reason=reason)
        self._silent = self._silent - {*asked} | silent
        return found

    def _told(self, contract: str, found: ExpectedFunding | None) -> FundingExpected:
        now_ms = self._clock.now_ms()
        if found is None:
            return FundingExpected(now_ms, self._name, contract, None)
        ahead_ms = self._ahead_ms()
        return FundingExpected(
            now_ms,
            self._name,
            contract,
            found.rate,
            found.from_ms - ahead_ms,
            found.due_ms - ahead_ms,
        )
