"""Live public prices by stream where a venue has one, by polling where it has none or it fails.

Polling goes on beside the streams: a contract of which a stream tells nothing within its deadline
is asked for, and if the venue then has news the stream is built anew. All stamps are the venue's,
put into our time by what is known of its clock. ccxt is imported only when a feed begins.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from rebalancer.core.events import PricesObserved, PriceTick
from rebalancer.core.fund import PriceSource
from rebalancer.core.instant import SECOND_MS
from rebalancer.core.market import FUTURE_TOLERANCE_MS
from rebalancer.errors import ConfigRefused, VenueUnavailable
from rebalancer.exchanges import open_streams
from rebalancer.feeds import binance_marks
from rebalancer.feeds.live import CCXT_NAMES, PRICES_WITHIN_S, CcxtFeed, read
from rebalancer.feeds.stream_best import BestPrices, BestReader
from rebalancer.feeds.stream_clock import venue_offset
from rebalancer.feeds.stream_socket import Key, Stream, StreamPace
from rebalancer.ports import Clock

_BEST = "bid and ask"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlan:
    """Which method of ccxt.pro streams which price of a venue; None is polled."""

    venue_id: str
    mark: str | None = None
    index: str | None = None
    last: str | None = None
    bid_ask: str | None = None
    #: the method that polls bid and ask
    polled_bid_ask: str = "fetch_tickers"

    def method_of(self, source: PriceSource) -> str | None:
        """Return the method that streams `source`."""
        streamed = {
            PriceSource.MARK: self.mark,
            PriceSource.INDEX: self.index,
            PriceSource.LAST: self.last,
        }
        return streamed.get(source)


@dataclass(frozen=True, slots=True)
class _Told:
    """What a stream tells, or a poll is to tell."""

    keys: frozenset[Key]
    #: by contract
    sources: Mapping[str, tuple[PriceSource, ...]]
    #: the contracts of which bid and ask are told
    best: frozenset[str]

    @classmethod
    def of(cls, keys: Iterable[Key], known: Mapping[str, tuple[PriceSource, ...]]) -> _Told:
        """Return `keys` sorted out; the sources in the order in which they are `known`."""
        kept = frozenset(keys)
        found = {
            name: tuple(source for source in sources if (name, source) in kept)
            for name, sources in known.items()
        }
        return cls(
            keys=kept,
            sources={name: sources for name, sources in found.items() if sources},
            best=frozenset(name for name, what in kept if what == _BEST),
        )


async def _nobody() -> None:
    """Listen to no reconnect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamListeners:
    """Who wants to know what is no price tick."""

    #: called after each reconnect: what was missed has to be asked for. VenueUnavailable is
    #: warned of; anything else ends the feed.
    on_reconnect: Callable[[], Awaitable[None]] = _nobody
    #: takes best bids and asks at once; without a taker there are none
    on_best: Callable[[BestPrices], None] | None = None


