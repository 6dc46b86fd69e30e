"""Streamed and polled prices of venues that no loopback speaks for, by scripted exchanges."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, Self

import ccxt.async_support as ccxt
import pytest
from aiohttp import WSMsgType
from structlog.testing import capture_logs

from rebalancer.clock import VirtualClock
from rebalancer.core.events import PriceTick
from rebalancer.core.fund import PriceSource
from rebalancer.errors import BrokenInvariant
from rebalancer.exchanges import open_streams
from rebalancer.feeds.stream import StreamFeed, StreamListeners, StreamPlan
from rebalancer.feeds.stream_best import BestPrices
from rebalancer.feeds.stream_clock import venue_offset
from rebalancer.feeds.stream_socket import StreamPace, _read_exactly

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
MARK, INDEX, LAST = PriceSource.MARK, PriceSource.INDEX, PriceSource.LAST
NOW_MS = 1_767_225_600_000
PACE = StreamPace(deadline_ms=300, poll_ms=50, first_pause_s=0.02, longest_pause_s=0.1)
SOON_S = 20


class Venue:
    """What a venue tells: tickers to those who ask, frames to those who watch."""

    def __init__(self, venue_id: str) -> None:
        self.venue_id = venue_id
        self.tickers: dict[str, dict[str, Any]] = {}
        self.failure: BaseException | None = None
        self.exchanges: list[Exchange] = []
        self.polled: list[tuple[str, ...]] = []

    def open(self, venue_id: str) -> Exchange:
        assert venue_id == self.venue_id
        self.exchanges.append(Exchange(self))
        return self.exchanges[-1]

    def tell(self, symbol: str, **ticker: Any) -> None:
        """Send a ticker to everybody who watches."""
        for exchange in self.exchanges:
            exchange.hear(symbol, ticker)


class Exchange:
    """As much of a ccxt.pro exchange as a feed uses."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.markets = {name: {"swap": True, "linear": True} for name in (BTC, ETH)}
        self.tickers: dict[str, Any] = {}
        self.bidsasks = self.tickers
        self.heard = asyncio.Event()
        self.closed = 0

    def set_markets_from_exchange(self, _other: Exchange) -> Exchange:
        return self

    def open(self) -> None:
        """As ccxt's own begins."""

    def client(self, _url: str) -> Any:
        return SimpleNamespace()

    def hear(self, symbol: str, ticker: dict[str, Any]) -> None:
        self.tickers[symbol] = ticker
        self.heard.set()

    async def watch_bids_asks(self, symbols: Sequence[str]) -> dict[str, Any]:
        if self.venue.failure is not None:
            failure, self.venue.failure = self.venue.failure, None
            raise failure
        await self.heard.wait()
        self.heard.clear()
        return {}

    watch_tickers = watch_bids_asks

    async def fetch_tickers(self, symbols: Sequence[str]) -> dict[str, Any]:
        self.venue.polled.append(tuple(symbols))
        return self.venue.tickers

    async def fetch_time(self) -> int:
        return NOW_MS

    async def close(self) -> None:
        await asyncio.sleep(0.05)
        self.closed += 1


class Run:
    """A feed on a scripted venue, and what it told."""

    def __init__(
        self,
        venue: Venue,
        sources: dict[str, tuple[PriceSource, ...]],
        *,
        best: bool = False,
        **methods: str,
    ) -> None:
        self.venue = venue
        self.clock = VirtualClock(NOW_MS)
        self.ticks: list[PriceTick] = []
        self.best: list[BestPrices] = []
        self.reconnects = 0
        self.feed = StreamFeed(
            StreamPlan(venue_id=venue.venue_id, **methods),
            sources,
            self.clock,
            PACE,
            StreamListeners(
                on_reconnect=self.reconnected, on_best=self.best.append if best else None
            ),
            venue.open,
        )

    async def reconnected(self) -> None:
        self.reconnects += 1

    async def __aenter__(self) -> Self:
        self.taking = asyncio.create_task(self.take())
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.feed.close()
        await asyncio.wait([self.taking])
        assert [exchange.closed for exchange in self.venue.exchanges] == [1] * len(
            self.venue.exchanges
        )

    async def take(self) -> None:
        async for observed in self.feed.prices():
            self.ticks.extend(observed.ticks)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(SOON_S):
            while not holds():  # noqa: ASYNC110 - a list has no event to wait for
                await asyncio.sleep(0.005)


async def test_xt_has_no_stream_and_is_polled_for_mark_index_bid_and_ask():
    venue = Venue("xt")
    venue.tickers[BTC] = {
        "timestamp": NOW_MS,
        "bid": "59999.9",
        "ask": "60000.1",
        "info": {"m": "60000.05", "i": "60000.06"},
    }
    async with Run(venue, {BTC: (MARK, INDEX)}, best=True) as run:
        await run.until(lambda: len(run.ticks) == 2 and bool(run.best))
        assert [(tick.source, tick.price) for tick in run.ticks] == [
            (MARK, Decimal("60000.05")),
            (INDEX, Decimal("60000.06")),
        ]
        assert run.best == [BestPrices(BTC, Decimal("59999.9"), Decimal("60000.1"), NOW_MS)]
    assert len(venue.exchanges) == 1


