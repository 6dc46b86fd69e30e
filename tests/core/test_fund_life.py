"""The life of a fund: a new target at the next point, and its end by an operator."""

from __future__ import annotations

import pytest

from rebalancer.core.capital import FlowDealt, FlowRefused, ManagementFeeCharged
from rebalancer.core.engine import Step
from rebalancer.core.events import CommandKind, WindDownAsked
from rebalancer.core.fees import ManagementFee
from rebalancer.core.flow import FlowRule, OnBusy
from rebalancer.core.instant import DAY_MS
from rebalancer.core.methodology import Trigger
from rebalancer.core.records import RunOpened
from rebalancer.errors import CommandRefused
from tests.core.test_flows import ask, flow, standing
from tests.factories import BTC, DUE, NOON, Bench, D, desk, fund


def close(made: Bench) -> Step:
    return made.take(WindDownAsked(made.now_ms, "BTC3L", "no demand"))


def test_a_new_target_leverage_counts_from_the_next_point_on() -> None:
    made = standing()
    made.known(105)
    changed = Bench(desk(fund(target=2)), now_ms=made.now_ms)
    changed.records = list(made.records)
    changed = changed.restarted()
    changed.known(110)
    worth = changed.state.worth(changed.fund())
    assert worth is not None
    assert worth.formula_nav == 130  # still 3 times what the price did
    changed.command(CommandKind.REBALANCE)
    changed.complete(changed.orders[-1])
    there = changed.fund()
    assert there.point is not None
    assert (there.point.leverage, there.point.nav) == (D(2), D(130))
    changed.later(60).known(121)
    worth = changed.state.worth(there)
    assert worth is not None
    assert worth.formula_nav == 156


def test_a_closed_fund_is_flat_pays_its_holders_and_buys_nothing_again() -> None:
    made = standing(FlowRule(on_busy=OnBusy.QUEUE), management_fee=ManagementFee(daily=D("0.003")))
    made.known(105)
    close(made)
    (order,) = made.orders
    assert (order.units, order.reduce_only) == (D(-30_000), True)
    assert made.of(RunOpened)[-1].plan.trigger is Trigger.WIND_DOWN
    made.complete(order)
    there = made.fund()
    assert there.holding.units == {}
    made = made.restarted()
    made.now_ms = DUE
    made.known(105)
    made.later(600).known(105)
    assert made.alerts == [], "nobody is told that its fixed run is late"
    made.now_ms = NOON + 2 * DAY_MS
    made.known(50)
    there = made.fund()
    worth = made.state.worth(there)
    assert worth is not None
    assert worth.nav == worth.formula_nav == 115
    assert made.of(ManagementFeeCharged) == []
    assert "fixed_missed" not in made.alerts
    assert there.verdict == (Trigger.NONE, "closed: no demand")
    with pytest.raises(CommandRefused, match="BTC3L is being closed: no demand"):
        ask(made, flow("subscribe", 1_000))
    with pytest.raises(CommandRefused, match="BTC3L is being closed: no demand"):
        made.command(CommandKind.REBALANCE)
    ask(made, flow("redeem", 10_000, "mine"))
    assert made.of(FlowDealt)[-1].cash == -1_150_000
    assert (there.shares, there.holding.cash) == (D(0), D(0))
    assert made.orders == []


def test_a_subscription_that_waits_is_refused_once_its_fund_is_closed() -> None:
    made = standing(FlowRule(on_busy=OnBusy.QUEUE))
    made.known(105)
    made.command(CommandKind.REBALANCE)
    ask(made, flow("subscribe", 1_000, "in"))
    ask(made, flow("redeem", 10, "out"))
    assert set(made.fund().flows) == {"in", "out"}
    close(made)
    (refused,) = made.of(FlowRefused)
    assert (refused.flow, refused.reason) == ("in", "the fund is being closed")


def test_a_closing_fund_still_ends_by_the_gap_rule() -> None:
    made = standing()
    made.known(105)
    close(made)
    made.later(1).known(60)
    assert made.of(RunOpened)[-1].plan.trigger is Trigger.GAP


def test_what_cannot_be_closed_is_refused() -> None:
    made = standing()
    made.known(105)
    made.command(CommandKind.HALT)
    with pytest.raises(CommandRefused, match="halted: asked for; resume it first"):
        close(made)
    made.command(CommandKind.RESUME)
    close(made)
    with pytest.raises(CommandRefused, match="is being closed already"):
        close(made)
    assert made.fund().holding.units == {BTC: D(30_000)}
