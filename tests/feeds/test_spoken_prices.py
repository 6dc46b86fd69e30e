"""Prices of the venues without a loopback, polled and streamed through the real ccxt classes.

What the venues say is ours, in their documented shapes (`tests/spoken`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from rebalancer.clock import WallClock
from rebalancer.core.events import PriceTick
from rebalancer.core.fund import PriceSource
from rebalancer.exchanges import open_exchange, open_streams
from rebalancer.feeds.depth import Depth, depths
from rebalancer.feeds.live import CcxtFeed
from rebalancer.feeds.stream import StreamFeed, StreamListeners, StreamPlan
from rebalancer.feeds.stream_best import BestPrices
from rebalancer.feeds.stream_socket import StreamPace
from rebalancer.venues.facts import FACTS
from tests.spoken.scene import PRICES, Prices, Scene
from tests.spoken.server import Spoken, speaking
from tests.spoken.tongues import TONGUES

D = Decimal
EVERY = (PriceSource.MARK, PriceSource.INDEX, PriceSource.LAST)
NEW = Prices("51000.53", "51001.54", "51002.5", "51002.4", "51002.6")
SOON_S = 20
STREAMED = [name for name in TONGUES if FACTS[name].streams.mark]
BEST_STREAMED = [name for name in TONGUES if FACTS[name].streams.bid_ask]


def sources_of(scene: Scene, *wanted: PriceSource) -> dict[str, tuple[PriceSource, ...]]:
    return {each.symbol: wanted for each in scene.contracts.values()}


def told(ticks: Any, scene: Scene) -> dict[tuple[str, PriceSource], Decimal]:
    names = {contract.symbol: base for base, contract in scene.contracts.items()}
    return {(names[tick.contract], tick.source): tick.price for tick in ticks}


def expected(*wanted: PriceSource) -> dict[tuple[str, PriceSource], Decimal]:
    fields = {PriceSource.MARK: "mark", PriceSource.INDEX: "index", PriceSource.LAST: "last"}
    return {
        (base, source): D(getattr(prices, fields[source]))
        for base, prices in PRICES.items()
        for source in wanted
    }


def unthrottled(opened: Any, spoken: Spoken) -> Any:
    """Open ccxt's exchange without its own throttle, which only makes tests wait."""

    def opener(venue_id: str) -> Any:
        exchange = opened(venue_id, spoken.endpoint)
        exchange.enableRateLimit = False
        return exchange

    return opener


@asynccontextmanager
async def polling(scene: Scene, *wanted: PriceSource) -> AsyncIterator[tuple[CcxtFeed, Spoken]]:
    async with speaking(scene, TONGUES[scene.venue_id]) as spoken:
        opener = unthrottled(open_exchange, spoken)
        feed = CcxtFeed(scene.venue_id, sources_of(scene, *wanted), WallClock(), 1_000, opener)
        try:
            await feed.connect()
            yield feed, spoken
        finally:
            await feed.close()


class Watched:
    """A streaming feed, and what it told; nothing is polled in a stream's place for a minute."""

    def __init__(self, spoken: Spoken, plan: StreamPlan, *wanted: PriceSource) -> None:
        self.best: list[BestPrices] = []
        self.told_best = asyncio.Event()
        self.ticks: list[PriceTick] = []
        self.feed = StreamFeed(
            plan,
            sources_of(spoken.scene, *wanted),
            WallClock(),
            StreamPace(deadline_ms=60_000, poll_ms=60_000, first_pause_s=0.01),
            StreamListeners(on_best=self._hear if plan.bid_ask else None),
            unthrottled(open_streams, spoken),
        )

    def _hear(self, best: BestPrices) -> None:
        self.best.append(best)
        self.told_best.set()

    async def until(self, enough: Any) -> None:
        """Take prices until there are enough."""
        async with asyncio.timeout(SOON_S):
            async for batch in self.feed.prices():
                self.ticks += batch.ticks
                if enough():
                    return


@pytest.mark.parametrize("venue_id", TONGUES)
async def test_every_source_is_polled_with_every_digit(venue_id: str) -> None:
    scene = Scene(venue_id)
    async with polling(scene, *EVERY) as (feed, _):
        assert told(await feed.poll(sources_of(scene, *EVERY)), scene) == expected(*EVERY)