async def test_kucoin_streams_bid_and_ask_and_is_polled_for_the_mark():
    venue = Venue("kucoinfutures")
    venue.tickers[BTC] = {"timestamp": NOW_MS, "markPrice": "60000"}
    async with Run(venue, {BTC: (MARK,)}, best=True, bid_ask="watch_bids_asks") as run:
        await run.until(lambda: bool(run.ticks))
        assert run.best == []
        venue.tell(BTC, timestamp=NOW_MS, bid="1", ask="2")
        await run.until(lambda: bool(run.best))
    assert len(venue.exchanges) == 2


async def test_a_stamp_that_does_not_move_is_no_news_by_stream_or_by_poll():
    venue = Venue("bybit")
    async with Run(venue, {BTC: (MARK,)}, mark="watch_tickers") as run:
        await run.until(lambda: len(venue.exchanges) == 2)
        venue.tickers[BTC] = {"timestamp": NOW_MS, "markPrice": "60000"}
        for _ in range(3):
            venue.tell(BTC, timestamp=NOW_MS, markPrice="60000")
            await asyncio.sleep(0.02)
        await run.until(lambda: len(venue.polled) > 2)
        assert len(run.ticks) == 1


async def test_two_prices_of_one_millisecond_are_both_news():
    venue = Venue("bybit")
    async with Run(venue, {BTC: (MARK,)}, mark="watch_tickers") as run:
        await run.until(lambda: len(venue.exchanges) == 2)
        venue.tell(BTC, timestamp=NOW_MS, markPrice="60000")
        await run.until(lambda: len(run.ticks) == 1)
        venue.tell(BTC, timestamp=NOW_MS, markPrice="60001")
        await run.until(lambda: len(run.ticks) == 2)


async def test_a_stamp_from_the_future_does_not_shut_out_the_prices_after_it():
    venue = Venue("bybit")
    async with Run(venue, {BTC: (MARK,)}, mark="watch_tickers") as run:
        await run.until(lambda: len(venue.exchanges) == 2)
        venue.tell(BTC, timestamp=NOW_MS + 3_600_000, markPrice="60000")
        await run.until(lambda: len(run.ticks) == 1)
        venue.tell(BTC, timestamp=NOW_MS + 1, markPrice="60001")
        await run.until(lambda: len(run.ticks) == 2)


@pytest.mark.parametrize(
    ("venue_id", "info"),
    [
        ("bitget", {"markPrice": "60000.1", "indexPrice": "60000.2"}),
        ("mexc", {"fairPrice": "60000.1", "indexPrice": "60000.2"}),
    ],
)
async def test_prices_that_ccxt_leaves_in_the_raw_frame_are_found(
    venue_id: str, info: dict[str, str]
):
    venue = Venue(venue_id)
    method = "watch_tickers"
    async with Run(venue, {BTC: (MARK, INDEX)}, mark=method, index=method) as run:
        await run.until(lambda: len(venue.exchanges) == 2)
        venue.tell(BTC, timestamp=NOW_MS, info=info)
        await run.until(lambda: len(run.ticks) == 2)
        assert [str(tick.price) for tick in run.ticks] == ["60000.1", "60000.2"]


async def test_a_price_that_only_the_stream_tells_wrongly_is_polled_and_warned_of_once():
    venue = Venue("bybit")
    venue.tickers[BTC] = {"timestamp": None, "markPrice": "60000"}
    with capture_logs() as logs:
        async with Run(venue, {BTC: (MARK,)}, mark="watch_tickers") as run:
            for step in range(1, 60):
                run.clock.advance(10)
                venue.tell(BTC, timestamp=NOW_MS + step, markPrice="NaN")
                await asyncio.sleep(0.01)
            assert len(run.ticks) > 2
    assert len([entry for entry in logs if entry["event"] == "price_dropped"]) == 1


