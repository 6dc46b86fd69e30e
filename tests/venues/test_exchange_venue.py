"""The exchange venue trades on the loopback Binance: sent once, settled to the last fill."""

from __future__ import annotations

import asyncio
import contextlib
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
from rebalancer.errors import ConfigRefused, InputRefused, VenueUnavailable
from rebalancer.venues import exchange_orders, exchange_venue
from rebalancer.venues.ccxt_client import NoSuchOrder
from rebalancer.venues.exchange_venue import ExchangeVenue, facts_of, open_client
from rebalancer.venues.facts_shape import Ask
from rebalancer.venues.rates import loop_ms
from tests.loopback.faults import Fault, Shape, Taken
from tests.loopback.presets import KEY, SECRET, binance
from tests.loopback.server import LoopbackVenue

BTC = "BTC/USDT:USDT"
D = Decimal
CONTRACT = Contract(BTC, D(1), D("0.001"), D("0.1"), D("0.001"), D(100))
ORDER_PATH = "/fapi/v1/order$"


@dataclass
class Desk:
    """What the venue told, and the venue itself."""

    venue: ExchangeVenue
    market: LoopbackVenue
    events: list[Event] = field(default_factory=list)

    def outcomes(self) -> list[Outcome]:
        return [event.outcome for event in self.events if isinstance(event, OrderReported)]

    def filled(self) -> Decimal:
        fills = (event.fill for event in self.events if isinstance(event, FillReported))
        return sum((fill.contracts for fill in fills), D(0))

    def sends(self) -> int:
        return sum(
            call.method == "POST" and call.path.endswith("/order") for call in self.market.calls
        )


@asynccontextmanager
async def trading(*, hedge: bool = False) -> AsyncIterator[Desk]:
    clock = WallClock()
    async with LoopbackVenue(binance()) as market:
        facts = facts_of("binanceusdm")
        client = open_client(facts, {"apiKey": KEY, "secret": SECRET})
        market.point(client._exchange)
        config = Account(name="main", venue="binanceusdm", hedge=hedge)
        desk = Desk(ExchangeVenue(config, client, {BTC: CONTRACT}, clock), market)
        try:
            await desk.venue.start(desk.events.append)
            market.calls.clear()
            yield desk
        finally:
            await desk.venue.close()


def intent(units: str, *, seq: int = 1, mark: str = "50000", reduce_only: bool = False):
    size = D(units)
    side = OrderSide.BUY if size > 0 else OrderSide.SELL
    return OrderIntent(
        client_order_id=client_order_id("desk", "main", BTC, seq),
        account="main",
        contract=BTC,
        seq=seq,
        side=side,
        position_side=PositionSide.NET,
        contracts=abs(size),
        units=size,
        mark=D(mark),
        limit_price=D(mark) * (D("1.01") if size > 0 else D("0.99")),
        reduce_only=reduce_only,
        wanted={"BTC3L": size},
        created_ms=WallClock().now_ms(),
    )


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_orders, "SETTLE_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(exchange_venue, "REQUEST_SECONDS", 0.4)


async def test_an_order_is_accepted_filled_and_closed_in_that_order():
    async with trading() as desk:
        await desk.venue.submit(intent("0.5"))
        kinds = [type(event).__name__ for event in desk.events]
        assert kinds[0] == "OrderReported"
        assert kinds[-1] == "OrderReported"
        assert set(kinds[1:-1]) == {"FillReported"}
        assert desk.outcomes() == [Outcome.ACCEPTED, Outcome.CLOSED]
        assert desk.filled() == D("0.5")
        assert desk.sends() == 1


async def test_a_send_is_exactly_one_request_and_nothing_is_asked_before_it():
    async with trading() as desk:
        await desk.venue.submit(intent("0.5"))
        first = desk.market.calls[0]
        assert first.method == "POST"
        assert first.path.endswith("/order")
        assert desk.sends() == 1


