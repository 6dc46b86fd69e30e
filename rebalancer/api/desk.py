"""The desk as the interface sees it: its latest pictures, its store, and its door for commands."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from rebalancer.api.board import Board
from rebalancer.api.health import Check
from rebalancer.desk.alert_book import Entry
from rebalancer.desk.control import CommandDoor, Costs, Planner
from rebalancer.desk.kill_switch import KillSwitch
from rebalancer.errors import StoreUnavailable
from rebalancer.ports import Clock
from rebalancer.store.reader import SqlReader

T = TypeVar("T")
#: reads at once; more wait, so that readers never take the desk's processor for themselves
READERS = 2
#: how soon a store that did not answer is asked again
AGAIN_SECONDS = 5.0


class StoreDoor:
    """Reads of the store, in threads of their own: the loop goes on meanwhile."""

    def __init__(self, reader: SqlReader) -> None:
        self._reader = reader
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="api-read")
        #: why the last read failed; empty where it did not
        self.problem = ""

    async def read(self, work: Callable[[SqlReader], T]) -> T:
        """Return what `work` reads; raises StoreUnavailable."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._threads, work, self._reader)
        except StoreUnavailable as error:
            self.problem = str(error)
            raise
        self.problem = ""
        return found

    async def run(self) -> None:
        """Ask again after each read that failed, for ever.

        Who is said not to be ready is asked nothing by a load balancer, and would stay so.
        """
        while True:
            await asyncio.sleep(AGAIN_SECONDS)
            if self.problem:
                with contextlib.suppress(StoreUnavailable):
                    await self.read(SqlReader.journal_end)

    def close(self) -> None:
        """Give up threads and connections; may be called twice."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._reader.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskDoor:
    """Everything the interface may touch of a running desk."""

    mode: str
    board: Board
    #: the desk's time, and the wall's: a paper desk may live faster
    clock: Clock
    wall: Clock
    commands: CommandDoor
    store: StoreDoor
    names: frozenset[str]
    ready: Callable[[], bool]
    started_ms: int
    #: exchanges whose words are spoken too
    compat: tuple[str, ...] = ()
    checks: Mapping[str, Check] = field(default_factory=dict)
    #: alerts whose cause lasts, the gravest first
    open_alerts: Callable[[], Sequence[Entry]] = tuple
    #: raises an alert that means nothing
    test_alert: Callable[[], dict[str, Any]] = dict
    #: stops all trading; None where this desk has no such switch
    kill_switch: KillSwitch | None = None
    #: plans on the live state; None where this desk has nothing that plans
    planner: Callable[[], Planner | None] = lambda: None
    #: estimates what a plan would cost; None where nobody can say
    costs: Callable[[], Costs | None] = lambda: None
