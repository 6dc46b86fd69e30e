"""Streamed prices: the unmodified ccxt.pro client on the loopback Binance."""

from __future__ import annotations

import asyncio
import dataclasses
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import ccxt.pro
import pytest
from structlog.testing import capture_logs

from rebalancer.clock import WallClock
from rebalancer.core.events import PricesObserved, PriceTick
from rebalancer.core.fund import PriceSource
from rebalancer.errors import ConfigRefused, VenueUnavailable
from rebalancer.exchanges import open_streams
from rebalancer.feeds.stream import StreamFeed, StreamListeners, StreamPlan
from rebalancer.feeds.stream_best import BestPrices
from rebalancer.feeds.stream_socket import StreamPace
from rebalancer.ports import PriceFeed
from tests.loopback.faults import Fault, Shape
from tests.loopback.presets import binance
from tests.loopback.server import LoopbackVenue

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
MARK, INDEX, LAST = PriceSource.MARK, PriceSource.INDEX, PriceSource.LAST
D = Decimal
SOON_S = 20
PLAN = StreamPlan(
    venue_id="binanceusdm",
    mark="watch_mark_prices",
    index="watch_mark_prices",
    bid_ask="watch_bids_asks",
    polled_bid_ask="fetch_bids_asks",
)
PACE = StreamPace(deadline_ms=600, poll_ms=150, first_pause_s=0.05, longest_pause_s=0.4)
#: where a connection is lost and not silent: a busy machine is silent for a while, too
PATIENT = dataclasses.replace(PACE, deadline_ms=15_000)
BOTH = {BTC: (MARK, INDEX), ETH: (MARK,)}


@dataclass
class Watched:
    """A feed on the loopback venue, and everything it told."""

    market: LoopbackVenue
    sources: dict[str, tuple[PriceSource, ...]]
    plan: StreamPlan = PLAN
    pace: StreamPace = PACE
    wants_best: bool = False
    ticks: list[PriceTick] = field(default_factory=list)
    best: list[BestPrices] = field(default_factory=list)
    reconnects: int = 0
    opened: list[Any] = field(default_factory=list)
    closed: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        listeners = StreamListeners(
            on_reconnect=self.reconnected, on_best=self.best.append if self.wants_best else None
        )
        self.feed = StreamFeed(
            self.plan, self.sources, WallClock(), self.pace, listeners, self.open
        )

    def open(self, venue_id: str) -> Any:
        exchange = open_streams(venue_id)
        exchange.enableRateLimit = False
        self.market.point(exchange)
        close = exchange.close

        async def closing() -> None:
            self.closed.append(exchange)
            await close()

        exchange.close = closing
        self.opened.append(exchange)
        return exchange

    async def reconnected(self) -> None:
        self.reconnects += 1

    async def take(self) -> None:
        async for observed in self.feed.prices():
            assert isinstance(observed, PricesObserved)
            self.ticks.extend(observed.ticks)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(SOON_S):
            while not holds():  # noqa: ASYNC110 - a list has no event to wait for
                await asyncio.sleep(0.005)

    def of(self, contract: str, source: PriceSource) -> list[PriceTick]:
        return [tick for tick in self.ticks if (tick.contract, tick.source) == (contract, source)]

    def asked(self, path: str) -> int:
        return sum(call.path.endswith(path) for call in self.market.calls)


@asynccontextmanager
async def watching(market: LoopbackVenue, *args: Any, **kwargs: Any) -> AsyncIterator[Watched]:
    watched = Watched(market, *args, **kwargs)
    taking = asyncio.create_task(watched.take())
    try:
        yield watched
    finally:
        await watched.feed.close()
        await asyncio.wait([taking])
    taking.result()


@pytest.fixture
async def market() -> AsyncIterator[LoopbackVenue]:
    async with LoopbackVenue(binance(), beat_ms=50) as running:
        yield running


