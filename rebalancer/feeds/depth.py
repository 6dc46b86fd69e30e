"""The order book of a contract, read once: what a market order of some size would cost now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

from rebalancer.core.money import BPS, ONE, ZERO, number, positive
from rebalancer.errors import InputRefused, VenueUnavailable
from rebalancer.exchanges import UNREADABLE, open_exchange
from rebalancer.feeds.live import load_markets, read

#: how long one book may take; a plan is looked at by a person who waits
BOOK_WITHIN_S = 10.0
#: books that are asked for side by side: more would wait for one another in ccxt's own throttle
TOGETHER = 4
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

    @property
    def crossed(self) -> bool:
        """Whether somebody pays more than somebody asks: no moment's book, and no price."""
        return bool(self.bids and self.asks) and self.bids[0][0] >= self.asks[0][0]

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


Books = Mapping[str, Depth | VenueUnavailable]
"""The book of each contract, or why there is none to go by."""


async def depths(
    venue_id: str, symbols: Sequence[str], opened: Callable[[str], Any] = open_exchange
) -> Books:
    """Return the book of each contract, or in one sentence why there is none to go by.

    Raises VenueUnavailable where the venue does not even list its contracts.
    """
    exchange = opened(venue_id)
    try:
        await load_markets(exchange, venue_id, symbols)
        few = asyncio.Semaphore(TOGETHER)
        books = await asyncio.gather(
            *(_depth(exchange, venue_id, symbol, few) for symbol in symbols)
        )
        return dict(zip(symbols, books, strict=True))
    finally:
        await exchange.close()


async def _depth(
    exchange: Any, venue_id: str, symbol: str, few: asyncio.Semaphore
) -> Depth | VenueUnavailable:
    ask = partial(exchange.fetch_order_book, symbol, LEVELS)
    try:
        async with few:
            book = await read(ask, venue_id, BOOK_WITHIN_S)
        depth = depth_of(book, exchange.markets[symbol])
    except VenueUnavailable as outage:
        return outage
    except (InputRefused, *UNREADABLE):
        return VenueUnavailable(f"{venue_id} gave a book that cannot be read")
    if depth.crossed:
        return VenueUnavailable(f"{venue_id} gave a book whose bids are above its asks")
    return depth


def depth_of(book: Mapping[str, Any], market: Mapping[str, Any]) -> Depth:
    """Read a book of ccxt; raises InputRefused where a level is no price and size."""
    fee = market.get("taker")
    return Depth(
        asks=tuple(_level(each) for each in book["asks"]),
        bids=tuple(_level(each) for each in book["bids"]),
        taker_fee=None if fee is None else number(_exactly(fee), "taker fee"),
    )


def _level(level: Sequence[Any]) -> Level:
    price, size = (_exactly(each) for each in level[:2])
    return positive(price, "price of a book"), number(size, "size of a book")


def _exactly(value: Any) -> Any:
    # ccxt makes floats of a book, and its own fees are some: the shortest text is what was meant.
    return repr(value) if isinstance(value, float) else value
