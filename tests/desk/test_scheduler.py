"""Waking: late, early, replaced or lost wake-ups change nothing but the moment of looking."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, tzinfo

import pytest
from apscheduler.schedulers import base
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from rebalancer.clock import FastClock, VirtualClock, WallClock
from rebalancer.core.events import ClockStepped, Woke
from rebalancer.core.setback import SET_BACK_MS
from rebalancer.desk import scheduler as module
from rebalancer.desk.inbox import Inbox, Letter
from rebalancer.desk.scheduler import Scheduler, TimeTeller
from rebalancer.ports import Clock
from tests.desk.rig import until

DAY_MS = 86_400_000


class Bench:
    def __init__(self, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = clock
        self.inbox = Inbox()
        self.woken: list[int] = []
        self.scheduler = Scheduler(self.inbox, clock)
        monkeypatch.setattr(self.inbox, "put", self._put)

    def _put(self, event: object) -> None:
        assert isinstance(event, Woke)
        self.woken.append(event.at_ms)

    @property
    def jobs(self) -> AsyncIOScheduler:
        return self.scheduler._scheduler

    @property
    def waits(self) -> float:
        """How many seconds the alarm is away."""
        job = self.jobs.get_job("wake")
        when = job.trigger.run_date if job else None
        assert when is not None
        return float(when.timestamp() - time.time())


@pytest.fixture
async def wall(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    """A scheduler on the wall clock, whose pulse would come too late to help."""
    monkeypatch.setattr(module, "PULSE_SECONDS", 3_600)
    bench = Bench(WallClock(), monkeypatch)
    bench.scheduler.start()
    yield bench
    bench.scheduler.close()
    await asyncio.sleep(0)


async def test_the_desk_is_woken_at_the_time_it_asked_for(wall: Bench) -> None:
    asked_ms = wall.clock.now_ms() + 60
    wall.scheduler.wake_at(asked_ms)
    await until(lambda: wall.woken, "the alarm rings")
    assert 0 <= wall.woken[0] - asked_ms < 1_000


async def test_a_time_that_has_passed_wakes_at_once(wall: Bench) -> None:
    wall.scheduler.wake_at(0)
    await until(lambda: wall.woken, "the alarm rings", seconds=1)


async def test_a_new_time_replaces_the_one_before(wall: Bench) -> None:
    now_ms = wall.clock.now_ms()
    wall.scheduler.wake_at(now_ms + 50)
    wall.scheduler.wake_at(now_ms + 3_600_000)
    await asyncio.sleep(0.15)
    assert wall.woken == []
    wall.scheduler.wake_at(now_ms + 160)
    await until(lambda: wall.woken, "the alarm rings")
    await asyncio.sleep(0.1)
    assert len(wall.woken) == 1


async def test_no_time_takes_the_alarm_away(wall: Bench) -> None:
    wall.scheduler.wake_at(wall.clock.now_ms() + 50)
    wall.scheduler.wake_at(None)
    wall.scheduler.wake_at(None)
    await asyncio.sleep(0.1)
    assert wall.woken == []
    assert wall.jobs.get_job("wake") is None


async def test_the_same_time_can_be_asked_for_again_after_it_rang(wall: Bench) -> None:
    """An alarm that rings a moment early must be set anew."""
    asked_ms = wall.clock.now_ms() + 30
    for count in (1, 2, 3):
        wall.scheduler.wake_at(asked_ms)
        await until(lambda count=count: len(wall.woken) == count, "the alarm rings")  # type: ignore[misc]


async def test_a_loop_blocked_for_seconds_loses_no_alarm(wall: Bench) -> None:
    """APScheduler's own default drops a job that is one second late."""
    wall.scheduler.wake_at(wall.clock.now_ms() + 300)
    time.sleep(2.5)  # noqa: ASYNC251 - this is what is tested
    await until(lambda: wall.woken, "the alarm rings after all", seconds=2)
    await asyncio.sleep(0.1)
    assert len(wall.woken) == 1


async def test_a_blocked_loop_makes_one_pulse_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(WallClock(), monkeypatch)
    bench.scheduler.start()
    time.sleep(1.6)  # noqa: ASYNC251 - this is what is tested
    await until(lambda: bench.woken, "the pulse comes")
    await asyncio.sleep(0.05)
    assert len(bench.woken) == 1
    bench.scheduler.close()
    await asyncio.sleep(0)


