"""May we: limits halt with a reason, nothing is clamped silently, reducing is not blocked."""

from __future__ import annotations

from typing import Any

import pytest

from rebalancer.core.events import CommandKind, LiquidationReported, PositionsReported
from rebalancer.core.fund import Account, Execution, Limits
from rebalancer.core.limits import ensure_toward
from rebalancer.core.methodology import Methodology, Trigger
from rebalancer.core.order import Outcome, PositionSide
from rebalancer.core.records import (
    CommandTaken,
    FundLaunched,
    RunMoved,
    RunOpened,
    Traded,
    TradingState,
)
from rebalancer.core.run import RunStatus
from rebalancer.core.scope import Scope
from rebalancer.errors import BrokenInvariant, CommandRefused
from tests.factories import (
    BTC,
    DUE,
    ETH,
    Bench,
    D,
    Number,
    bench,
    contract,
    desk,
    emergency_at,
    fund,
    rules,
)


def small(name: str = "BTC3L", target: Number = 3, **over: Any) -> Any:
    return fund(name, target, initial_shares=D(1), **over)


def told_to_rebalance(price: Number = 105, **limits: Any) -> Bench:
    """A 3L of 100 that wants to buy 30 at 105."""
    made = bench(small(limits=Limits(**limits)))
    made.later(60).known(price)
    made.command(CommandKind.REBALANCE)
    return made


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        ({"max_order_notional": D("29.9")}, "max_order_notional: 30.00 would be more than 29.9"),
        ({"max_run_notional": D("29.9")}, "max_run_notional: the run would trade 30.00, more than"),
        ({"max_day_notional": D("29.9")}, "max_day_notional: 30.00 would be more than 29.9"),
        ({"max_leverage": D("2.99")}, "max_leverage: the trade would lead to 3.0000, more than"),
        ({"max_runs_per_day": 0}, "max_runs_per_day: 0 runs were made today"),
        ({"max_orders_per_run": 0}, "max_orders_per_run: 0 orders were sent for this run"),
    ],
)
def test_a_breached_limit_halts_the_fund_with_its_name_and_figures(
    limits: dict[str, Any], sentence: str
) -> None:
    made = told_to_rebalance(**limits)
    assert made.orders == []
    assert made.fund().trading is TradingState.HALTED
    assert made.fund().trading_reason.startswith(sentence)
    assert made.alerts == ["fund_halted"]
    assert made.fund().run is None


@pytest.mark.parametrize(("units", "is_right"), [("0.2", True), ("0.3", False), ("-0.1", False)])
def test_an_order_away_from_the_target_or_beyond_it_ends_the_desk(
    units: str, is_right: bool
) -> None:
    run = told_to_rebalance().fund().run
    assert run is not None
    lacks = run.plan.target_units[BTC] - D(3)
    assert D("0.28") < lacks < D("0.29")
    if is_right:
        ensure_toward(run, BTC, D(3), D(units))
    else:
        with pytest.raises(BrokenInvariant, match=f"an order of {units} {BTC} where 0.28"):
            ensure_toward(run, BTC, D(3), D(units))


@pytest.mark.parametrize(
    "limits",
    [
        {"max_order_notional": D("30.1")},
        {"max_run_notional": D("30.1")},
        {"max_day_notional": D("30.1")},
        {"max_leverage": D(3)},
        {"max_runs_per_day": 1},
        {"max_orders_per_run": 1},
    ],
)
def test_a_limit_that_is_just_kept_lets_the_order_leave(limits: dict[str, Any]) -> None:
    made = told_to_rebalance(**limits)
    assert len(made.orders) == 1
    assert made.fund().trading is TradingState.ACTIVE


def test_limits_of_a_day_count_the_orders_before_and_begin_again_at_midnight() -> None:
    made = bench(small(limits=Limits(max_day_notional=D(70), max_runs_per_day=2)))
    for price in (105, 110):
        made.later(120).known(price)
        made.command(CommandKind.REBALANCE)
        made.complete(made.orders[-1])
    made.now_ms = DUE
    made.known(116)
    assert len(made.orders) == 3
    assert made.fund().trading is TradingState.ACTIVE


def refused_by_the_venue(made: Bench, price: Number) -> None:
    """Each order of the run is refused, until it gives up for now."""
    made.later(120).known(price)
    while made.state.orders:
        made.report(made.orders[-1], Outcome.REJECTED, reason="overloaded")
        made.later(1).wake()


