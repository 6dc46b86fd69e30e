"""Reads a store beside the desk that writes it: no lock, no changes, nothing created."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from types import TracebackType
from typing import Any, Self, TypeVar

from sqlalchemy import Connection, Select, select
from sqlalchemy.exc import SQLAlchemyError

from rebalancer.core.records import Record, TradingState
from rebalancer.errors import InputRefused, StoreUnavailable
from rebalancer.ports import NavView
from rebalancer.store import journal
from rebalancer.store.rows import (
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

T = TypeVar("T")

#: How many rows an answer has unless the caller says otherwise.
LIMIT = 100


class SqlReader:
    """Typed rows of a store. Every method may raise StoreUnavailable; each is one transaction."""

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
        return self._read(FundRow, select(FUNDS).order_by(FUNDS.c.name))

    def runs(self, fund: str | None = None, limit: int = LIMIT) -> tuple[RunRow, ...]:
        """Return the newest runs first, of one fund or of all."""
        query = select(RUNS) if fund is None else select(RUNS).where(RUNS.c.fund == fund)
        newest = query.order_by(RUNS.c.opened_ms.desc(), RUNS.c.run_id.desc())
        return self._read(RunRow, newest.limit(limit))

    def orders(self, limit: int = LIMIT) -> tuple[OrderRow, ...]:
        """Return the newest orders first."""
        newest = (ORDERS.c.created_ms.desc(), ORDERS.c.account, ORDERS.c.seq.desc())
        return self._read(OrderRow, select(ORDERS).order_by(*newest).limit(limit))

    def fills(self, limit: int = LIMIT) -> tuple[FillRow, ...]:
        """Return the newest fills first."""
        newest = (FILLS.c.at_ms.desc(), FILLS.c.account, FILLS.c.trade_id.desc())
        return self._read(FillRow, select(FILLS).order_by(*newest).limit(limit))

    def fixed(self, fund: str, limit: int = LIMIT) -> tuple[FixedRow, ...]:
        """Return what became of the fund's fixed instants, the newest first."""
        query = select(FIXED).where(FIXED.c.fund == fund).order_by(FIXED.c.due_ms.desc())
        return self._read(FixedRow, query.limit(limit))

    def verdicts(self) -> tuple[VerdictRow, ...]:
        """Return the latest verdict of each fund, by name."""
        return self._read(VerdictRow, select(VERDICTS).order_by(VERDICTS.c.fund))

    def scopes(self) -> tuple[ScopeRow, ...]:
        """Return what is not active of the desk, its accounts and contracts."""
        query = select(SCOPES).where(SCOPES.c.state != TradingState.ACTIVE.value)
        return self._read(ScopeRow, query.order_by(SCOPES.c.scope, SCOPES.c.name))

    def navs(self, fund: str) -> tuple[NavRow, ...]:
        """Return the daily NAVs of the fund, oldest first."""
        query = select(NAVS).where(NAVS.c.fund == fund)
        return self._read(NavRow, query.order_by(NAVS.c.boundary_ms))

    def views(self) -> tuple[NavView, ...]:
        """Return the latest view of each fund, by name."""
        return self._read(NavView, select(VIEWS).order_by(VIEWS.c.fund))

    def prices(self) -> dict[str, Decimal]:
        """Return the latest price of each contract, by name."""
        query = select(PRICES.c.contract, PRICES.c.price).order_by(PRICES.c.contract)
        rows = self._run(lambda connection: connection.execute(query).all())
        return {row.contract: Decimal(row.price) for row in rows}

    def records(self) -> Sequence[Record]:
        """Return every record, oldest first, after checking the chain as `SqlStore.load` does."""
        return self._run(lambda connection: [row.record for row in journal.verified(connection)])

    def journal(self, after_seq: int = 0, limit: int = 1_000) -> tuple[JournalRow, ...]:
        """Return up to `limit` rows after `after_seq`, oldest first, without checking the chain."""
        return self._run(lambda connection: journal.page(connection, after_seq, limit))

    def journal_end(self) -> int:
        """Return the number of the last record; 0 where there is none."""
        return self._run(journal.read_head).seq

    def _check(self, version: str | None) -> None:
        refuse_newer(version, self._place.shown)
        if version is None:
            raise InputRefused(f"{self._place.shown} is no store: no desk ever ran on it")
        if version != SCHEMA_HEAD:
            raise StoreUnavailable(
                f"{self._place.shown} has the older layout {version}: "
                "start the desk once, which brings it up to date"
            )

    def _read(self, cls: type[T], query: Select[Any]) -> tuple[T, ...]:
        def rows(connection: Connection) -> tuple[T, ...]:
            return tuple(from_row(cls, {**found}) for found in connection.execute(query).mappings())

        return self._run(rows)

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
