"""Batches: several orders in one request, each with its own outcome, none sent twice."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from rebalancer.clock import WallClock
from rebalancer.core.contract import Contract
from rebalancer.core.events import Event, FillReported, OrderReported
from rebalancer.core.fund import Account
from rebalancer.core.order import OrderIntent, OrderSide, Outcome, PositionSide, client_order_id
from rebalancer.venues import exchange_orders, exchange_venue
from rebalancer.venues.batching import bound_ms, cut
from rebalancer.venues.exchange_venue import ExchangeVenue, facts_of, open_client
from rebalancer.venues.facts import FACTS
from tests.loopback.calls import Call
from tests.loopback.faults import Fault, Shape, Taken
from tests.loopback.instruments import Instrument
from tests.loopback.presets import KEY, SECRET, binance, many_instruments
from tests.loopback.server import LoopbackVenue

D = Decimal
BATCH_PATH = "/fapi/v1/batchOrders$"
LISTED = many_instruments(8)
SYMBOLS = [f"{each.base}/USDT:USDT" for each in LISTED]


def contract_of(symbol: str, listed: Instrument) -> Contract:
    return Contract(symbol, D(1), listed.lot, listed.tick, listed.lot, listed.min_notional)


@dataclass
class Desk:
    venue: ExchangeVenue
    market: LoopbackVenue
    events: list[Event] = field(default_factory=list)

    async def submit(self, orders: Sequence[OrderIntent]) -> None:
        await asyncio.gather(*self.venue.submit_all(orders))

    def outcomes(self, order: OrderIntent) -> list[Outcome]:
        return [
            event.outcome
            for event in self.events
            if isinstance(event, OrderReported)
            if event.client_order_id == order.client_order_id
        ]

    def filled(self, order: OrderIntent) -> Decimal:
        return sum(
            (
                event.fill.contracts
                for event in self.events
                if isinstance(event, FillReported)
                if event.fill.client_order_id == order.client_order_id
            ),
            D(0),
        )

    def sends(self) -> list[Call]:
        return [call for call in self.market.calls if call.method == "POST"]


@asynccontextmanager
async def trading() -> AsyncIterator[Desk]:
    clock = WallClock()
    async with LoopbackVenue(binance(many_instruments(8))) as market:
        client = open_client(facts_of("binanceusdm"), {"apiKey": KEY, "secret": SECRET})
        market.point(client._exchange)
        contracts = {
            symbol: contract_of(symbol, each) for symbol, each in zip(SYMBOLS, LISTED, strict=True)
        }
        account = Account(name="main", venue="binanceusdm")
        desk = Desk(ExchangeVenue(account, client, contracts, clock), market)
        try:
            await desk.venue.start(desk.events.append)
            market.calls.clear()
            yield desk
        finally:
            await desk.venue.close()


def intent(place: int, units: str = "1", *, limit: str = "101") -> OrderIntent:
    return OrderIntent(
        client_order_id=client_order_id("desk", "main", SYMBOLS[place], place + 1),
        account="main",
        contract=SYMBOLS[place],
        seq=place + 1,
        side=OrderSide.BUY,
        position_side=PositionSide.NET,
        contracts=D(units),
        units=D(units),
        mark=D(100),
        limit_price=D(limit),
        reduce_only=False,
        wanted={"F": D(units)},
        created_ms=WallClock().now_ms(),
    )


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_orders, "SETTLE_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(exchange_venue, "REQUEST_SECONDS", 0.4)


async def test_seven_orders_leave_as_a_batch_of_five_and_one_of_two():
    async with trading() as desk:
        orders = [intent(place) for place in range(7)]
        await desk.submit(orders)
        for order in orders:
            assert desk.outcomes(order) == [Outcome.ACCEPTED, Outcome.CLOSED]
            assert desk.filled(order) == 1
        assert [call.path for call in desk.sends()] == ["/fapi/v1/batchOrders"] * 2


async def test_one_order_leaves_by_the_single_call():
    async with trading() as desk:
        await desk.submit([intent(0)])
        assert [call.path for call in desk.sends()] == ["/fapi/v1/order"]


async def test_of_a_partial_batch_each_order_has_its_own_outcome():
    async with trading() as desk:
        poor, rich = intent(1, "900000"), [intent(0), intent(2)]
        await desk.submit([rich[0], poor, rich[1]])
        assert desk.outcomes(poor) == [Outcome.REJECTED]
        for order in rich:
            assert desk.outcomes(order) == [Outcome.ACCEPTED, Outcome.CLOSED]
        assert len(desk.sends()) == 1


BROKEN = [
    *(Shape.SILENCE, Shape.RESET, Shape.CUT_BODY, Shape.CUT_CHUNK, Shape.GARBAGE_STATUS),
    *(Shape.HTML, Shape.EMPTY, Shape.NULL, Shape.EMPTY_OBJECT),
    *(Shape.OTHER_ORDER, Shape.REDIRECT_REPEATED, Shape.UNKNOWN, Shape.BUSY),
]


@pytest.mark.parametrize("shape", BROKEN, ids=str)
async def test_orders_behind_a_broken_batch_answer_are_found_and_never_sent_again(shape):
    async with trading() as desk:
        desk.market.faults.plan(
            Fault(shape=shape, taken=Taken.FIRST, method="POST", path=BATCH_PATH)
        )
        orders = [intent(place) for place in range(3)]
        await desk.submit(orders)
        assert any(desk.outcomes(order) == [Outcome.UNKNOWN] for order in orders)
        # The guard covers batches: an id that was sent is asked for, alone or in company.
        await desk.submit(orders)
        for order in orders:
            assert desk.outcomes(order)[-1] is Outcome.CLOSED
            assert Outcome.REJECTED not in desk.outcomes(order)
            assert desk.filled(order) in (1, 2)  # told again where it was known before
        assert len(desk.sends()) == 1


@pytest.mark.parametrize("shape", BROKEN, ids=str)
async def test_a_batch_that_never_arrived_proves_nothing_about_its_orders(shape):
    async with trading() as desk:
        desk.market.faults.plan(
            Fault(shape=shape, taken=Taken.NEVER, method="POST", path=BATCH_PATH)
        )
        orders = [intent(place) for place in range(3)]
        await desk.submit(orders)
        told = {outcome for order in orders for outcome in desk.outcomes(order)}
        assert told <= {Outcome.UNKNOWN, Outcome.ACCEPTED}
        assert len(desk.sends()) == 1


async def test_a_batch_answered_in_part_leaves_the_others_unknown_until_they_are_found():
    async with trading() as desk:
        desk.market.faults.plan(
            Fault(shape=Shape.PARTIAL_BATCH, taken=Taken.FIRST, method="POST", path=BATCH_PATH)
        )
        orders = [intent(place) for place in range(3)]
        await desk.submit(orders)
        told = [desk.outcomes(order)[0] for order in orders]
        assert Outcome.ACCEPTED in told
        assert set(told) <= {Outcome.ACCEPTED, Outcome.UNKNOWN, Outcome.REJECTED}
        for order, outcome in zip(orders, told, strict=True):
            if outcome is Outcome.UNKNOWN:
                await desk.venue.query(order)
                assert desk.outcomes(order)[-1] is Outcome.CLOSED


async def test_an_id_that_comes_twice_in_one_call_is_sent_once():
    async with trading() as desk:
        order = intent(0)
        await desk.submit([order, order, intent(1)])
        (batch,) = desk.sends()
        ids = [each["newClientOrderId"] for each in json.loads(batch.params["batchOrders"])]
        assert sorted(ids) == sorted({order.client_order_id, intent(1).client_order_id})


async def test_an_order_that_cannot_be_written_keeps_no_other_back():
    async with trading() as desk:
        crooked, good = intent(0, "0.00001"), [intent(1), intent(2)]
        results = await asyncio.gather(
            *desk.venue.submit_all([crooked, *good]), return_exceptions=True
        )
        assert [type(result).__name__ for result in results] == [
            *("BrokenInvariant", "NoneType", "NoneType")
        ]
        for order in good:
            assert desk.outcomes(order) == [Outcome.ACCEPTED, Outcome.CLOSED]
        assert [call.path for call in desk.sends()] == ["/fapi/v1/order"] * 2


async def test_a_venue_that_cannot_be_reached_was_sent_nothing():
    async with trading() as desk:
        client = desk.venue._client
        desk.market.dialect.addresses(client._exchange.urls, "http://127.0.0.1:9", "ws://x")
        orders = [intent(place) for place in range(3)]
        await desk.submit(orders)
        assert [desk.outcomes(order) for order in orders] == [[Outcome.NEVER_SENT]] * 3


async def test_a_send_that_is_given_up_leaves_every_order_of_its_batch_open():
    async with trading() as desk:
        desk.market.faults.plan(
            Fault(shape=Shape.SILENCE, taken=Taken.FIRST, method="POST", path=BATCH_PATH)
        )
        orders = [intent(place) for place in range(3)]
        tasks = [asyncio.create_task(each) for each in desk.venue.submit_all(orders)]
        while not desk.sends():  # noqa: ASYNC110 - the venue tells no event
            await asyncio.sleep(0.01)
        tasks[0].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(result) for result in results} == {asyncio.CancelledError}
        for order in orders:
            await desk.venue.query(order)
            assert desk.outcomes(order) == [Outcome.CLOSED]


class TestCut:
    """How many orders go into each request (performance.md section 6)."""

    def test_where_the_windows_make_no_difference_fewer_requests_are_sooner(self) -> None:
        assert cut(FACTS["binanceusdm"], 12) == (5, 5, 2)
        assert cut(FACTS["okx"], 45) == (20, 20, 5)
        assert cut(FACTS["kucoinfutures"], 3) == (3,)
        assert cut(FACTS["hyperliquid"], 40) in ((39, 1), (1, 39))

    def test_bybit_counts_batches_apart_so_both_ways_are_used_side_by_side(self) -> None:
        sizes = cut(FACTS["bybit"], 500)
        assert (sizes.count(10), sizes.count(1)) == (25, 250)
        # 24 s with both endpoints, 49 s with one of them.
        assert bound_ms(FACTS["bybit"].limits, Counter(sizes)) == 24_000
        assert bound_ms(FACTS["bybit"].limits, {1: 500}) == 49_000
        # Mixed evenly: neither kind stands idle behind the other.
        assert all(1 in sizes[at : at + 12] and 10 in sizes[at : at + 12] for at in range(260))

    @pytest.mark.parametrize("venue_id", ["xt", "bitget", "mexc"])
    def test_a_venue_without_batches_gets_single_orders(self, venue_id: str) -> None:
        assert cut(FACTS[venue_id], 3) == (1, 1, 1)

    @pytest.mark.parametrize("venue_id", FACTS)
    @pytest.mark.parametrize("count", [0, 1, 2, 9, 10, 11, 39, 41, 500])
    def test_every_order_is_in_one_request_that_the_venue_takes(self, venue_id, count) -> None:
        facts = FACTS[venue_id]
        sizes = cut(facts, count)
        most = facts.batch.most if facts.batch else 1
        assert sum(sizes) == count
        assert all(1 <= size <= most for size in sizes)
        assert bound_ms(facts.limits, Counter(sizes)) <= bound_ms(facts.limits, {1: count})
