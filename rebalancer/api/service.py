"""The HTTP interface of a running desk: its listeners, and what they are fed with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import structlog

from rebalancer.api.access import Gate, Policy
from rebalancer.api.app import SecurityHeaders, create_app
from rebalancer.api.board import Board, Journalist, Sampler
from rebalancer.api.desk import DeskDoor, StoreDoor
from rebalancer.api.guarding import refuse_unguarded, tls_of
from rebalancer.api.health import Check
from rebalancer.api.hub import Hub
from rebalancer.api.metrics import Metrics
from rebalancer.api.server import Listener
from rebalancer.api.streams import HEARTBEAT_SECONDS, Streams
from rebalancer.api.tokens import Keyring
from rebalancer.clock import WallClock
from rebalancer.core.actions import Alert
from rebalancer.core.records import Record
from rebalancer.desk.control import CommandDoor
from rebalancer.desk.daemon import Daemon
from rebalancer.settings import Address, ApiSettings
from rebalancer.store.reader import SqlReader

_log = structlog.get_logger(__name__)
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
#: a board that is older than this many publications, and at least this long, stands still
LATE_PUBLICATIONS = 5
LATE_SECONDS_MIN = 10.0
#: message numbers begin above those of every earlier process: no desk publishes 1 000 times in a
#: millisecond, and the numbers stay within what JSON readers take exactly
NUMBERS_PER_MS = 1_000


class ApiService:
    """Publishes a desk: a service of the daemon, and one of its publishers."""

    def __init__(self, settings: ApiSettings, daemon: Daemon, reader: SqlReader) -> None:
        """Take the addresses; ConfigRefused where a listener cannot be opened or guarded."""
        wall = WallClock()
        self._interval_seconds = settings.publish_interval_ms / 1_000
        self._store = StoreDoor(reader)
        self._keyring = Keyring(settings.tokens_file)
        self._tasks: list[asyncio.Task[None]] = []
        self._listeners: list[Listener] = []
        self._hubs: dict[Hub, bool] = {}
        self._streams: list[Streams] = []
        self.board = Board(daemon.state.funds)
        self.metrics = Metrics(
            self.board,
            daemon.clock,
            daemon.mode,
            lambda: daemon.ready,
            [(name, words, partial(read, self)) for name, words, read in COUNTED],
        )
        self.metrics.expect(list(daemon.state.funds))
        self.daemon = daemon
        self._desk = DeskDoor(
            mode=daemon.mode,
            board=self.board,
            clock=daemon.clock,
            wall=wall,
            commands=CommandDoor(daemon.inbox, daemon.clock, daemon.kill_switch),
            store=self._store,
            names=frozenset(daemon.state.funds),
            ready=lambda: daemon.ready,
            started_ms=daemon.clock.now_ms(),
            compat=settings.compat,
            checks=self._checks(),
            open_alerts=lambda: daemon.alerts.open,
            test_alert=daemon.alerts.test,
            kill_switch=daemon.kill_switch,
            planner=lambda: daemon.control.planner if daemon.control else None,
            costs=lambda: daemon.control.costs if daemon.control else None,
        )
        try:
            for setting, address, public in (
                ("api.listen", settings.listen, False),
                ("api.public_listen", settings.public_listen, True),
            ):
                if address is not None:
                    self._open(setting, address, settings, public=public)
        except BaseException:
            for listener in self._listeners:
                listener.abandon()
            self._store.close()
            raise
        self._journalist = Journalist(self._hubs)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens, the operators' listener first."""
        return [listener.address for listener in self._listeners]

    @property
    def readers(self) -> int:
        """Readers of the streams of all listeners."""
        return sum(hub.readers for hub in self._hubs)

    def publish(self, records: Sequence[Record]) -> None:
        """Take committed records."""
        # Between a commit and the next step: no NAV in new shares meets a candle in old ones.
        self.board.convert(records)
        self._journalist.publish(records)
        self.metrics.publish(records)

    def take(self, alert: Alert) -> None:
        """Take an alert."""
        self.metrics.take(alert)
        self._journalist.take(alert)

    async def start(self) -> None:
        """Listen and publish from now on."""
        sampler = Sampler(
            self.board,
            self.daemon.state,
            self.daemon.clock,
            settled=lambda: self.daemon.loop.settled,
            hubs=self._hubs,
        )
        # Before anybody can ask: there is always something to show.
        await sampler.publish()
        self._begin("api publications", sampler.run(self._interval_seconds))
        self._begin("api store", self._store.run())
        for (hub, public), streams in zip(self._hubs.items(), self._streams, strict=True):
            which = "public" if public else "private"
            self._begin(f"api {which} hub", hub.run())
            self._begin(f"api {which} heart", hub.beat(streams.heartbeat, HEARTBEAT_SECONDS))
        for listener in self._listeners:
            await listener.start()
            _log.info("api_listens", address="{}:{}".format(*listener.address))

    async def close(self) -> None:
        """End every connection; may be called twice."""
        for hub in self._hubs:
            hub.end("the desk stops")
        await asyncio.gather(*(listener.close() for listener in self._listeners))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self._store.close()

    def _open(self, setting: str, address: Address, settings: ApiSettings, *, public: bool) -> None:
        wall = self._desk.wall
        tls = tls_of(settings)
        if not public:
            refuse_unguarded(setting, address, self._keyring, wall.now_ms())
        hub = Hub(
            wall.now_ms() * NUMBERS_PER_MS, lambda why: self.metrics.dropped.labels(why).inc()
        )
        own = f"[{address.host}]" if ":" in address.host else address.host
        policy = Policy(
            hosts=LOOPBACK_NAMES | {own, *settings.allowed_hosts},
            needs_token=not address.loopback,
            public=public,
        )
        app = create_app(
            self._desk,
            public=public,
            metrics=None if public else self.metrics.text,
            guarded=policy.needs_token and not public,
        )
        streams = Streams(SecurityHeaders(app), hub, self._desk.clock, sorted(self._desk.names))
        gate = Gate(streams, policy, self._keyring, wall)
        self._listeners.append(Listener(setting, address.host, address.port, gate, tls))
        self._hubs[hub] = public
        self._streams.append(streams)

    def _begin(self, name: str, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work, name=name)
        task.add_done_callback(_report)
        self._tasks.append(task)

    def _checks(self) -> Mapping[str, Check]:
        return {
            "desk": lambda: "" if self.daemon.ready else "still asking the venue what is open",
            "publication": self._publication,
            "prices": self._prices,
            "store": lambda: self._store.problem,
        }

    def _publication(self) -> str:
        published_s = self.board.published_s
        if published_s is None:
            return "nothing is published yet"
        age_s = asyncio.get_running_loop().time() - published_s
        limit_s = max(LATE_SECONDS_MIN, LATE_PUBLICATIONS * self._interval_seconds)
        return "" if age_s <= limit_s else f"the last was {age_s:.0f} s ago"

    def _prices(self) -> str:
        stale = [picture.name for picture in self.board.in_order() if picture.view.stale]
        if not stale:
            return ""
        shown = ", ".join(stale[:5]) + (", ..." if len(stale) > 5 else "")
        return f"{len(stale)} of {len(self.board.pictures)} have an old price or none: {shown}"


#: what is counted of the desk besides its funds
COUNTED: Sequence[tuple[str, str, Callable[[ApiService], int]]] = (
    ("rebalancer_open_breaks", "Breaks that are open.", lambda api: len(api.daemon.state.breaks)),
    ("rebalancer_open_alerts", "Alerts that last.", lambda api: len(api.daemon.alerts.open)),
    ("rebalancer_stream_readers", "Readers of the streams.", lambda api: api.readers),
)


def _report(task: asyncio.Task[None]) -> None:
    """Say what ended a part of the interface: the desk itself goes on."""
    if not task.cancelled() and task.exception() is not None:
        _log.error("api_part_failed", part=task.get_name(), exc_info=task.exception())
