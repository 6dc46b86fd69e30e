"""Exactly one fixed run per due instant, whenever the desk goes down and comes back."""

from __future__ import annotations

import contextlib
from decimal import Decimal
from itertools import product

import pytest

from rebalancer.core.methodology import Fixed, Trigger
from rebalancer.core.records import FixedSettled, Record, RunOpened, Settlement
from rebalancer.errors import StoreUnavailable
from rebalancer.store.memory import MemoryStore
from tests.desk.rig import DyingStore, Moment, World, of
from tests.factories import BTC, DUE, NOON, desk, fund, only

SECOND = 1_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR


def world() -> World:
    here = World(desk(fund(methodology=only(fixed=Fixed()))))
    here.clock.set(NOON)
    return here


def at(at_ms: int, price: str = "101") -> Moment:
    return at_ms, {BTC: Decimal(price)}


async def launched(here: World) -> MemoryStore:
    store = MemoryStore()
    await here.live(store, [at(NOON, "100"), at(NOON + SECOND, "100")])
    return store


async def lives(here: World, store: MemoryStore, *spans: tuple[int, ...]) -> MemoryStore:
    """Start a desk for each span of instants, one after the other."""
    for instants in spans:
        store = MemoryStore(store.records)
        here.clock.set(max(instants[0], here.clock.now_ms()))
        await here.live(store, [at(at_ms) for at_ms in instants])
    return store


def fixed_runs(store: MemoryStore) -> list[tuple[int, ...]]:
    """Return the instants that each fixed run satisfied."""
    plans = [record.plan for record in of(store.records, RunOpened)]
    return [plan.due_ms for plan in plans if plan.trigger is Trigger.FIXED]


def settled(records: tuple[Record, ...]) -> list[tuple[int, Settlement]]:
    return [(record.due_ms, record.settlement) for record in of(records, FixedSettled)]


@pytest.mark.parametrize(
    ("went_down", "came_back"),
    [(down, up) for down, up in product((-1, 0, 1), repeat=2) if down <= up],
)
async def test_one_run_however_close_to_the_instant_the_desk_restarts(
    went_down: int, came_back: int
) -> None:
    here = world()
    down, up = DUE + went_down * SECOND, DUE + came_back * SECOND
    store = await lives(
        here,
        await launched(here),
        (DUE - 60 * SECOND, down),
        (up, DUE + 2 * SECOND, DUE + 60 * SECOND),
    )
    assert fixed_runs(store) == [(DUE,)]
    assert settled(store.records) == [(DUE, Settlement.RUN)]


@pytest.mark.parametrize("off_ms", [-1, 0, 1])
async def test_the_instant_itself_is_due_and_the_millisecond_before_is_not(off_ms: int) -> None:
    here = world()
    store = await lives(here, await launched(here), (DUE - 60 * SECOND, DUE + off_ms))
    assert bool(fixed_runs(store)) is (off_ms >= 0)


async def test_a_desk_restarted_all_through_the_minute_still_makes_one_run() -> None:
    here = world()
    spans = [(DUE + second * SECOND, DUE + second * SECOND + 500) for second in range(-30, 31)]
    store = await lives(here, await launched(here), *spans)
    assert fixed_runs(store) == [(DUE,)]


@pytest.mark.parametrize("keeps", [False, True], ids=["lost", "kept"])
@pytest.mark.parametrize("dies_at", range(1, 9))
async def test_one_run_whichever_commit_of_it_is_the_last(dies_at: int, keeps: bool) -> None:
    here = world()
    first = await launched(here)
    dying = DyingStore(first.records, dies_at=dies_at, keeps=keeps)
    here.clock.set(DUE)
    with contextlib.suppress(StoreUnavailable):  # a quiet day has fewer commits
        await here.live(dying, [at(DUE), at(DUE + SECOND)])
    store = await lives(here, MemoryStore(dying.records), (DUE + SECOND, DUE + 120 * SECOND))
    assert settled(store.records) == [(DUE, Settlement.RUN)]
    assert fixed_runs(store) == [(DUE,)]


@pytest.mark.parametrize("late", [SECOND, HOUR, 6 * HOUR])
async def test_a_run_missed_while_down_is_caught_up_once(late: int) -> None:
    here = world()
    back = DUE + late
    store = await lives(
        here, await launched(here), (back, back + SECOND), (back + 2 * SECOND, back + HOUR)
    )
    assert fixed_runs(store) == [(DUE,)]
    assert settled(store.records) == [(DUE, Settlement.RUN)]
    assert "fixed_missed" not in [alert.name for alert in here.alerts]


@pytest.mark.parametrize("late", [6 * HOUR + 1, 12 * HOUR])
async def test_a_run_too_old_to_catch_up_is_recorded_as_missed_and_alerted(late: int) -> None:
    here = world()
    back = DUE + late
    store = await lives(here, await launched(here), (back, back + SECOND), (back + HOUR,))
    assert fixed_runs(store) == []
    assert settled(store.records) == [(DUE, Settlement.MISSED)]
    assert [alert.name for alert in here.alerts].count("fixed_missed") == 1


async def test_after_three_days_down_every_instant_is_accounted_for() -> None:
    here = world()
    back = DUE + 3 * DAY + HOUR
    store = await lives(here, await launched(here), (back, back + SECOND))
    assert settled(store.records) == [
        (DUE, Settlement.MISSED),
        (DUE + DAY, Settlement.MISSED),
        (DUE + 2 * DAY, Settlement.MISSED),
        (DUE + 3 * DAY, Settlement.RUN),
    ]
    assert fixed_runs(store) == [(DUE + 3 * DAY,)]


async def test_a_desk_that_runs_on_for_days_makes_one_run_a_day() -> None:
    here = world()
    hours = range(15, 24 * 4)
    store = await lives(here, await launched(here), tuple(NOON + hour * HOUR for hour in hours))
    assert fixed_runs(store) == [(DUE + day * DAY,) for day in range(4)]


async def test_a_clock_set_back_over_the_instant_makes_no_second_run() -> None:
    here = world()
    store = await lives(here, await launched(here), (DUE, DUE + SECOND))
    here.clock.set(DUE - HOUR)
    again = MemoryStore(store.records)
    moments = [at(DUE - HOUR), at(DUE - SECOND), at(DUE), at(DUE + SECOND), at(DUE + HOUR)]
    await here.live(again, moments)
    assert fixed_runs(again) == [(DUE,)]
