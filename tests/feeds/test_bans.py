"""Prices are not asked for while the venue has shut us out."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from rebalancer.clock import WallClock
from rebalancer.core.fund import PriceSource
from rebalancer.exchanges import open_exchange
from rebalancer.feeds.live import CcxtFeed
from tests.loopback.presets import binance
from tests.loopback.server import LoopbackVenue


async def test_a_banned_feed_asks_once_and_then_stays_away():
    async with LoopbackVenue(binance()) as market:

        def opened(venue_id: str) -> Any:
            exchange = open_exchange(venue_id)
            market.point(exchange)
            return exchange

        sources = {"BTC/USDT:USDT": (PriceSource.MARK,)}
        feed = CcxtFeed("binanceusdm", sources, WallClock(), 10, opened)
        prices = feed.prices()
        await anext(prices)
        market.ban(60_000)
        market.calls.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await anext(prices)
        await feed.close()
        assert len(market.calls) == 1
