"""What happens to one fund while something else of it is still under way."""

from __future__ import annotations

import pytest

from rebalancer.core.calendar import ALWAYS_OPEN
from rebalancer.core.events import CommandKind, WindDownAsked
from rebalancer.core.flow import FlowRule
from rebalancer.core.instant import DAY_MS, HOUR_MS
from rebalancer.core.methodology import (
    BasketChange,
    Destination,
    Elapsed,
    Fixed,
    Goal,
    LeverageBand,
    Manual,
    Methodology,
    Reconstitution,
    Trigger,
)
from rebalancer.core.order import Outcome
from rebalancer.core.records import BreachLapsed, BreachSeen, RunMoved, RunOpened
from rebalancer.core.run import RunStatus
from tests.core.test_flows import ask, flow
from tests.core.test_reloading import offer
from tests.factories import BTC, DUE, ETH, NOON, Bench, D, bench, emergency_at, fund, only

EDGE = Goal(Destination.EDGE)
BAND = LeverageBand(lower=D(2), upper=D(4))
OWED = LeverageBand(lower=D("2.5"), upper=D("3.5"), within_business_days=1, calendar=ALWAYS_OPEN)


def standing(rules: Methodology) -> Bench:
    return bench(fund(methodology=rules)).later(60)


def give_up(made: Bench, price: str) -> None:
    """Have every order of the run refused until it rests; the price moves meanwhile."""
    for _ in range(6):
        made.report(made.orders[-1], Outcome.REJECTED, reason="no")
        made.later(1).known(price)


def test_a_breach_is_seen_while_a_flow_is_bought() -> None:
    made = standing(only(leverage_band=OWED, flow=FlowRule()))
    made.known("100")
    ask(made, flow("subscribe", 1_000))
    made.later(60).known("90")
    assert [each.since_ms for each in made.of(BreachSeen)] == [made.now_ms]


def test_a_breach_is_seen_while_a_run_rests_but_not_while_one_works_that_would_end_it() -> None:
    made = standing(only(leverage_band=OWED, manual=Manual()))
    made.known("96")
    made.command(CommandKind.REBALANCE)
    made.later(1).known("90")
    assert made.of(BreachSeen) == []
    give_up(made, "90")
    assert [each.since_ms for each in made.of(BreachSeen)] == [made.now_ms]


@pytest.mark.parametrize("trigger", [Trigger.EMERGENCY, Trigger.MANUAL])
def test_what_takes_the_place_of_a_fixed_run_goes_as_far(trigger: Trigger) -> None:
    backstop = emergency_at("4.5", goal=EDGE)
    made = standing(
        only(fixed=Fixed(), leverage_band=BAND, emergency=backstop, manual=Manual(goal=EDGE))
    )
    made.now_ms = DUE
    made.known("110")
    if trigger is Trigger.EMERGENCY:
        made.later(1).known("84")
    else:
        give_up(made, "110")
        made.command(CommandKind.REBALANCE)
    opened = made.of(RunOpened)[-1].plan
    assert opened.trigger is trigger
    assert opened.target_leverage == 3


HALVES = BasketChange(due_ms=NOON + DAY_MS, basket={BTC: D("0.5"), ETH: D("0.5")})


@pytest.mark.parametrize(
    "rules",
    [
        only(elapsed=Elapsed(days=1)),
        only(reconstitution=Reconstitution(changes=(HALVES,))),
        only(fixed=Fixed(utc_offset_ms=0, times_of_day_ms=(12 * HOUR_MS,))),
    ],
    ids=["elapsed", "reconstitution", "fixed"],
)
def test_what_is_due_by_the_clock_resumes_its_incomplete_run_and_opens_no_other(
    rules: Methodology,
) -> None:
    made = bench(fund(methodology=rules))
    made.now_ms = NOON + DAY_MS
    for symbol in made.state.holders:
        made.known("105", symbol=symbol)
    give_up(made, "105")
    (run,) = made.of(RunOpened)
    assert made.of(RunMoved)[-1].status is RunStatus.INCOMPLETE
    made.later(60).known("107")
    assert made.of(RunOpened) == [run]
    assert made.of(RunMoved)[-1].status is RunStatus.WORKING


def test_a_fund_that_ends_resumes_its_incomplete_sale_and_opens_no_other() -> None:
    made = standing(only())
    made.known("105")
    made.take(WindDownAsked(made.now_ms, "BTC3L", "the end"))
    give_up(made, "105")
    made.later(60).known("107")
    assert len(made.of(RunOpened)) == 1
    assert made.of(RunMoved)[-1].status is RunStatus.WORKING


def test_a_new_basket_waits_for_no_incomplete_run_to_the_old_one() -> None:
    rules = only(reconstitution=Reconstitution(changes=(HALVES,)), manual=Manual())
    made = bench(fund(methodology=rules))
    made.now_ms = NOON + DAY_MS - 10_000
    for symbol in made.state.holders:
        made.known("105", symbol=symbol)
    made.command(CommandKind.REBALANCE)
    give_up(made, "105")
    made.now_ms = NOON + DAY_MS
    made.known("105", symbol=ETH)
    made.known("105")
    opened = made.of(RunOpened)[-1].plan
    assert opened.trigger is Trigger.RECONSTITUTION
    assert opened.target_units.keys() == {BTC, ETH}


@pytest.mark.parametrize("after", [None, BAND], ids=["no band", "a band that acts at once"])
def test_a_duty_ends_with_its_deadline_when_the_rule_changes(after: LeverageBand | None) -> None:
    made = standing(only(leverage_band=OWED))
    made.known("90")  # 3.857x
    assert made.fund().duty is not None
    offer(made, fund(methodology=only(leverage_band=after)))
    made.later(1).known("90")
    assert made.fund().duty is None
    assert made.of(BreachLapsed)[0].reason == "the fund has no band with a deadline any more"
    assert made.of(RunOpened) == []
    made.later(1).known("88")  # 4.125x
    assert [each.plan.trigger for each in made.of(RunOpened)] == (
        [] if after is None else [Trigger.LEVERAGE_BAND]
    )