def test_an_emergency_that_sizes_its_own_incomplete_run_anew_is_not_another_of_the_day() -> None:
    backstop = Methodology(emergency=emergency_at(4))
    made = bench(small(methodology=backstop, limits=Limits(max_runs_per_day=2)))
    for price in (80, 79, 78, 77):
        refused_by_the_venue(made, price)
    statuses = [each.status for each in made.of(RunMoved)]
    assert statuses == [RunStatus.INCOMPLETE, *[RunStatus.SUPERSEDED, RunStatus.INCOMPLETE] * 3]
    assert made.fund().trading is TradingState.ACTIVE
    assert made.fund().day_runs == made.restarted().fund().day_runs == 1
    made.command(CommandKind.REBALANCE)
    assert made.fund().day_runs == 2, "a run of somebody else is one"
    made.complete(made.orders[-1])
    made.later(120).known(77)
    made.command(CommandKind.REBALANCE)
    assert made.fund().trading_reason == "max_runs_per_day: 2 runs were made today"


def test_an_order_that_only_reduces_is_sliced_to_the_largest_order_instead_of_halted() -> None:
    made = told_to_rebalance(95, max_order_notional=D(10), max_leverage=D(1))
    assert [order.notional <= 10 for order in made.orders] == [True]
    assert made.fund().trading is TradingState.ACTIVE


def test_a_reduction_needs_no_margin() -> None:
    costly = Account(name="main", initial_margin=D("0.9"), maintenance_margin=D("0.9"))
    made = bench(small(), account=costly)
    made.later(60).known(95)
    made.command(CommandKind.REBALANCE)
    assert len(made.orders) == 1


def test_a_fund_that_cannot_cover_its_own_margin_is_halted() -> None:
    costly = Account(name="main", initial_margin=D("0.4"), maintenance_margin=D("0.4"))
    made = bench(small(), account=costly)
    made.later(60).known(105)
    made.command(CommandKind.REBALANCE)
    assert made.orders == []
    assert made.fund().trading_reason.startswith("margin: the trade would need 138.00")


def test_the_account_must_cover_its_margin_after_the_trade() -> None:
    # The fund has 120 and wants 60 instead of 50; another fund's losses left the account 27.
    half = Account(name="main", initial_margin=D("0.5"), maintenance_margin=D("0.5"))
    made = bench(small("A", "0.5"), account=half)
    made.state.funds["A"].holding.cash += 20
    made.state.accounts["main"].cash = D(27) - 50
    made.later(60).known(100)
    made.command(CommandKind.REBALANCE, "A")
    assert made.orders == []
    assert made.state.funds["A"].trading_reason == (
        "margin: account main needs 30.00 of initial margin, its equity is 27.00"
    )


def test_a_contract_without_a_price_does_not_take_away_the_accounts_margin() -> None:
    # After a restart it is known what the ETH fund borrowed, and not yet what its coins are worth.
    made = bench(small("B"), small("E", basket={ETH: D(1)})).restarted()
    made.later(60).known(105)
    made.command(CommandKind.REBALANCE, "B")
    assert made.state.funds["B"].trading is TradingState.ACTIVE
    assert [order.contract for order in made.orders] == [BTC]


def test_a_basket_does_not_trade_while_a_member_has_no_price() -> None:
    both = fund("M", basket={BTC: D("0.5"), ETH: D("0.5")}, initial_shares=D(1))
    before = bench(both).later(60)
    for symbol in (BTC, ETH):
        before.known(105, symbol=symbol)
    before.command(CommandKind.REBALANCE, "M")
    for order in before.orders:
        before.report(order, Outcome.REJECTED)
    made = before.restarted()
    made.later(60).known(105)
    assert made.orders == []
    made.known(105, symbol=ETH)
    assert {order.contract for order in made.orders} == {BTC, ETH}


def test_a_lot_larger_than_a_child_may_be_halts_and_says_so() -> None:
    made = bench(
        small(execution=Execution(max_child_notional=D(1))),
        contracts=[contract(lot="0.1")],
    )
    made.later(60).known(105)
    made.command(CommandKind.REBALANCE)
    assert made.fund().trading_reason.startswith("max_child: one lot is more than")


