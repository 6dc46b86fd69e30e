"""Live public prices and contract details through ccxt, for paper trading on a real market.

Polled, not streamed: a poll that fails is seen at once, a silent socket is not. ccxt is imported
only when a venue is opened, because that alone takes half a second and 100 MB. Nothing of it gets
out of here: its exceptions can quote whole requests, so they are told in our own words.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

import structlog

from rebalancer.clock import sleep_until
from rebalancer.core.contract import Contract
from rebalancer.core.events import PricesObserved, PriceTick
from rebalancer.core.fund import PriceSource
from rebalancer.core.market import FUTURE_TOLERANCE_MS, Key
from rebalancer.core.money import positive
from rebalancer.errors import ConfigRefused, InputRefused, VenueUnavailable
from rebalancer.exchanges import (
    UNREADABLE,
    contract_of,
    in_our_words,
    nearest,
    open_exchange,
    read_retries,
)
from rebalancer.feeds.asked_prices import RAW, UNIFIED, questions
from rebalancer.ports import Clock

#: one reading of prices with its repetitions, and one of the markets
PRICES_WITHIN_S = 15.0
MARKETS_WITHIN_S = 60.0


class Names(NamedTuple):
    """What tickers call their stamp and each of their prices."""

    stamp: str
    prices: Mapping[PriceSource, str]


#: of all tickers that ccxt makes
CCXT_NAMES = Names("timestamp", UNIFIED)
_NOTHING: Mapping[str, Any] = {}

#: how long a venue that asks for fewer requests is left alone, where it names no time
AWAY_SECONDS = 10.0

_log = structlog.get_logger(__name__)


class TooManyAsked(VenueUnavailable):
    """The venue asks for fewer requests, or has shut this address out."""


def refuse_unknown_sources(venue_id: str, contract: str, wanted: Collection[PriceSource]) -> None:
    """Raise ConfigRefused for a source that perpetuals do not have."""
    for source in wanted:
        if source not in UNIFIED:
            raise ConfigRefused(
                f"{contract}: live prices of {venue_id} have no source {source}; "
                f"choose {', '.join(UNIFIED)}"
            )


class CcxtFeed:
    """Polls the public prices of a venue: every source that some fund needs, every `interval_ms`.

    A price that is missing or not above zero is dropped with a warning, once until it is back. So
    is a reading that failed; the feed goes on. A price with the stamp of the one before is no news
    and is left out, so a venue that stands still grows old. Where a venue stamps nothing, the
    instant before the question counts.
    """

    def __init__(
        self,
        venue_id: str,
        sources: Mapping[str, tuple[PriceSource, ...]],
        clock: Clock,
        interval_ms: int,
        opened: Callable[[str], Any] = open_exchange,
    ) -> None:
        """Connect to nothing yet; a source that perpetuals do not have raises ConfigRefused.

        `opened` makes the exchange object.
        """
        for contract, wanted in sources.items():
            refuse_unknown_sources(venue_id, contract, wanted)
        self._venue_id = venue_id
        self._sources = sources
        self._clock = clock
        self._interval_ms = interval_ms
        self._opened = opened
        #: how far the venue's clock is ahead of ours
        self.offset_ms = 0
        self._exchange: Any = None
        self._closed = False
        #: no question before, by the loop's clock: the venue refused us
        self._away_until_s = 0.0
        self._stamps: dict[tuple[str, PriceSource], tuple[int, Decimal]] = {}
        self._dropped: set[tuple[str, PriceSource, bool]] = set()

    async def prices(self) -> AsyncIterator[PricesObserved]:
        """Yield what each poll found, until the feed is closed.

        An unknown venue or contract raises ConfigRefused; an outage raises nothing.
        """
        if self._closed:
            return
        self._exchange = self._opened(self._venue_id)
        while not self._closed:
            due_ms = self._clock.now_ms() + self._interval_ms
            ticks = await self.poll(self._sources)
            if ticks and not self._closed:
                yield PricesObserved(self._clock.now_ms(), ticks)
            # Counted from now, too: the clock may have been set back meanwhile.
            await sleep_until(self._clock, min(due_ms, self._clock.now_ms() + self._interval_ms))

    async def close(self) -> None:
        """Give up the connection; may be called twice."""
        self._closed = True
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            await exchange.close()

    async def connect(self) -> Any:
        """Return the exchange with its markets loaded, for those who poll by themselves.

        Refuses what prices() refuses; VenueUnavailable when the venue does not answer.
        """
        if self._exchange is None:
            self._exchange = self._opened(self._venue_id)
        await load_markets(self._exchange, self._venue_id, self._sources)
        return self._exchange

    async def poll(self, wanted: Mapping[str, Collection[PriceSource]]) -> tuple[PriceTick, ...]:
        """Ask once for what is wanted and return what is news; an outage is only warned of."""
        exchange = self._exchange
        if asyncio.get_running_loop().time() < self._away_until_s:
            return ()
        asked_ms = self._clock.now_ms()
        ticks: list[PriceTick] = []
        try:
            await load_markets(exchange, self._venue_id, self._sources)
        except VenueUnavailable as outage:
            self._warn(outage)
            return ()
        for question in questions(self._venue_id):
            sources = question.sources
            symbols = [name for name, needed in wanted.items() if sources & {*needed}]
            if not symbols:
                continue
            try:
                ask = partial(question.ask, exchange, symbols)
                answer = await read(ask, self._venue_id, PRICES_WITHIN_S)
            except TooManyAsked as refusal:
                self._warn(refusal)
                self._stay_away(exchange)
                break
            except VenueUnavailable as outage:
                self._warn(outage)
            else:
                asked = {name: [s for s in wanted[name] if s in sources] for name in symbols}
                ticks.extend(self.news(answer, asked, asked_ms))
        return tuple(ticks)

    def _stay_away(self, exchange: Any) -> None:
        """Ask nothing as long as the venue says: more questions make a ban longer."""
        headers = exchange.last_response_headers or {}
        told = {name.lower(): value for name, value in headers.items()}.get("retry-after", "")
        seconds = float(told) if told.isdecimal() else AWAY_SECONDS
        self._away_until_s = asyncio.get_running_loop().time() + seconds

    def _warn(self, outage: VenueUnavailable) -> None:
        # Closing ends a poll under way with an outage that is our own doing.
        if not self._closed:
            _log.warning("prices_not_read", venue=self._venue_id, reason=str(outage))

    def news(
        self,
        answer: Mapping[str, Any],
        wanted: Mapping[str, Sequence[PriceSource]],
        asked_ms: int,
        names: Names = CCXT_NAMES,
        *,
        streamed: bool = False,
    ) -> list[PriceTick]:
        """Return the wanted prices of tickers that are newer than the last, in our time."""
        ticks = []
        offset_ms, stamps = self.offset_ms, self._stamps
        newest_ms = self._clock.now_ms() + offset_ms + FUTURE_TOLERANCE_MS
        for contract, needed in wanted.items():
            ticker = answer.get(contract) or _NOTHING
            stamp = ticker.get(names.stamp)
            # Judged by the venue's time: our estimate of its clock may move between two prices.
            told_ms = stamp if isinstance(stamp, int) else asked_ms + offset_ms
            for source in needed:
                key = (contract, source)
                price = self._price(ticker, key, names.prices.get(source, ""), streamed=streamed)
                if price is None:
                    continue
                last_ms, last_price = stamps.get(key) or (-1, price)
                if last_ms > newest_ms:
                    last_ms = -1  # by our clock before it was set back: all news would be older
                # A stream may tell two prices of one millisecond, the later one last.
                if told_ms > last_ms or (told_ms == last_ms and price != last_price):
                    # A stamp from the future, which the desk refuses, makes no old news of others.
                    if told_ms <= newest_ms:
                        stamps[key] = told_ms, price
                    ticks.append(PriceTick(contract, source, price, told_ms - offset_ms))
        return ticks

    def _price(
        self, ticker: Mapping[str, Any], key: Key, name: str, *, streamed: bool
    ) -> Decimal | None:
        """Return the price that a ticker has under `name`; None where it has none that is one."""
        value = ticker.get(name)
        if value is None:
            raw, info = RAW.get(self._venue_id, {}).get(key[1]), ticker.get("info")
            value = info.get(raw) if raw is not None and isinstance(info, Mapping) else None
        try:
            price = positive(value)
        except InputRefused:
            # Bad by stream and good by poll, or the other way round, is one warning and not many.
            told = {(*key, by_stream) for by_stream in (True, False)} & self._dropped
            self._dropped.add((*key, streamed))
            if not told:
                _log.warning(
                    "price_dropped",
                    venue=self._venue_id,
                    contract=key[0],
                    source=str(key[1]),
                    reason="missing" if value is None else "not a number above zero",
                )
            return None
        if self._dropped:
            self._dropped.discard((*key, streamed))
        return price


async def contracts(
    venue_id: str,
    symbols: Sequence[str],
    opened: Callable[[str], Any] = open_exchange,
    may_lack: Collection[str] = (),
) -> dict[str, Contract]:
    """Return what the venue says about each of `symbols` (unified names, BTC/USDT:USDT).

    One of `may_lack` that it does not list is left out. Raises ConfigRefused for an unknown venue
    or another such contract, or one that is no linear perpetual, and where none is listed at all;
    VenueUnavailable when the venue does not answer.
    """
    exchange = opened(venue_id)
    try:
        await load_markets(exchange, venue_id, [each for each in symbols if each not in may_lack])
        listed = [symbol for symbol in symbols if symbol in exchange.markets]
        if not listed:
            raise ConfigRefused(f"{venue_id} lists no contract of this desk any more")
        return {symbol: contract_of(exchange.markets[symbol], venue_id) for symbol in listed}
    finally:
        await exchange.close()


async def load_markets(exchange: Any, venue_id: str, symbols: Collection[str]) -> None:
    """Load the venue's markets once and refuse the symbols that the desk cannot trade there."""
    if exchange.markets:
        return
    await read(exchange.load_markets, venue_id, MARKETS_WITHIN_S)
    for symbol in symbols:
        market = exchange.markets.get(symbol)
        if market is None:
            swaps = [name for name, market in exchange.markets.items() if market.get("swap")]
            raise ConfigRefused(
                f"{symbol}: {venue_id} has no such contract" + nearest(symbol, swaps)
            )
        if not (market.get("swap") and market.get("linear")):
            raise ConfigRefused(
                f"{symbol}: is no linear perpetual at {venue_id}, and this version trades nothing "
                "else" + nearest(f"{symbol}:{market.get('quote')}", exchange.markets)
            )


async def read(ask: Callable[[], Awaitable[Any]], venue_id: str, within_s: float) -> Any:
    """Ask a question that changes nothing, again after network failures, for `within_s`.

    Raises VenueUnavailable in our own words; TooManyAsked at once.
    """
    import ccxt.async_support as ccxt  # noqa: PLC0415 - loaded when the venue was opened

    try:
        async with asyncio.timeout(within_s):
            return await read_retries(within_s, after_refusals=False)(ask)
    except (ccxt.DDoSProtection, ccxt.RateLimitExceeded) as error:
        raise TooManyAsked(f"{venue_id} {in_our_words(error)}") from None
    except (ccxt.BaseError, TimeoutError, *UNREADABLE) as error:
        raise VenueUnavailable(f"{venue_id} {in_our_words(error)}") from None