async def test_the_venues_position_is_what_was_traded():
    async with trading() as desk:
        await desk.venue.submit(intent("0.5"))
        await desk.venue.submit(intent("-0.2", seq=2, reduce_only=True))
        await desk.venue.report_positions()
        reported = desk.events[-1]
        assert isinstance(reported, PositionsReported)
        assert reported.units == {BTC: D("0.3")}


@pytest.mark.parametrize(
    ("field_name", "value"), [("price", "0"), ("price", "-1"), ("amount", "0")]
)
async def test_a_trade_at_no_price_is_not_booked(field_name: str, value: str):
    """It would give its funds units for nothing."""
    async with trading() as desk:
        exchange = desk.venue._client._exchange
        read = exchange.parse_trade
        exchange.parse_trade = lambda *raw: {**read(*raw), field_name: value}
        with contextlib.suppress(InputRefused):  # whatever is raised makes the order unknown
            await desk.venue.submit(intent("0.5"))
        assert not any(isinstance(event, FillReported) for event in desk.events)
        assert Outcome.CLOSED not in desk.outcomes()


async def test_an_answer_without_a_market_takes_none_away():
    """Until the next reading, an hour later, every order would have been refused by ccxt."""
    async with trading() as desk:
        empty = Fault(shape=Shape.EMPTY_OBJECT, method="GET", path="exchangeInfo")
        desk.market.faults.plan(empty)
        with pytest.raises(VenueUnavailable, match="cannot be read"):
            await desk.venue.read_markets()
        await desk.venue.submit(intent("0.5"))
        assert desk.outcomes() == [Outcome.ACCEPTED, Outcome.CLOSED]


async def test_a_collar_that_nothing_lies_inside_of_closes_the_order_unfilled():
    async with trading() as desk:
        await desk.venue.submit(intent("0.5", mark="40000"))
        assert desk.outcomes() == [Outcome.ACCEPTED, Outcome.CLOSED]
        assert desk.filled() == 0
        closing = desk.events[-1]
        assert isinstance(closing, OrderReported)
        assert closing.filled_contracts == 0


async def test_a_refused_order_is_rejected_with_the_venues_code():
    async with trading() as desk:
        await desk.venue.submit(intent("900"))
        report = desk.events[0]
        assert isinstance(report, OrderReported)
        assert report.outcome is Outcome.REJECTED
        assert "-2019" in report.reason
        assert len(desk.events) == 1


#: what says the truth, or is refused by a code of the venue; everything else proves nothing
TOLD = frozenset(
    {
        Shape.HONEST,
        Shape.PARTIAL_BATCH,
        Shape.ERROR_IN_200,
        Shape.UNAUTHORIZED,
        Shape.FORBIDDEN,
        Shape.BANNED,
        Shape.TOO_MANY,
        Shape.NO_MARGIN,
    }
)
UNSEEN = [shape for shape in Shape if shape not in TOLD]


@pytest.mark.parametrize("shape", UNSEEN, ids=str)
async def test_an_order_behind_a_broken_answer_is_unknown_then_found_and_never_sent_again(shape):
    async with trading() as desk:
        desk.market.faults.plan(
            Fault(shape=shape, taken=Taken.FIRST, method="POST", path=ORDER_PATH)
        )
        order = intent("0.5")
        await desk.venue.submit(order)
        assert desk.outcomes() == [Outcome.UNKNOWN]
        await desk.venue.query(order)
        assert desk.outcomes() == [Outcome.UNKNOWN, Outcome.CLOSED]
        assert desk.filled() == D("0.5")
        assert desk.sends() == 1


@pytest.mark.parametrize("shape", UNSEEN, ids=str)
async def test_an_order_that_never_arrived_stays_unknown_until_its_window_is_over(shape):
    async with trading() as desk:
        desk.market.faults.plan(
            Fault(shape=shape, taken=Taken.NEVER, method="POST", path=ORDER_PATH)
        )
        order = intent("0.5")
        await desk.venue.submit(order)
        for _ in range(3):
            await desk.venue.query(order)
        assert set(desk.outcomes()) == {Outcome.UNKNOWN}
        assert desk.sends() == 1


