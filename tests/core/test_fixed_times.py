"""Fixed runs: exactly once per instant, caught up when late, recorded when missed."""

from __future__ import annotations

from rebalancer.core import engine
from rebalancer.core.actions import Alert
from rebalancer.core.events import CommandKind
from rebalancer.core.fund import Execution
from rebalancer.core.instant import DAY_MS, HOUR_MS, MINUTE_MS, iso, parse
from rebalancer.core.methodology import Fixed, Trigger
from rebalancer.core.records import FixedSettled, RunOpened, Settlement, VerdictChanged
from rebalancer.core.rules.fixed import missed_instants, open_instants
from tests.factories import DUE, Bench, D, Number, bench, fund, only, rules


def settled(made: Bench) -> list[tuple[str, Settlement]]:
    return [(iso(record.due_ms)[5:16], record.settlement) for record in made.of(FixedSettled)]


def at(made: Bench, moment_ms: int, price: Number = 100) -> Bench:
    made.now_ms = moment_ms
    made.known(price)
    return made


def finish(made: Bench) -> None:
    for order in made.orders:
        if order.client_order_id in made.state.orders:
            made.complete(order)


def test_10_30_at_plus_8_hours_is_02_30_utc_every_day() -> None:
    rule = Fixed()
    assert rule.next_due_ms(parse("2026-01-01T12:00:00Z")) == DUE
    assert rule.next_due_ms(DUE) == DUE + DAY_MS
    assert rule.next_due_ms(DUE - 1) == DUE
    assert rule.due_between(DUE - DAY_MS, DUE)[-1] == DUE
    assert rule.due_between(DUE - 2 * DAY_MS, DUE - 1)[-1] == DUE - DAY_MS


def test_a_time_west_of_utc_and_several_times_a_day() -> None:
    rule = Fixed(times_of_day_ms=(0, 20 * HOUR_MS), utc_offset_ms=-5 * HOUR_MS)
    found = rule.due_between(parse("2026-01-01T05:00:00Z"), parse("2026-01-03T01:00:00Z"))
    assert [iso(each) for each in found] == [
        "2026-01-02T01:00:00Z",
        "2026-01-02T05:00:00Z",
        "2026-01-03T01:00:00Z",
    ]


def test_nothing_is_due_before_the_instant_and_one_run_at_it() -> None:
    made = bench(fund())
    at(made, DUE - 1)
    assert made.of(RunOpened) == []
    at(made, DUE, 105)
    (opened,) = made.of(RunOpened)
    assert opened.plan.trigger is Trigger.FIXED
    assert opened.plan.due_ms == (DUE,)
    assert settled(made) == [("01-02T02:30", Settlement.RUN)]


def test_an_instant_is_served_once_however_often_the_desk_looks() -> None:
    made = bench(fund())
    for second in range(20):
        at(made, DUE + second * 1000, 105)
        made.wake()
        finish(made)
    assert len(made.of(RunOpened)) == 1
    assert len(made.of(FixedSettled)) == 1


def test_a_late_desk_catches_up_exactly_once_within_six_hours() -> None:
    made = bench(fund())
    at(made, DUE + 6 * HOUR_MS, 105)
    finish(made)
    at(made, DUE + 6 * HOUR_MS + 1, 105)
    assert settled(made) == [("01-02T02:30", Settlement.RUN)]
    assert made.of(RunOpened)[0].plan.reason == (
        "fixed time 2026-01-02T02:30:00Z, caught up 360 min late"
    )


def test_a_run_later_than_six_hours_is_missed_once_and_alerted() -> None:
    made = bench(fund())
    for later_ms in (1, 2, MINUTE_MS):
        at(made, DUE + 6 * HOUR_MS + later_ms, 105)
    assert settled(made) == [("01-02T02:30", Settlement.MISSED)]
    assert made.alerts == ["fixed_missed"]
    assert made.of(RunOpened) == []


def test_an_instant_without_prices_is_missed_when_its_window_closes_and_not_before() -> None:
    made = bench(fund())
    for moment_ms in (DUE, DUE + 6 * HOUR_MS, DUE + 6 * HOUR_MS + 1):
        made.now_ms = moment_ms
        made.wake()
    assert settled(made) == [("01-02T02:30", Settlement.MISSED)]
    assert made.of(FixedSettled)[0].at_ms == DUE + 6 * HOUR_MS + 1


def test_a_fixed_run_that_does_not_begin_within_a_minute_is_told_once() -> None:
    """Prices are old: the run waits up to six hours for a fresh one, and nobody looks."""
    made = bench(fund())
    for later_ms in (0, MINUTE_MS - 1, MINUTE_MS, 2 * MINUTE_MS):
        made.now_ms = DUE + later_ms
        made.wake()
        assert made.alerts == ([] if later_ms < MINUTE_MS else ["fixed_late"])
    (told,) = [action for action in made.actions if isinstance(action, Alert)]
    assert told.text.endswith("has not begun: fixed waits for a fresh price")


def test_the_desk_wakes_by_itself_to_say_so() -> None:
    made = bench(fund())
    made.now_ms = DUE
    made.wake()
    assert engine.next_wake_ms(made.state) == DUE + MINUTE_MS


def test_after_a_week_away_six_are_missed_and_the_last_is_caught_up() -> None:
    made = bench(fund())
    at(made, DUE + 6 * DAY_MS + HOUR_MS, 100)
    kinds = [kind for _, kind in settled(made)]
    assert kinds == [Settlement.MISSED] * 6 + [Settlement.RUN]
    assert len({due for due, _ in settled(made)}) == 7


