"""The daemon: the parts of a running desk, started in order and stopped in the reverse one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from rebalancer.core.actions import Alert
from rebalancer.core.events import Event
from rebalancer.core.order import OrderIntent
from rebalancer.core.state import DeskState
from rebalancer.desk.control import ControlServer
from rebalancer.desk.executor import Executor
from rebalancer.desk.inbox import Inbox
from rebalancer.desk.loop import DeskLoop
from rebalancer.desk.publisher import ViewSaver
from rebalancer.desk.scheduler import Scheduler
from rebalancer.desk.watcher import Watcher
from rebalancer.ports import Clock, Publisher, Store, Venue

_log = structlog.get_logger(__name__)
#: how long a stop waits for orders that are on their way
STOP_WITHIN_SECONDS = 15.0


@dataclass(slots=True)
class Daemon:
    """A recovered desk and everything around it. `run` may be called once."""

    state: DeskState
    store: Store
    clock: Clock
    inbox: Inbox
    venues: Mapping[str, Venue]
    watcher: Watcher
    open_orders: Sequence[OrderIntent] = ()
    control: ControlServer | None = None
    view_interval_seconds: float = 5.0
    on_alert: Callable[[Alert], None] = lambda _alert: None
    publishers: list[Publisher] = field(default_factory=list)
    loop: DeskLoop = field(init=False)
    executor: Executor = field(init=False)
    scheduler: Scheduler = field(init=False)
    views: ViewSaver = field(init=False)

    def __post_init__(self) -> None:
        self.executor = Executor(self.venues, self.emit, self.clock, self.on_alert)
        self.scheduler = Scheduler(self.inbox, self.clock)
        self.views = ViewSaver(self.state, self.store, self.clock, self.view_interval_seconds)
        self.loop = DeskLoop(
            self.state,
            self.inbox,
            self.store,
            act=self.executor.carry_out,
            wake_at=self.scheduler.wake_at,
        )

    def emit(self, event: Event) -> None:
        """Take an event from anywhere outside the core."""
        self.inbox.put(event)

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set or the feed has no more prices; then end in good order.

        Raises what ended the desk, when that was not asked for.
        """
        for publisher in self.publishers:
            self.loop.subscribe(publisher)
        try:
            await self._reconcile()
            self.scheduler.start()
            if self.control is not None:
                await self.control.start()
            await self._work_until(stop)
        finally:
            await self._close()

    async def _reconcile(self) -> None:
        """Ask the venue about everything that is not settled, before anything new is decided."""
        for venue in self.venues.values():
            await venue.start(self.emit)
        for intent in self.open_orders:
            await self.venues[intent.account].query(intent)
        for venue in self.venues.values():
            await venue.report_positions()
        await self._drain()
        _log.info("ready", funds=len(self.state.funds))

    async def _work_until(self, stop: asyncio.Event) -> None:
        tasks: set[asyncio.Task[Any]] = {
            asyncio.create_task(self.loop.run(), name="loop"),
            asyncio.create_task(self.watcher.run(), name="watcher"),
            asyncio.create_task(self.views.run(), name="views"),
            asyncio.create_task(stop.wait(), name="stop"),
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # The loop goes last: it may be inside a commit, which must be seen through.
            await self._end(tasks)
        for task in done:
            if not task.cancelled() and task.exception() is not None:
                raise task.exception() or RuntimeError
        await self._wind_down()

    async def _end(self, tasks: set[asyncio.Task[Any]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _wind_down(self) -> None:
        """Let what is on its way arrive, take it in, and send nothing more."""
        _log.info("stopping")
        pending = await self.executor.stop(STOP_WITHIN_SECONDS)
        if pending:
            _log.warning("orders_unresolved", count=pending)
        await self._drain()
        await self.views.save()

    async def _drain(self) -> None:
        while (letter := self.inbox.take_now()) is not None:
            await self.loop.take(letter)

    async def _close(self) -> None:
        self.scheduler.close()
        if self.control is not None:
            await self.control.close()
        await self.watcher.close()
        for venue in self.venues.values():
            with contextlib.suppress(OSError):
                await venue.close()
        await self.store.close()
