"""One desk at a time: the lock that a desk holds on its store for as long as it lives.

A file has a lock file beside it. A server has a lock of the session, taken on the very connection
that writes: a desk that lost its lock has lost the means to write as well.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from sqlalchemy import Connection, text

from rebalancer.errors import StoreTaken, StoreUnavailable
from rebalancer.store.owner import own_like

#: Names the desk's lock among a database's advisory locks: "rebalanc" in ASCII.
ADVISORY_KEY = int.from_bytes(b"rebalanc", "big")
_POLL_SECONDS = 0.05

_TAKE = text("SELECT pg_try_advisory_lock(:key)")
# A 64-bit key stands in pg_locks as two halves; objsubid 1 marks it as one key.
_HOLDER = text(
    "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid "
    "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND (l.classid::bigint << 32) | l.objid::bigint = :key"
)


def _taken(holder: str, place: str) -> StoreTaken:
    return StoreTaken(
        f"another desk (pid {holder}) already runs on {place}; "
        "stop it first or give this one a store of its own"
    )


class FileLock:
    """The lock of a SQLite store: `<database file>.lock`, which names the desk that holds it."""

    def __init__(self, database: Path) -> None:
        """Take the lock, or raise StoreTaken; StoreUnavailable where no file can be made."""
        path = database.with_name(f"{database.name}.lock")
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            own_like(path, path.parent)
        except OSError as error:
            raise StoreUnavailable(f"{path}: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip()
            self.release()
            raise _taken(holder or "unknown", str(database)) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Give the lock up; the file stays, or two desks could lock two files of one name."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def holder_of_file(database: Path) -> str | None:
    """Return the pid of the desk that holds the lock of a SQLite store; None where none does.

    Takes nothing and leaves no trace: a desk that starts meanwhile is not in its way.
    """
    try:
        descriptor = os.open(database.with_name(f"{database.name}.lock"), os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
    finally:
        os.close(descriptor)
    return None


def holder_of_session(connection: Connection) -> str | None:
    """Return the pid of the desk that holds the lock of a PostgreSQL store, None where none does.

    May raise SQLAlchemyError.
    """
    name = connection.execute(_HOLDER, {"key": ADVISORY_KEY}).scalar()
    return None if name is None else str(name).rpartition("/")[2] or "unknown"


def lock_session(connection: Connection, place: str, patience_seconds: float) -> None:
    """Take the lock of a PostgreSQL store for as long as `connection` lives.

    Waits up to `patience_seconds` for a session of our own that the server has yet to end; then
    raises StoreTaken.
    """
    deadline = time.monotonic() + patience_seconds
    while not connection.execute(_TAKE, {"key": ADVISORY_KEY}).scalar_one():
        if time.monotonic() >= deadline:
            name = connection.execute(_HOLDER, {"key": ADVISORY_KEY}).scalar()
            raise _taken(str(name or "unknown").rpartition("/")[2], place)
        time.sleep(_POLL_SECONDS)
