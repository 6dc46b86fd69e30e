"""Talking to systemd: ready, alive, stopping; silent where no service manager listens."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Awaitable, Callable, Mapping

import structlog

_log = structlog.get_logger(__name__)
#: how often the status line is renewed where no watchdog asks for more
STATUS_SECONDS = 10.0
#: how soon after the start: the funds are launched by then, and there is a next rebalance to tell
FIRST_SECONDS = 2.0


class ServiceManager:
    """Sends states to $NOTIFY_SOCKET (sd_notify(3)); an unreachable one is no reason to stop."""

    def __init__(self, address: str | None, watchdog_seconds: float | None = None) -> None:
        self._address = address or None
        #: within which it wants to hear that the desk is alive; None: it does not ask
        self.watchdog_seconds = watchdog_seconds

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> ServiceManager:
        """Return the service manager that started this process, if one did."""
        micros = environ.get("WATCHDOG_USEC", "")
        if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
            micros = ""  # it watches another process, which handed its environment on
        seconds = int(micros) / 1_000_000 if micros.isdecimal() and int(micros) else None
        return cls(environ.get("NOTIFY_SOCKET"), seconds)

    @property
    def listens(self) -> bool:
        """Whether there is anybody to tell."""
        return self._address is not None

    def tell(self, *states: str) -> None:
        """Send states such as READY=1; nothing waits and nothing is raised."""
        if self._address is None:
            return
        # A leading @ means Linux's abstract namespace.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as door,
        ):
            door.sendto("\n".join(states).encode(), address)

    def tell_reloading(self) -> None:
        """Say that the configuration is being read anew; READY=1 has to follow."""
        now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000
        self.tell("RELOADING=1", f"MONOTONIC_USEC={now_us}", "STATUS=reloading")

    def tell_waiting(self, why: str, seconds: float) -> None:
        """Say that the start goes on, `why`, and that it may take `seconds` more."""
        self.tell(f"STATUS={why}", f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")


class Heartbeat:
    """Tells the service manager that the desk is alive, as long as every part of it advances."""

    def __init__(
        self,
        manager: ServiceManager,
        counts: Mapping[str, Callable[[], int]],
        save: Callable[[], Awaitable[bool]],
        status: Callable[[], str],
    ) -> None:
        """Watch `counts`, which must grow from beat to beat, and `save`, which says if it wrote."""
        self._manager = manager
        self._counts = counts
        self._save = save
        self._status = status
        self._seen = dict.fromkeys(counts, -1)

    async def run(self) -> None:
        """Beat for ever, twice in the time that the watchdog allows; the first time soon."""
        pause = (self._manager.watchdog_seconds or 2 * STATUS_SECONDS) / 2
        await asyncio.sleep(min(pause, FIRST_SECONDS))
        while True:
            await self.beat()
            await asyncio.sleep(pause)

    async def beat(self) -> None:
        """Tell that all is well, or nothing where something stands still: then systemd acts."""
        status = f"STATUS={self._status()}"
        still = await self._standing_still()
        if still:
            _log.error("standing_still", parts=still)
            self._manager.tell(status)
        else:
            self._manager.tell("WATCHDOG=1", status)

    async def _standing_still(self) -> list[str]:
        counts = {name: count() for name, count in self._counts.items()}
        still = [name for name, count in counts.items() if count == self._seen[name]]
        self._seen = counts
        return still if await self._save() else [*still, "store"]
