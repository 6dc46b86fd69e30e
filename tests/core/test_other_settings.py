"""A start with other settings: what they would have had due before was never promised."""

from __future__ import annotations

from dataclasses import replace

from rebalancer.core import engine
from rebalancer.core.capital import ManagementFeeCharged
from rebalancer.core.fees import ManagementFee
from rebalancer.core.folding import apply, fold
from rebalancer.core.fund import Fund
from rebalancer.core.instant import DAY_MS, HOUR_MS
from rebalancer.core.methodology import Fixed
from rebalancer.core.records import DeskStarted, FixedSettled, NavStruck, Settlement
from rebalancer.core.verification import Verifier
from tests.core.test_reloading import offer
from tests.factories import DUE, NOON, Bench, D, bench, fund, only

FEE = ManagementFee(daily=D("0.003"))
PLAIN = fund(methodology=only())
CHARGED = replace(PLAIN, management_fee=FEE)
DAILY = replace(PLAIN, methodology=only(fixed=Fixed()))


def lived(config: Fund, until_ms: int, digest: str = "old") -> Bench:
    """Return a desk that ran `config` from noon on and is stopped."""
    made = bench(config)
    started(made, digest)
    while made.now_ms + 4 * HOUR_MS <= until_ms:
        made.now_ms += 4 * HOUR_MS
        made.known(100)
    made.now_ms = until_ms
    return made


def started(made: Bench, digest: str) -> None:
    record = DeskStarted(made.now_ms, "paper", digest)
    apply(made.state, record)
    made.records.append(record)


def again(made: Bench, config: Fund, digest: str = "new") -> Bench:
    """Start the desk again with `config`, and let it see a price."""
    other = Bench(replace(made.desk, funds={config.name: config}), now_ms=made.now_ms)
    other.records = list(made.records)
    other.state = fold(other.desk, other.records)
    started(other, digest)
    engine.begin(other.state)
    other.known(100)
    return other


def test_a_fee_that_is_new_costs_nothing_for_the_time_before_it() -> None:
    stopped = lived(PLAIN, NOON + 10 * DAY_MS)
    made = again(stopped, CHARGED)
    assert made.of(ManagementFeeCharged) == []
    made.now_ms += 4 * HOUR_MS
    made.known(100)
    (charged,) = made.of(ManagementFeeCharged)
    assert charged.amount == charged.equity * D("0.001")


def test_a_fee_that_was_off_for_a_while_costs_nothing_for_that_while() -> None:
    stopped = lived(CHARGED, NOON + 5 * HOUR_MS)
    off = again(stopped, PLAIN, "off")
    off.now_ms += 10 * DAY_MS
    off.known(100)
    made = again(off, CHARGED)
    assert [each.due_ms for each in made.of(ManagementFeeCharged)] == [NOON + 4 * HOUR_MS]


def test_a_fee_that_fell_due_while_the_desk_was_down_is_caught_up_under_other_settings_too() -> (
    None
):
    stopped = lived(CHARGED, NOON + 5 * HOUR_MS)
    stopped.now_ms = NOON + 13 * HOUR_MS
    made = again(stopped, replace(CHARGED, description="new words"))
    assert [each.due_ms - NOON for each in made.of(ManagementFeeCharged)] == [
        4 * HOUR_MS,
        12 * HOUR_MS,
    ]


def test_new_fixed_times_of_before_are_skipped_at_once_and_alarm_nobody() -> None:
    made = again(lived(PLAIN, NOON + 10 * DAY_MS), DAILY)
    (settled,) = made.of(FixedSettled)
    assert settled.settlement is Settlement.SKIPPED
    assert settled.due_ms == DUE + 9 * DAY_MS
    assert settled.reason == "skipped: the fixed times are new since 2026-01-11T12:00:00Z"
    assert made.alerts == []


def test_times_that_passed_while_the_desk_was_down_are_missed_under_other_settings_too() -> None:
    stopped = lived(DAILY, NOON + 8 * HOUR_MS)
    assert len(stopped.of(NavStruck)) == 1
    stopped.now_ms = DUE + 2 * DAY_MS + HOUR_MS
    made = again(stopped, replace(DAILY, description="new words"))
    found = [(each.settlement, each.due_ms - DUE) for each in made.of(FixedSettled)]
    assert found == [
        (Settlement.MISSED, 0),
        (Settlement.MISSED, DAY_MS),
        (Settlement.RUN, 2 * DAY_MS),
    ]


def test_verify_finds_nothing_in_fixed_times_that_a_start_or_a_reload_brought() -> None:
    started_anew = again(lived(PLAIN, NOON + 10 * DAY_MS), DAILY)
    reloaded = lived(PLAIN, NOON + 10 * DAY_MS)
    offer(reloaded, DAILY)
    for made in (started_anew, reloaded):
        verifier = Verifier(replace(made.desk, funds={"BTC3L": DAILY}), "new")
        for record in made.records:
            verifier.take(record)
        (settled,) = made.of(FixedSettled)
        assert settled.due_ms == DUE + 9 * DAY_MS
        assert verifier.counts["fixed instants"] == 1
        assert verifier.problems == []


def test_verify_finds_an_instant_that_is_skipped_and_none_of_the_new_times() -> None:
    made = again(lived(PLAIN, NOON + 10 * DAY_MS), DAILY)
    verifier = Verifier(made.desk, "new")
    for record in made.records:
        wrong = (
            replace(record, due_ms=DUE + HOUR_MS) if isinstance(record, FixedSettled) else record
        )
        verifier.take(wrong)
    assert len(verifier.problems) == 1
