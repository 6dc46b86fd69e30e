"""A price feed that plays histories at the pace of a clock."""

from __future__ import annotations

from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from decimal import Decimal

from rebalancer.clock import sleep_until
from rebalancer.core.events import PricesObserved, PriceTick
from rebalancer.core.fund import PriceSource
from rebalancer.errors import InputRefused
from rebalancer.feeds.candles import History, Moment, merge
from rebalancer.feeds.pace import FundingDue, FundingSink
from rebalancer.ports import Clock


def refuse_unheld(played: Iterable[str], held: Collection[str]) -> None:
    """Raise InputRefused for the prices of a contract that no fund holds."""
    for contract in played:
        if contract not in held:
            raise InputRefused(f"{contract}: prices are given, but no fund holds it")


class ReplayFeed:
    """Plays `histories`: each price becomes one confirmed tick per source its contract needs.

    `at_ms` of everything it yields is the instant in the history, so what a desk decides does not
    depend on how fast the clock runs. Funding due at an instant goes to `on_funding` before the
    prices of that instant are yielded, at the last price known then; before the first price of a
    contract nobody can hold it and its funding is left out.
    """

    def __init__(
        self,
        histories: Sequence[History],
        clock: Clock,
        sources: Mapping[str, tuple[PriceSource, ...]],
        on_funding: FundingSink | None = None,
        *,
        after_ms: int | None = None,
        before: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        """Take what to play; a history without sources raises InputRefused.

        What is not later than `after_ms` is left out. `before` is awaited with each instant: there
        a desk catches up and lets its clock go on, so that no price is passed over or late.
        """
        refuse_unheld((history.contract for history in histories), sources)
        self._moments = merge(histories)
        self._clock = clock
        self._sources = sources
        self._on_funding = on_funding
        self._after_ms = after_ms
        self._before = before
        self._last: dict[str, Decimal] = {}
        self._closed = False

    async def prices(self) -> AsyncIterator[PricesObserved]:
        """Yield prices until the histories end or the feed is closed."""
        for moment in self._moments:
            if self._after_ms is not None and moment.at_ms <= self._after_ms:
                continue  # played in an earlier life of the desk
            if self._before is not None:
                await self._before(moment.at_ms)
            await sleep_until(self._clock, moment.at_ms)
            if self._closed:
                return
            self._last.update(moment.prices)
            self._settle(moment)
            if moment.prices:
                yield self._observed(moment)

    async def close(self) -> None:
        """End the play; may be called twice."""
        self._closed = True

    def _settle(self, moment: Moment) -> None:
        for contract, rate in moment.funding:
            mark = self._last.get(contract)
            if mark is not None and self._on_funding is not None:
                self._on_funding(FundingDue(moment.at_ms, contract, rate, mark))

    def _observed(self, moment: Moment) -> PricesObserved:
        ticks = tuple(
            PriceTick(contract, source, price, moment.at_ms)
            for contract, price in moment.prices
            for source in self._sources[contract]
        )
        return PricesObserved(moment.at_ms, ticks, confirmed=True)
