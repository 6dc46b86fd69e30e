"""What runs beside the loop while the desk lives: watches over accounts and markets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

from rebalancer.core.actions import Alert, Severity
from rebalancer.errors import VenueUnavailable
from rebalancer.ports import Clock

Companion = Callable[[], Awaitable[None]]
"""Watches until it is cancelled; begins anew when it is called again."""

#: after an outage a companion waits 1, 2, 4 ... seconds before it goes on, and this at most
LONGEST_PAUSE_SECONDS = 60.0
_DOUBLINGS_MAX = 6


async def keep_up(
    name: str, companion: Companion, clock: Clock, tell: Callable[[Alert], None]
) -> NoReturn:
    """Run `companion` until cancelled: an outage is told and waited out, all else is raised.

    One that stops of itself without a word is started again after the same pause.
    """
    outages = 0
    while True:
        began_ms = clock.now_ms()
        try:
            await companion()
            why = "it stopped watching"
        except VenueUnavailable as outage:
            why = str(outage)
        if clock.now_ms() - began_ms > 2_000 * LONGEST_PAUSE_SECONDS:
            outages = 0
        tell(Alert(clock.now_ms(), Severity.WARNING, "watch_interrupted", name, why))
        await asyncio.sleep(min(2.0 ** min(outages, _DOUBLINGS_MAX), LONGEST_PAUSE_SECONDS))
        outages += 1