async def test_the_pulse_beats_every_second_even_where_nothing_is_due(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(VirtualClock(7), monkeypatch)
    bench.scheduler.start()
    await until(lambda: bench.woken, "the pulse comes", seconds=2)
    assert bench.woken[0] == 7
    bench.scheduler.close()
    await asyncio.sleep(0)


async def test_a_clock_that_is_set_back_does_not_stop_the_pulse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """APScheduler would wait for the old time to come again (agronholm/apscheduler#339)."""

    class SetBack(datetime):
        behind = timedelta(0)

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> SetBack:
            return super().now(tz) - cls.behind

    monkeypatch.setattr(base, "datetime", SetBack)
    monkeypatch.setattr(module, "datetime", SetBack)
    monkeypatch.setattr(module, "PULSE_SECONDS", 0.02)
    bench = Bench(WallClock(), monkeypatch)
    bench.scheduler.start()
    await until(lambda: bench.woken, "the pulse comes")
    SetBack.behind = timedelta(hours=1)
    await asyncio.sleep(0.05)  # a beat that was under way
    bench.woken.clear()
    await until(lambda: len(bench.woken) > 1, "it goes on", seconds=1)
    bench.scheduler.close()
    await asyncio.sleep(0)


async def test_an_alarm_of_next_year_is_looked_at_again_within_a_day(wall: Bench) -> None:
    wall.scheduler.wake_at(wall.clock.now_ms() + 400 * DAY_MS)
    assert 86_000 < wall.waits <= 86_400
    wall.scheduler.wake_at(250_000_000_000_000)
    assert wall.waits <= 86_400


async def test_a_fast_clock_is_woken_in_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PULSE_SECONDS", 3_600)
    bench = Bench(FastClock(100_000, 0), monkeypatch)
    bench.scheduler.start()
    bench.scheduler.wake_at(10_000_000)  # nearly three hours are a tenth of a second
    began = time.monotonic()
    await until(lambda: bench.woken, "the alarm rings")
    assert bench.woken[0] >= 10_000_000 * 0.99
    assert time.monotonic() - began < 2
    bench.scheduler.close()
    await asyncio.sleep(0)


async def test_an_alarm_may_be_set_before_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PULSE_SECONDS", 3_600)
    bench = Bench(WallClock(), monkeypatch)
    bench.scheduler.wake_at(bench.clock.now_ms() + 3_600_000)
    bench.scheduler.wake_at(None)
    bench.scheduler.wake_at(bench.clock.now_ms() + 30)
    bench.scheduler.start()
    await until(lambda: bench.woken, "the alarm rings")
    bench.scheduler.close()
    await asyncio.sleep(0)


async def test_it_may_be_closed_twice_and_without_a_start(monkeypatch: pytest.MonkeyPatch) -> None:
    troubles: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, told: troubles.append(told))
    never_started = Bench(WallClock(), monkeypatch)
    never_started.scheduler.close()
    bench = Bench(WallClock(), monkeypatch)
    bench.scheduler.start()
    bench.scheduler.close()
    bench.scheduler.close()
    await asyncio.sleep(0.01)
    assert troubles == []


async def test_closed_it_wakes_nobody(wall: Bench) -> None:
    wall.scheduler.wake_at(wall.clock.now_ms() + 30)
    wall.scheduler.close()
    await asyncio.sleep(0.1)
    assert wall.woken == []


async def test_a_stop_at_the_very_moment_of_an_alarm_is_not_an_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A job in a task of its own was cancelled before it began, and logged with a traceback."""
    for turns_of_the_loop in range(6):
        bench = Bench(WallClock(), monkeypatch)
        bench.scheduler.start()
        bench.scheduler.wake_at(0)
        for _ in range(turns_of_the_loop):
            await asyncio.sleep(0)
        bench.scheduler.close()
        await asyncio.sleep(0.01)
    assert caplog.messages == []


def test_a_clock_that_was_set_back_is_told_before_the_time_and_a_small_step_is_not() -> None:
    inbox, clock = Inbox(), VirtualClock(DAY_MS)
    tell_time = TimeTeller(inbox, clock)
    tell_time()
    clock.advance(-SET_BACK_MS)
    tell_time()
    assert inbox.take_now() == Letter(Woke(DAY_MS - SET_BACK_MS))
    clock.advance(-SET_BACK_MS - 1)
    tell_time()
    from_ms, now_ms = DAY_MS - SET_BACK_MS, DAY_MS - 2 * SET_BACK_MS - 1
    assert inbox.take_now() == Letter(ClockStepped(now_ms, from_ms))
    assert inbox.take_now() == Letter(Woke(now_ms))