async def test_where_a_stream_stamps_nothing_our_time_counts():
    venue = Venue("hyperliquid")
    async with Run(venue, {BTC: (MARK,)}, mark="watch_tickers") as run:
        await run.until(lambda: len(venue.exchanges) == 2)
        venue.tell(BTC, timestamp=None, info={"markPx": "60000"})
        await run.until(lambda: bool(run.ticks))
        assert run.ticks[0].at_ms == NOW_MS


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        ({"bid": "NaN", "ask": "1"}, "not numbers above zero"),
        ({"bid": "1", "ask": "0"}, "not numbers above zero"),
        ({"bid": None, "ask": "1"}, "not numbers above zero"),
        ({"bid": "-1", "ask": "1"}, "not numbers above zero"),
        ({"bid": "2", "ask": "1"}, "the bid is above the ask"),
    ],
)
async def test_a_bad_bid_or_ask_is_dropped_with_one_warning(pair: dict[str, Any], reason: str):
    venue = Venue("bybit")
    with capture_logs() as logs:
        async with Run(venue, {BTC: (MARK,)}, best=True, bid_ask="watch_bids_asks") as run:
            await run.until(lambda: len(venue.exchanges) == 2)
            for step in range(3):
                venue.tell(BTC, timestamp=NOW_MS + step, **pair)
                await asyncio.sleep(0.02)
            assert run.best == []
            venue.tell(BTC, timestamp=NOW_MS + 10, bid="1", ask="2")
            await run.until(lambda: bool(run.best))
    dropped = [entry for entry in logs if entry["event"] == "quote_dropped"]
    assert [(entry["contract"], entry["reason"]) for entry in dropped] == [(BTC, reason)]


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (ccxt.NetworkError("signature=secret"), "could not be reached"),
        (ccxt.BadRequest("apiKey=secret"), "refused the question"),
        (KeyError("secret"), "gave an answer that cannot be read"),
        (asyncio.CancelledError(), "closed the stream"),
    ],
)
async def test_every_failure_of_a_stream_is_told_in_our_words_and_the_stream_built_anew(
    failure: BaseException, reason: str
):
    venue = Venue("bybit")
    venue.failure = failure
    with capture_logs() as logs:
        async with Run(venue, {BTC: (MARK,)}, mark="watch_tickers") as run:
            await run.until(lambda: len(venue.exchanges) == 3)
            venue.tell(BTC, timestamp=NOW_MS, markPrice="60000")
            await run.until(lambda: bool(run.ticks))
    rebuilt = [entry for entry in logs if entry["event"] == "stream_rebuilt"]
    assert rebuilt[0]["reason"] == reason
    assert "secret" not in repr(logs)


async def test_a_young_stream_is_not_blamed_for_the_silence_of_the_one_before():
    venue = Venue("bybit")
    async with Run(venue, {BTC: (MARK,), ETH: (MARK,)}, mark="watch_tickers") as run:
        await run.until(lambda: len(venue.exchanges) == 2)
        venue.tell(BTC, timestamp=NOW_MS, markPrice="60000")
        run.feed._streams["watch_tickers"].rebuild()
        venue.tell(ETH, timestamp=NOW_MS, markPrice="3000")
        await run.until(lambda: len(run.ticks) == 2)
        await asyncio.sleep(0.1)
        assert len(venue.exchanges) == 2


async def test_a_fault_of_the_desk_after_a_reconnect_ends_the_feed_and_is_not_hidden():
    venue = Venue("bybit")
    run = Run(venue, {BTC: (MARK,)}, mark="watch_tickers")

    async def broken() -> None:
        raise BrokenInvariant("positions do not add up")

    run.feed._listeners = StreamListeners(on_reconnect=broken)
    async with run:
        await run.until(lambda: len(venue.exchanges) == 2)
        venue.tell(BTC, timestamp=NOW_MS, markPrice="60000")
        await run.until(lambda: bool(run.ticks))
        venue.failure = ccxt.NetworkError("gone")
        venue.tell(BTC, timestamp=NOW_MS + 1, markPrice="60000")
        await run.until(lambda: len(venue.exchanges) == 3)
        await asyncio.sleep(0.05)
        venue.tell(BTC, timestamp=NOW_MS + 2, markPrice="60000")
        await run.until(run.taking.done)
        with pytest.raises(BrokenInvariant, match="do not add up"):
            run.taking.result()


def test_pauses_grow_to_their_bound_and_are_never_alike():
    pace = StreamPace(first_pause_s=1, longest_pause_s=30)
    for failures, longest in ((1, 1), (2, 2), (5, 16), (6, 30), (1000, 30)):
        pauses = [pace.pause_s(failures) for _ in range(50)]
        assert longest / 2 <= min(pauses) < max(pauses) <= longest


async def test_numbers_in_frames_keep_every_digit_and_other_frames_stay_as_they_are():
    """MEXC and others send prices as JSON numbers, which ccxt would read as floats."""
    client, heard = open_streams("mexc"), list[Any]()
    client.handle_message = lambda _socket, message: heard.append(message)
    _read_exactly(client)
    socket = client.client("ws://127.0.0.1:1/")
    assert client.client("ws://127.0.0.1:1/") is socket
    for data in ('{"fairPrice": 2324.10, "ts": 5}', b"[0.1234567890123456789]", "pong"):
        kind = WSMsgType.BINARY if isinstance(data, bytes) else WSMsgType.TEXT
        socket.decompressBinary = True
        socket.handle_message(SimpleNamespace(type=kind, data=data))
    assert heard == [{"fairPrice": "2324.10", "ts": 5}, ["0.1234567890123456789"], "pong"]
    await client.close()


async def test_the_offset_is_the_median_of_five_half_a_round_trip_off():
    clock = VirtualClock(NOW_MS)
    trips = iter([(40, 7), (10, 5), (400, -90), (20, 6), (30, 1000)])

    class Slow:
        async def fetch_time(self) -> int:
            trip_ms, ahead_ms = next(trips)
            clock.advance(trip_ms // 2)
            told = clock.now_ms() + ahead_ms
            clock.advance(trip_ms - trip_ms // 2)
            return told

    assert await venue_offset(Slow(), "xt", clock) == (6, 15)
