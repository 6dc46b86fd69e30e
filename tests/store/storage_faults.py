"""A file that cannot be written, or that lost its end: what was acknowledged is there in order.

Each seed is one store in a file of its own: some commits, a fault under the next ones, and what is
found after it. The old backup that is restored has a test of its own (`tests/e2e`).
"""

from __future__ import annotations

import asyncio
import resource
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from rebalancer.core.methodology import Trigger
from rebalancer.core.records import VerdictChanged
from rebalancer.errors import StoreUnavailable
from rebalancer.store import target
from rebalancer.store.sql import SqlStore, open_store

#: a commit gives a locked file up after so long here; 5 s in earnest
BUSY_MS = 20
FILES = ("desk.db", "desk.db-wal")


def verdict(number: int) -> VerdictChanged:
    """Return a record that says its number."""
    return VerdictChanged(at_ms=number, fund="F", trigger=Trigger.NONE, reason=f"no. {number}")


async def numbers_in(store: SqlStore) -> list[int]:
    """Return the numbers of all records; the chain of hashes is checked on the way."""
    return [record.at_ms for record in await store.load()]


def _driver(store: SqlStore) -> Any:
    connection = store._writer._session._connection
    assert connection is not None
    return connection.connection.dbapi_connection


@contextmanager
def full_by_pages(store: SqlStore, _folder: Path, _dice: Random) -> Iterator[None]:
    """The database may not grow: what SQLite itself calls a full disk."""
    driver = _driver(store)
    (pages,) = driver.execute("PRAGMA page_count").fetchone()
    driver.execute(f"PRAGMA max_page_count={pages}")
    yield
    driver.execute("PRAGMA max_page_count=1000000")


@contextmanager
def full_by_bytes(store: SqlStore, folder: Path, dice: Random) -> Iterator[None]:
    """The system takes no byte behind some place of a file, be it there already or not."""
    del store, folder
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = dice.randrange(1, 6_000)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def read_only(store: SqlStore, _folder: Path, _dice: Random) -> Iterator[None]:
    """Every write is refused, as on a file system that was mounted read-only after an error."""
    driver = _driver(store)
    driver.execute("PRAGMA query_only=ON")
    yield
    driver.execute("PRAGMA query_only=OFF")


@contextmanager
def locked(_store: SqlStore, folder: Path, _dice: Random) -> Iterator[None]:
    """Somebody else keeps the file to himself."""
    other = sqlite3.connect(folder / "desk.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


Fault = Callable[[SqlStore, Path, Random], Any]
FAULTS: tuple[Fault, ...] = (full_by_pages, full_by_bytes, read_only, locked)


class Stretch:
    """Commits to one store, and which of them it acknowledged."""

    def __init__(self, store: SqlStore, dice: Random) -> None:
        self._store, self._dice = store, dice
        self._number = 0
        self.kept: list[int] = []
        self.refusals = 0

    async def commit(self, size: int) -> None:
        """Commit a few times so many records; a refusal is counted."""
        for _ in range(self._dice.randrange(1, 5)):
            batch = [verdict(self._number + each) for each in range(1, size + 1)]
            self._number += size
            try:
                await self._store.commit(batch)
            except StoreUnavailable:
                self.refusals += 1
            else:
                self.kept += [record.at_ms for record in batch]


async def refused(fault: Fault, folder: Path, dice: Random) -> str | None:
    """Commit under a fault; say what was lost, doubled or believed, None for nothing."""
    store = open_store(f"sqlite:///{folder}/desk.db")
    stretch = Stretch(store, dice)
    try:
        await stretch.commit(dice.randrange(1, 4))
        with fault(store, folder, dice):
            await stretch.commit(150)  # enough to need more than what is left of a page
        await store.load()  # as a start does; after a refusal in doubt nothing goes on without it
        await stretch.commit(dice.randrange(1, 4))
        found = await numbers_in(store)
    finally:
        await store.close()
    again = open_store(f"sqlite:///{folder}/desk.db")
    try:
        reopened = await numbers_in(again)
    finally:
        await again.close()
    if not stretch.refusals:
        return "no commit was refused"
    if found != stretch.kept or reopened != stretch.kept:
        return (
            f"{stretch.kept} were acknowledged, {found} are there, and {reopened} at the next open"
        )
    return None


async def torn(folder: Path, dice: Random) -> str | None:
    """Cut or spoil the end of the log; say what is wrong with what is left, None for nothing."""
    store = open_store(f"sqlite:///{folder}/desk.db")
    count = dice.randrange(2, 12)
    try:
        for number in range(1, count + 1):
            await store.commit([verdict(number)])
        copy = folder / "copy"
        copy.mkdir()
        for name in FILES:
            shutil.copy(folder / name, copy / name)
    finally:
        await store.close()
    log = copy / "desk.db-wal"
    content = bytearray(log.read_bytes())
    place = dice.randrange(len(content) // 2, len(content))
    if dice.random() < 0.5:
        del content[place:]
    else:
        content[place] ^= 0xFF
    log.write_bytes(content)
    restored = open_store(f"sqlite:///{copy}/desk.db")
    try:
        found = await numbers_in(restored)
        await restored.commit([verdict(count + 1)])
        more = await numbers_in(restored)
    finally:
        await restored.close()
    if found != list(range(1, len(found) + 1)) or more != [*found, count + 1]:
        return f"of 1 to {count} the torn log left {found}, and {more} after one more"
    return None


def tried(seeds: Iterable[int], folder: Path) -> Iterator[str]:
    """Try the fault of each seed in a folder of its own; yield what was broken."""
    kinds: tuple[Fault | None, ...] = (*FAULTS, None)
    pragmas: dict[str, Any] = target._SQLITE_PRAGMAS
    patience, pragmas["busy_timeout"] = pragmas["busy_timeout"], BUSY_MS
    try:
        for seed in seeds:
            dice = Random(seed)  # noqa: S311 - for tests, not for secrets
            own = folder / str(seed)
            own.mkdir()
            fault = kinds[seed % len(kinds)]
            work = torn(own, dice) if fault is None else refused(fault, own, dice)
            problem = asyncio.run(work)
            if problem is not None:
                name = "torn" if fault is None else fault.__name__
                yield f"seed {seed}: {name}: {problem}"
            shutil.rmtree(own)
    finally:
        pragmas["busy_timeout"] = patience
