"""From a tick to its decision: a whole desk of 60 funds, with 1,000 stream readers and without.

The readers get every fund's NAV once a second. Phases in which they are served alternate with
phases in which the hub does not know of them (their connections stay open, and idle), and each pair
gives one ratio: the same desk, in the same process, on the same event loop.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from benchmarks.readers import READERS, readers
from rebalancer.api import server
from rebalancer.core.state import Desk
from tests.api.rig import Published, published
from tests.desk.rig import observed
from tests.factories import BTC, desk, fund

FUNDS = 60
PAIRS = 7
PHASE_SECONDS = 4.0
TICK_SECONDS = 0.004
SETTLE_SECONDS = 1.0
PATH = "/ws/!tokenNav@arr"


def sixty_funds() -> Desk:
    """Return funds of alternating sides on bitcoin."""
    return desk(*(fund(f"F{n:02d}", 3 if n % 2 else -3) for n in range(FUNDS)), free_launch=True)


async def ticks(desk_at_work: Published, seconds: float) -> float:
    """Return the median time from a tick's arrival to the end of its decision, in seconds."""
    loop, took = asyncio.get_running_loop(), []
    until_s, number = loop.time() + seconds, 0
    while loop.time() < until_s:
        number += 1
        desk_at_work.clock.advance(4)
        price = Decimal(100) + Decimal(number % 7) / 100  # crosses nothing
        seen = observed(desk_at_work.clock.now_ms(), {BTC: price})
        steps, begun = desk_at_work.daemon.loop.steps, time.perf_counter()
        desk_at_work.feed.queue.put_nowait(seen)
        while desk_at_work.daemon.loop.steps == steps:  # noqa: ASYNC110 - a step has no event
            await asyncio.sleep(0)
        took.append(time.perf_counter() - begun)
        await asyncio.sleep(TICK_SECONDS)
    return statistics.median(took)


async def compare(say: Callable[[str], None]) -> None:
    """Measure and print the ratio."""
    server.PING_SECONDS = 3_600.0  # raw sockets answer none
    quiet: list[float] = []
    busy: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        over = {"publish_interval_ms": 1_000, "public_listen": None}
        async with published(Path(folder), sixty_funds(), **over) as desk_at_work:
            await ticks(desk_at_work, SETTLE_SECONDS)
            (hub,) = desk_at_work.service._hubs  # noqa: SLF001 - to serve them by turns
            async with readers(desk_at_work.port, PATH) as pipe:
                pipe.send(-PAIRS * 2 * (PHASE_SECONDS + SETTLE_SECONDS))
                served = dict(hub._rooms)  # noqa: SLF001 - as above
                for _ in range(PAIRS):
                    for rooms, medians in (({}, quiet), (served, busy)):
                        hub._rooms = dict(rooms)  # noqa: SLF001 - as above
                        await asyncio.sleep(SETTLE_SECONDS / 2)
                        medians.append(await ticks(desk_at_work, PHASE_SECONDS))
                await asyncio.to_thread(pipe.recv)
    ratios = sorted(one / other for one, other in zip(busy, quiet, strict=True))
    say(f"From a tick to its decision, {FUNDS} funds ({PAIRS} pairs of {PHASE_SECONDS:.0f} s)")
    say(f"  {statistics.median(ratios):5.2f} x with {READERS} readers of every NAV once a second")
    say(
        f"  (pairs from {ratios[0]:.2f} to {ratios[-1]:.2f}; medians "
        f"{statistics.median(busy) * 1e6:.0f} and {statistics.median(quiet) * 1e6:.0f} us here)"
    )


def run(say: Callable[[str], None] = print) -> None:
    """Measure and print the ratio."""
    asyncio.run(compare(say))


if __name__ == "__main__":
    run()
