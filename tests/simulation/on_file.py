"""A simulated day on the product's own store: SQLite in a file, its writer's thread and its tables.

The virtual loop stands still while the store is at work, so that a seed stays a day bit for bit.
"""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from rebalancer.core.records import Record
from rebalancer.core.verification import Verifier
from rebalancer.errors import StoreUnavailable
from rebalancer.store.reader import open_reader
from rebalancer.store.sql import SqlStore, open_store
from rebalancer.store.whole import table_problems
from tests.simulation.day import Day, day_of
from tests.simulation.judge import judge
from tests.simulation.world import Disk, World
from tests.store.storage_faults import read_only


class FileDisk(Disk):
    """Keeps every record in a file, and in memory as well, for the judge."""

    def __init__(self, day: Day, folder: Path) -> None:
        super().__init__(day)
        self.url = f"sqlite:///{folder}/desk.db"
        self._folder = folder
        self._store: SqlStore | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    async def load(self) -> Sequence[Record]:
        """Open the file as the start of a process does, and read it."""
        self._give_up()
        self._store = open_store(self.url)
        records: Sequence[Record] = self._done(self._store.load())
        return records

    def end(self) -> None:
        """Close the file and end the thread."""
        self._give_up()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _keep(
        self, records: Sequence[Record], meanwhile: Callable[[], None] | None = None
    ) -> None:
        self._done(self._open.commit(records, meanwhile))
        await super()._keep(records, meanwhile)

    def _refuse(self, records: Sequence[Record]) -> None:
        with read_only(self._open, self._folder, Random(0)):  # noqa: S311 - draws nothing
            self._done(self._open.commit(records))

    @property
    def _open(self) -> SqlStore:
        if self._store is None:
            raise StoreUnavailable("nobody opened the store")
        return self._store

    def _give_up(self) -> None:
        if self._store is not None:
            self._done(self._store.close())
        self._store = None

    def _done(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


@contextmanager
def lived_on_file(seed: int, folder: Path) -> Iterator[tuple[World, FileDisk]]:
    """Yield the day of a seed that was lived on a file, and the file, closed."""
    disk = FileDisk(day_of(seed), folder)
    try:
        world = World(disk._day, disk_of=lambda _day: disk)
        world.live()
    finally:
        disk.end()
    yield world, disk


def tried(seeds: Iterable[int], folder: Path) -> Iterator[str]:
    """Live the day of each seed on a file of its own; yield what was broken or not verified."""
    for seed in seeds:
        own = folder / str(seed)
        own.mkdir()
        with lived_on_file(seed, own) as (world, disk):
            for problem in (*judge(world), *unverified(world, disk)):
                yield f"seed {seed} on a file: {problem}"
        shutil.rmtree(own)


def unverified(world: World, disk: FileDisk) -> list[str]:
    """Check the file as `rebalancer verify` does; return what does not hold."""
    reader = open_reader(disk.url)
    try:
        whole = reader.whole()
    finally:
        reader.close()
    verifier = Verifier(world.desk, "simulated")
    for record in whole.records:
        verifier.take(record)
    verifier.end()
    lost = [] if tuple(whole.records) == disk.records else ["the file has other records"]
    return [*verifier.problems, *table_problems(whole)[1], *lost]
