"""Quotes of the tokens on their secondary markets, polled through ccxt without keys.

Best bid and ask come with the spot ticker; where a venue's ticker has neither, the book is asked.
What could not be read is told too: that a market falls silent is news of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

from rebalancer.clock import sleep_until
from rebalancer.core.events import TokenQuoted
from rebalancer.core.instant import SECOND_MS
from rebalancer.core.money import positive
from rebalancer.core.premium import PremiumTerms
from rebalancer.errors import InputRefused, VenueUnavailable
from rebalancer.exchanges import UNREADABLE, nearest, open_exchange
from rebalancer.feeds.live import MARKETS_WITHIN_S, read
from rebalancer.ports import Clock, Emit

INTERVAL_MS = 10 * SECOND_MS
#: one question with its repetitions
QUOTE_WITHIN_S = 8.0
BOOK_LEVELS = 5


@dataclass(frozen=True, slots=True)
class Book:
    """The best of a token's market; None where a side is empty."""

    bid: Decimal | None
    ask: Decimal | None
    #: by the venue's clock; None where it does not say
    at_ms: int | None


class TokenWatch:
    """Reads the markets of one venue, one after the other, every `interval_ms`."""

    def __init__(
        self,
        venue_id: str,
        watched: Mapping[str, PremiumTerms],
        clock: Clock,
        emit: Emit,
        opened: Callable[[str], Any] = open_exchange,
    ) -> None:
        """Watch the tokens of `watched`, by fund; `opened` makes the exchange object."""
        self._venue_id = venue_id
        self._watched = watched
        self._clock = clock
        self._emit = emit
        self._opened = opened

    async def run(self) -> None:
        """Watch until cancelled; an unknown venue raises ConfigRefused."""
        exchange = self._opened(self._venue_id)
        try:
            while True:
                due_ms = self._clock.now_ms() + INTERVAL_MS
                for fund, terms in self._watched.items():
                    self._emit(await self._quoted(exchange, fund, terms.symbol))
                # Counted from now, too: the clock may have been set back meanwhile.
                await sleep_until(self._clock, min(due_ms, self._clock.now_ms() + INTERVAL_MS))
        finally:
            await asyncio.shield(exchange.close())

    async def _quoted(self, exchange: Any, fund: str, symbol: str) -> TokenQuoted:
        try:
            book = await self._book(exchange, symbol)
        except (VenueUnavailable, InputRefused) as error:
            return TokenQuoted(self._clock.now_ms(), fund, problem=str(error))
        return TokenQuoted(self._clock.now_ms(), fund, book.bid, book.ask, book.at_ms)

    async def _book(self, exchange: Any, symbol: str) -> Book:
        """Return the best of the book; raises VenueUnavailable, InputRefused."""
        if not exchange.markets:
            await read(exchange.load_markets, self._venue_id, MARKETS_WITHIN_S)
        market = exchange.markets.get(symbol)
        if market is None or not market.get("spot"):
            spot = [name for name, each in exchange.markets.items() if each.get("spot")]
            raise InputRefused(
                f"{self._venue_id} has no spot market {symbol}{nearest(symbol, spot)}"
            )
        if market.get("active") is False:
            raise InputRefused(f"{symbol} is not traded at {self._venue_id} now")
        ask = partial(exchange.fetch_ticker, symbol)
        book = book_in(await read(ask, self._venue_id, QUOTE_WITHIN_S), symbol)
        if book.bid is None and book.ask is None:
            look = partial(exchange.fetch_order_book, symbol, BOOK_LEVELS)
            book = best_in(await read(look, self._venue_id, QUOTE_WITHIN_S), symbol)
        return book


def book_in(ticker: Any, symbol: str) -> Book:
    """Return the book of ccxt's ticker; InputRefused where it is none."""
    try:
        return Book(
            _side(ticker.get("bid"), f"{symbol}: bid"),
            _side(ticker.get("ask"), f"{symbol}: ask"),
            _stamp(ticker.get("timestamp")),
        )
    except UNREADABLE:
        raise _unreadable(symbol) from None


def best_in(found: Any, symbol: str) -> Book:
    """Return the best of ccxt's order book; InputRefused where it is none."""
    try:
        bids, asks = found["bids"], found["asks"]
        return Book(
            _side(bids[0][0] if bids else None, f"{symbol}: bid"),
            _side(asks[0][0] if asks else None, f"{symbol}: ask"),
            _stamp(found.get("timestamp")),
        )
    except UNREADABLE:
        raise _unreadable(symbol) from None


def _unreadable(symbol: str) -> InputRefused:
    return InputRefused(f"{symbol}: the answer cannot be read")


def _side(price: Any, where: str) -> Decimal | None:
    # Some venues write 0 for a side that nobody stands on.
    if price is None or price == "" or Decimal(str(price)) == 0:
        return None
    return positive(price, where)


def _stamp(told: Any) -> int | None:
    return None if told is None else int(told)
