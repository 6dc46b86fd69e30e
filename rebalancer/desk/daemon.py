"""The daemon: the parts of a running desk, started in order and stopped in the reverse one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from rebalancer.core.actions import Alert
from rebalancer.core.events import Event, KillSwitchFound
from rebalancer.core.instant import iso
from rebalancer.core.money import counted
from rebalancer.core.order import OrderIntent
from rebalancer.core.state import DeskState
from rebalancer.desk.alert_book import AlertBook
from rebalancer.desk.companions import Companion, keep_up
from rebalancer.desk.control import ControlServer, Reload
from rebalancer.desk.executor import Executor
from rebalancer.desk.inbox import Inbox
from rebalancer.desk.kill_switch import KillSwitch, watch_kill_switch
from rebalancer.desk.loop import DeskLoop
from rebalancer.desk.publisher import ViewSaver
from rebalancer.desk.scheduler import Scheduler
from rebalancer.desk.service import Heartbeat, ServiceManager
from rebalancer.desk.views import next_fixed
from rebalancer.desk.watcher import Watcher
from rebalancer.errors import CommandRefused, ensure
from rebalancer.ports import Clock, Publisher, Service, Store, Venue

_log = structlog.get_logger(__name__)
#: how long a stop waits for orders that are on their way
STOP_WITHIN_SECONDS = 15.0
#: the parts whose end is an end in good order: somebody said stop, or there are no more prices
_MAY_END = frozenset({"stop", "watcher"})


@dataclass(slots=True)
class Daemon:
    """A recovered desk and everything around it. `run` may be called once."""

    state: DeskState
    store: Store
    clock: Clock
    inbox: Inbox
    venues: Mapping[str, Venue]
    watcher: Watcher
    mode: str = "paper"
    open_orders: Sequence[OrderIntent] = ()
    control: ControlServer | None = None
    #: what else has to be asked before anything is traded; raises where it was not answered
    inquiries: Sequence[Callable[[], Awaitable[None]]] = ()
    #: what watches beside the loop, by name
    companions: Mapping[str, Companion] = field(default_factory=dict)
    view_interval_seconds: float = 5.0
    on_alert: Callable[[Alert], None] = lambda _alert: None
    publishers: list[Publisher] = field(default_factory=list)
    kill_switch: KillSwitch | None = None
    #: what else lives as long as the desk: begun before it reconciles, ended with it
    services: list[Service] = field(default_factory=list)
    #: whether the venue was asked about everything that was open, and prices are taken
    ready: bool = False
    #: whoever started the process and wants to know how it is
    manager: ServiceManager = field(default_factory=lambda: ServiceManager(None))
    alerts: AlertBook = field(init=False)
    #: reads the configuration anew; None: this desk was not started from a file
    reloader: Reload | None = field(default=None, init=False)
    #: set by SIGHUP: a reload is wanted
    hang_up: asyncio.Event = field(default_factory=asyncio.Event)
    loop: DeskLoop = field(init=False)
    executor: Executor = field(init=False)
    scheduler: Scheduler = field(init=False)
    views: ViewSaver = field(init=False)

    def __post_init__(self) -> None:
        self.alerts = AlertBook(self.state, self.clock, self.on_alert)
        if self.control is not None:
            self.control.questions |= {
                "alerts": self.alerts.document,
                "alert-test": self.alerts.test,
                "about": self.about,
            }
        self.executor = Executor(
            self.venues,
            self.emit,
            self.clock,
            self.alerts.take,
            self.kill_switch,
            sends=self.mode != "dry-run",
        )
        self.scheduler = Scheduler(self.inbox, self.clock)
        self.views = ViewSaver(self.state, self.store, self.clock, self.view_interval_seconds)
        if self.control is not None:
            self.control.show = self.views.save
        self.loop = DeskLoop(
            self.state,
            self.inbox,
            self.store,
            prepare=self.executor.prepare,
            act=self.executor.carry_out,
            wake_at=self.scheduler.wake_at,
        )

    def emit(self, event: Event) -> None:
        """Take an event from anywhere outside the core."""
        self.executor.heard(event)
        self.inbox.put(event)

    async def look_again(self) -> None:
        """Ask about every order whose fate is open and about all positions: news was missed."""
        self.executor.hurry()
        for venue in self.venues.values():
            await venue.report_positions()

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set or the feed has no more prices; then end in good order.

        Raises what ended the desk, when that was not asked for.
        """
        for publisher in self.publishers:
            self.loop.subscribe(publisher)
        try:
            for service in self.services:
                await service.start()
            await self._reconcile()
            self.scheduler.start()
            if self.control is not None:
                await self.control.start()
            self.ready = True
            switch = str(self.kill_switch.path) if self.kill_switch else None
            _log.info("ready", funds=len(self.state.funds), kill_switch=switch)
            self.manager.tell("READY=1", f"STATUS={self.status()}")
            await self._work_until(stop)
        finally:
            await self._close()

    def reloads_with(self, reloader: Reload) -> None:
        """Have `reloader` read the configuration anew when that is asked for."""
        self.reloader = reloader
        if self.control is not None:
            self.control.reload = self.reload

    async def reload(self, confirm: str = "", *, check: bool = False) -> dict[str, Any]:
        """Read the configuration anew; raises CommandRefused, and then nothing changed."""
        if self.reloader is None:
            raise CommandRefused("this desk was not started from a configuration file")
        if check:
            return await self.reloader(check=True)
        self.manager.tell_reloading()
        try:
            return await self.reloader(confirm)
        finally:
            self.manager.tell("READY=1", f"STATUS={self.status()}")

    async def _reload_on_hang_up(self) -> None:
        while True:
            await self.hang_up.wait()
            self.hang_up.clear()
            with contextlib.suppress(CommandRefused):  # it was told as an alert
                await self.reload()

    def about(self) -> dict[str, Any]:
        """Say which desk this is, for commands that ask more of a person where orders are live."""
        return {
            "mode": self.mode,
            "desk": self.state.desk_id,
            "config_digest": self.state.config_digest,
            "funds": list(self.state.funds),
        }

    def status(self) -> str:
        """Say in one line how the desk is, for whoever started it."""
        halted = [name for name, fund in self.state.funds.items() if fund.trading != "active"]
        words = f"{self.mode}, {counted(len(self.state.funds), 'fund')}"
        if halted:
            words += f", not trading: {', '.join(halted)}"
        coming = next_fixed(self.state, self.clock.now_ms())
        return words if coming is None else f"{words}, next fixed rebalance {iso(coming)}"

    async def _reconcile(self) -> None:
        """Ask the venue about everything that is not settled, before anything new is decided."""
        if self.kill_switch is not None and (reason := self.kill_switch.reason()) is not None:
            self.emit(KillSwitchFound(self.clock.now_ms(), reason))
        for venue in self.venues.values():
            await venue.start(self.emit)
        for intent in self.open_orders:
            await self.venues[intent.account].query(intent)
        for inquire in self.inquiries:
            await inquire()
        for venue in self.venues.values():
            await venue.report_positions()
        await self._drain()

    async def _work_until(self, stop: asyncio.Event) -> None:
        heart = Heartbeat(
            self.manager,
            {"loop": lambda: self.loop.steps, "schedule": lambda: self.scheduler.woken},
            self.views.save,
            self.status,
        )
        loop = asyncio.create_task(self.loop.run(), name="loop")
        others: set[asyncio.Task[Any]] = {
            asyncio.create_task(self.watcher.run(), name="watcher"),
            asyncio.create_task(self.views.run(), name="views"),
            asyncio.create_task(self.alerts.run(), name="alerts"),
            asyncio.create_task(stop.wait(), name="stop"),
            asyncio.create_task(self._reload_on_hang_up(), name="reloads"),
        }
        if self.kill_switch is not None:
            looking = watch_kill_switch(self.kill_switch, self.emit, self.clock)
            others.add(asyncio.create_task(looking, name="kill switch"))
        if self.manager.listens:
            others.add(asyncio.create_task(heart.run(), name="heart"))
        for name, companion in self.companions.items():
            kept_up = keep_up(name, companion, self.clock, self.executor.tell)
            others.add(asyncio.create_task(kept_up, name=name))
        try:
            ended, _ = await asyncio.wait({loop, *others}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            failed = [task for task in others if _error(task)]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            # The loop goes last and of its own will: it may be inside a commit, whose fate would
            # be open, and then nothing may be built on the state.
            self.loop.end(self.clock.now_ms())
            await asyncio.gather(loop, return_exceptions=True)
        for task in (loop, *failed):
            if (error := _error(task)) is not None:
                raise error
        # A cancel that was meant for something else ends a part without a word. In good order
        # nobody would start the desk again.
        lost = [task.get_name() for task in ended if task.get_name() not in _MAY_END]
        ensure(not lost or stop.is_set(), "a part of the desk ended by itself", *lost)
        await self._wind_down()

    async def _wind_down(self) -> None:
        """Let what is on its way arrive, take it in, and send nothing more."""
        _log.info("stopping")
        self.manager.tell("STOPPING=1", "STATUS=waiting for what is on its way to the venue")
        pending = await self.executor.stop(STOP_WITHIN_SECONDS)
        if pending:
            _log.warning("orders_unresolved", count=pending)
        await self._drain()
        await self.views.save()

    async def _drain(self) -> None:
        while (letter := self.inbox.take_now()) is not None:
            await self.loop.take(letter)

    async def _close(self) -> None:
        async with contextlib.AsyncExitStack() as last_first:
            last_first.push_async_callback(self.store.close)
            for venue in self.venues.values():
                last_first.push_async_callback(venue.close)
            last_first.push_async_callback(self.watcher.close)
            for service in self.services:
                last_first.push_async_callback(service.close)
            if self.control is not None:
                last_first.push_async_callback(self.control.close)
            # After a failure, too: what still queues behind another order must not leave.
            last_first.push_async_callback(self.executor.stop, STOP_WITHIN_SECONDS)
            self.scheduler.close()


def _error(task: asyncio.Task[Any]) -> BaseException | None:
    return task.exception() if task.done() and not task.cancelled() else None