def test_several_open_instants_become_one_run_and_each_is_settled() -> None:
    twice = Fixed(times_of_day_ms=(HOUR_MS, 2 * HOUR_MS), utc_offset_ms=0)
    made = bench(fund(methodology=rules(3, fixed=twice)))
    at(made, parse("2026-01-02T03:00:00Z"), 105)
    assert len(made.of(RunOpened)) == 1
    assert settled(made) == [
        ("01-02T01:00", Settlement.RUN),
        ("01-02T02:00", Settlement.RUN),
    ]


def test_open_and_missed_instants_share_every_instant_between_them() -> None:
    rule = Fixed(catch_up_ms=6 * HOUR_MS)
    after_ms = DUE - 10 * DAY_MS
    for offset_ms in (-1, 0, 1, 6 * HOUR_MS - 1, 6 * HOUR_MS, 6 * HOUR_MS + 1):
        now_ms = DUE + offset_ms
        both = (*missed_instants(rule, after_ms, now_ms), *open_instants(rule, after_ms, now_ms))
        assert both == rule.due_between(after_ms, now_ms)


def test_when_price_move_and_fixed_meet_the_move_names_the_run_and_settles_the_instant() -> None:
    made = bench(fund())
    at(made, DUE, 84)
    (opened,) = made.of(RunOpened)
    assert opened.plan.trigger is Trigger.PRICE_MOVE
    assert settled(made) == [("01-02T02:30", Settlement.RUN)]
    finish(made)
    at(made, DUE + 120_000, 84)
    assert len(made.of(RunOpened)) == 1


def test_an_instant_that_falls_into_a_threshold_run_gets_its_own_run_afterwards() -> None:
    slow = Execution(max_child_notional=D(500_000), interval_ms=60_000)
    made = bench(fund(execution=slow))
    at(made, DUE - 30_000, 84)
    while made.now_ms < DUE + HOUR_MS:
        finish(made)
        at(made, made.now_ms + 15_000, 84)
    assert [each.plan.trigger for each in made.of(RunOpened)] == [
        Trigger.PRICE_MOVE,
        Trigger.FIXED,
    ]
    assert settled(made) == [("01-02T02:30", Settlement.RUN)]


def test_a_fund_launched_at_an_instant_waits_for_the_next() -> None:
    made = Bench(bench(fund()).desk, now_ms=DUE)
    made.known(100)
    at(made, DUE + HOUR_MS, 105)
    assert made.of(FixedSettled) == []
    at(made, DUE + DAY_MS, 105)
    assert settled(made) == [("01-03T02:30", Settlement.RUN)]


def test_a_day_with_no_move_still_has_its_run_which_is_done_and_moves_the_base() -> None:
    made = bench(fund())
    at(made, DUE, 100)
    assert settled(made) == [("01-02T02:30", Settlement.RUN)]
    assert made.orders == []
    point = made.fund().point
    assert point is not None
    assert point.at_ms == DUE


def test_a_skipped_run_is_settled_and_leaves_the_base() -> None:
    lazy = only(fixed=Fixed(skip_below_move=D("0.01")))
    made = bench(fund(methodology=lazy))
    before = made.fund().point
    at(made, DUE, "100.99")
    assert settled(made) == [("01-02T02:30", Settlement.SKIPPED)]
    assert made.fund().point == before
    at(made, DUE + DAY_MS, 101)
    assert settled(made)[-1] == ("01-03T02:30", Settlement.RUN)


def test_a_run_inside_the_leverage_tolerance_is_skipped_and_its_edges_belong_to_it() -> None:
    lazy = only(fixed=Fixed(skip_within=(D("2.75"), D("3.25"))))
    for price, kind in (
        ("104.761904761904761904", Settlement.SKIPPED),  # 2.75 and a little more
        ("104.761904761904761905", Settlement.RUN),
        ("96.296296296296296297", Settlement.SKIPPED),  # 3.25 less a little
        ("96.296296296296296296", Settlement.RUN),
    ):
        made = bench(fund(methodology=lazy))
        at(made, DUE, price)
        assert settled(made) == [("01-02T02:30", kind)], price


def test_a_halted_fund_settles_nothing_until_it_is_resumed() -> None:
    made = bench(fund())
    made.command(CommandKind.HALT)
    at(made, DUE, 105)
    assert settled(made) == []
    made.now_ms = DUE + HOUR_MS
    made.command(CommandKind.RESUME)
    at(made, DUE + HOUR_MS, 105)
    assert settled(made) == [("01-02T02:30", Settlement.RUN)]


def test_a_fixed_run_needs_no_cool_down() -> None:
    made = bench(fund())
    at(made, DUE - 1_000, 84)
    finish(made)
    at(made, DUE, 84)
    assert [each.plan.trigger for each in made.of(RunOpened)] == [
        Trigger.PRICE_MOVE,
        Trigger.FIXED,
    ]


def test_every_evaluation_that_changes_its_answer_leaves_a_verdict() -> None:
    made = bench(fund())
    for offset_ms, price in ((0, 105), (1_000, 105), (2_000, 105)):
        at(made, DUE + offset_ms, price)
        finish(made)
    assert [(each.trigger, each.reason) for each in made.of(VerdictChanged)] == [
        (Trigger.NONE, "nothing is due"),
        (Trigger.NONE, "nothing is due"),
    ]
