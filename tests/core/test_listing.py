"""What the venue lists, against the records: a missed trade is found whatever positions say."""

from __future__ import annotations

from typing import Any

import pytest

from rebalancer.core.breaks import BreakEnd, BreakEnded, BreakFound, BreakKind, HistoryRead
from rebalancer.core.breaks import VenueTrade as Trade
from rebalancer.core.events import (
    CommandKind,
    HistoryReported,
    LiquidationReported,
    PositionsReported,
    StandingOrder,
)
from rebalancer.core.instant import HOUR_MS
from rebalancer.core.order import Outcome, PositionSide
from rebalancer.core.records import Traded
from rebalancer.core.scope import Scope
from rebalancer.errors import CommandRefused
from tests.factories import BTC, DUE, NOON, Bench, D, bench, fund

ADOPT, EXPLAIN = CommandKind.ADOPT, CommandKind.EXPLAIN


def trade(trade_id: str, units: str, price: str = "100", **over: Any) -> Trade:
    fields: dict[str, Any] = {
        "trade_id": trade_id,
        "order_id": "v-9",
        "units": D(units),
        "price": D(price),
        "fee": D(0),
        "at_ms": NOON + 1_000,
    } | over
    return Trade(**fields)


def listed(
    made: Bench, *trades: Trade, orders: tuple[StandingOrder, ...] = (), until_ms: int = NOON
) -> Bench:
    """The venue lists what the account traded, and what stands."""
    made.take(HistoryReported(made.now_ms, "main", {BTC: until_ms}, {BTC: trades}, orders))
    return made


def three_coins() -> Bench:
    """A fund that holds three coins, of an account whose list was read until noon."""
    return listed(bench(fund("BTC3L", 3, initial_shares=D(1)))).later(60)


def test_what_was_read_is_on_record_once_an_hour() -> None:
    made = three_coins()
    for minutes in (1, 59, 60, 61):
        listed(made, until_ms=NOON + minutes * 60_000)
    assert [each.until_ms[BTC] for each in made.of(HistoryRead)] == [NOON, NOON + HOUR_MS]
    assert made.restarted().state.accounts["main"].read_ms == {BTC: NOON + HOUR_MS}


def test_unknown_trades_halt_the_account_though_the_position_is_the_same() -> None:
    made = listed(three_coins(), trade("1", "-1", "120"), trade("2", "1", "110"))
    (found,) = made.of(BreakFound)
    assert (found.found.kind, found.found.units) == (BreakKind.FOREIGN_TRADE, D(0))
    assert "lists 2 trade(s)" in found.found.cause
    assert "older backup" in found.found.cause
    assert found.found.repair.startswith("rebalancer adopt 1")
    assert made.state.permission(made.fund()).halted
    listed(made, trade("1", "-1", "120"), trade("2", "1", "110"))
    assert len(made.of(BreakFound)) == 1


def test_they_are_known_after_a_restart_too() -> None:
    made = listed(three_coins(), trade("1", "-1"), trade("2", "1")).restarted()
    listed(made, trade("1", "-1"), trade("2", "1"))
    assert made.state.break_count == 1


def test_an_adoption_books_each_trade_at_its_own_price_with_its_fee() -> None:
    made = listed(three_coins(), trade("1", "-1", "120"), trade("2", "1", "110", fee=D(2)))
    cash = made.fund().holding.cash
    made.command(ADOPT, "1", "restored", Scope.DESK)
    assert [each.fill.trade_id for each in made.of(Traded)] == ["1", "2"]
    assert made.fund().holding.cash == cash + 120 - 110 - 2
    assert made.fund().holding.units[BTC] == 3
    made.command(CommandKind.RESUME, "main", "checked", Scope.ACCOUNT)
    listed(made, trade("1", "-1", "120"), trade("2", "1", "110"))
    assert made.state.breaks == {}
    assert made.restarted().fund().holding == made.fund().holding


def test_an_adoption_ends_the_break_in_position_that_the_trades_made() -> None:
    made = listed(three_coins(), trade("1", "-1"))
    made.take(PositionsReported(made.now_ms, "main", {BTC: D(2)}))
    assert list(made.state.breaks) == [1, 2]
    with pytest.raises(CommandRefused, match=r"what the trades of break 1 made: adopt"):
        made.command(ADOPT, "2", "restored", Scope.DESK)
    made.command(ADOPT, "1", "restored", Scope.DESK)
    assert made.state.breaks == {}
    assert [each.how for each in made.of(BreakEnded)] == [BreakEnd.VANISHED, BreakEnd.ADOPTED]