@pytest.fixture(autouse=True)
def _nothing_goes_unheard(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What is raised where nobody waits is logged by asyncio, with all that ccxt says."""
    yield
    assert [record for record in caplog.get_records("call") if record.name == "asyncio"] == []


def mute(market: LoopbackVenue, frames: Callable[[str], bool]) -> None:
    """Keep every frame from the streams of which `frames` says so."""
    beat, told = market.dialect.beat, market.dialect.frames

    def kept(found: Any) -> list[Any]:
        return [frame for frame in found if not frames(str(frame))]

    market.dialect.beat = lambda *args: kept(beat(*args))  # type: ignore[method-assign]
    market.dialect.frames = lambda *args: kept(told(*args))  # type: ignore[method-assign]


def reasons(logs: Sequence[Any], event: str) -> list[Any]:
    return [entry.get("reason") for entry in logs if entry["event"] == event]


async def test_prices_arrive_by_stream_with_every_digit_and_the_venues_time(
    market: LoopbackVenue,
):
    market.price("BTC/USDT", "50000.1", mark="50001.23456789", index="50002.5")
    async with watching(market, BOTH) as watched:
        await watched.until(lambda: len(watched.of(BTC, MARK)) > 3 and bool(watched.of(ETH, MARK)))
        tick = watched.of(BTC, MARK)[-1]
        assert tick.price == D("50001.23456789")
        assert watched.of(BTC, INDEX)[-1].price == D("50002.5")
        assert watched.of(ETH, INDEX) == []
        assert abs(tick.at_ms - market.now_ms()) < 500
        assert watched.asked("premiumIndex") == 0, "nothing is polled that is streamed"
    assert all(type(tick.price) is Decimal for tick in watched.ticks)


async def test_stamps_only_go_forward(market: LoopbackVenue):
    async with watching(market, BOTH) as watched:
        await watched.until(lambda: len(watched.of(BTC, MARK)) > 10)
    stamps = [tick.at_ms for tick in watched.of(BTC, MARK)]
    assert stamps == sorted(set(stamps))


async def test_a_moved_price_is_seen_within_a_second():
    async with (
        LoopbackVenue(binance(), beat_ms=200) as market,
        watching(market, BOTH) as watched,
    ):
        await watched.until(lambda: bool(watched.of(BTC, MARK)))
        market.price("BTC/USDT", "51000")
        async with asyncio.timeout(1):
            await watched.until(lambda: watched.of(BTC, MARK)[-1].price == 51000)


async def test_prices_that_come_in_one_burst_are_all_seen(market: LoopbackVenue):
    """ccxt answers a watcher with one of them only."""
    async with watching(market, BOTH) as watched:
        await watched.until(lambda: bool(watched.of(BTC, MARK)) and bool(watched.of(ETH, MARK)))
        for step in range(1, 20):
            market.price("BTC/USDT", str(50000 + step))
            market.price("ETH/USDT", str(3000 + step))
        market.hub.muted = True
        # Each comes by a stream of its own.
        await watched.until(lambda: watched.of(BTC, MARK)[-1].price == 50019)
        await watched.until(lambda: watched.of(ETH, MARK)[-1].price == 3019)


async def test_many_contracts_share_one_stream_of_all_marks(
    market: LoopbackVenue, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("rebalancer.feeds.binance_marks.ALL_FROM", 2)
    market.price("BTC/USDT", "50000.1", mark="50001.23456789", index="50002.5")
    async with watching(market, BOTH) as watched:
        await watched.until(lambda: len(watched.of(BTC, MARK)) > 3 and bool(watched.of(ETH, MARK)))
        assert watched.of(BTC, MARK)[-1].price == D("50001.23456789")
        assert watched.asked("premiumIndex") == 0


async def test_best_bids_and_asks_are_handed_on(market: LoopbackVenue):
    async with watching(market, BOTH, wants_best=True) as watched:
        await watched.until(lambda: {best.contract for best in watched.best} == {BTC, ETH})
        best = next(best for best in watched.best if best.contract == BTC)
        assert (best.bid, best.ask) == (D("49999.9"), D("50000.1"))
        assert abs(best.at_ms - market.now_ms()) < 10_000
        assert watched.asked("bookTicker") == 0


async def test_a_price_without_a_stream_is_polled(market: LoopbackVenue):
    plan = StreamPlan(venue_id="binanceusdm", mark="watch_mark_prices")
    sources = {BTC: (MARK, INDEX, LAST)}
    async with watching(market, sources, plan) as watched:
        await watched.until(
            lambda: all(len(watched.of(BTC, source)) > 1 for source in (MARK, INDEX, LAST))
        )
        assert watched.asked("premiumIndex") > 1
        assert watched.asked("ticker/price") > 1


async def test_the_last_price_is_streamed_where_a_method_is_named(market: LoopbackVenue):
    plan = StreamPlan(venue_id="binanceusdm", last="watch_tickers")
    async with watching(market, {BTC: (LAST,)}, plan) as watched:
        await watched.until(lambda: len(watched.of(BTC, LAST)) > 3)
        assert watched.of(BTC, LAST)[-1].price == 50000
        assert watched.asked("ticker/price") == 0


async def test_a_venue_without_any_stream_is_polled_bid_and_ask_too(market: LoopbackVenue):
    plan = StreamPlan(venue_id="binanceusdm", polled_bid_ask="fetch_bids_asks")
    async with watching(market, BOTH, plan, wants_best=True) as watched:
        await watched.until(lambda: len(watched.best) > 3 and len(watched.of(ETH, MARK)) > 1)
        assert market.hub.streams == []
        assert len(watched.opened) == 1


async def test_a_dead_socket_that_answers_pings_is_built_anew_within_its_deadline(
    market: LoopbackVenue,
):
    async with watching(market, BOTH) as watched:
        await watched.until(lambda: bool(watched.of(BTC, MARK)))
        assert len(watched.opened) == 2
        with capture_logs() as logs:
            market.hub.muted = True
            loop = asyncio.get_running_loop()
            began = loop.time()
            await watched.until(lambda: len(watched.opened) == 3)
            # what is beyond the deadline is room for a busy machine
            assert loop.time() - began < 3 * PACE.deadline_s
        assert reasons(logs, "stream_rebuilt") == ["told nothing"]
        market.hub.muted = False
        await watched.until(lambda: watched.reconnects == 1)
        await watched.until(lambda: len(market.hub.streams) == 1)


async def test_rest_fills_the_gap_of_a_dead_socket(market: LoopbackVenue):
    async with watching(market, BOTH) as watched:
        await watched.until(lambda: bool(watched.of(BTC, MARK)))
        market.hub.muted = True
        market.price("BTC/USDT", "52000")
        with capture_logs() as logs:
            await watched.until(lambda: watched.of(BTC, MARK)[-1].price == 52000)
            polled = len(watched.of(BTC, MARK))
            await watched.until(lambda: len(watched.of(BTC, MARK)) > polled + 5)
        assert watched.asked("premiumIndex") > 5
        assert watched.reconnects == 0
        silences = [entry for entry in logs if entry["event"] == "stream_silent"]
        assert [entry["contracts"] for entry in silences] == [[BTC, ETH]]


async def test_one_silent_contract_is_polled_and_the_stream_built_anew_as_the_venue_has_news(
    market: LoopbackVenue,
):
    async with watching(market, BOTH) as watched:
        await watched.until(lambda: bool(watched.of(BTC, MARK)) and bool(watched.of(ETH, MARK)))
        with capture_logs() as logs:
            mute(market, lambda frame: "ETHUSDT" in frame)
            await watched.until(lambda: len(watched.opened) > 2)
        assert reasons(logs, "stream_rebuilt") == ["does not tell every price"]
        asked = watched.asked("premiumIndex")
        assert asked > 0
        before = len(watched.of(ETH, MARK))
        await watched.until(lambda: len(watched.of(ETH, MARK)) > before + 3)
        queries = [call.query for call in market.calls if call.path.endswith("premiumIndex")]
        assert queries


async def test_a_contract_of_which_the_venue_has_no_news_leaves_the_others_their_stream(
    market: LoopbackVenue,
):
    plan = StreamPlan(venue_id="binanceusdm", last="watch_tickers")
    async with watching(market, {BTC: (LAST,), ETH: (LAST,)}, plan) as watched:
        await watched.until(lambda: bool(watched.of(BTC, LAST)) and bool(watched.of(ETH, LAST)))
        mute(market, lambda frame: "ETHUSDT" in frame)
        market.faults.plan(Fault(shape=Shape.EMPTY_OBJECT, path="ticker/price", times=100_000))
        await asyncio.sleep(3 * PACE.deadline_s)
        assert len(watched.opened) == 2
        assert watched.asked("ticker/price") > 1


async def lose_and_find(watched: Watched, reconnects: int) -> None:
    market = watched.market
    with capture_logs() as logs:
        market.hub.refusing = True
        await market.hub.drop()
        await watched.until(lambda: len(reasons(logs, "stream_rebuilt")) > 2)
        assert watched.reconnects == reconnects - 1
        market.hub.refusing = False
        before = len(watched.of(BTC, MARK))
        await watched.until(lambda: watched.reconnects == reconnects)
    await watched.until(lambda: len(watched.of(BTC, MARK)) > before + 5)
    assert watched.reconnects == reconnects
    assert set(reasons(logs, "stream_rebuilt")) == {"could not be reached"}


async def test_a_server_that_was_gone_is_found_again_and_each_reconnect_is_told_once(
    market: LoopbackVenue,
):
    async with watching(market, BOTH, pace=PATIENT) as watched:
        await watched.until(lambda: bool(watched.of(BTC, MARK)))
        await lose_and_find(watched, reconnects=1)
        await lose_and_find(watched, reconnects=2)
        await watched.until(lambda: len(watched.opened) - len(watched.closed) == 2)


async def test_a_machine_that_is_gone_is_warned_of_by_stream_and_by_poll(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("rebalancer.feeds.live.PRICES_WITHIN_S", 0.3)
    async with LoopbackVenue(binance(), beat_ms=50) as market:
        watched = Watched(market, BOTH)
        taking = asyncio.create_task(watched.take())
        await watched.until(lambda: bool(watched.of(BTC, MARK)))
    with capture_logs() as logs:
        await watched.until(lambda: len(reasons(logs, "prices_not_read")) > 1)
    assert set(reasons(logs, "prices_not_read")) <= {
        "binanceusdm could not be reached",
        "binanceusdm did not answer in time",
    }
    assert set(reasons(logs, "stream_rebuilt")) == {"could not be reached"}
    await watched.feed.close()
    await taking


async def test_a_broken_frame_does_not_end_the_stream(market: LoopbackVenue):
    async with watching(market, BOTH, pace=PATIENT) as watched:
        await watched.until(lambda: bool(watched.of(BTC, MARK)))
        with capture_logs() as logs:
            market.hub.garble()
            await watched.until(lambda: watched.reconnects == 1)
        assert reasons(logs, "stream_rebuilt") == ["gave an answer that cannot be read"]
        before = len(watched.of(BTC, MARK))
        await watched.until(lambda: len(watched.of(BTC, MARK)) > before + 3)


@pytest.mark.parametrize("bad", ["NaN", "0", "-50000"])
async def test_a_bad_value_is_dropped_with_one_warning(market: LoopbackVenue, bad: str):
    market.core.instruments["BTC/USDT"].mark = D(bad)
    with capture_logs() as logs:
        async with watching(market, {BTC: (MARK, INDEX)}) as watched:
            await watched.until(lambda: len(watched.of(BTC, INDEX)) > 5)
            assert watched.of(BTC, MARK) == []
    dropped = [entry for entry in logs if entry["event"] == "price_dropped"]
    assert [(entry["contract"], str(entry["source"])) for entry in dropped] == [(BTC, "mark")]
    assert {entry["log_level"] for entry in dropped} == {"warning"}


@pytest.mark.parametrize("skew_ms", [20_000, -20_000])
async def test_a_venue_clock_that_is_20_s_off_is_corrected(market: LoopbackVenue, skew_ms: int):
    market.skew_ms = skew_ms
    with capture_logs() as logs:
        async with watching(market, BOTH, wants_best=True) as watched:
            await watched.until(lambda: bool(watched.of(BTC, MARK)) and bool(watched.best))
            now_ms = WallClock().now_ms()
    assert abs(watched.of(BTC, MARK)[-1].at_ms - now_ms) < 500
    assert abs(watched.best[-1].at_ms - now_ms) < 1000
    (entry,) = [entry for entry in logs if entry["event"] == "venue_clock_differs"]
    assert abs(entry["ahead_ms"] - skew_ms) < 200
    assert watched.asked("/time") == 5


async def test_polled_prices_are_corrected_too(market: LoopbackVenue):
    market.skew_ms = 20_000
    async with watching(market, BOTH, StreamPlan(venue_id="binanceusdm")) as watched:
        await watched.until(lambda: bool(watched.of(BTC, MARK)))
        assert abs(watched.of(BTC, MARK)[-1].at_ms - WallClock().now_ms()) < 500


async def test_a_venue_clock_that_jumps_ahead_is_read_again(market: LoopbackVenue):
    async with watching(market, BOTH) as watched:
        await watched.until(lambda: bool(watched.of(BTC, MARK)))
        market.skew_ms = 20_000
        await watched.until(lambda: watched.asked("/time") == 10)
        before = len(watched.ticks)
        await watched.until(lambda: len(watched.ticks) > before + 5)
        assert abs(watched.ticks[-1].at_ms - WallClock().now_ms()) < 500


async def test_a_venue_that_does_not_tell_its_time_is_taken_at_its_stamps(market: LoopbackVenue):
    market.faults.plan(Fault(shape=Shape.EMPTY_OBJECT, path="/time$", times=100_000))
    with capture_logs() as logs:
        async with watching(market, BOTH) as watched:
            await watched.until(lambda: bool(watched.of(BTC, MARK)))
    assert "venue_clock_not_read" in {entry["event"] for entry in logs}
    assert abs(watched.of(BTC, MARK)[0].at_ms - market.now_ms()) < 2000


async def test_markets_that_do_not_load_are_asked_for_again(
    market: LoopbackVenue, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("rebalancer.feeds.live.MARKETS_WITHIN_S", 0.2)
    market.maintenance = True
    with capture_logs() as logs:
        async with watching(market, BOTH) as watched:
            await watched.until(lambda: len(reasons(logs, "markets_not_read")) > 1)
            market.maintenance = False
            await watched.until(lambda: bool(watched.of(BTC, MARK)))
    assert watched.reconnects == 0, "the first connection is no reconnect"


async def test_closing_leaves_no_task_no_session_and_no_stream(market: LoopbackVenue):
    before = asyncio.all_tasks()
    async with watching(market, BOTH, wants_best=True) as watched:
        await watched.until(lambda: bool(watched.of(BTC, MARK)) and bool(watched.best))
        await watched.feed.close()
        await watched.feed.close()
    assert len(watched.opened) == 3
    assert sorted(map(id, watched.closed)) == sorted(map(id, watched.opened))
    assert all(exchange.session is None for exchange in watched.opened)
    await watched.until(lambda: not market.hub.streams)
    await watched.until(lambda: asyncio.all_tasks() <= before | {asyncio.current_task()})


async def test_closing_while_connecting_leaves_nothing_behind(market: LoopbackVenue):
    before = asyncio.all_tasks()
    market.hub.refusing = True
    async with watching(market, BOTH) as watched:
        await watched.until(lambda: len(watched.opened) > 1)
    assert sorted(map(id, watched.closed)) == sorted(map(id, watched.opened))
    await watched.until(lambda: asyncio.all_tasks() <= before | {asyncio.current_task()})


async def test_a_taker_that_is_cancelled_leaves_nothing_behind(market: LoopbackVenue):
    before = asyncio.all_tasks()
    watched = Watched(market, BOTH)
    taking = asyncio.create_task(watched.take())
    await watched.until(lambda: bool(watched.ticks))
    taking.cancel()
    await asyncio.wait([taking])
    assert taking.cancelled()
    await watched.feed.close()
    assert sorted(map(id, watched.closed)) == sorted(map(id, watched.opened))
    await watched.until(lambda: asyncio.all_tasks() <= before | {asyncio.current_task()})


async def test_a_feed_that_was_closed_before_it_began_opens_nothing(market: LoopbackVenue):
    watched = Watched(market, BOTH)
    feed: PriceFeed = watched.feed
    await feed.close()
    assert [observed async for observed in feed.prices()] == []
    assert watched.opened == []


async def test_an_unknown_contract_or_stream_is_refused(market: LoopbackVenue):
    unknown = StreamPlan(venue_id="binanceusdm", mark="watch_marks")
    for watched, sentence in (
        (Watched(market, {"BTC/USD:USDT": (MARK,)}), "the nearest is BTC/USDT:USDT"),
        (Watched(market, BOTH, unknown), "has no stream watch_marks"),
    ):
        with pytest.raises(ConfigRefused, match=sentence):
            await watched.take()
        await watched.feed.close()
        assert len(watched.closed) == len(watched.opened) == 1
    with pytest.raises(ConfigRefused, match="no source spot"):
        Watched(market, {BTC: (PriceSource.SPOT,)})


async def test_what_listens_to_reconnects_may_find_the_venue_away(market: LoopbackVenue):
    with capture_logs() as logs:
        async with watching(market, BOTH, pace=PATIENT) as watched:

            async def away() -> None:
                watched.reconnects += 1
                raise VenueUnavailable("binanceusdm could not be reached")

            watched.feed._listeners = StreamListeners(on_reconnect=away)
            await watched.until(lambda: bool(watched.of(BTC, MARK)))
            await market.hub.drop()
            await watched.until(lambda: watched.reconnects == 1)
            before = len(watched.ticks)
            await watched.until(lambda: len(watched.ticks) > before + 5)
    assert reasons(logs, "reconnect_unanswered") == ["binanceusdm could not be reached"]


async def test_no_object_or_exception_of_ccxt_reaches_a_log(market: LoopbackVenue):
    with capture_logs() as logs:
        async with watching(market, BOTH) as watched:
            await watched.until(lambda: bool(watched.of(BTC, MARK)))
            market.maintenance = True
            await market.hub.drop()
            await watched.until(lambda: bool(reasons(logs, "stream_rebuilt")))
    for entry in logs:
        for value in entry.values():
            assert not isinstance(value, ccxt.Exchange | BaseException)
            assert "ccxt" not in str(value)
            assert "127.0.0.1" not in str(value)


def test_importing_the_feed_does_not_import_ccxt():
    program = (
        "import sys, rebalancer.feeds.stream, rebalancer.feeds.markets\n"
        "print('ccxt' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "False"