def an_old_order(desk: Desk) -> OrderIntent:
    """Return an order of a process that ended long before this one began, as it now seems."""
    desk.venue._orders.departures.began_s -= 120
    old: OrderIntent = intent("0.5")
    object.__setattr__(old, "created_ms", old.created_ms - 120_000)
    return old


async def test_an_order_found_nowhere_twice_after_its_window_is_absent():
    async with trading() as desk:
        old = an_old_order(desk)
        await desk.venue.query(old)
        assert desk.outcomes() == [Outcome.UNKNOWN]
        await desk.venue.query(old)
        assert desk.outcomes() == [Outcome.UNKNOWN, Outcome.ABSENT]
        last = desk.events[-1]
        assert isinstance(last, OrderReported)
        absence, valid_ms = last.absence, desk.venue._facts.valid_ms
        assert absence is not None
        assert valid_ms is not None
        assert absence.proved
        assert absence.looks == 2
        assert absence.waited_ms >= 120_000 > absence.window_ms
        # the venue's own validity, 2 s for the clocks and 10 s for what is shown late
        assert absence.window_ms == valid_ms + 12_000


async def test_an_order_that_was_seen_in_between_needs_two_looks_anew_to_be_absent(monkeypatch):
    async with trading() as desk:
        old, shown = an_old_order(desk), list[object]([None])

        async def ask(_call: object, kind: Ask) -> object:
            if kind is not Ask.QUERY:
                return []
            if shown[-1] is None:
                raise NoSuchOrder("none")
            return shown[-1]

        monkeypatch.setattr(desk.venue._orders._questions, "ask", ask)
        seen = {"clientOrderId": old.client_order_id, "status": None, "filled": None, "id": "7"}
        for each in (None, seen, None):
            shown.append(each)
            await desk.venue.query(old)
        assert desk.outcomes() == [Outcome.UNKNOWN] * 3
        await desk.venue.query(old)
        assert desk.outcomes()[-1] is Outcome.ABSENT


@pytest.mark.parametrize("shown", [{"id": "7"}, {}], ids=["without figures", "without its id"])
async def test_an_order_that_is_there_but_cannot_be_read_is_never_absent(shown, monkeypatch):
    async with trading() as desk:
        old = an_old_order(desk)

        async def ask(_call: object, kind: Ask) -> object:
            if kind is not Ask.QUERY:
                return []
            return {"clientOrderId": old.client_order_id, "status": None, "filled": None, **shown}

        monkeypatch.setattr(desk.venue._orders._questions, "ask", ask)
        for _ in range(3):
            await desk.venue.query(old)
        assert desk.outcomes() == [Outcome.UNKNOWN] * 3


async def test_an_order_of_an_earlier_process_may_have_left_until_this_one_began():
    async with trading() as desk:
        old = an_old_order(desk)
        desk.venue._orders.departures.begin()
        for _ in range(3):
            await desk.venue.query(old)
        assert desk.outcomes() == [Outcome.UNKNOWN] * 3


async def test_an_order_whose_send_has_not_returned_is_not_absent_however_old_it_is():
    async with trading() as desk:
        old = an_old_order(desk)
        desk.market.faults.plan(
            Fault(shape=Shape.SILENCE, taken=Taken.NEVER, method="POST", path=ORDER_PATH)
        )
        sending = asyncio.create_task(desk.venue.submit(old))
        while not desk.sends():  # noqa: ASYNC110 - the venue tells no event
            await asyncio.sleep(0.01)
        for _ in range(3):
            await desk.venue.query(old)
        assert not sending.done()
        assert desk.outcomes() == [Outcome.UNKNOWN] * 3
        await sending
        for _ in range(3):
            await desk.venue.query(old)
        assert set(desk.outcomes()) == {Outcome.UNKNOWN}


