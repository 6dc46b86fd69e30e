"""The store of a desk: records and their projections in SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from rebalancer.core.records import Record
from rebalancer.errors import InputRefused, StoreUnavailable
from rebalancer.ports import Delivery, NavView
from rebalancer.store import deliveries as queue
from rebalancer.store import journal, projections
from rebalancer.store.codec import CODEC
from rebalancer.store.rows import JournalRow
from rebalancer.store.session import Session
from rebalancer.store.tables import SCHEMA_HEAD
from rebalancer.store.target import target, unavailable
from rebalancer.store.views import slices
from rebalancer.store.writer import Answer, Call, Commit, QuickAnswer, Show, Stop, Writer

#: how long the event loop waits on the spot for a commit to begin, and for it to end
MOMENT_SECONDS = 0.001


class SqlStore:
    """Implements `ports.Store`; nothing here blocks the event loop, all of it waits on one thread.

    A commit whose waiter is cancelled happens all the same. After a commit that failed, the store
    makes sure that it did not happen before it takes the next; if it did, `load` comes first.
    """

    def __init__(self, session: Session) -> None:
        self._writer = Writer(session)
        self._showing = False
        self._closed = False

    async def load(self) -> Sequence[Record]:
        """Return every record, oldest first.

        A gap in the chain or a row that was changed raises BrokenInvariant that names it.
        """
        records: list[Record] = await self._call(self._writer.load)
        return records

    async def commit(
        self, records: Sequence[Record], meanwhile: Callable[[], None] | None = None
    ) -> None:
        """Append all or none, durably; what readers see follows at once, the tables a moment later.

        Where there is something to do `meanwhile`, somebody is in a hurry: the event loop stands
        still for up to two milliseconds, and where the disk needs longer it goes on.

        Raises BrokenInvariant for a key that exists and for a value no record may hold, otherwise
        StoreUnavailable.
        """
        self._refuse_if_closed()
        if not records:
            return
        # Written down here and now, so that nobody can change a record while it waits.
        encoded = [CODEC.encode(record) for record in records]
        answer = QuickAnswer()
        self._writer.ask(Commit(encoded, answer))
        if meanwhile is not None:
            # Without a pause here the writer could not begin before `meanwhile` is done.
            answer.await_begin(MOMENT_SECONDS)
            meanwhile()
            if answer.is_settled(MOMENT_SECONDS):
                return
        await answer.future

    async def save_views(self, views: Sequence[NavView], prices: Mapping[str, Decimal]) -> None:
        """Replace what readers see now; returns at once while an earlier call is still at it."""
        self._refuse_if_closed()
        if self._showing:
            return
        self._showing = True
        try:
            answer = Answer()
            self._writer.ask(Show(slices(tuple(views), dict(prices)), answer))
            await answer.future
        finally:
            self._showing = False

    async def put_deliveries(self, deliveries: Sequence[Delivery]) -> None:
        """Keep each event for another program as it now stands; all or none."""
        if deliveries:
            await self._beside(lambda connection: queue.put(connection, deliveries))

    async def due_deliveries(self, receiver: str, now_ms: int, limit: int) -> tuple[Delivery, ...]:
        """Return what waits for a receiver and is due, the oldest first."""
        found: tuple[Delivery, ...] = await self._beside(
            lambda connection: queue.due(connection, receiver, now_ms, limit)
        )
        return found

    async def replay_deliveries(self, receiver: str, since_ms: int, now_ms: int) -> int:
        """Let all that was told to a receiver since then wait anew."""
        count: int = await self._beside(
            lambda connection: queue.replay(connection, receiver, since_ms, now_ms)
        )
        return count

    async def _beside(self, work: Callable[[Connection], object]) -> Any:
        """Do what no order waits for: not flushed by itself, like the views."""
        return await self._call(lambda: self._writer.run(work, flushed=False))

    async def journal(self, after_seq: int = 0, limit: int = 1_000) -> tuple[JournalRow, ...]:
        """Return up to `limit` rows after `after_seq`, oldest first, without checking the chain."""
        rows: tuple[JournalRow, ...] = await self._call(
            lambda: self._writer.run(lambda connection: journal.page(connection, after_seq, limit))
        )
        return rows

    async def rebuild(self) -> None:
        """Empty the projections and fold them again from the journal, which is checked."""

        def work() -> None:
            records = self._writer.load()
            self._writer.run(lambda connection: projections.rebuild(connection, records))

        await self._call(work)

    async def close(self) -> None:
        """Finish what waits, then give up the database and the lock; may be called twice."""
        if self._closed:
            return
        self._closed = True
        answer = Answer()
        self._writer.ask(Stop(answer))
        await answer.future
        self._writer.join()

    async def _call(self, work: Callable[[], object]) -> Any:
        self._refuse_if_closed()
        answer = Answer()
        self._writer.ask(Call(work, answer))
        return await answer.future

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store is closed")


def open_store(url: str, *, backed_up: bool = False) -> SqlStore:
    """Open the store at `url` for the one desk that may write to it, creating what is missing.

    `sqlite:///file.db` or `postgresql://user@host/name` (directly, not through a pooler that hands
    sessions around). Blocks until the lock is held and the layout is current; a file is copied
    before an older layout is changed, a server's has to be `backed_up`. A url that no store can
    have raises InputRefused; another desk, a newer layout, or an older one that nobody backed up,
    StoreRefused; a database that does not answer StoreUnavailable.
    """
    place = target(url)
    session = Session(place, backed_up=backed_up)
    try:
        return SqlStore(session)
    except SQLAlchemyError as error:
        session.close()
        raise unavailable(place, error) from error


def upgrade_store(url: str, *, backed_up: bool = False) -> tuple[str | None, str]:
    """Bring an existing store to the layout of this program; return the layouts before and after.

    Raises what `open_store` raises, and InputRefused where there is no store.
    """
    place = target(url)
    if place.path is not None and not place.path.exists():
        raise InputRefused(f"there is no store at {place.shown}")
    session = Session(place, backed_up=backed_up)
    session.close()
    return session.found_layout, SCHEMA_HEAD
