"""Watches what a venue says about its contracts, and tells what differs from what the desk runs.

A contract of another size, lot or tick makes every order wrong, and one that is not traded any more
takes none. What to do about it is not decided here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

import structlog

from rebalancer.clock import sleep_until
from rebalancer.core.contract import Contract
from rebalancer.core.instant import HOUR_MS
from rebalancer.errors import InputRefused, VenueUnavailable
from rebalancer.exchanges import UNREADABLE, contract_of
from rebalancer.ports import Clock

_log = structlog.get_logger(__name__)

ReloadMarkets = Callable[[], Awaitable[Mapping[str, Any]]]
"""Reads the venue's markets anew, as ccxt describes them; raises VenueUnavailable."""


class MarketChange(NamedTuple):
    """One thing that the venue says differently."""

    #: contract size, lot, tick or status
    what: str
    runs: str
    venue: str


MarketSink = Callable[[str, tuple[MarketChange, ...]], None]
"""Takes a contract and all that differs of it; nothing: it is again as the desk runs it."""


class MarketsWatch:
    """Reads the markets every `interval_ms` and tells each set of differences once."""

    def __init__(
        self,
        reload: ReloadMarkets,
        running: Mapping[str, Contract],
        on_change: MarketSink,
        clock: Clock,
        interval_ms: int = HOUR_MS,
    ) -> None:
        """Compare with `running`, the contracts that the desk was started with."""
        self._reload = reload
        self._running = running
        self._on_change = on_change
        self._clock = clock
        self._interval_ms = interval_ms
        self._told: dict[str, tuple[MarketChange, ...]] = {}

    async def run(self) -> None:
        """Watch until cancelled; the first reading is one interval from now."""
        while True:
            await sleep_until(self._clock, self._clock.now_ms() + self._interval_ms)
            await self.look()

    async def look(self) -> None:
        """Read the markets once and tell what is new; an outage is only warned of."""
        try:
            markets = await self._reload()
        except VenueUnavailable as outage:
            _log.warning("markets_not_read", reason=str(outage))
            return
        if not markets:
            # A venue that lists nothing at all did not end every contract: the answer is broken.
            _log.warning("markets_not_read", reason="the list is empty")
            return
        for symbol, contract in self._running.items():
            changes = tuple(changes_of(contract, markets.get(symbol)))
            if changes != self._told.get(symbol, ()):
                self._told[symbol] = changes
                self._on_change(symbol, changes)


def changes_of(runs: Contract, market: Mapping[str, Any] | None) -> list[MarketChange]:
    """Return all that a market of ccxt says differently from the contract that the desk runs."""
    if market is None:
        return [MarketChange("status", "listed", "not listed")]
    try:
        now = contract_of(market, "venue")
        # None means that the venue does not tell.
        active = market.get("active") is not False
    except (InputRefused, *UNREADABLE):
        return [MarketChange("status", "listed", "described in a way that cannot be read")]
    pairs = (
        ("contract size", runs.contract_size, now.contract_size),
        ("lot", runs.lot, now.lot),
        ("tick", runs.tick, now.tick),
    )
    changes = [
        MarketChange(what, _text(before), _text(after))
        for what, before, after in pairs
        if before != after
    ]
    if not active:
        changes.append(MarketChange("status", "active", "not active"))
    return changes


def _text(value: Decimal) -> str:
    return f"{value.normalize():f}"