async def test_an_order_taken_late_is_found_by_a_later_question():
    async with trading() as desk:
        desk.market.faults.plan(
            Fault(
                shape=Shape.RESET,
                taken=Taken.LATER,
                late_ms=1_000,
                method="POST",
                path=ORDER_PATH,
            )
        )
        order = intent("0.5")
        await desk.venue.submit(order)
        await desk.venue.query(order)
        assert desk.outcomes() == [Outcome.UNKNOWN, Outcome.UNKNOWN]
        await asyncio.sleep(1.2)
        await desk.venue.query(order)
        assert desk.outcomes()[-1] is Outcome.CLOSED
        assert desk.filled() == D("0.5")


async def test_a_venue_that_cannot_be_reached_was_sent_nothing():
    async with trading() as desk:
        client = desk.venue._client
        desk.market.dialect.addresses(client._exchange.urls, "http://127.0.0.1:9", "ws://x")
        await desk.venue.submit(intent("0.5"))
        assert desk.outcomes() == [Outcome.NEVER_SENT]


@pytest.mark.parametrize("shape", [Shape.TOO_MANY, Shape.BANNED], ids=str)
async def test_a_venue_that_asks_for_fewer_requests_is_left_alone_as_long_as_it_says(shape):
    async with trading() as desk:
        desk.market.faults.plan(
            Fault(shape=shape, taken=Taken.NEVER, method="POST", path=ORDER_PATH)
        )
        await desk.venue.submit(intent("0.5"))
        limiter = desk.venue._client._limiter
        cost = facts_of("binanceusdm").limits.costs[Ask.QUERY]
        wait_ms = limiter.budget.wait_ms(cost, loop_ms(), urgent=True)
        assert wait_ms is not None
        assert wait_ms > 3_000
        assert desk.outcomes() == [Outcome.REJECTED]


async def test_the_venues_own_count_is_believed():
    async with trading() as desk:
        await desk.venue.submit(intent("0.5"))
        # Eleven orders of somebody else on the same account.
        limiter = desk.venue._client._limiter
        limiter.told("orders-10s", 12, limiter.now_ms())
        used = {window.name: units for window, units in desk.venue._client.used().items()}
        assert used["orders-10s"] == 12


async def test_an_account_in_the_other_position_mode_is_refused_with_the_remedy():
    with pytest.raises(ConfigRefused, match=r"accounts\.main\.hedge is true"):
        async with trading(hedge=True):
            pass


async def test_a_contract_that_the_venue_describes_otherwise_is_refused(monkeypatch):
    monkeypatch.setattr("tests.venues.test_exchange_venue.CONTRACT", Contract(BTC, lot=D(1)))
    with pytest.raises(ConfigRefused, match="lot"):
        async with trading():
            pass


async def test_the_venues_clock_is_measured_and_corrected_for():
    clock = WallClock()
    async with LoopbackVenue(binance()) as market:
        market.skew_ms = 20_000
        client = open_client(facts_of("binanceusdm"), {"apiKey": KEY, "secret": SECRET})
        market.point(client._exchange)
        account = Account(name="main", venue="binanceusdm")
        venue = ExchangeVenue(account, client, {BTC: CONTRACT}, clock)
        events: list[Event] = []
        try:
            await venue.start(events.append)
            assert abs(venue.clock_offset_ms - 20_000) < 200
            await venue.submit(intent("0.5"))
        finally:
            await venue.close()
    assert isinstance(events[0], OrderReported)
    assert events[0].outcome is Outcome.ACCEPTED


def test_an_unknown_venue_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigRefused, match="the nearest is bybit"):
        facts_of("bybitt")


async def test_nothing_leaves_while_something_bars_it_after_every_wait():
    async with trading() as desk:
        desk.venue._client.barred = lambda: "the kill switch is set"
        await desk.venue.submit(intent("0.5"))
        assert desk.outcomes() == [Outcome.NEVER_SENT]
        assert desk.sends() == 0
        desk.venue._client.barred = lambda: None
        await desk.venue.submit(intent("0.5", seq=2))
        assert desk.sends() == 1
