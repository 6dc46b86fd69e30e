"""Seeded days of the real desk: whatever goes wrong, nothing is sent twice and nothing is lost."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
import structlog

from rebalancer.core.methodology import Trigger
from rebalancer.core.records import IntentCreated, RunMoved, RunOpened
from rebalancer.core.run import RunStatus
from tests.desk.rig import done, of
from tests.simulation import sweep
from tests.simulation.day import CONTRACTS, TICKS, Trouble, day_of
from tests.simulation.judge import judge

ROOT = Path(__file__).parents[2]
SEEDS = 500
CHUNK = 25
#: requests that arrive after their answer was lost; late prices at the fixed time; maintenance
#: while orders are under way
CRASH_DAYS = (103, 16, 89)
SHARDS = 4
DOUBLE_CRASHES = 51


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    sweep.quiet()
    yield
    structlog.reset_defaults()


def told(broken: Iterator[sweep.Broken]) -> None:
    """Fail with every bad day, each with the command that shows it again."""
    found = [str(each) for each in broken]
    assert not found, "\n".join(found)


def test_a_day_has_what_a_day_must_have() -> None:
    world = sweep.lived(day_of(7))
    records = world.disk.records
    assert len(world.day.prices["BTC/USDT:USDT"]) >= TICKS
    assert len(world.desk.funds) == 3
    assert len({intent.intent.contract for intent in of(records, IntentCreated)}) == 2
    assert len(of(records, IntentCreated)) >= 10
    triggers = {opened.plan.trigger for opened in of(records, RunOpened)}
    assert {Trigger.LAUNCH, Trigger.FIXED, Trigger.PRICE_MOVE} <= triggers
    assert all(run.status is RunStatus.DONE for run in done(records, "BTC3L"))


def test_every_kind_of_trouble_is_drawn_at_both_venues() -> None:
    days = [day_of(seed) for seed in range(SEEDS)]
    for venue in CONTRACTS:
        assert {day.trouble for day in days if day.venue == venue} == set(Trouble)


def test_the_days_on_which_it_is_killed_are_of_three_kinds() -> None:
    troubles = [day_of(seed).trouble for seed in CRASH_DAYS]
    assert troubles == [Trouble.WIRE, Trouble.OLD_PRICE, Trouble.MAINTENANCE]


@pytest.mark.parametrize("seed", [0, 2, 7, 8, 17])
def test_a_seed_is_a_day_bit_for_bit(seed: int) -> None:
    first, second = (sweep.digest(sweep.lived(day_of(seed))) for _ in range(2))
    assert first == second


def test_a_seed_is_the_same_day_in_another_process_with_other_hashes() -> None:
    tell = (
        "from tests.simulation import sweep; from tests.simulation.day import day_of; "
        "sweep.quiet(); print(sweep.digest(sweep.lived(day_of(13))))"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", tell],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hashes},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hashes in ("1", "2")
    }
    assert told == {sweep.digest(sweep.lived(day_of(13))) + "\n"}


def test_a_copy_of_the_process_comes_to_what_the_same_day_comes_to_when_lived_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    day = day_of(CRASH_DAYS[0])
    points = sweep.crash_points(day)[20::90]
    monkeypatch.setattr(sweep, "judge", lambda world: [sweep.digest(world)])
    for crashes in (sweep.crashes, sweep.double_crashes):
        copies = {each.kills: each.problems for each in crashes(day, points)}
        assert len(copies) == len(points)
        for kills, problems in copies.items():
            assert problems == (sweep.digest(sweep.lived(day, kills, sweep.WATCHED_TICKS)),)


def test_a_nav_that_its_trades_do_not_come_to_is_found_out() -> None:
    world = sweep.lived(day_of(7))
    assert judge(world) == []
    kept = world.disk._records
    place, run = next(
        (place, each) for place, each in enumerate(kept) if isinstance(each, RunMoved) and each.nav
    )
    assert run.nav is not None
    kept[place] = dataclasses.replace(run, nav=run.nav + Decimal("0.000001"))
    assert [each.partition(":")[0] for each in judge(world)] == ["I10"]


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_whatever_goes_wrong_every_promise_is_kept(first: int) -> None:
    told(sweep.days(range(first, first + CHUNK)))


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("seed", CRASH_DAYS)
def test_a_desk_killed_at_any_step_goes_on_where_it_was(seed: int, shard: int) -> None:
    day = day_of(seed)
    told(sweep.crashes(day, sweep.crash_points(day)[shard::SHARDS]))


@pytest.mark.parametrize("seed", CRASH_DAYS)
def test_a_desk_killed_again_while_it_recovers_goes_on_too(seed: int) -> None:
    day = day_of(seed)
    points = sweep.crash_points(day)
    step = len(points) // (DOUBLE_CRASHES // len(CRASH_DAYS))
    told(sweep.double_crashes(day, points[::step]))