def test_an_account_with_open_breaks_is_not_resumed() -> None:
    made = listed(three_coins(), trade("1", "-1"))
    with pytest.raises(CommandRefused, match=r"account main has open breaks \(1\): adopt"):
        made.command(CommandKind.RESUME, "main", "hurry", Scope.ACCOUNT)
    made.command(EXPLAIN, "1", "not of this desk", Scope.DESK)
    made.command(CommandKind.RESUME, "main", "checked", Scope.ACCOUNT)
    assert not made.state.permission(made.fund()).halted


def working() -> Bench:
    made = three_coins()
    made.now_ms = DUE
    made.known(105)
    return made


def test_own_trades_are_no_news() -> None:
    made = working()
    order = made.orders[0]
    mine = trade("t", str(order.units), order_id="v", at_ms=DUE)
    listed(made, mine)
    assert made.of(BreakFound) == [], "the order is working: its trades are told with it"
    made.report(order, Outcome.ACCEPTED, venue_order_id="v")
    made.fill(order, str(order.contracts), trade_id="t")
    made.report(order, Outcome.CLOSED, filled_contracts=order.contracts)
    listed(made, mine)
    listed(made, until_ms=DUE)
    assert made.of(BreakFound) == []


def test_a_trade_that_was_listed_while_an_order_worked_is_judged_after_it() -> None:
    made = working()
    order = made.orders[0]
    listed(made, trade("by-hand", "0.5", order_id="other", at_ms=DUE))
    made.report(order, Outcome.REJECTED)
    listed(made)
    assert [each.found.kind for each in made.of(BreakFound)] == [BreakKind.FOREIGN_TRADE]


def test_a_trade_of_an_order_that_ended_without_it_is_booked_as_late() -> None:
    made = working()
    order = made.orders[0]
    made.report(order, Outcome.ACCEPTED, venue_order_id="v")
    made.report(order, Outcome.CLOSED, filled_contracts=D(0))
    size = D("0.01").copy_sign(order.units)
    listed(made, trade("late", str(size), order_id="v", at_ms=DUE))
    (found,) = made.of(BreakFound)
    assert found.found.kind is BreakKind.LATE_FILL
    assert made.of(Traded)[-1].units == size


def test_a_foreign_order_halts_its_contract_until_it_is_gone() -> None:
    stands = StandingOrder(BTC, "by-hand", "77", D("-0.5"))
    made = three_coins()
    for _ in range(2):
        listed(made, orders=(stands,))
    (found,) = made.of(BreakFound)
    assert found.found.kind is BreakKind.FOREIGN_ORDER
    assert "-0.5 (order 77)" in found.found.cause
    assert made.state.permission(made.fund(), BTC).halted
    with pytest.raises(CommandRefused, match="cancel it there"):
        made.command(EXPLAIN, "1", "x", Scope.DESK)
    made = listed(made.restarted())
    assert made.state.breaks == {}
    assert not made.state.permission(made.fund(), BTC).halted


def test_a_halt_of_a_person_outlasts_the_foreign_order() -> None:
    made = three_coins()
    made.command(CommandKind.HALT, BTC, "holiday", Scope.CONTRACT)
    listed(made, orders=(StandingOrder(BTC, "", "77", D(1)),))
    listed(made)
    assert made.state.breaks == {}
    assert made.state.permission(made.fund(), BTC).halted


def test_an_own_order_that_stands_is_not_foreign() -> None:
    made = working()
    order = made.orders[0]
    listed(made, orders=(StandingOrder(BTC, order.client_order_id, "v", order.units),))
    assert made.of(BreakFound) == []


def test_a_liquidation_of_what_no_fund_holds_is_found_once_however_often_it_is_told() -> None:
    made = three_coins()
    closed = LiquidationReported(
        made.now_ms, "main", BTC, PositionSide.NET, "liq", D(1), D(100), D(0)
    )
    made.take(closed)
    with pytest.raises(CommandRefused, match=r"account main has open breaks \(1\)"):
        made.command(CommandKind.RESUME, "main", "hurry", Scope.ACCOUNT)
    made.command(EXPLAIN, "1", "a position of before", Scope.DESK)
    made.take(closed)
    again = made.restarted()
    again.take(closed)
    assert (again.state.break_count, again.state.breaks) == (1, {})
