"""The paper book: what an order fills at, what it costs, what margin and funding do to it."""

from __future__ import annotations

from typing import Any

import pytest

from rebalancer.core.events import Event, FillReported, FundingPaid, OrderReported
from rebalancer.core.order import Fill, OrderIntent, OrderSide, Outcome, PositionSide
from rebalancer.core.records import (
    FundingPosted,
    FundLaunched,
    PositionsAdopted,
    Record,
    ShortfallCovered,
    Traded,
)
from rebalancer.venues.paper import PaperBook, PaperCosts
from tests.factories import BTC, ETH, D, Number, contract

NOW = 1_000
NET, LONG, SHORT = PositionSide.NET, PositionSide.LONG, PositionSide.SHORT


def book(cash: Number = 1_000, mark: Number = 100, lot: Number = "0.1", **costs: Any) -> PaperBook:
    made = PaperBook(
        account="main",
        contracts={symbol: contract(symbol, lot=lot) for symbol in (BTC, ETH)},
        costs=PaperCosts(**costs),
        cash=D(cash),
    )
    made.observe(BTC, D(mark))
    return made


def order(units: Number, name: str = "o1", **over: Any) -> OrderIntent:
    size = D(units)
    fields: dict[str, Any] = {
        "client_order_id": name,
        "account": "main",
        "contract": BTC,
        "seq": 1,
        "side": OrderSide.BUY if size > 0 else OrderSide.SELL,
        "position_side": NET,
        "contracts": abs(size),
        "units": size,
        "mark": D(100),
        "limit_price": D(101) if size > 0 else D(99),
        "reduce_only": False,
        "wanted": {"F": size},
        "created_ms": 0,
    } | over
    return OrderIntent(**fields)


def outcomes(events: tuple[Event, ...]) -> list[str]:
    return [str(event.outcome) if isinstance(event, OrderReported) else "fill" for event in events]


def fill_of(events: tuple[Event, ...]) -> Fill:
    (fill,) = [event.fill for event in events if isinstance(event, FillReported)]
    return fill


def reason_of(events: tuple[Event, ...]) -> str:
    report = events[-1]
    assert isinstance(report, OrderReported)
    return report.reason


def test_an_order_is_accepted_filled_and_closed_in_this_order() -> None:
    made = book()
    events = made.fill(order(3), NOW)
    assert outcomes(events) == ["accepted", "fill", "closed"]
    assert fill_of(events).price == 100
    assert made.position(BTC) == 3
    assert made.cash == 700
    assert made.equity() == 1_000


@pytest.mark.parametrize(("units", "price"), [(3, "100.2"), (-3, "99.8")])
def test_slippage_makes_every_side_dearer(units: Number, price: str) -> None:
    assert fill_of(book(slippage_bps=D(20)).fill(order(units), NOW)).price == D(price)


@pytest.mark.parametrize(
    ("units", "price"), [(10_000, "100.12"), (40_000, "100.22"), (-40_000, "99.78")]
)
def test_four_times_the_order_has_twice_the_impact_on_top(units: Number, price: str) -> None:
    made = book(cash=1_000_000_000, slippage_bps=D(2), impact_bps=D(10))
    assert fill_of(made.fill(order(units), NOW)).price == D(price)


def test_an_order_whose_impact_is_beyond_its_collar_is_not_filled() -> None:
    made = book(cash=1_000_000_000, impact_bps=D(60))
    assert reason_of(made.fill(order(40_000), NOW)) == "nothing inside the collar"


def test_fees_are_taken_of_the_notional_at_the_fill_price() -> None:
    made = book(fee_bps=D(10), slippage_bps=D(20))
    assert fill_of(made.fill(order(3), NOW)).fee == 3 * D("100.2") * D("0.001")
    assert made.cash == 1_000 - 3 * D("100.2") * D("1.001")


@pytest.mark.parametrize(
    ("units", "mark", "filled"),
    [(3, 101, True), (3, "101.01", False), (-3, 99, True), (-3, "98.9", False)],
)
def test_an_order_fills_up_to_its_collar_and_closes_empty_beyond(
    units: Number, mark: Number, filled: bool
) -> None:
    made = book(mark=mark)
    events = made.fill(order(units), NOW)
    assert outcomes(events) == (
        ["accepted", "fill", "closed"] if filled else ["accepted", "closed"]
    )
    if not filled:
        assert reason_of(events) == "nothing inside the collar"
        assert made.position(BTC) == 0


@pytest.mark.parametrize(("ratio", "filled"), [("0.5", "1.5"), ("0.34", "1"), ("0.01", "0.1")])
def test_a_fill_ratio_fills_whole_lots_and_never_nothing(ratio: str, filled: str) -> None:
    events = book(fill_ratio=D(ratio)).fill(order(3), NOW)
    assert fill_of(events).contracts == D(filled)
    closed = events[-1]
    assert isinstance(closed, OrderReported)
    assert closed.filled_contracts == D(filled)


