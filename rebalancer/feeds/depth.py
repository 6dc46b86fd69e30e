"""The order book of a contract, read once: what a market order of some size would cost now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

from rebalancer.core.money import BPS, ONE, ZERO, number, positive
from rebalancer.errors import InputRefused, VenueUnavailable
from rebalancer.exchanges import open_exchange
from rebalancer.feeds.live import load_markets, read

#: how long one book may take; a plan is looked at by a person who waits
BOOK_WITHIN_S = 10.0
#: levels that are asked for on each side
LEVELS = 100

Level = tuple[Decimal, Decimal]
"""A price in quote currency, and the contracts that are offered or wanted at it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """Both sides of a book, the best level first, and what the venue says taking costs."""

    asks: tuple[Level, ...]
    bids: tuple[Level, ...]
    #: published fee of a taker, as a share of notional; None where the venue does not tell
    taker_fee: Decimal | None = None

    def slippage_bps(self, contracts: Decimal, mark: Decimal) -> Decimal | None:
        """Return how much worse than the mark signed `contracts` would fill, in basis points.

        Below zero: better. None where the levels that are known do not hold so much.
        """
        side = self.asks if contracts > 0 else self.bids
        missing, cost = abs(contracts), ZERO
        for price, size in side:
            taken = min(size, missing)
            cost, missing = cost + taken * price, missing - taken
            if not missing:
                break
        if missing or not contracts:
            return None
        worse = cost / abs(contracts) / mark - ONE
        return (worse if contracts > 0 else -worse) * BPS


async def depths(
    venue_id: str, symbols: Sequence[str], opened: Callable[[str], Any] = open_exchange
) -> dict[str, Depth]:
    """Return the book of each contract; raises VenueUnavailable in one sentence."""
    exchange = opened(venue_id)
    try:
        await load_markets(exchange, venue_id, symbols)
        found = {}
        for symbol in symbols:
            ask = partial(exchange.fetch_order_book, symbol, LEVELS)
            book = await read(ask, venue_id, BOOK_WITHIN_S)
            try:
                found[symbol] = depth_of(book, exchange.markets[symbol])
            except (InputRefused, LookupError, TypeError, ValueError):
                raise VenueUnavailable(f"{venue_id} gave a book that cannot be read") from None
        return found
    finally:
        await exchange.close()


def depth_of(book: Mapping[str, Any], market: Mapping[str, Any]) -> Depth:
    """Read a book of ccxt; raises InputRefused where a level is no price and size."""
    fee = market.get("taker")
    return Depth(
        asks=tuple(_level(each) for each in book["asks"]),
        bids=tuple(_level(each) for each in book["bids"]),
        taker_fee=None if fee is None else number(fee, "taker fee"),
    )


def _level(level: Sequence[Any]) -> Level:
    return positive(level[0], "price of a book"), number(level[1], "size of a book")
