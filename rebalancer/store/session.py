"""The writer's session: one connection, under the desk's lock, for as long as the store is open."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection, Insert
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from rebalancer.errors import StoreRefused
from rebalancer.store.backup import back_up_file
from rebalancer.store.locks import FileLock, lock_session
from rebalancer.store.looking import refuse_unwritable
from rebalancer.store.migrate import bring_up_to_date
from rebalancer.store.prepared import ROWS_AT_ONCE, for_rows, whole_rows
from rebalancer.store.schema import refuse_newer, schema_of
from rebalancer.store.tables import SCHEMA_HEAD
from rebalancer.store.target import BEGIN_WRITING, Target, unavailable, writing_engine

T = TypeVar("T")
_log = structlog.get_logger(__name__)
#: How long a new session waits for the server to end our lost one.
_RECONNECT_SECONDS = 3.0
#: how long the log of a file is made at once: what the commits between two checkpoints need
LOG_BYTES = 1_000_000


class Session:
    """The only way to write; used by one thread at a time.

    Once it is open, errors of the database come out as SQLAlchemy raises them; only a lock that
    another desk took in the meantime is a StoreUnavailable.
    """

    def __init__(self, place: Target, *, backed_up: bool = False) -> None:
        """Take the lock and bring the database up to date, or raise StoreUnavailable.

        A file is copied before its layout is changed. A server's is changed where the caller says
        that it is `backed_up`, else StoreRefused.
        """
        self._place = place
        if place.path is not None and not place.path.exists():
            refuse_unwritable(place.path.parent)
        #: the layout that the store had before it was brought up to date; None: a new store
        self.found_layout: str | None = None
        self._engine = writing_engine(place)
        self._connection: Connection | None = None
        self._lock: FileLock | None = FileLock(place.path) if place.path else None
        try:
            self._connect(patience_seconds=0.0)
            self._keep_older(backed_up=backed_up)
            self.run(lambda connection: bring_up_to_date(connection, place.shown))
            self._lengthen_log()
        except SQLAlchemyError as error:
            self.close()
            raise unavailable(place, error) from error
        except BaseException:
            self.close()
            raise

    def _keep_older(self, *, backed_up: bool) -> None:
        """Copy a store whose layout is about to be changed, or have somebody do it."""
        version = self.found_layout = self.run(schema_of)
        refuse_newer(version, self._place.shown)
        if version in (None, SCHEMA_HEAD):
            return
        if self._place.path is not None:
            kept = _free_name(self._place.path, f"layout-{version}")
            back_up_file(self._place.path, kept)
            _log.warning("layout_changes", before=version, after=SCHEMA_HEAD, backup=str(kept))
        elif not backed_up:
            raise StoreRefused(
                f"{self._place.shown} has the older layout {version}: back it up (pg_dump "
                "--format=custom --file=FILE DATABASE), then: rebalancer upgrade --backed-up"
            )

    @property
    def place(self) -> Target:
        """Where the database is."""
        return self._place

    def run(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction; whatever it raises undoes it.

        A connection that was lost is made anew at the next call, again under the lock.
        """
        connection = self._connection or self._connect(_RECONNECT_SECONDS)
        try:
            with connection.begin():
                return work(connection)
        except DBAPIError as error:
            if error.connection_invalidated:
                self._drop()
            raise

    def insert(self, statement: Insert, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert whole rows of a table, one or more, in one transaction of its own.

        What `run` would do, straight through the driver: an order waits for this one.
        """
        connection = self._connection or self._connect(_RECONNECT_SECONDS)
        dialect, driver = connection.dialect, _driver_of(connection)
        sql, parameters = whole_rows(dialect, statement, rows)
        failures = dialect.loaded_dbapi.Error
        try:
            if self._place.path is not None:
                _insert_into_file(driver, sql, parameters)
                return
            driver.cursor().executemany(sql, parameters)
            driver.commit()
        except BaseException as error:
            lost = isinstance(error, failures) and dialect.is_disconnect(error, driver, None)
            try:
                driver.rollback()
            except failures:
                lost = True
            if lost:
                self._drop()
            if not isinstance(error, failures):
                raise
            raise DBAPIError.instance(sql, None, error, failures, dialect=dialect) from error

    def run_unflushed(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction that no flush to the disk follows.

        A loss of power may undo it. It cannot undo it and leave a later transaction in place: both
        databases write one log in order, so the flush of that one covers this one too.
        """
        connection = self._connection or self._connect(_RECONNECT_SECONDS)
        if self._place.path is None:

            def on_server(connection: Connection) -> T:
                connection.exec_driver_sql("SET LOCAL synchronous_commit TO off")
                return work(connection)

            return self.run(on_server)
        driver = _driver_of(connection)
        driver.execute("PRAGMA synchronous=NORMAL")
        try:
            return self.run(work)
        finally:
            try:
                driver.execute("PRAGMA synchronous=FULL")
            except sqlite3.Error:
                self._drop()  # the next connection is set up anew

    def checkpoint(self) -> None:
        """Move what a file's log holds into the file, so that no commit has to stop for it."""
        if self._place.path is None or self._connection is None:
            return
        driver = _driver_of(self._connection)
        # Busy readers or a full disk only put it off: the log goes on growing.
        with suppress(sqlite3.Error):
            driver.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _lengthen_log(self) -> None:
        """Write a file's log once and take it all back, so that no commit has to make it longer.

        A flush that also has to note a new length takes about twice as long. Taken back, the pages
        mean nothing to SQLite, and neither does a crash while they are written.
        """
        if self._place.path is None or self._connection is None:
            return
        driver = _driver_of(self._connection)
        (cache,) = driver.execute("PRAGMA cache_size").fetchone()
        # With a cache of a few pages, changes go into the log before they are committed.
        driver.execute("PRAGMA cache_size=8")
        try:
            driver.execute(BEGIN_WRITING)
            driver.execute("CREATE TABLE lengthened (zeros BLOB)")
            driver.execute("INSERT INTO lengthened VALUES (zeroblob(?))", (LOG_BYTES,))
        except sqlite3.OperationalError as error:
            # A disk that is full or takes nothing: the first commit says so, if that lasts.
            if error.sqlite_errorcode == sqlite3.SQLITE_ERROR:
                raise  # what we asked for makes no sense, and that is never the disk's fault
        finally:
            driver.rollback()
            driver.execute(f"PRAGMA cache_size={cache}")

    def close(self) -> None:
        """Give up the connection and the lock; may be called twice."""
        self._drop()
        self._engine.dispose()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _connect(self, patience_seconds: float) -> Connection:
        connection = self._engine.connect()
        try:
            if self._place.path is None:
                with connection.begin():
                    lock_session(connection, self._place.shown, patience_seconds)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _drop(self) -> None:
        if self._connection is not None:
            # It may be broken beyond closing; it is given up either way.
            with suppress(SQLAlchemyError):
                self._connection.close()
            self._connection = None


def _insert_into_file(driver: Any, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows many at a time: the driver stops the event loop for each statement it begins."""
    if len(rows) <= ROWS_AT_ONCE:
        # Nothing is begun, so the statement is the transaction.
        driver.execute(for_rows(sql, len(rows)), [*itertools.chain.from_iterable(rows)])
        return
    driver.execute(BEGIN_WRITING)
    for first in range(0, len(rows), ROWS_AT_ONCE):
        some = rows[first : first + ROWS_AT_ONCE]
        driver.execute(for_rows(sql, len(some)), [*itertools.chain.from_iterable(some)])
    driver.commit()


def _free_name(path: Path, suffix: str) -> Path:
    """Return a name beside `path` that no file has; the copy of an earlier attempt stays."""
    first = path.with_name(f"{path.name}.{suffix}")
    others = (path.with_name(f"{first.name}.{number}") for number in itertools.count(2))
    return next(name for name in itertools.chain([first], others) if not name.exists())


def _driver_of(connection: Connection) -> Any:
    return connection.connection.dbapi_connection
