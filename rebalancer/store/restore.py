"""A backup in the place of a store: examined first, and what it replaces is kept beside it."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from rebalancer.errors import BrokenInvariant, InputRefused, StoreUnavailable
from rebalancer.store import journal
from rebalancer.store.backup import flush_folder
from rebalancer.store.locks import FileLock
from rebalancer.store.owner import own_like
from rebalancer.store.schema import refuse_newer, schema_of
from rebalancer.store.target import Target, reading_engine, target, unavailable

#: the file of a store and what SQLite keeps beside it
_PARTS = ("", "-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put back, and what it replaced."""

    store: Path
    records: int
    #: when the last record was made; None where the backup holds none
    last_ms: int | None
    #: where the replaced store is now; None where there was none
    kept: Path | None


def restore(url: str, file: Path, stamp: str, halt: Callable[[], object]) -> Restored:
    """Put the backup `file` in the place of the store at `url`; what was there gets `stamp`.

    Nothing changes before the backup was read from its first record to its last; `halt` is called
    while no desk can start, and before anything moves. Raises
    InputRefused where it is no whole backup or the store is on a server, StoreRefused where a desk
    runs on the store or a newer program wrote the backup, StoreUnavailable where a disk fails.
    """
    place = target(url)
    if place.path is None:
        raise InputRefused(
            f"{place.shown} is on a server: pg_restore --dbname=DATABASE {file} into an empty "
            "database, and rebalancer kill --reason restored before the desk starts"
        )
    store = place.path
    if file.exists() and store.exists() and file.samefile(store):
        raise InputRefused(f"{file} is the store itself: name a backup")
    records, last_ms = _examine(file)
    lock = FileLock(store)
    try:
        halt()
        kept = _replace(store, file, stamp)
    except OSError as error:
        raise StoreUnavailable(f"{store} could not be replaced by {file}: {error}") from error
    finally:
        lock.release()
    return Restored(store, records, last_ms, kept)


def _examine(file: Path) -> tuple[int, int | None]:
    """Return how many records a backup has and when the last was made."""
    if not file.is_file():
        raise InputRefused(f"there is no backup at {file}")
    _refuse_damaged(file)
    place = Target(target(f"sqlite:///{file.absolute()}").url, file.absolute())
    engine = reading_engine(place)

    def read(connection: Connection) -> tuple[int, int | None]:
        version = schema_of(connection)
        if version is None:
            raise InputRefused(f"{file} is no backup of a store: no desk ever wrote to it")
        refuse_newer(version, str(file))
        count, last_ms = 0, None
        for row in journal.verified(connection):
            count, last_ms = row.seq, row.record.at_ms
        return count, last_ms

    try:
        with engine.connect() as connection, connection.begin():
            return read(connection)
    except BrokenInvariant as broken:
        raise InputRefused(f"{file} cannot be restored: {broken}; take another backup") from None
    except SQLAlchemyError as error:
        raise unavailable(place, error) from error
    finally:
        engine.dispose()


def _refuse_damaged(file: Path) -> None:
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as opened:
            (found,) = opened.execute("PRAGMA quick_check").fetchone()
    except sqlite3.Error as error:
        found = str(error)
    if found != "ok":
        raise InputRefused(f"{file} is damaged: {found}; take another backup")


def _replace(store: Path, file: Path, stamp: str) -> Path | None:
    """Copy beside the store first: a full disk is met before anything has moved."""
    part = store.with_name(f"{store.name}.part")
    try:
        shutil.copyfile(file, part)
        part.chmod(0o600)
        own_like(part, store if store.exists() else store.parent)
        with part.open("rb") as copied:
            os.fsync(copied.fileno())
        kept = store.with_name(f"{store.name}.replaced-{stamp}") if store.exists() else None
        for suffix in _PARTS:
            # Together, under one name: a log beside another file would be taken for its own.
            present = store.with_name(store.name + suffix)
            if present.exists():
                present.rename(store.with_name(f"{store.name}.replaced-{stamp}{suffix}"))
        part.rename(store)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    flush_folder(store.parent)
    return kept
