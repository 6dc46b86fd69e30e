"""What happens to one fund while something else of it is still under way."""

from __future__ import annotations

import pytest

from rebalancer.core.calendar import ALWAYS_OPEN
from rebalancer.core.events import CommandKind
from rebalancer.core.flow import FlowRule
from rebalancer.core.methodology import (
    Destination,
    Fixed,
    Goal,
    LeverageBand,
    Manual,
    Methodology,
    Trigger,
)
from rebalancer.core.order import Outcome
from rebalancer.core.records import BreachSeen, RunOpened
from tests.core.test_flows import ask, flow
from tests.factories import DUE, Bench, D, bench, emergency_at, fund, only

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
