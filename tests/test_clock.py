"""The three clocks."""

from __future__ import annotations

import asyncio
import time

import pytest

from rebalancer.clock import (
    LONGEST_NAP_S,
    FastClock,
    HeldClock,
    VirtualClock,
    WallClock,
    sleep_until,
)
from rebalancer.errors import InputRefused
from rebalancer.ports import Clock

DAY_MS = 86_400_000


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The system's two clocks in nanoseconds, moved by hand."""
    now = {"wall": 1_767_225_600_000_999_999, "monotonic": 77}
    monkeypatch.setattr(time, "time_ns", lambda: now["wall"])
    monkeypatch.setattr(time, "monotonic_ns", lambda: now["monotonic"])
    return now


def test_every_clock_is_a_clock_of_the_desk() -> None:
    clocks: list[Clock] = [WallClock(), FastClock(2, 0), VirtualClock()]
    assert all(isinstance(clock.now_ms(), int) for clock in clocks)


def test_the_wall_clock_counts_whole_milliseconds_of_utc(frozen: dict[str, int]) -> None:
    assert WallClock().now_ms() == 1_767_225_600_000


def test_the_wall_clock_knows_how_long_to_wait_below_a_millisecond(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_767_225_600_000_750_000)
    assert WallClock().seconds_until(1_767_225_600_001) == 0.000_25
    assert WallClock().seconds_until(1_767_225_599_000) == -1.000_75


def test_a_fast_clock_starts_where_it_is_told_and_runs_faster(frozen: dict[str, int]) -> None:
    clock = FastClock(speed=3600, start_ms=DAY_MS)
    assert clock.now_ms() == DAY_MS
    assert clock.seconds_until(2 * DAY_MS) == 24.0
    frozen["monotonic"] += 1_000_000_000
    assert clock.now_ms() == DAY_MS + 3_600_000
    assert clock.seconds_until(2 * DAY_MS) == 23.0


def test_a_fast_clock_does_not_notice_that_the_wall_clock_was_stepped(
    frozen: dict[str, int],
) -> None:
    clock = FastClock(speed=10, start_ms=0)
    frozen["wall"] -= 10**15
    assert clock.now_ms() == 0


def test_a_clock_that_would_stand_still_or_run_backwards_is_refused() -> None:
    with pytest.raises(InputRefused, match="clock speed: 0 must be"):
        FastClock(speed=0, start_ms=0)


def test_a_virtual_clock_moves_only_by_hand() -> None:
    clock = VirtualClock(1_000)
    assert clock.seconds_until(1_500) == 0.5
    clock.advance(250)
    assert clock.now_ms() == 1_250
    clock.set(400)
    assert (clock.now_ms(), clock.seconds_until(400)) == (400, 0.0)


def test_a_held_clock_stops_and_goes_on_from_where_it_stood(frozen: dict[str, int]) -> None:
    clock = HeldClock(FastClock(speed=1_000, start_ms=0), 0)
    frozen["monotonic"] += 1_000_000_000
    assert clock.now_ms() == 0
    clock.hold_at(400_000)
    assert (clock.now_ms(), clock.seconds_until(400_000)) == (0, 0.4)
    frozen["monotonic"] += 100_000_000
    assert clock.now_ms() == 100_000
    clock.hold_at(300_000)
    assert clock.now_ms() == 100_000
    frozen["monotonic"] += 5_000_000_000
    assert clock.now_ms() == 400_000
    clock.hold_at(5_000_000)
    assert (clock.now_ms(), clock.seconds_until(1_400_000)) == (400_000, 1.0)


async def test_a_clock_that_is_set_back_makes_nobody_sleep_longer() -> None:
    clock = VirtualClock(10_000_000)
    sleeping = asyncio.create_task(sleep_until(clock, 10_001_000))
    await asyncio.sleep(0)
    clock.set(6_400_000)  # by an hour
    await asyncio.sleep(2 * LONGEST_NAP_S)
    assert not sleeping.done()
    clock.advance(1_000)
    async with asyncio.timeout(20):
        await sleeping