@pytest.mark.parametrize("venue_id", TONGUES)
async def test_a_polled_price_carries_the_venues_time_where_it_tells_one(venue_id: str) -> None:
    scene = Scene(venue_id, skew_ms=-90_000)
    async with polling(scene, PriceSource.MARK) as (feed, _):
        now_ms = WallClock().now_ms()
        ages = {now_ms - tick.at_ms for tick in await feed.poll(sources_of(scene, *EVERY[:1]))}
        stamps = venue_id not in {"gate", "kucoinfutures", "hyperliquid", "bybit"}
        assert all((89_000 < age < 92_000) is stamps for age in ages)


@pytest.mark.parametrize("venue_id", TONGUES)
async def test_a_poll_asks_for_nothing_that_is_not_wanted(venue_id: str) -> None:
    scene = Scene(venue_id)
    async with polling(scene, PriceSource.MARK) as (feed, spoken):
        spoken.asked.clear()
        await feed.poll(sources_of(scene, PriceSource.MARK))
        assert len(spoken.asked) == 1


@pytest.mark.parametrize("venue_id", TONGUES)
async def test_a_venue_that_says_html_tells_no_price_and_the_feed_goes_on(
    venue_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rebalancer.feeds.live.PRICES_WITHIN_S", 0.2)
    scene = Scene(venue_id)
    wanted = sources_of(scene, PriceSource.MARK)
    async with polling(scene, PriceSource.MARK) as (feed, _):
        scene.up = False
        assert await feed.poll(wanted) == ()
        scene.up = True
        assert told(await feed.poll(wanted), scene) == expected(PriceSource.MARK)


@pytest.mark.parametrize("venue_id", STREAMED)
async def test_marks_and_indices_come_by_stream_with_every_digit_and_go_on(venue_id: str) -> None:
    scene, streams = Scene(venue_id), FACTS[venue_id].streams
    wanted = EVERY[:2] if streams.index else EVERY[:1]
    plan = StreamPlan(venue_id=venue_id, mark=streams.mark, index=streams.index)
    async with speaking(scene, TONGUES[venue_id]) as spoken:
        watched = Watched(spoken, plan, *wanted)
        try:
            await watched.until(lambda: told(watched.ticks, scene) == expected(*wanted))
            asked = len(spoken.asked)
            scene.prices["BTC"] = NEW
            later = expected(*wanted) | {("BTC", PriceSource.MARK): D(NEW.mark)}
            if streams.index:
                later[("BTC", PriceSource.INDEX)] = D(NEW.index)
        finally:
            await watched.feed.close()
        watched = Watched(spoken, plan, *wanted)
        try:
            await watched.until(lambda: told(watched.ticks, scene) == later)
        finally:
            await watched.feed.close()
        assert asked
        assert spoken.said, "they came over a socket"


@pytest.mark.parametrize("venue_id", BEST_STREAMED)
async def test_best_bids_and_asks_come_by_stream(venue_id: str) -> None:
    scene = Scene(venue_id)
    plan = StreamPlan(venue_id=venue_id, bid_ask=FACTS[venue_id].streams.bid_ask)
    names = {contract.symbol: base for base, contract in scene.contracts.items()}
    async with speaking(scene, TONGUES[venue_id]) as spoken:
        watched = Watched(spoken, plan, PriceSource.MARK)
        task = asyncio.create_task(watched.until(lambda: False))
        try:
            async with asyncio.timeout(SOON_S):
                while len({best.contract for best in watched.best}) < len(names):
                    await watched.told_best.wait()
                    watched.told_best.clear()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await watched.feed.close()
        pairs = {names[best.contract]: (best.bid, best.ask) for best in watched.best}
        assert pairs == {base: (D(each.bid), D(each.ask)) for base, each in PRICES.items()}
        assert spoken.said, "they came over a socket"


@pytest.mark.parametrize("venue_id", TONGUES)
async def test_the_book_says_what_a_trade_would_cost(venue_id: str) -> None:
    scene = Scene(venue_id)
    btc = scene.contracts["BTC"]
    async with speaking(scene, TONGUES[venue_id]) as spoken:
        (book,) = (
            await depths(venue_id, [btc.symbol], unthrottled(open_exchange, spoken))
        ).values()
    assert isinstance(book, Depth), book
    one = 1 / btc.contract_size
    # Half a coin at 50,002.6 and half at 50,010, against 50,000; half at 50,002.4, half at 49,990.
    assert book.slippage_bps(one, D(50_000)) == D("1.26")
    assert book.slippage_bps(-one, D(50_000)) == D("0.76")
    assert book.slippage_bps(2 * one, D(50_000)) is None
