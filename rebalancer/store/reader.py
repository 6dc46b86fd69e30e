"""Reads a store beside the desk that writes it: no lock, no changes, nothing created."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from types import TracebackType
from typing import Self, TypeVar

from sqlalchemy import Connection, select
from sqlalchemy.exc import SQLAlchemyError

from rebalancer.core.capital import Consolidated
from rebalancer.core.order import OrderStatus
from rebalancer.core.records import Record, TradingState
from rebalancer.errors import InputRefused, StoreRefused, StoreUnavailable
from rebalancer.ports import NavView
from rebalancer.store import journal
from rebalancer.store.overlay import Listing, Overlay
from rebalancer.store.rows import (
    BreakRow,
    FillRow,
    FixedRow,
    FundRow,
    JournalRow,
    NavRow,
    OrderRow,
    RunRow,
    ScopeRow,
    VerdictRow,
    from_row,
)
from rebalancer.store.schema import refuse_newer, schema_of
from rebalancer.store.tables import (
    BREAKS,
    FILLS,
    FIXED,
    FUNDS,
    NAVS,
    ORDERS,
    PRICES,
    RUNS,
    SCHEMA_HEAD,
    SCOPES,
    VERDICTS,
    VIEWS,
)
from rebalancer.store.target import Target, reading_engine, sentence, target, unavailable
from rebalancer.store.whole import Whole, read_whole

T = TypeVar("T")

#: How many rows an answer has unless the caller says otherwise.
LIMIT = 100


class SqlReader:
    """Typed rows of a store, as of the last commit. Each method is one transaction.

    Every method may raise StoreUnavailable.
    """

    def __init__(self, place: Target) -> None:
        """Look whether a desk's store is there; InputRefused where it is not."""
        if place.path is not None and not place.path.is_file():
            raise InputRefused(f"there is no store at {place.shown}: no desk ever ran on it")
        self._place = place
        self._engine = reading_engine(place)
        try:
            self._check(self._run(schema_of))
        except StoreUnavailable as error:
            self.close()
            if _names_no_database(error):
                raise InputRefused(f"there is no store at {place.shown}: {error}") from error
            raise
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give up the connection; may be called twice."""
        self._engine.dispose()

    def funds(self) -> tuple[FundRow, ...]:
        """Return every fund by name."""
        return self._list(FundRow, Listing(table=FUNDS, order=(("name", False),)))

    def runs(
        self, fund: str | None = None, limit: int = LIMIT, before: tuple[int, str] | None = None
    ) -> tuple[RunRow, ...]:
        """Return the newest runs first, of one fund or of all.

        `before` is (opened_ms, run_id) of the last run of the page before.
        """
        where = {} if fund is None else {"fund": fund}
        newest = (("opened_ms", True), ("run_id", True))
        listing = Listing(table=RUNS, order=newest, where=where, limit=limit, before=before)
        return self._list(RunRow, listing)

    def orders(self, limit: int = LIMIT, status: OrderStatus | None = None) -> tuple[OrderRow, ...]:
        """Return the newest orders first, of one status or of all."""
        newest = (("created_ms", True), ("account", False), ("seq", True))
        where = {} if status is None else {"status": str(status)}
        found = Listing(table=ORDERS, order=newest, where=where, limit=limit)
        return self._list(OrderRow, found)

    def fills(self, limit: int = LIMIT) -> tuple[FillRow, ...]:
        """Return the newest fills first."""
        newest = (("at_ms", True), ("account", False), ("trade_id", True), ("contract", False))
        return self._list(FillRow, Listing(table=FILLS, order=newest, limit=limit))

    def fixed(self, fund: str, limit: int = LIMIT) -> tuple[FixedRow, ...]:
        """Return what became of the fund's fixed instants, the newest first."""
        newest = (("due_ms", True),)
        found = Listing(table=FIXED, order=newest, where={"fund": fund}, limit=limit)
        return self._list(FixedRow, found)

    def verdicts(self) -> tuple[VerdictRow, ...]:
        """Return the latest verdict of each fund, by name."""
        return self._list(VerdictRow, Listing(table=VERDICTS, order=(("fund", False),)))

    def scopes(self) -> tuple[ScopeRow, ...]:
        """Return what is not active of the desk, its accounts and contracts."""
        every = Listing(table=SCOPES, order=(("scope", False), ("name", False)))
        rows = self._list(ScopeRow, every)
        return tuple(row for row in rows if row.state is not TradingState.ACTIVE)

    def breaks(self, limit: int = LIMIT, *, still_open: bool = False) -> tuple[BreakRow, ...]:
        """Return the newest differences between the venues and the records first, all or open."""
        where: dict[str, None] = {"how": None} if still_open else {}
        newest = Listing(table=BREAKS, order=(("number", True),), where=where, limit=limit)
        return self._list(BreakRow, newest)

    def navs(self, fund: str) -> tuple[NavRow, ...]:
        """Return the daily NAVs of the fund, oldest first."""
        oldest = (("boundary_ms", False),)
        return self._list(NavRow, Listing(table=NAVS, order=oldest, where={"fund": fund}))

    def views(self) -> tuple[NavView, ...]:
        """Return the latest view of each fund, by name."""
        query = select(VIEWS).order_by(VIEWS.c.fund)
        rows = self._run(lambda connection: connection.execute(query).mappings().all())
        return tuple(from_row(NavView, {**row}) for row in rows)

    def prices(self) -> dict[str, Decimal]:
        """Return the latest price of each contract, by name."""
        query = select(PRICES.c.contract, PRICES.c.price).order_by(PRICES.c.contract)
        rows = self._run(lambda connection: connection.execute(query).all())
        return {row.contract: Decimal(row.price) for row in rows}

    def conversions(self, fund: str) -> tuple[Consolidated, ...]:
        """Return every merge and split of the fund, oldest first."""
        first, after = f"consolidated/{fund}/", f"consolidated/{fund}0"

        def rows(connection: Connection) -> tuple[Consolidated, ...]:
            found = [row.record for row in journal.keyed(connection, first, after)]
            return tuple(each for each in found if isinstance(each, Consolidated))

        return self._run(rows)

    def records(self) -> Sequence[Record]:
        """Return every record, oldest first, after checking the chain as `SqlStore.load` does."""
        return self._run(lambda connection: [row.record for row in journal.verified(connection)])

    def whole(self) -> Whole:
        """Return every record and every table as one transaction sees them.

        A gap in the chain or a row that was changed raises BrokenInvariant that names it.
        """
        if self._place.path is not None:
            return self._run(read_whole)
        try:
            # On a server each statement would see its own moment.
            with self._engine.connect() as connection:
                steady = connection.execution_options(isolation_level="REPEATABLE READ")
                with steady.begin():
                    return read_whole(steady)
        except SQLAlchemyError as error:
            raise unavailable(self._place, error) from error

    def journal(self, after_seq: int = 0, limit: int = 1_000) -> tuple[JournalRow, ...]:
        """Return up to `limit` rows after `after_seq`, oldest first, without checking the chain."""
        return self._run(lambda connection: journal.page(connection, after_seq, limit))

    def beginnings(self) -> tuple[Record, ...]:
        """Return starts, launches and first trades (`journal.beginnings`), the chain unchecked."""
        return self._run(journal.beginnings)

    def journal_end(self) -> int:
        """Return the number of the last record; 0 where there is none."""
        return self._run(journal.read_head).seq

    def newest(
        self, kinds: Sequence[type[Record]], fund: str | None, before_seq: int | None, limit: int
    ) -> tuple[tuple[JournalRow, ...], int | None]:
        """Return up to `limit` records of these kinds, of one fund or of all, the newest first.

        With them comes the number to ask before for the next page, None where there is none. At
        most 20 000 records are looked through at once: a page may have fewer rows, even none, and
        not be the last.
        """
        return self._run(
            lambda connection: journal.newest(
                connection,
                journal.Wanted([kind.__name__ for kind in kinds], fund),
                before_seq,
                limit,
            )
        )

    def _check(self, version: str | None) -> None:
        refuse_newer(version, self._place.shown)
        if version is None:
            raise InputRefused(f"{self._place.shown} is no store: no desk ever ran on it")
        if version != SCHEMA_HEAD:
            raise StoreRefused(
                f"{self._place.shown} has the older layout {version}: bring it up to date with "
                "rebalancer upgrade"
            )

    def _list(self, cls: type[T], listing: Listing) -> tuple[T, ...]:
        rows = self._run(lambda connection: Overlay(connection).rows(listing))
        return tuple(from_row(cls, row) for row in rows)

    def _run(self, work: Callable[[Connection], T]) -> T:
        try:
            with self._engine.begin() as connection:
                return work(connection)
        except SQLAlchemyError as error:
            raise unavailable(self._place, error) from error


def _names_no_database(error: StoreUnavailable) -> bool:
    # A refused connection carries no error code, only the server's words.
    cause = error.__cause__
    words = sentence(cause) if isinstance(cause, Exception) else ""
    return "database" in words and "does not exist" in words


def open_reader(url: str) -> SqlReader:
    """Open the store at `url` for reading, while a desk runs on it or not.

    A url that no store can have, and a database that no desk ever wrote to, raise InputRefused.
    """
    return SqlReader(target(url))
