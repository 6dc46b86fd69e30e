"""The lists of an account: every trade since an instant, told until nobody can have missed it."""

from __future__ import annotations

import asyncio

import pytest

from rebalancer.clock import WallClock
from rebalancer.core.events import HistoryReported, LiquidationReported
from rebalancer.core.order import PositionSide
from rebalancer.errors import VenueUnavailable
from tests.loopback.faults import Fault, Shape
from tests.venues.accounts import BTC, CONTRACTS, ETH, D, Desk, account


async def test_trades_since_the_last_reading_are_told_with_price_and_fee():
    async with account() as desk:
        since_ms = WallClock().now_ms() - 1_000
        await desk.buy(BTC, "0.2")
        await desk.venue.report_history({BTC: since_ms})
        (told,) = desk.told(HistoryReported)
        (trade,) = told.trades[BTC]
        assert trade.units == D("0.2")
        assert trade.price > 0
        assert trade.fee > 0
        assert told.trades[ETH] == told.orders == ()
        assert told.until_ms[BTC] == since_ms, "what is younger may be listed late"


async def test_a_contract_that_was_never_read_begins_with_what_comes():
    async with account() as desk:
        await desk.buy(BTC, "0.2")
        await asyncio.sleep(0.005)
        await desk.venue.report_history({})
        await desk.buy(BTC, "-0.1")
        await desk.venue._watch.history.report(CONTRACTS, desk.venue._tell)
        first, second = desk.told(HistoryReported)
        assert first.trades[BTC] == ()
        assert [trade.units for trade in second.trades[BTC]] == [D("-0.1")]


async def test_a_start_that_cannot_read_the_list_raises():
    async with account() as desk:
        desk.market.faults.plan(Fault(shape=Shape.BAD_GATEWAY, path="userTrades", times=1_000))
        with pytest.raises(VenueUnavailable):
            await desk.venue.report_history({})
        assert desk.told(HistoryReported) == []


async def test_an_account_that_is_not_traded_reads_no_list():
    async with account() as desk:
        await desk.venue._watch.history.report(CONTRACTS, desk.venue._tell)
        assert desk.told(HistoryReported) == []


def orders_asked(desk: Desk) -> int:
    """Count the questions for one order by the venue's id."""
    return sum(call.path.endswith("/order") and call.method == "GET" for call in desk.market.calls)


async def test_what_the_venue_closed_by_itself_is_told_as_that_and_its_order_asked_for_once():
    async with account() as desk:
        await desk.buy_on_little_margin()
        assert orders_asked(desk) == 0, "it is ours"
        desk.market.price("BTC/USDT", "46000")
        for _ in range(2):
            await desk.venue._watch.history.report([BTC], desk.venue._tell)
        closed, again = desk.told(LiquidationReported)
        assert (closed.units, closed.position_side) == (D(-1), PositionSide.NET)
        assert closed.trade_id == again.trade_id, "the desk books it once"
        assert closed.made_ms == again.made_ms <= closed.at_ms + desk.venue.clock_offset_ms + 1
        assert orders_asked(desk) == 1
        for told in desk.told(HistoryReported):
            assert [trade.units for trade in told.trades[BTC]] == [D(1)]
