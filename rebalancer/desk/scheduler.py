"""The scheduler: APScheduler wakes the desk. It decides nothing and remembers nothing.

What is due is in the records; a wake-up that is late, lost or repeated changes nothing but the
moment at which the engine looks. Jobs only enqueue.

APScheduler goes by the wall's clock: after that is set back, a job of every second would rest until
the old time comes again. The pulse beats by the event loop's clock, which nobody sets.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    JobEvent,
)
from apscheduler.executors.debug import DebugExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger

from rebalancer.core.events import ClockStepped, Woke
from rebalancer.core.instant import iso
from rebalancer.core.setback import SET_BACK_MS
from rebalancer.desk.inbox import Inbox
from rebalancer.ports import Clock

_log = structlog.get_logger(__name__)
#: a suspended machine or a stepped clock is noticed by this
PULSE_SECONDS = 1.0


class TimeTeller:
    """Puts the time into the inbox, and before it that the clock was set back, where it was."""

    def __init__(self, inbox: Inbox, clock: Clock) -> None:
        self._inbox = inbox
        self._clock = clock
        self._told_ms: int | None = None

    def __call__(self) -> None:
        """Tell the time; nothing that was stamped in between comes into it."""
        now_ms = self._clock.now_ms()
        if self._told_ms is not None and now_ms < self._told_ms - SET_BACK_MS:
            self._inbox.put(ClockStepped(now_ms, self._told_ms))
        self._told_ms = now_ms
        self._inbox.put(Woke(now_ms))


class Scheduler:
    """Puts `Woke` into the inbox when the engine asked for it, and once a second besides."""

    def __init__(self, inbox: Inbox, clock: Clock) -> None:
        self._tell_time = TimeTeller(inbox, clock)
        self._clock = clock
        self._wake_ms: int | None = None
        self._beat: asyncio.TimerHandle | None = None
        self._closed = False
        #: how often the desk was woken; grows every second while all is well
        self.woken = 0
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            # At once in the event loop, without a task that a stop could cancel half-way: the
            # jobs only enqueue.
            executors={"default": DebugExecutor()},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )
        self._scheduler.add_listener(
            self._report, EVENT_JOB_ERROR | EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES
        )

    def start(self) -> None:
        """Begin; needs a running event loop."""
        self._scheduler.start()
        self._beat_again()

    def wake_at(self, at_ms: int | None) -> None:
        """Wake the desk at `at_ms` instead of the time asked for before."""
        if at_ms == self._wake_ms:
            return
        self._wake_ms = at_ms
        if at_ms is None:
            if self._scheduler.get_job("wake"):
                self._scheduler.remove_job("wake")
            return
        seconds = max(0.0, self._clock.seconds_until(at_ms))
        run_date = datetime.now(UTC) + timedelta(seconds=min(seconds, 86_400.0))
        self._scheduler.add_job(
            self._wake, DateTrigger(run_date, timezone=UTC), id="wake", replace_existing=True
        )
        _log.debug("wake_at", at=iso(at_ms), in_seconds=round(seconds, 3))

    def close(self) -> None:
        """Stop waking; may be called twice."""
        if self._beat is not None:
            self._beat.cancel()
        # It counts as running until the event loop comes round to the shutdown.
        if self._scheduler.running and not self._closed:
            self._closed = True
            self._scheduler.shutdown(wait=False)

    def _wake(self) -> None:
        self._wake_ms = None
        self._tell()

    def _beat_again(self) -> None:
        self._beat = asyncio.get_running_loop().call_later(PULSE_SECONDS, self._pulse)

    def _pulse(self) -> None:
        self._beat_again()
        self._tell()

    def _tell(self) -> None:
        self.woken += 1
        self._tell_time()

    def _report(self, event: JobEvent) -> None:
        _log.warning("scheduler_job", job=event.job_id, code=event.code)