def adjust(made: Bench, name: str, units: Number, cash: Number) -> None:
    """Give a fund units and cash, its account with it."""
    account, held = made.state.accounts["main"], made.state.funds[name].holding
    held.move(BTC, D(units))
    held.cash += D(cash)
    account.cash += D(cash)
    account.held[BTC] += D(units)
    account.books[BTC, PositionSide.NET] += D(units)


def test_what_netting_makes_too_small_is_skipped_and_its_runs_are_done() -> None:
    # Each alone would only reduce the account's 0.03; together they would pass zero, and then the
    # venue's minimum counts. Nothing is left working, so the next fixed run is not blocked.
    made = bench(
        small("A", 1), small("B", 1), small("S", -2), contracts=[contract(min_notional=1000)]
    )
    made.command(CommandKind.HALT, "S")
    for name, units, cash in (("A", "0.02", -2), ("B", "0.02", -2), ("S", "-0.01", 1)):
        adjust(made, name, units, cash)
    made.now_ms = DUE
    made.known(100)
    assert [each.plan.delta_units[BTC] for each in made.of(RunOpened)] == [D("-0.02")] * 2
    assert made.orders == []
    for name in "AB":
        assert made.state.funds[name].trading is TradingState.ACTIVE
        assert made.state.funds[name].run is None


def test_a_halt_stops_trading_and_a_resume_starts_it_again() -> None:
    made = bench(small())
    made.command(CommandKind.HALT, reason="holiday")
    made.later(60).known(80)
    assert made.of(RunOpened) == []
    assert made.fund().verdict == (Trigger.NONE, "halted: holiday")
    made.command(CommandKind.RESUME)
    made.later(1).known(80)
    assert made.of(RunOpened)[0].plan.trigger is Trigger.PRICE_MOVE
    assert [record.kind for record in made.of(CommandTaken)] == ["halt", "resume"]


def test_a_halt_in_the_middle_of_a_run_ends_it_and_still_books_its_fills() -> None:
    made = told_to_rebalance()
    made.command(CommandKind.HALT)
    assert made.of(RunMoved)[-1].status is RunStatus.HALTED
    made.complete(made.orders[0])
    assert made.fund().holding.units[BTC] == 3 + made.orders[0].units
    made.later(600).known(105)
    assert len(made.orders) == 1


