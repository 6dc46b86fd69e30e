"""How late the desk is woken at the due instant, against the scheduler library by itself.

Both run in one event loop and take turns: one due instant is ours, the next the library's. Lateness
is the wall's time when the desk's event is taken out of the inbox (for the library: when its job
runs) less the due time. Then the loop is blocked for five seconds across a due instant of each.
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger

from rebalancer import logs
from rebalancer.clock import WallClock
from rebalancer.desk.inbox import Inbox
from rebalancer.desk.scheduler import Scheduler

ROUNDS = 30
STEP_MS = 400
BLOCKED_S = 5.0


class Ours:
    """The desk's scheduler and inbox, and whoever takes the wake-ups out."""

    def __init__(self) -> None:
        self.clock = WallClock()
        self.inbox = Inbox()
        self.scheduler = Scheduler(self.inbox, self.clock)
        self.scheduler.start()

    async def woken_at(self, due_ms: int) -> float:
        """Return when the first event at or after the due time is taken, in wall seconds."""
        self.scheduler.wake_at(due_ms)
        while True:
            await self.inbox.get()
            now = time.time()
            if now * 1_000 >= due_ms:
                return now


class Library:
    """APScheduler as it comes."""

    def __init__(self) -> None:
        self.scheduler = AsyncIOScheduler(timezone=UTC)
        self.scheduler.start()

    async def woken_at(self, due_ms: int, give_up_s: float = 60.0) -> float | None:
        """Return when the job runs, in wall seconds; None where it never does."""
        ran: asyncio.Future[float] = asyncio.get_running_loop().create_future()

        async def job() -> None:
            ran.set_result(time.time())

        date = datetime.fromtimestamp(due_ms / 1_000, UTC)
        self.scheduler.add_job(job, DateTrigger(date, timezone=UTC))
        try:
            return await asyncio.wait_for(ran, give_up_s)
        except TimeoutError:
            return None


def next_due_ms(after_ms: int = 100) -> int:
    """Return the next whole step at least so far away."""
    now_ms = time.time_ns() // 1_000_000
    return ((now_ms + after_ms) // STEP_MS + 1) * STEP_MS


async def measure() -> tuple[list[float], list[float], float, float | None]:
    """Return the lateness of both in milliseconds, and how they fare with the loop blocked."""
    ours, library = Ours(), Library()
    mine: list[float] = []
    theirs: list[float] = []
    try:
        for _ in range(ROUNDS):
            due_ms = next_due_ms()
            mine.append(await ours.woken_at(due_ms) * 1_000 - due_ms)
            due_ms = next_due_ms()
            ran = await library.woken_at(due_ms)
            theirs.append((ran or float("inf")) * 1_000 - due_ms)
        due_ms = next_due_ms(200)
        both = asyncio.gather(ours.woken_at(due_ms), library.woken_at(due_ms, BLOCKED_S + 3))
        await asyncio.sleep(0.05)
        time.sleep(BLOCKED_S)  # noqa: ASYNC251 - that is what is tried
        late, lost = await both
    finally:
        ours.scheduler.close()
        library.scheduler.shutdown(wait=False)
    return mine, theirs, late * 1_000 - due_ms, lost and lost * 1_000 - due_ms


def run(say: Callable[[str], None] = print) -> None:
    """Measure and print."""
    logs.configure(level="error")
    logging.getLogger("apscheduler").setLevel(logging.CRITICAL)
    mine, theirs, late, lost = asyncio.run(measure())
    ours, library = statistics.median(mine), statistics.median(theirs)
    say(f"Lateness at a due instant ({ROUNDS} of each in turn, medians)")
    say(f"  the library's job {library:.2f} ms (worst {max(theirs):.1f})")
    say(
        f"  ours, taken from the inbox {ours:.2f} ms (worst {max(mine):.1f}), "
        f"{ours / library:.2f} x the library's (goal 1.2 x)"
    )
    told = "lost" if lost is None else f"run {lost:,.0f} ms late"
    say(
        f"  the loop blocked for {BLOCKED_S:.0f} s across it: ours {late:,.0f} ms late, "
        f"the library's job {told}"
    )
