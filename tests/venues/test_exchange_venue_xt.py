"""The exchange venue on the loopback XT: two books, whole contracts, ids found by a sweep."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from rebalancer.clock import WallClock
from rebalancer.core.contract import Contract
from rebalancer.core.events import Event, FillReported, OrderReported, PositionsReported
from rebalancer.core.fund import Account
from rebalancer.core.order import OrderIntent, OrderSide, Outcome, PositionSide, client_order_id
from rebalancer.exchanges import contract_of
from rebalancer.venues import exchange_orders, exchange_venue
from rebalancer.venues.exchange_checks import Expected
from rebalancer.venues.exchange_venue import ExchangeVenue, facts_of, open_client
from rebalancer.venues.facts_shape import Ask
from tests.loopback import presets
from tests.loopback.faults import Fault, Shape, Taken
from tests.loopback.instruments import Depth
from tests.loopback.presets import KEY, SECRET
from tests.loopback.server import LoopbackVenue
from tests.unlimited import unlimited

BTC = "BTC/USDT:USDT"
D = Decimal


@dataclass
class Desk:
    venue: ExchangeVenue
    market: LoopbackVenue
    contract: Contract
    events: list[Event] = field(default_factory=list)
    orders: int = 0

    def outcomes(self) -> list[Outcome]:
        return [event.outcome for event in self.events if isinstance(event, OrderReported)]

    def filled(self) -> Decimal:
        fills = (event.fill for event in self.events if isinstance(event, FillReported))
        return sum((fill.contracts for fill in fills), D(0))

    def sends(self) -> int:
        return sum(
            call.method == "POST" and call.path.endswith("/order/create")
            for call in self.market.calls
        )

    def intent(
        self, contracts: int, side: OrderSide, book: PositionSide, *, closes: bool = False
    ) -> OrderIntent:
        self.orders += 1
        size = self.contract.units_in(D(contracts))
        signed = size if side is OrderSide.BUY else -size
        mark = D(50_000)
        return OrderIntent(
            client_order_id=client_order_id("desk", "main", BTC, self.orders),
            account="main",
            contract=BTC,
            seq=self.orders,
            side=side,
            position_side=book,
            contracts=D(contracts),
            units=signed,
            mark=mark,
            limit_price=mark * (D("1.01") if side is OrderSide.BUY else D("0.99")),
            reduce_only=closes,
            wanted={"BTC3L": signed},
            created_ms=WallClock().now_ms(),
        )


@asynccontextmanager
async def trading() -> AsyncIterator[Desk]:
    clock = WallClock()
    async with LoopbackVenue(presets.xt()) as market:
        facts = facts_of("xt")
        client = open_client(facts, {"apiKey": KEY, "secret": SECRET}, limiter=unlimited())
        market.point(client._exchange)
        await client.load_markets(facts.limits.costs[Ask.MARKETS])
        contract = contract_of(client.markets[BTC], "xt")
        account = Account(name="main", venue="xt", hedge=True)
        # XT tells neither what a key may do nor some modes: the operator looked there.
        looked = Expected(accept_untold=True)
        venue = ExchangeVenue(account, client, {BTC: contract}, clock, looked)
        desk = Desk(venue, market, contract)
        try:
            await desk.venue.start(desk.events.append)
            market.calls.clear()
            yield desk
        finally:
            await desk.venue.close()


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_orders, "SETTLE_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(exchange_venue, "REQUEST_SECONDS", 1.0)


BUY, SELL, LONG, SHORT = OrderSide.BUY, OrderSide.SELL, PositionSide.LONG, PositionSide.SHORT


async def test_an_opened_long_is_reported_in_contracts_and_held_in_base_coins():
    async with trading() as desk:
        await desk.venue.submit(desk.intent(200, BUY, LONG))
        assert desk.outcomes() == [Outcome.ACCEPTED, Outcome.CLOSED]
        assert desk.filled() == 200
        await desk.venue.report_positions()
        reported = desk.events[-1]
        assert isinstance(reported, PositionsReported)
        assert reported.units == {BTC: desk.contract.units_in(D(200))}


async def test_a_sell_that_closes_reduces_the_long_and_opens_no_short():
    async with trading() as desk:
        await desk.venue.submit(desk.intent(200, BUY, LONG))
        await desk.venue.submit(desk.intent(150, SELL, LONG, closes=True))
        (account,) = desk.market.core.accounts.values()
        held = {position.book: position.contracts for position in account.positions.values()}
        assert [size for size in held.values() if size] == [D(50)]


async def test_long_to_short_is_a_close_and_an_open_and_nets_out():
    async with trading() as desk:
        await desk.venue.submit(desk.intent(100, BUY, LONG))
        await desk.venue.submit(desk.intent(100, SELL, LONG, closes=True))
        await desk.venue.submit(desk.intent(80, SELL, SHORT))
        await desk.venue.report_positions()
        reported = desk.events[-1]
        assert isinstance(reported, PositionsReported)
        assert reported.units == {BTC: -desk.contract.units_in(D(80))}
        assert desk.sends() == 3


UNSEEN = [Shape.CUT_BODY, Shape.EMPTY]


@pytest.mark.parametrize("shape", UNSEEN, ids=str)
async def test_an_order_behind_a_broken_answer_is_found_by_its_client_id(shape):
    async with trading() as desk:
        desk.market.faults.plan(
            Fault(shape=shape, taken=Taken.FIRST, method="POST", path="order/create$")
        )
        order = desk.intent(200, BUY, LONG)
        await desk.venue.submit(order)
        assert desk.outcomes() == [Outcome.UNKNOWN]
        await desk.venue.query(order)
        assert desk.outcomes()[-1] is Outcome.CLOSED
        assert desk.filled() == 200
        assert desk.sends() == 1


@pytest.mark.parametrize("taken", [Taken.FIRST, Taken.NEVER], ids=str)
async def test_an_answer_that_names_another_order_gives_its_fills_to_nobody(taken):
    # XT's answer is an id and nothing else: whose it is shows the order that is asked for by it.
    async with trading() as desk:
        await desk.venue.submit(desk.intent(200, BUY, LONG))
        desk.market.faults.plan(
            Fault(shape=Shape.OTHER_ORDER, taken=taken, method="POST", path="order/create$")
        )
        order = desk.intent(100, BUY, LONG)
        desk.events.clear()
        await desk.venue.submit(order)
        assert desk.outcomes() == [Outcome.ACCEPTED, Outcome.UNKNOWN]
        reports = [each for each in desk.events if isinstance(each, OrderReported)]
        assert [each.venue_order_id for each in reports] == ["", ""]
        await desk.venue.query(order)
        found = taken is Taken.FIRST
        assert desk.outcomes()[-1] is (Outcome.CLOSED if found else Outcome.UNKNOWN)
        assert desk.filled() == (100 if found else 0)


async def test_an_order_that_never_arrived_stays_unknown_until_its_window_is_over():
    async with trading() as desk:
        desk.market.faults.plan(
            Fault(shape=Shape.RESET, taken=Taken.NEVER, method="POST", path="order/create$")
        )
        order = desk.intent(200, BUY, LONG)
        await desk.venue.submit(order)
        await desk.venue.query(order)
        await desk.venue.query(order)
        assert set(desk.outcomes()) == {Outcome.UNKNOWN}
        assert desk.sends() == 1


async def test_what_an_open_order_has_left_is_told_in_base_coins():
    # XT's orders carry no remainder, so ccxt works one out, in coins where it might be contracts.
    async with trading() as desk:
        exchange = desk.venue._client._exchange
        wish = {"positionSide": "LONG", "clientOrderId": "theirs"}
        await exchange.create_order(BTC, "limit", "buy", 30, 49_000, wish)
        (order,) = await desk.venue.account.open_orders(BTC)
        assert (order.client_order_id, order.remaining) == ("theirs", desk.contract.units_in(D(30)))


async def test_an_order_that_the_book_fills_in_part_ends_though_ccxt_does_not_know_the_word():
    # XT says PARTIALLY_CANCELED where a part filled and the rest is gone; ccxt leaves it so.
    async with trading() as desk:
        desk.market.core.instruments["BTC/USDT"].depth = Depth(levels=1, contracts=D(70))
        await desk.venue.submit(desk.intent(200, BUY, LONG))
        assert desk.outcomes() == [Outcome.ACCEPTED, Outcome.CLOSED]
        assert desk.filled() == 70
