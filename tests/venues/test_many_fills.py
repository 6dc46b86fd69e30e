"""An order that sweeps more of the book than a page of trades can show."""

from __future__ import annotations

from decimal import Decimal

import pytest

from rebalancer.core.order import Outcome
from rebalancer.venues import exchange_orders
from tests.loopback.faults import Fault, Shape, Taken
from tests.loopback.instruments import Depth
from tests.venues.test_exchange_venue import Desk, intent, trading

FILLS = 130
D = Decimal


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_orders, "SETTLE_PAUSE_SECONDS", 0.01)


def thin(desk: Desk) -> None:
    """Make the book of BTC so thin that a thousandth of a bitcoin is a fill."""
    listed = desk.market.core.instruments["BTC/USDT"]
    listed.depth = Depth(levels=2 * FILLS, contracts=D("0.001"))


async def test_an_order_of_more_fills_than_a_page_is_settled_to_the_last():
    async with trading() as desk:
        thin(desk)
        await desk.venue.submit(intent("0.13"))
        assert desk.outcomes() == [Outcome.ACCEPTED, Outcome.CLOSED]
        assert desk.filled() == D("0.13")
        assert len(desk.events) == FILLS + 2


async def test_a_lost_order_behind_one_of_many_fills_is_found():
    async with trading() as desk:
        thin(desk)
        await desk.venue.submit(intent("0.13"))
        fault = Fault(shape=Shape.RESET, taken=Taken.FIRST, method="POST", path="/fapi/v1/order$")
        desk.market.faults.plan(fault)
        lost = intent("0.13", seq=2)
        await desk.venue.submit(lost)
        assert desk.outcomes()[-1] is Outcome.UNKNOWN
        await desk.venue.query(lost)
        assert desk.outcomes()[-1] is Outcome.CLOSED
        assert desk.filled() == D("0.26")
