"""Histories played at the pace of a clock."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from rebalancer.clock import FastClock, VirtualClock
from rebalancer.core.events import PricesObserved, PriceTick
from rebalancer.core.fund import PriceSource
from rebalancer.errors import InputRefused
from rebalancer.feeds.candles import FundingPoint, History, PricePoint
from rebalancer.feeds.pace import FundingDue
from rebalancer.feeds.replay import ReplayFeed
from rebalancer.ports import PriceFeed

BTC = "BTC/USDT:USDT"
ETH = "ETH/USDT:USDT"
MARK, INDEX = PriceSource.MARK, PriceSource.INDEX


def history(
    contract: str, prices: dict[int, int], funding: dict[int, str] | None = None
) -> History:
    return History.observed(
        contract,
        [PricePoint(at_ms, Decimal(price)) for at_ms, price in prices.items()],
        [FundingPoint(at_ms, Decimal(rate)) for at_ms, rate in (funding or {}).items()],
    )


async def played(feed: PriceFeed) -> list[PricesObserved]:
    return [observed async for observed in feed.prices()]


async def test_every_price_becomes_one_confirmed_tick_per_source() -> None:
    feed = ReplayFeed([history(BTC, {5: 100})], VirtualClock(5), {BTC: (MARK, INDEX)})
    price = Decimal(100)
    assert await played(feed) == [
        PricesObserved(
            5, (PriceTick(BTC, MARK, price, 5), PriceTick(BTC, INDEX, price, 5)), confirmed=True
        )
    ]


async def test_prices_of_one_instant_come_together_and_in_time_order() -> None:
    histories = [history(BTC, {1: 100, 3: 101}), history(ETH, {1: 7, 2: 8})]
    feed = ReplayFeed(histories, VirtualClock(9), {BTC: (MARK,), ETH: (MARK,)})
    assert [
        [(tick.at_ms, tick.contract, int(tick.price)) for tick in observed.ticks]
        for observed in await played(feed)
    ] == [[(1, BTC, 100), (1, ETH, 7)], [(2, ETH, 8)], [(3, BTC, 101)]]


async def test_a_price_is_not_played_before_its_time() -> None:
    clock = VirtualClock(0)
    feed = ReplayFeed([history(BTC, {0: 100, 10_000: 101})], clock, {BTC: (MARK,)})
    prices = feed.prices()
    assert (await anext(prices)).at_ms == 0
    second = asyncio.ensure_future(anext(prices))
    await asyncio.sleep(0.12)
    assert not second.done()
    clock.advance(10_000)
    assert (await second).at_ms == 10_000


async def test_a_fast_clock_plays_a_day_in_a_blink_and_stamps_the_history_s_own_times() -> None:
    day = {hour * 3_600_000: 100 + hour for hour in range(24)}
    feed = ReplayFeed([history(BTC, day)], FastClock(1_000_000, 0), {BTC: (MARK,)})
    assert [observed.at_ms for observed in await played(feed)] == list(day)


async def test_funding_is_told_before_the_prices_of_its_instant_at_the_last_known_price() -> None:
    told: list[object] = []
    feed = ReplayFeed(
        [history(BTC, {1: 100, 3: 103}, {0: "0.1", 2: "0.2", 3: "0.3"})],
        VirtualClock(9),
        {BTC: (MARK,)},
        told.append,
    )
    async for observed in feed.prices():
        told.extend(observed.ticks)
    assert told == [
        PriceTick(BTC, MARK, Decimal(100), 1),
        FundingDue(2, BTC, Decimal("0.2"), Decimal(100)),
        FundingDue(3, BTC, Decimal("0.3"), Decimal(103)),
        PriceTick(BTC, MARK, Decimal(103), 3),
    ]


async def test_a_closed_feed_plays_nothing_more() -> None:
    feed = ReplayFeed([history(BTC, {1: 100, 2: 101})], VirtualClock(9), {BTC: (MARK,)})
    prices = feed.prices()
    await anext(prices)
    await feed.close()
    await feed.close()
    assert [observed async for observed in prices] == []


def test_prices_that_no_fund_needs_are_refused() -> None:
    with pytest.raises(InputRefused, match="ETH/USDT:USDT: prices are given, but no fund holds it"):
        ReplayFeed([history(ETH, {1: 7})], VirtualClock(), {BTC: (MARK,)})
