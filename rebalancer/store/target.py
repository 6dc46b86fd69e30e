"""Where a store is: what its address means, and the engines that open it for writing or reading."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from rebalancer.errors import InputRefused, StoreUnavailable

#: How long a connection waits for a server, and a statement for another's lock, in seconds.
CONNECT_SECONDS = 10
BUSY_SECONDS = 5

#: what helps where SQLite says this of a file
_REMEDIES = {
    "database or disk is full": "make room there: a desk goes on where it stopped",
    "database disk image is malformed": "put a backup in its place: rebalancer restore FILE",
    "file is not a database": "name another file: store.url, or put a backup in its place: "
    "rebalancer restore FILE",
}
#: How a transaction of the writer begins in a file.
BEGIN_WRITING = "BEGIN IMMEDIATE"
#: a session of the writer on a server: durable, and ended by the server within a minute where the
#: desk's machine vanished without a word, or its lock would keep the next start out for hours
_WRITING_ON_SERVER = (
    "-c synchronous_commit=on -c tcp_keepalives_idle=15 -c tcp_keepalives_interval=15 "
    "-c tcp_keepalives_count=3 -c tcp_user_timeout=45000"
)
_POSTGRES = ("postgresql", "postgres", "postgresql+psycopg")
#: What SQLite must answer once the connection is set up; 2 is FULL.
_SQLITE_PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": 2,
    "foreign_keys": 1,
    "busy_timeout": BUSY_SECONDS * 1_000,
    # In pages. The writer moves the log into the file while nothing waits; this is the far end.
    "wal_autocheckpoint": 10_000,
}


@dataclass(frozen=True, slots=True)
class Target:
    """A store's address; `path` is the resolved file of SQLite, None for a server."""

    url: URL
    path: Path | None

    @property
    def shown(self) -> str:
        """The address as a message may show it: the file, or the URL without its password."""
        return str(self.path) if self.path else self.url.render_as_string(hide_password=True)


def target(url: str) -> Target:
    """Return what `url` means; one that no store can have raises InputRefused."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise InputRefused(
            "the store's url is not one: it is sqlite:///file.db or postgresql://user@host/name"
        ) from None
    if parsed.drivername in _POSTGRES:
        return Target(parsed.set(drivername="postgresql+psycopg"), None)
    if parsed.drivername != "sqlite":
        raise InputRefused(
            f"a store cannot live in {parsed.drivername}: use sqlite:///file.db or postgresql://"
        )
    # The parser drops a question mark and what follows without a word; it is no part of a file.
    if not parsed.database or parsed.database == ":memory:" or "?" in url or parsed.host:
        raise InputRefused(
            "a SQLite store is a file: sqlite:///relative.db or sqlite:////absolute.db"
        )
    # Resolved, so that two names of one file are one store with one lock.
    return Target(parsed, Path(os.path.realpath(parsed.database)))


def writing_engine(place: Target) -> Engine:
    """Return an engine for the one writer: durable commits, transactions that begin as writers."""
    if place.path is None:
        return _postgres_engine(place, f"rebalancer-desk/{os.getpid()}", _WRITING_ON_SERVER)
    engine = _sqlite_engine(place.path, mode="rwc")

    @event.listens_for(engine, "connect")
    def _set_up(connection: sqlite3.Connection, _record: object) -> None:
        for name, wanted in _SQLITE_PRAGMAS.items():
            connection.execute(f"PRAGMA {name}={wanted}")
            (found,) = connection.execute(f"PRAGMA {name}").fetchone()
            if found != wanted:
                connection.close()
                raise StoreUnavailable(
                    f"{place.shown}: SQLite keeps {name} at {found} where {wanted} is needed; "
                    "is the file on a network file system?"
                )

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # Taking the write lock at once: a transaction that upgrades later can fail half-way.
        connection.exec_driver_sql(BEGIN_WRITING)

    return engine


def reading_engine(place: Target) -> Engine:
    """Return an engine that can change nothing and creates nothing."""
    if place.path is None:
        # One transaction is one moment: the journal and what is folded from it belong together.
        options = (
            "-c default_transaction_read_only=on -c default_transaction_isolation=repeatable\\ read"
        )
        return _postgres_engine(place, "rebalancer-reader", options)
    engine = _sqlite_engine(place.path, mode="ro")

    @event.listens_for(engine, "connect")
    def _set_up(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1_000}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def _sqlite_engine(path: Path, mode: str) -> Engine:
    def connect() -> sqlite3.Connection:
        # Without isolation_level the module begins no transactions of its own: we say when.
        return sqlite3.connect(
            f"file:{quote(str(path))}?mode={mode}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
        )

    return create_engine("sqlite://", creator=connect, poolclass=NullPool)


def _postgres_engine(place: Target, name: str, options: str) -> Engine:
    arguments: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        "application_name": name,
        "options": options,
        # A server that vanished without a word is noticed within a minute: while nothing is said,
        # and, where the system would send a commit again for a quarter of an hour, by the last.
        "keepalives_idle": 15,
        "keepalives_interval": 15,
        "keepalives_count": 3,
        "tcp_user_timeout": 45_000,
    }
    try:
        return create_engine(place.url, connect_args=arguments, poolclass=NullPool)
    except ImportError as error:
        raise InputRefused(
            "a store in PostgreSQL needs its driver: install rebalancer[postgres]"
        ) from error


def sentence(error: Exception) -> str:
    """Return what went wrong in the database's own words, on one line, without any statement."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    words = " ".join(str(cause).split())
    return words or type(error).__name__


def unavailable(place: Target, error: SQLAlchemyError) -> StoreUnavailable:
    """Return the error that says the database at `place` did not do what it was asked."""
    words = sentence(error)
    remedy = _REMEDIES.get(words)
    return StoreUnavailable(f"{place.shown}: {words}{f'; {remedy}' if remedy else ''}")