class StreamFeed:
    """Prices of one venue. An outage raises nothing; the feed goes on and warns.

    An unknown venue, contract or stream raises ConfigRefused from `prices()`.
    """

    def __init__(
        self,
        plan: StreamPlan,
        sources: Mapping[str, tuple[PriceSource, ...]],
        clock: Clock,
        pace: StreamPace | None = None,
        listeners: StreamListeners | None = None,
        opened: Callable[[str], Any] = open_streams,
    ) -> None:
        """Connect to nothing yet; `opened` makes ccxt.pro's exchange objects."""
        self._plan = plan
        self._sources = sources
        self._clock = clock
        self._pace = pace or StreamPace()
        self._listeners = listeners or StreamListeners()
        self._opened = opened
        self._poller = CcxtFeed(plan.venue_id, sources, clock, self._pace.poll_ms, opened)
        self._best = BestReader(plan.venue_id)
        #: the newest tick of each price that is not yet taken; a newer one replaces an older
        self._waiting: dict[Key, PriceTick] = {}
        self._ready = asyncio.Event()
        self._doubted = asyncio.Event()
        self._streams: dict[str, Stream] = {}
        self._streamed: dict[str, _Told] = {}
        self._running: asyncio.Task[None] | None = None
        self._closed = False

    async def prices(self) -> AsyncIterator[PricesObserved]:
        """Yield prices as they come, until the feed is closed."""
        if self._closed:
            return
        running = self._running = asyncio.create_task(self._run())
        running.add_done_callback(lambda _: self._ready.set())
        try:
            while not running.done() and not self._closed:
                await self._ready.wait()
                self._ready.clear()
                ticks, self._waiting = tuple(self._waiting.values()), {}
                if ticks and not self._closed:
                    yield PricesObserved(self._clock.now_ms(), ticks)
        finally:
            await self._stop()
        if not running.cancelled():
            running.result()

    async def close(self) -> None:
        """Give up every connection; may be called twice."""
        self._closed = True
        self._ready.set()
        await self._stop()
        await self._poller.close()

    async def _stop(self) -> None:
        running = self._running
        if running is not None:
            running.cancel()
            await asyncio.wait([running])

    async def _run(self) -> None:
        exchange = await self._connected()
        self._plan_streams(exchange)
        await self._read_clock(exchange)
        try:
            async with asyncio.TaskGroup() as group:
                told = partial(self._reconnected, group)
                for stream in self._streams.values():
                    group.create_task(stream.run(told))
                group.create_task(self._keep_polling(exchange))
                group.create_task(self._keep_time(exchange))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _connected(self) -> Any:
        """Return the exchange that polls, once the venue has told its markets."""
        failures = 0
        while True:
            try:
                return await self._poller.connect()
            except VenueUnavailable as outage:
                failures += 1
                _log.warning("markets_not_read", venue=self._plan.venue_id, reason=str(outage))
                await asyncio.sleep(self._pace.pause_s(failures))

    def _plan_streams(self, exchange: Any) -> None:
        """Make one stream of each method, for all that it tells."""
        keys: dict[str, set[Key]] = {}
        for contract, wanted in self._sources.items():
            for source in wanted:
                method = self._plan.method_of(source)
                if method is not None:
                    keys.setdefault(method, set()).add((contract, source))
            if self._plan.bid_ask is not None and self._listeners.on_best is not None:
                keys.setdefault(self._plan.bid_ask, set()).add((contract, _BEST))
        self._streams = {}
        for method, told in keys.items():
            if not callable(getattr(exchange, method, None)):
                raise ConfigRefused(f"venue {self._plan.venue_id!r}: has no stream {method}")
            self._streamed[method] = _Told.of(told, self._sources)
            self._streams[method] = Stream(
                self._plan.venue_id,
                method,
                told,
                partial(self._client, exchange),
                partial(self._take, method),
                self._pace,
            )

    def _client(self, exchange: Any) -> Any:
        """Return a client for one stream; the markets are loaded already."""
        client = self._opened(self._plan.venue_id).set_markets_from_exchange(exchange)
        # ccxt learns its loop with its first question, and KuCoin's needs it before.
        client.open()
        return client

    def _take(self, method: str, tickers: Mapping[str, Any]) -> set[Key]:
        """Hand on what is new in a stream's tickers, and return which that was."""
        now_ms, told, names = self._clock.now_ms(), self._streamed[method], CCXT_NAMES
        if binance_marks.reads(self._plan.venue_id, method):
            tickers = {name: binance_marks.as_sent(each) for name, each in tickers.items()}
            names = binance_marks.NAMES
        wanted = {name: told.sources[name] for name in tickers if name in told.sources}
        ticks = self._poller.news(tickers, wanted, now_ms, names, streamed=True)
        best = tuple(name for name in tickers if name in told.best)
        return self._hand_on(ticks) | self._hand_on_best(tickers, best, now_ms)

    def _hand_on(self, ticks: Iterable[PriceTick]) -> set[Key]:
        told: set[Key] = set()
        now_ms = self._clock.now_ms()
        for tick in ticks:
            key = (tick.contract, tick.source)
            self._waiting[key] = tick
            told.add(key)
            if tick.at_ms > now_ms + FUTURE_TOLERANCE_MS:
                self._doubted.set()
        if told:
            self._ready.set()
        return told

    def _hand_on_best(
        self, tickers: Mapping[str, Any], wanted: tuple[str, ...], asked_ms: int
    ) -> set[Key]:
        if self._listeners.on_best is None or not wanted:
            return set()
        found = self._best.news(tickers, wanted, asked_ms, self._poller.offset_ms)
        for best in found:
            self._listeners.on_best(best)
        return {(best.contract, _BEST) for best in found}

    async def _keep_polling(self, exchange: Any) -> None:
        """Poll what has no stream, and what a stream does not tell."""
        every = {(name, str(source)) for name, wanted in self._sources.items() for source in wanted}
        if self._listeners.on_best is not None:
            every |= {(name, _BEST) for name in self._sources}
        never_streamed = every - {key for told in self._streamed.values() for key in told.keys}
        while True:
            silent = {name: stream.silent() for name, stream in self._streams.items()}
            wanted = never_streamed.union(*silent.values())
            found = await self._poll(exchange, wanted)
            for name, missed in silent.items():
                # Still silent: the stream may have come back while the question was under way.
                if found & missed & self._streams[name].silent():
                    self._streams[name].rebuild()
            await asyncio.sleep(self._pace.poll_ms / SECOND_MS)

    async def _poll(self, exchange: Any, keys: Collection[Key]) -> set[Key]:
        asked = _Told.of(keys, self._sources)
        found = self._hand_on(await self._poller.poll(asked.sources)) if asked.sources else set()
        contracts = sorted(asked.best)
        if not contracts:
            return found
        asked_ms = self._clock.now_ms()
        ask = partial(getattr(exchange, self._plan.polled_bid_ask), contracts)
        try:
            tickers = await read(ask, self._plan.venue_id, PRICES_WITHIN_S)
            return found | self._hand_on_best(tickers, tuple(contracts), asked_ms)
        except VenueUnavailable as outage:
            _log.warning("quotes_not_read", venue=self._plan.venue_id, reason=str(outage))
            return found

    async def _keep_time(self, exchange: Any) -> None:
        """Read the venue's clock now and then, and at once when it seems to have jumped."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pace.clock_ms / SECOND_MS):
                    await self._doubted.wait()
            await self._read_clock(exchange)
            # A venue that keeps stamping the future is not asked again at once.
            await asyncio.sleep(self._pace.longest_pause_s)

    async def _read_clock(self, exchange: Any) -> None:
        venue_id = self._plan.venue_id
        try:
            offset = await venue_offset(exchange, venue_id, self._clock)
        except VenueUnavailable as outage:
            _log.warning("venue_clock_not_read", venue=venue_id, reason=str(outage))
            self._doubted.set()
            return
        self._doubted.clear()
        # What is within the error of the reading is no news, and would only make stamps jitter.
        if abs(offset.ahead_ms - self._poller.offset_ms) > offset.uncertain_ms:
            self._poller.offset_ms = offset.ahead_ms
            if abs(offset.ahead_ms) > FUTURE_TOLERANCE_MS:
                _log.warning(
                    "venue_clock_differs",
                    venue=venue_id,
                    ahead_ms=offset.ahead_ms,
                )

    def _reconnected(self, group: asyncio.TaskGroup) -> None:
        _log.info("stream_back", venue=self._plan.venue_id)
        group.create_task(self._tell_reconnect())

    async def _tell_reconnect(self) -> None:
        try:
            await self._listeners.on_reconnect()
        except VenueUnavailable as outage:
            _log.warning(
                "reconnect_unanswered",
                venue=self._plan.venue_id,
                reason=str(outage),
            )
