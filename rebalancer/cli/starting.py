"""A start under a service manager: an outage of venue or store is waited out, the rest ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from rebalancer.desk.daemon import Daemon
from rebalancer.desk.service import ServiceManager
from rebalancer.errors import (
    BrokenInvariant,
    StoreRefused,
    StoreTaken,
    StoreUnavailable,
    Unavailable,
    VenueUnavailable,
)

_log = structlog.get_logger(__name__)
#: how long to wait before each further try; the last goes on
PAUSES_SECONDS = (5.0, 10.0, 20.0, 40.0, 60.0)
#: what a try may take besides, until the service manager gives it up
PATIENCE_SECONDS = 90.0
#: how long a store may be another's after the start began: the session of a desk that vanished is
#: ended by its server within a minute
TAKEN_SECONDS = 120.0


async def run_desk(
    open_desk: Callable[[], Awaitable[Daemon]], manager: ServiceManager, stop: asyncio.Event
) -> None:
    """Open a desk and run it until `stop`; raises whatever ended it.

    A service manager that counts failed starts would give a desk up for good while its venue or its
    store is down for ten minutes: where one listens, the desk is opened again until they answer.
    The store is given up in between. Records that do not hold raise StoreRefused: they will not the
    next time either.
    """
    tries, begun_s = 0, asyncio.get_running_loop().time()
    while not stop.is_set():
        daemon = None
        try:
            daemon = await _opened(open_desk)
            daemon.manager = manager
            await daemon.run(stop)
        except (VenueUnavailable, StoreUnavailable) as outage:
            spent_s = asyncio.get_running_loop().time() - begun_s
            if not manager.listens or (daemon is not None and daemon.ready):
                raise
            if not _may_end(outage, spent_s):
                raise
            pause = PAUSES_SECONDS[min(tries, len(PAUSES_SECONDS) - 1)]
            tries += 1
            _log.warning("start_waits", reason=str(outage), seconds=pause)
            what = "store" if isinstance(outage, StoreUnavailable) else "venue"
            manager.tell_waiting(f"waiting for the {what}: {outage}", pause + PATIENCE_SECONDS)
            await _pause(stop, pause)
        else:
            return


def _may_end(outage: Unavailable, spent_s: float) -> bool:
    """Whether an outage, `spent_s` after the start began, may yet end by itself."""
    if isinstance(outage, StoreTaken):
        return spent_s < TAKEN_SECONDS
    return not isinstance(outage, StoreRefused)


async def _opened(open_desk: Callable[[], Awaitable[Daemon]]) -> Daemon:
    try:
        return await open_desk()
    except BrokenInvariant as broken:
        raise StoreRefused(
            f"the records do not hold: {broken}; `rebalancer verify` lists what is wrong, and "
            "`rebalancer restore FILE` takes a backup"
        ) from broken


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