@pytest.mark.parametrize(
    ("kind", "name", "sentence"),
    [
        (CommandKind.RESUME, "BTC3L", "BTC3L is not halted"),
        (CommandKind.REBALANCE, "BTC9L", "there is no fund BTC9L; the desk runs BTC3L, OFF"),
        (CommandKind.REBALANCE, "OFF", "funds.OFF.rules.manual is switched off"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused(
    kind: CommandKind, name: str, sentence: str
) -> None:
    made = bench(small(), small("OFF", methodology=rules(3, manual=None)))
    with pytest.raises(CommandRefused, match=sentence):
        made.command(kind, name)


def test_a_halted_fund_is_neither_halted_again_nor_rebalanced() -> None:
    made = bench(small())
    made.command(CommandKind.HALT, reason="holiday")
    for kind in (CommandKind.HALT, CommandKind.REBALANCE):
        with pytest.raises(CommandRefused, match="is halted"):
            made.command(kind)


def test_a_manual_run_ignores_the_cool_down() -> None:
    made = told_to_rebalance()
    made.complete(made.orders[0])
    made.later(1).known(110)
    made.command(CommandKind.REBALANCE)
    assert len(made.of(RunOpened)) == 2


def test_a_command_during_a_run_is_carried_out_after_it() -> None:
    made = told_to_rebalance()
    made.known(110)
    made.command(CommandKind.REBALANCE)
    assert len(made.of(RunOpened)) == 1
    made.complete(made.orders[0])
    assert len(made.of(RunOpened)) == 2


def test_a_manual_run_waits_for_a_fresh_price() -> None:
    made = bench(small())
    made.later(3600).command(CommandKind.REBALANCE)
    assert made.of(RunOpened) == []
    made.tick(105)
    assert made.of(RunOpened)[0].plan.trigger is Trigger.MANUAL


def liquidated(made: Bench, units: Number, trade_id: str = "liq") -> LiquidationReported:
    return LiquidationReported(
        at_ms=made.now_ms,
        account="main",
        contract=BTC,
        position_side=PositionSide.NET,
        trade_id=trade_id,
        units=D(units),
        price=D(90),
        fee=D(3),
    )


def test_a_liquidation_is_shared_by_the_funds_on_that_side_and_halts_them() -> None:
    made = bench(small("A"), small("B", 6), small("S", -1))
    event = liquidated(made, "-0.9")
    made.take(event)
    assert made.state.funds["A"].holding.units == {BTC: D("2.7")}
    assert made.state.funds["B"].holding.units == {BTC: D("5.4")}
    assert made.state.funds["A"].holding.cash == -200 + 27 - 1
    assert made.state.funds["S"].holding.units == {BTC: D(-1)}
    states = [made.state.funds[name].trading for name in "ABS"]
    assert states == [TradingState.HALTED, TradingState.HALTED, TradingState.ACTIVE]
    made.take(event)
    assert len(made.of(Traded)) == 1


def test_a_liquidation_of_what_no_fund_holds_halts_the_account_and_books_nothing() -> None:
    made = bench(small("A"), small("B"))
    made.take(liquidated(made, "0.9"))
    assert made.of(Traded) == []
    assert all(made.state.permission(made.state.funds[name]).halted for name in "AB")


def test_a_position_that_differs_halts_every_active_fund_of_the_account() -> None:
    made = bench(small("A"), small("B"))
    made.take(PositionsReported(made.now_ms, "main", {BTC: D(6)}))
    assert {made.state.funds[name].trading for name in "AB"} == {TradingState.ACTIVE}
    made.take(PositionsReported(made.now_ms, "main", {BTC: D("5.999")}))
    for name in "AB":
        permission = made.state.permission(made.state.funds[name])
        assert permission.text == (
            f"account main is halted: break 1: the venue holds 5.999 of {BTC}, the records say 6"
        )


def test_a_position_of_a_contract_nobody_holds_halts_too() -> None:
    made = bench(small())
    made.take(PositionsReported(made.now_ms, "main", {BTC: D(3), ETH: D(1)}))
    assert made.state.permission(made.fund()).halted


def test_a_position_is_not_compared_while_an_order_works_on_it() -> None:
    made = told_to_rebalance()
    made.take(PositionsReported(made.now_ms, "main", {BTC: D("3.1")}))
    assert made.fund().trading is TradingState.ACTIVE


def test_an_order_of_several_funds_keeps_inside_the_tightest_collar() -> None:
    collars = {"A": D(100), "B": D(40)}
    made = bench(
        *(small(name, execution=Execution(collar_bps=each)) for name, each in collars.items())
    )
    made.now_ms = DUE
    made.known(105)
    (order,) = made.orders
    assert set(order.wanted) == {"A", "B"}
    assert order.limit_price == D(105) * D("1.004")


def test_no_limit_keeps_a_fund_from_being_flattened_that_the_gap_rule_ended() -> None:
    made = bench(small(limits=Limits(max_orders_per_run=0, max_day_notional=D(1))))
    made.later(60).known(60)
    assert made.fund().trading is TradingState.WIPED
    assert [order.units for order in made.orders] == [-3]


def test_a_desk_that_only_reduces_launches_no_fund() -> None:
    made = Bench(desk(small()))
    made.command(CommandKind.REDUCE, "", "not today", Scope.DESK)
    for _ in range(3):
        made.later(1).known(100)
    assert made.of(FundLaunched) == []
    made.command(CommandKind.RESUME, "", "today", Scope.DESK)
    made.later(1).known(100)
    assert len(made.of(FundLaunched)) == 1


@pytest.mark.parametrize("ending", [Outcome.CLOSED, Outcome.REJECTED, Outcome.NEVER_SENT])
def test_what_an_order_did_not_trade_uses_up_neither_run_nor_day(ending: Outcome) -> None:
    made = told_to_rebalance(max_run_notional=D(31), max_day_notional=D(31))
    filled = D(0)
    if ending is Outcome.CLOSED:
        filled = made.orders[0].contracts / 3
        made.report(made.orders[0], Outcome.ACCEPTED, venue_order_id="v")
        made.fill(made.orders[0], filled)
    made.report(made.orders[0], ending, filled_contracts=filled)
    made.later(1).known(105)
    first, second = made.orders
    assert second.contracts == first.contracts - filled
    assert made.fund().spent(made.now_ms).day == first.notional
    made.complete(second)
    assert made.fund().trading is TradingState.ACTIVE
    assert made.of(RunMoved)[-1].status is RunStatus.DONE
