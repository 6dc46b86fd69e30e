"""What holders ask for halts nobody: a flow whose trades would break a limit is refused."""

from __future__ import annotations

from typing import Any

import pytest

from rebalancer.core.capital import FlowDealt, FlowRefused
from rebalancer.core.events import CommandKind
from rebalancer.core.flow import FlowRule
from rebalancer.core.fund import Execution, Limits
from rebalancer.core.instant import HOUR_MS
from rebalancer.core.methodology import Trigger
from rebalancer.core.records import RunMoved, RunOpened, TradingState
from rebalancer.core.run import RunStatus
from tests.core.test_flows import ask, flow
from tests.factories import DUE, Bench, D, bench, fund, rules

SLICED = Execution(max_child_notional=D(1_000))


def limited(execution: Execution | None = None, **limits: Any) -> Bench:
    """Return a 3L of NAV 100, exactly at its target, with these limits."""
    given: dict[str, Any] = {
        name: each if isinstance(each, int) else D(each) for name, each in limits.items()
    }
    known = fund(
        methodology=rules(3, flow=FlowRule()),
        limits=Limits(**given),
        execution=execution or Execution(),
    )
    made = bench(known).later(60)
    made.known(100)
    return made


def work_off(made: Bench) -> None:
    for _ in range(12):
        for order in made.orders:
            if order.client_order_id in made.state.orders:
                made.complete(order)
        made.later(1).known(100)


@pytest.mark.parametrize(
    ("execution", "limits", "sentence"),
    [
        (None, {"max_run_notional": "2999"}, "max_run_notional: the run would trade 3000.00"),
        (None, {"max_order_notional": "2999"}, "max_order_notional: 3000.00 would be more"),
        (None, {"max_day_notional": "2999"}, "max_day_notional: 3000.00 would be more than 2999"),
        (None, {"max_minute_notional": "2999"}, "max_minute_notional: 3000.00 would be more"),
        (SLICED, {"max_orders_per_run": 2}, "max_orders_per_run: 3 orders would be more than 2"),
        (SLICED, {"max_order_notional": "999"}, "max_order_notional: 1000.00 would be more"),
    ],
)
def test_a_flow_beyond_a_limit_is_refused_and_halts_nobody(
    execution: Execution | None, limits: dict[str, Any], sentence: str
) -> None:
    made = limited(execution, **limits)
    ask(made, flow("subscribe", 1_000))
    (refused,) = made.of(FlowRefused)
    assert refused.reason.startswith(sentence)
    assert made.of(FlowDealt) == []
    assert made.fund().trading is TradingState.ACTIVE


@pytest.mark.parametrize(
    ("execution", "limits"),
    [
        (None, {"max_run_notional": "3000", "max_day_notional": "3000"}),
        (None, {"max_order_notional": "3000", "max_minute_notional": "3000"}),
        (SLICED, {"max_orders_per_run": 3, "max_order_notional": "1000"}),
    ],
)
def test_a_flow_up_to_its_limits_is_dealt_and_its_run_breaks_none(
    execution: Execution | None, limits: dict[str, Any]
) -> None:
    made = limited(execution, **limits)
    ask(made, flow("subscribe", 1_000))
    work_off(made)
    assert len(made.of(FlowDealt)) == 1
    assert made.fund().run is None
    assert made.fund().trading is TradingState.ACTIVE


@pytest.mark.parametrize("kind", ["subscribe", "redeem"])
def test_flows_dealt_together_keep_the_limits_together(kind: str) -> None:
    made = limited(max_run_notional="5000")
    size = 1_000 if kind == "subscribe" else 10
    ask(made, flow(kind, size, "a"), flow(kind, size, "b"))
    work_off(made)
    assert [each.flow for each in made.of(FlowDealt)] == ["a"]
    assert [each.flow for each in made.of(FlowRefused)] == ["b"]
    assert made.fund().trading is TradingState.ACTIVE


def test_a_day_that_is_nearly_spent_counts() -> None:
    made = limited(max_day_notional="5000")
    ask(made, flow("subscribe", 1_000, "a"))
    work_off(made)
    ask(made, flow("subscribe", 1_000, "b"))
    assert [each.flow for each in made.of(FlowRefused)] == ["b"]


def test_a_fund_over_its_largest_leverage_buys_nothing_for_a_flow() -> None:
    made = limited(max_leverage="3.2")
    made.later(60).known(95)  # 3.35x
    ask(made, flow("subscribe", 1_000))
    assert made.of(FlowRefused)[0].reason == "max_leverage: leverage is 3.3529, more than 3.2"
    ask(made, flow("redeem", 100, "out"))
    assert [each.flow for each in made.of(FlowDealt)] == ["out"]
    work_off(made)
    assert made.fund().trading is TradingState.ACTIVE


@pytest.mark.parametrize(("limit", "dealt"), [("1199999", 0), ("1200001", 1)])
def test_a_flow_counts_with_the_rebalance_that_it_joins(limit: str, dealt: int) -> None:
    made = limited(max_run_notional=limit)
    made.now_ms = DUE  # the fixed run and the flow wait for a price together
    ask(made, flow("subscribe", 300_000))
    made.known(105)
    assert len(made.of(FlowDealt)) == dealt
    (opened,) = made.of(RunOpened)
    assert opened.plan.trigger is Trigger.FIXED
    assert round(made.orders[0].notional) == 300_000 + 900_000 * dealt
    work_off(made)
    assert made.fund().trading is TradingState.ACTIVE
    assert made.of(RunMoved)[-1].status is RunStatus.DONE


def test_a_flow_does_not_join_a_run_that_the_day_has_no_room_for() -> None:
    made = limited(max_runs_per_day=1)
    made.now_ms = DUE - HOUR_MS
    made.known(101)
    made.command(CommandKind.REBALANCE)
    work_off(made)
    made.now_ms = DUE
    ask(made, flow("subscribe", 1_000))
    made.known(105)
    (refused,) = made.of(FlowRefused)
    assert refused.reason == "max_runs_per_day: 1 runs were made today"
    assert made.fund().trading is TradingState.HALTED  # by the fixed run, which nobody may make
    assert made.of(FlowDealt) == []
