"""Flows that wait, and what they wait for: no end of it may pass them by."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rebalancer.core.capital import FlowDealt, FlowRefused
from rebalancer.core.events import (
    CommandKind,
    ConfigurationOffered,
    ContractChanged,
    WindDownAsked,
)
from rebalancer.core.flow import FlowRule, OnBusy
from rebalancer.core.instant import HOUR_MS
from rebalancer.core.methodology import BasketChange, Fixed, Reconstitution, Trigger
from rebalancer.core.order import Outcome
from rebalancer.core.records import FixedSettled, RunMoved, RunOpened, Settlement
from rebalancer.core.run import RunStatus
from rebalancer.core.scope import Scope
from tests.core.test_flows import ask, flow
from tests.factories import BTC, DUE, ETH, NOON, Bench, D, bench, fund, rules

QUEUE = FlowRule(cutoff_ms=HOUR_MS, on_busy=OnBusy.QUEUE)


def moved() -> Bench:
    """Return a 3L that left BTC for ETH an hour ago, by reconstitution."""
    change = BasketChange(due_ms=NOON + HOUR_MS, basket={ETH: D(1)})
    changes = rules(3, reconstitution=Reconstitution(changes=(change,)), flow=QUEUE)
    made = bench(fund(methodology=changes))
    made.now_ms = change.due_ms
    made.known(100)
    for symbol in (BTC, ETH):
        made.known(100, symbol=symbol)
    for order in made.orders:
        made.complete(order)
    assert made.fund().holding.units.keys() == {ETH}
    made.later(3_600).known(100, symbol=ETH)
    return made


def test_what_came_after_the_cut_off_is_dealt_once_its_fixed_run_is_skipped() -> None:
    skips = rules(3, fixed=Fixed(skip_below_move=D("0.01")), flow=QUEUE)
    made = bench(fund(methodology=skips))
    made.now_ms = DUE - 1_000
    made.known(100)
    ask(made, flow("subscribe", 1_000))
    assert made.of(FlowDealt) == []
    made.later(1).known(100)
    assert [each.settlement for each in made.of(FixedSettled)] == [Settlement.SKIPPED]
    assert len(made.of(FlowDealt)) == 1


def test_a_member_of_before_that_is_frozen_shuts_no_flows() -> None:
    made = moved()
    made.take(ContractChanged(made.now_ms, BTC, "delisted"))
    ask(made, flow("subscribe", 1_000))
    assert len(made.of(FlowDealt)) == 1


def test_flows_wait_for_a_member_that_joined_later_and_is_frozen() -> None:
    made = moved()
    made.known(105, symbol=ETH)
    made.command(CommandKind.REBALANCE)
    ask(made, flow("subscribe", 1_000))  # waits for the run
    (order,) = [each for each in made.orders if each.client_order_id in made.state.orders]
    made.take(ContractChanged(made.now_ms, ETH, "another contract size"))
    made.complete(order)
    assert made.fund().run is None
    assert made.of(FlowDealt) == []
    made.command(CommandKind.RESUME, ETH, "looked at", Scope.CONTRACT)
    assert len(made.of(FlowDealt)) == 1


def test_a_flows_run_that_gave_up_hides_nothing_from_the_backstop() -> None:
    made = bench(fund(methodology=rules(3, flow=QUEUE))).later(60)
    made.known(100)
    ask(made, flow("redeem", 7_000))  # 10x until its units are sold; the backstop is at 7.5x
    for _ in range(5):
        assert made.of(RunOpened)[-1].plan.trigger is Trigger.FLOW
        made.report(made.orders[-1], Outcome.REJECTED, reason="too many requests")
        made.later(1).known(100)
    assert made.of(RunMoved)[0].status is RunStatus.INCOMPLETE
    made.later(1).known(100)
    opened = made.of(RunOpened)[-1].plan
    assert opened.trigger is Trigger.EMERGENCY
    assert opened.target_units == {BTC: D(9_000)}
    assert opened.leverage == 10


def test_what_waits_when_the_gap_rule_ends_the_fund_is_refused() -> None:
    made = bench(fund(methodology=rules(3, flow=QUEUE)))
    made.now_ms = DUE - 1_000
    made.known(100)
    ask(made, flow("subscribe", 1_000))
    made.known(60)
    (refused,) = made.of(FlowRefused)
    assert refused.reason == "the gap rule ended the fund before it was dealt"
    assert made.fund().flows == {}


@pytest.mark.parametrize(("scope", "name"), [(Scope.DESK, ""), (Scope.FUND, "BTC3L")])
def test_a_halt_stops_the_run_of_a_flow_and_the_resume_takes_it_up(scope: Scope, name: str) -> None:
    made = bench(fund(methodology=rules(3, flow=QUEUE))).later(60)
    made.known(100)
    ask(made, flow("subscribe", 1_000_000))  # as much again: its units are owed to its holders
    (order,) = made.orders
    made.report(order, Outcome.ACCEPTED, venue_order_id="v")
    made.fill(order, order.contracts / 4)
    made.command(CommandKind.HALT, name, "drill", scope)
    made.report(order, Outcome.CLOSED, filled_contracts=order.contracts / 4)
    made = made.restarted().later(600)
    made.known(100)
    assert made.orders == []
    made.command(CommandKind.RESUME, name, "over", scope)
    (rest,) = made.orders
    made.complete(rest)
    assert made.fund().holding.units == {BTC: D(60_000)}
    assert made.fund().run is None


@pytest.mark.parametrize("kind", ["subscribe", "redeem"])
def test_a_fixed_time_keeps_no_flow_of_an_empty_or_closing_fund_waiting(kind: str) -> None:
    made = bench(fund(methodology=rules(3, flow=QUEUE))).later(60)
    made.known(100)
    if kind == "subscribe":
        ask(made, flow("redeem", 10_000, "all"))
    else:
        made.take(WindDownAsked(made.now_ms, "BTC3L", "the end"))
    made.complete(made.orders[-1])
    before = len(made.of(FlowDealt))
    made.now_ms = DUE + HOUR_MS  # its fixed time could still be caught up, and nothing serves it
    made.known(100)
    ask(made, flow(kind, 1_000))
    assert len(made.of(FlowDealt)) == before + 1
    assert [each.settlement for each in made.of(FixedSettled)] == [Settlement.SKIPPED]


def test_what_waits_is_refused_when_the_fund_takes_no_flows_any_more() -> None:
    known = fund(methodology=rules(3, flow=QUEUE))
    made = bench(known)
    made.now_ms = DUE - 1_000
    made.known(100)
    ask(made, flow("subscribe", 1_000))
    closed = replace(known, methodology=rules(3, flow=None))
    made.take(ConfigurationOffered(made.now_ms, before="", digest="new", funds={"BTC3L": closed}))
    (refused,) = made.of(FlowRefused)
    assert refused.reason == "the fund takes no flows any more"
    assert made.fund().flows == {}