def test_the_same_id_is_the_same_order() -> None:
    made = book()
    first = made.fill(order(3), NOW)
    again = made.fill(order(3), NOW + 1)
    assert again == (first[-1],)
    assert made.position(BTC) == 3
    assert made.query(order(3), NOW + 2) == first[-1]


def test_an_order_never_taken_is_absent() -> None:
    assert book().query(order(3), NOW).outcome is Outcome.ABSENT


def test_without_a_price_there_is_no_market() -> None:
    events = book().fill(order(1, contract=ETH), NOW)
    assert outcomes(events) == ["rejected"]
    assert reason_of(events) == f"no market for {ETH}"


def test_margin_is_asked_for_what_is_held_after_the_trade() -> None:
    made = book(cash=3)  # 1 % of 300
    assert outcomes(made.fill(order("3.1"), NOW)) == ["rejected"]
    assert outcomes(made.fill(order(3, "o2"), NOW))[-1] == "closed"
    assert reason_of(made.fill(order("0.1", "o3"), NOW)) == (
        "initial margin is missing for 310.00 of notional"
    )
    assert outcomes(made.fill(order(-1, "o4"), NOW)) == ["accepted", "fill", "closed"]


@pytest.mark.parametrize("units", [-4, 1])
def test_a_reduce_only_order_may_only_reduce(units: Number) -> None:
    made = book()
    made.fill(order(3), NOW)
    events = made.fill(order(units, "o2", reduce_only=True), NOW)
    assert outcomes(events) == ["rejected"]
    assert reason_of(events) == "a reduce-only order would not only reduce"
    assert outcomes(made.fill(order(-3, "o3", reduce_only=True), NOW))[-1] == "closed"
    assert made.positions() == {}


def test_hedge_books_are_kept_apart_and_both_need_margin() -> None:
    made = book(cash=3)
    made.fill(order(2, position_side=LONG), NOW)
    assert outcomes(made.fill(order(-2, "o2", position_side=SHORT), NOW)) == ["rejected"]
    made.fill(order(-1, "o3", position_side=SHORT), NOW)
    assert made.books == {(BTC, LONG): 2, (BTC, SHORT): -1}
    assert made.position(BTC) == 1
    assert made.gross() == 300


def test_funding_moves_cash_and_is_reported_with_its_mark() -> None:
    made = book()
    made.fill(order(3), NOW)
    paid = made.fund(BTC, D("0.001"), D(110), NOW)
    assert paid == FundingPaid(NOW, "main", BTC, D("0.001"), D(110))
    assert made.cash == 700 - D("0.33")


def test_funding_can_be_switched_off() -> None:
    made = book(funding=False)
    made.fill(order(3), NOW)
    assert made.fund(BTC, D("0.001"), D(110), NOW) is None
    assert made.cash == 700


def test_a_liquidation_closes_every_book_at_its_mark_once() -> None:
    made = book(cash=10, fee_bps=D(10))
    made.fill(order(5), NOW)
    made.observe(BTC, D("98.5"))
    assert [each.units for each in made.liquidate(NOW)] == [-5]
    assert made.positions() == {}
    assert made.liquidate(NOW) == ()


def test_an_account_at_its_maintenance_margin_is_left_alone() -> None:
    made = book(cash="2.5")  # 0.5 % of 500
    made.books[BTC, NET] = D(5)
    made.cash -= 500
    assert made.liquidate(NOW) == ()
    made.cash -= D("0.01")
    (report,) = made.liquidate(NOW)
    assert (report.units, report.price, report.position_side) == (D(-5), D(100), NET)


def history(made: PaperBook, events: tuple[Event, ...]) -> list[Record]:
    """What a desk would have on record of a launch, a trade and a funding."""
    fill = fill_of(events)
    return [
        FundLaunched(0, "F", "main", D(1), D(1_000)),
        Traded(NOW, "main", BTC, NET, fill, D(3), {"F": D(3)}, {"F": fill.fee}, {"F": D(0)}),
        FundingPosted(NOW, "main", BTC, D("0.001"), D(110), {"F": D("0.33")}),
        PositionsAdopted(NOW, "G", "main", {BTC: D(-1)}, {BTC: D(100)}),
        ShortfallCovered(NOW, "F", "main", D(7)),
    ]


def test_a_book_recovered_from_records_is_the_book_that_wrote_them() -> None:
    made = book(fee_bps=D(10))
    records = history(made, made.fill(order(3), NOW))
    made.fund(BTC, D("0.001"), D(110), NOW)
    for record in records[3:]:
        made.deposit(record)
    again = book(cash=0, fee_bps=D(10))
    again.recover(records)
    assert (again.cash, again.books) == (made.cash, made.books)


def test_records_of_another_account_are_not_ours() -> None:
    again = PaperBook(account="other", contracts={}, cash=D(0))
    made = book()
    again.recover(history(made, made.fill(order(3), NOW)))
    assert again.cash == 0
    assert again.books == {}
