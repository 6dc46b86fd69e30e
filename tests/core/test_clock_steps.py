"""A clock that steps, in both directions, around a fixed instant: one run, or an alerted miss."""

from __future__ import annotations

import pytest

from rebalancer.core.events import ClockStepped
from rebalancer.core.fund import Execution
from rebalancer.core.instant import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from rebalancer.core.methodology import COOLDOWN_MS, Trigger
from rebalancer.core.records import ClockSetBack, DeskStarted, FixedSettled, RunOpened, Settlement
from tests.factories import DUE, NOON, Bench, D, bench, fund, only, rules

#: how far our clock is off, in milliseconds
OFFSETS = [
    sign * size for size in (SECOND_MS, MINUTE_MS, HOUR_MS, 7 * HOUR_MS, DAY_MS) for sign in (1, -1)
]
#: from when to when it is off, relative to the fixed instant
SPANS = [(-2 * HOUR_MS, -HOUR_MS), (-HOUR_MS, HOUR_MS), (-MINUTE_MS, MINUTE_MS), (0, 3 * HOUR_MS)]


@pytest.mark.parametrize("offset_ms", OFFSETS)
@pytest.mark.parametrize("span", SPANS)
def test_a_clock_that_is_off_for_a_while(offset_ms: int, span: tuple[int, int]) -> None:
    made = bench(fund(initial_shares=D(1), methodology=only(fixed=rules(3).fixed)))
    begin_ms, end_ms = DUE + span[0], DUE + span[1]
    for true_ms in range(NOON + MINUTE_MS, DUE + 8 * HOUR_MS, 5 * MINUTE_MS):
        off = offset_ms if begin_ms <= true_ms < end_ms else 0
        made.now_ms = true_ms + off
        made.wake()
        for second in (0, SECOND_MS, 2 * SECOND_MS):
            made.now_ms = true_ms + second + off
            made.tick(105, stamp_ms=true_ms + second)
            while made.fund().run is not None and made.state.orders:
                made.complete(made.orders[-1])
    settled = [each for each in made.of(FixedSettled) if each.due_ms == DUE]
    assert len(settled) == 1
    (one,) = settled
    if one.settlement is Settlement.MISSED:
        assert "fixed_missed" in made.alerts
    else:
        assert one.settlement is Settlement.RUN
        assert any(DUE in each.plan.due_ms for each in made.of(RunOpened))
    due = [each.due_ms for each in made.of(FixedSettled)]
    assert len(due) == len(set(due))


@pytest.mark.parametrize("asleep_ms", [HOUR_MS, 5 * HOUR_MS, 7 * HOUR_MS, 3 * DAY_MS])
def test_a_machine_that_was_suspended_over_the_instant(asleep_ms: int) -> None:
    made = bench(fund(initial_shares=D(1), methodology=only(fixed=rules(3).fixed)))
    made.now_ms = DUE - MINUTE_MS
    made.tick(105)
    made.now_ms += asleep_ms  # the loop saw nothing of it
    made.wake()
    for second in range(3):
        made.later(second).tick(105)
    instants = [DUE + day * DAY_MS for day in range(asleep_ms // DAY_MS + 1)]
    told = {each.due_ms: each.settlement for each in made.of(FixedSettled)}
    assert set(told) == {each for each in instants if each <= made.now_ms}
    missed = [each for each in told.values() if each is Settlement.MISSED]
    assert made.alerts.count("fixed_missed") == len(missed)
    late = [each for each in told if made.now_ms - each > 6 * HOUR_MS + MINUTE_MS]
    assert all(told[each] is Settlement.MISSED for each in late)


@pytest.mark.parametrize("around_ms", range(-2_000, 2_001, 500))
def test_a_restart_within_seconds_of_the_instant(around_ms: int) -> None:
    made = bench(fund(initial_shares=D(1), methodology=only(fixed=rules(3).fixed)))
    made.now_ms = DUE + around_ms
    made.tick(105)
    again = made.restarted()
    for _ in range(6):
        again.later(1).tick(105)
        for order in [each.intent for each in again.state.orders.values()]:
            again.complete(order)
    settled = [each.settlement for each in again.of(FixedSettled)]
    assert settled == [Settlement.RUN]
    assert len(again.of(RunOpened)) == 1


def hours_ahead() -> Bench:
    """Return a fund in the middle of a run's slices whose clock, hours ahead, was just set right.

    Prices are stamped by the desk's clock, as feeds do it.
    """
    slices = Execution(max_child_units=D("0.05"))
    made = bench(fund(initial_shares=D(1), execution=slices, methodology=rules(3)))
    made.later(7 * HOUR_MS // SECOND_MS).known(80)
    made.complete(made.orders[-1])
    assert made.fund().run is not None, "there are more slices to come"
    made.now_ms -= 7 * HOUR_MS
    return made


def slices_sent(made: Bench) -> int:
    """Return how many orders two prices lead to."""
    sent = len(made.orders)
    for _ in range(2):
        made.later(2).tick(80)
    return len(made.orders) - sent


def test_a_run_goes_on_and_prices_are_taken_once_the_clock_is_set_back() -> None:
    made = hours_ahead()
    assert slices_sent(made) == 0, "unless it is told, the desk waits seven hours"
    assert "price_refused" in made.alerts
    made.take(ClockStepped(made.now_ms, made.now_ms + 7 * HOUR_MS))
    assert made.alerts[-1] == "clock_set_back"
    assert slices_sent(made) == 1
    for each in made.of(ClockSetBack):
        assert each.from_ms - each.at_ms == 7 * HOUR_MS


def test_a_cool_down_that_began_in_the_future_does_not_leave_a_fund_unguarded() -> None:
    made = bench(fund(initial_shares=D(1), methodology=rules(3)))
    made.later(7 * HOUR_MS // SECOND_MS).known(84)
    made.complete(made.orders[-1])
    made.now_ms -= 7 * HOUR_MS
    made.take(ClockStepped(made.now_ms, made.now_ms + 7 * HOUR_MS))
    for _ in range(2):
        made.later(1).tick(71)
    assert made.fund().run is None, "it cools down from now on"
    made.later(COOLDOWN_MS // SECOND_MS)
    for _ in range(2):
        made.later(1).tick(71)
    assert made.of(RunOpened)[-1].plan.trigger is Trigger.PRICE_MOVE


def test_a_start_takes_what_is_from_the_future_for_now() -> None:
    again = hours_ahead().restarted()
    started = DeskStarted(again.now_ms, "live", "")
    again.records.append(started)
    again = again.restarted()
    assert slices_sent(again) == 1
