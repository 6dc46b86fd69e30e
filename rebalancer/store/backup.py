"""A copy of a store's file, whole at one instant, beside a running desk or without one."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from rebalancer.errors import InputRefused, StoreUnavailable
from rebalancer.store.target import target


def back_up(url: str, file: Path) -> int:
    """Copy the store at `url` to a new `file`; return its size in bytes.

    SQLite's own online copy: the log is in it, nobody waits, a copy that fails leaves no file.
    Raises InputRefused where the file exists or the store is on a server, StoreUnavailable where
    it cannot be read or written.
    """
    place = target(url)
    if place.path is None:
        raise InputRefused(
            f"{place.shown} is on a server, which makes its own backups: "
            f"pg_dump --format=custom --file={file} DATABASE"
        )
    return back_up_file(place.path, file)


def back_up_file(source: Path, file: Path) -> int:
    """Do as `back_up` does with the file of a store; return its size in bytes."""
    if not source.exists():
        raise StoreUnavailable(f"there is no store at {source}")
    if file.exists():
        raise InputRefused(f"{file} exists; a backup never replaces another: name a new file")
    part = file.with_name(f"{file.name}.part")
    try:
        _copy(source, part)
        size = part.stat().st_size
        part.replace(file)
        flush_folder(file.parent)
    except (sqlite3.Error, OSError) as error:
        # SQLite keeps the journal of a copy that it could not finish.
        for left in (part, part.with_name(f"{part.name}-journal")):
            with suppress(OSError):
                left.unlink()
        raise StoreUnavailable(f"{source} could not be copied to {file}: {error}") from error
    return size


def _copy(source: Path, part: Path) -> None:
    with (
        closing(sqlite3.connect(f"file:{source.absolute().as_posix()}?mode=ro", uri=True)) as read,
        closing(sqlite3.connect(part)) as written,
    ):
        read.backup(written)
        # One file, which can be moved and read by anybody: not a file and its log.
        written.execute("PRAGMA journal_mode=DELETE")
        (found,) = written.execute("PRAGMA quick_check").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(f"the copy is damaged: {found}")
    with part.open("rb") as file:
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Make new names in a folder durable; raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
