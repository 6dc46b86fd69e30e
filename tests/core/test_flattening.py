"""To flat on command: sold through the ordinary planner, and flat until somebody resumes it."""

from __future__ import annotations

from typing import Any

import pytest

from rebalancer.core.distances import distances_of
from rebalancer.core.events import CommandKind, LiquidationReported
from rebalancer.core.methodology import Trigger
from rebalancer.core.order import Outcome, PositionSide
from rebalancer.core.records import FixedSettled, RunMoved, RunOpened, Settlement, TradingState
from rebalancer.core.run import RunStatus
from rebalancer.core.scope import Scope
from rebalancer.errors import CommandRefused
from tests.factories import BTC, DUE, Bench, D, bench, contract, desk, fund

FLATTEN, RESUME = CommandKind.FLATTEN, CommandKind.RESUME


def small(name: str = "BTC3L", target: Any = 3, **over: Any) -> Any:
    return fund(name, target, initial_shares=D(1), **over)


def flattened(made: Bench, name: str = "BTC3L", scope: Scope = Scope.FUND) -> Bench:
    made.later(60).known(100)
    made.command(FLATTEN, name, "drill", scope)
    made.later(1).known(100)
    return made


def test_a_fund_is_sold_with_reduce_only_orders_and_stays_flat() -> None:
    made = flattened(bench(small()))
    (order,) = made.orders
    assert order.reduce_only
    assert order.units == -3
    assert order.limit_price < order.mark, "inside its collar"
    made.complete(order)
    assert not made.fund().holding.units
    assert made.of(RunMoved)[-1].status is RunStatus.DONE
    made.now_ms = DUE
    made.known(100)
    made.later(60).known(90)
    assert len(made.orders) == 1
    assert made.restarted().fund().flattening == "drill"


def test_a_fixed_time_while_it_is_flat_is_skipped_and_no_miss() -> None:
    made = flattened(bench(small()))
    made.complete(made.orders[0])
    made.now_ms = DUE
    made.known(100)
    made.later(600).known(100)
    assert made.alerts == ["fund_flattened"], "nobody is told that its run is late"
    made.later(86_400).known(100)
    assert {each.settlement for each in made.of(FixedSettled)} == {Settlement.SKIPPED}


def test_a_resume_brings_it_back_to_its_target() -> None:
    made = flattened(bench(small()))
    made.complete(made.orders[0])
    made.command(RESUME, "BTC3L", "over")
    assert made.fund().flattening == ""
    made.command(CommandKind.REBALANCE, "BTC3L", "back")
    made.later(1).known(100)
    made.complete(made.orders[-1])
    assert made.fund().holding.units[BTC] == 3


def test_a_fund_that_is_flat_takes_no_rebalance_and_says_how_it_would() -> None:
    made = flattened(bench(small()))
    made.complete(made.orders[0])
    with pytest.raises(CommandRefused, match="BTC3L is flat until it is resumed: drill"):
        made.command(CommandKind.REBALANCE, "BTC3L", "back")


def test_a_fund_that_is_sold_has_no_trigger_but_the_gap() -> None:
    made = bench(small())
    fund_state = made.fund()
    before = distances_of(fund_state, made.state.worth(fund_state))
    assert Trigger.PRICE_MOVE in {each.trigger for each in before}
    flattened(made)
    after = distances_of(fund_state, made.state.worth(fund_state))
    assert {each.trigger for each in after} == {Trigger.GAP}


def test_the_whole_desk_is_flattened_and_opposite_funds_cross_inside() -> None:
    made = bench(small("A", 3), small("B", -1))
    flattened(made, "", Scope.DESK)
    assert made.orders[-1].units == -2
    made.complete(made.orders[-1])
    assert not any(each.holding.units for each in made.state.funds.values())


def test_a_halted_fund_is_flattened_and_a_halted_account_is_first_resumed() -> None:
    made = bench(small())
    made.command(CommandKind.HALT, "BTC3L", "x")
    made.command(CommandKind.HALT, "main", "y", Scope.ACCOUNT)
    flattened(made)
    assert made.orders == []
    made.command(RESUME, "main", "y", Scope.ACCOUNT)
    made.later(1).known(100)
    assert [order.units for order in made.orders] == [-3]


def test_a_rest_of_less_than_a_lot_is_left_and_says_so() -> None:
    known = desk(small(), contracts=[contract(lot="0.7")])
    made = bench(small(), price=100)
    assert known.contracts[BTC].lot == D("0.7")
    made.state.desk = known
    flattened(made)
    made.complete(made.orders[0])
    made.later(1).known(100)
    assert made.fund().holding.units[BTC] == D("0.2")
    assert len(made.of(RunOpened)) == 1


def test_what_cannot_be_flattened_is_refused_in_a_sentence() -> None:
    made = flattened(bench(small()))
    with pytest.raises(CommandRefused, match="has no fund that could be flattened, or all are"):
        made.command(FLATTEN, "BTC3L", "again")
    with pytest.raises(CommandRefused, match="there is no fund X"):
        made.command(FLATTEN, "X", "x")
    with pytest.raises(CommandRefused, match="a contract has no target"):
        made.command(FLATTEN, BTC, "x", Scope.CONTRACT)


def test_a_wiped_fund_comes_to_flat_though_a_liquidation_ended_its_run() -> None:
    made = bench(small())
    made.later(60).known(100)
    for _ in range(4):
        made.later(5).known(60)
    (order,) = made.orders
    assert made.fund().trading is TradingState.WIPED
    made.fill(order, 1)
    made.take(
        LiquidationReported(made.now_ms, "main", BTC, PositionSide.NET, "liq", D(-1), D(60), D(0))
    )
    assert made.fund().run is None
    made.report(order, Outcome.CLOSED, filled_contracts=D(1))
    made.later(61).known(60)
    made.complete(made.orders[-1])
    assert not made.fund().holding.units
    assert {each.plan.trigger for each in made.of(RunOpened)} == {Trigger.GAP}
