"""Prices are not asked for while the venue has shut us out."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace
from typing import Any

import pytest

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


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"Retry-After": "300"}, 300), ({"retry-after": "2"}, 2), ({"Retry-After": "soon"}, 10)],
)
async def test_it_stays_away_as_long_as_the_venue_says(
    headers: dict[str, str], seconds: float
) -> None:
    feed = CcxtFeed("binanceusdm", {}, WallClock(), 10)
    feed._stay_away(SimpleNamespace(last_response_headers=headers))
    left_s = feed._away_until_s - asyncio.get_running_loop().time()
    assert left_s == pytest.approx(seconds, abs=1)
