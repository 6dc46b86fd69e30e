"""The tables as the journal has them: records that are not folded in yet are laid over the rows.

The projections follow a commit a moment later, and a desk that was killed may leave them behind.
No reader shows that: within one transaction it folds what is missing itself, in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Table, select, tuple_

from rebalancer.store import journal
from rebalancer.store.change import Change
from rebalancer.store.projections import changes, lookup, projected_seq

Row = Mapping[str, Any]
_Key = tuple[Any, ...]
_PAGE_ROWS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Which rows of a table, in which order: the columns by weight, True where newest is first."""

    table: Table
    order: tuple[tuple[str, bool], ...]
    #: columns that must have exactly this text, or none
    where: Mapping[str, str | None] = field(default_factory=dict)
    limit: int | None = None
    #: only rows behind the one with these values in the columns of `order`, all newest first
    before: tuple[int | str, ...] | None = None

    def behind(self, row: Mapping[str, Any]) -> bool:
        """Whether a row comes behind the one that `before` names."""
        return self.before is None or tuple(row[name] for name, _ in self.order) < self.before


class Overlay:
    """Rows of the projections in one transaction, at the journal's end in that transaction."""

    def __init__(self, connection: Connection) -> None:
        """Fold what the tables lack; a record that cannot be read raises BrokenInvariant."""
        self._connection = connection
        self._laid: dict[Table, dict[_Key, dict[str, Any]]] = {}
        seq = projected_seq(connection)
        while rows := journal.page(connection, seq, _PAGE_ROWS):
            seq = rows[-1].seq
            for change in changes((row.record for row in rows), self._look):
                self._lay(change)

    def rows(self, listing: Listing) -> list[Row]:
        """Return the rows of `listing`."""
        laid = self._laid.get(listing.table, {})
        found: list[Row] = [dict(row) for row in self._kept(listing, len(laid))]
        if not laid:
            return found
        merged = [row for row in found if _key(listing.table, row) not in laid]
        merged += [
            row
            for row in laid.values()
            if all(row[name] == text for name, text in listing.where.items())
            if listing.behind(row)
        ]
        for name, newest_first in reversed(listing.order):
            merged.sort(key=itemgetter(name), reverse=newest_first)
        return merged[: listing.limit]

    def _kept(self, listing: Listing, laid: int) -> Any:
        columns = listing.table.c
        query = select(listing.table).order_by(
            *(columns[name].desc() if newest else columns[name] for name, newest in listing.order)
        )
        for name, text in listing.where.items():
            query = query.where(columns[name] == text)
        if listing.before is not None:
            place = tuple_(*(columns[name] for name, _ in listing.order))
            query = query.where(place < listing.before)
        if listing.limit is not None:
            query = query.limit(listing.limit + laid)
        return self._connection.execute(query).mappings()

    def _look(self, table: Table, key: str) -> Row | None:
        return self._laid.get(table, {}).get((key,)) or lookup(self._connection, table, (key,))

    def _lay(self, change: Change) -> None:
        laid = self._laid.setdefault(change.table, {})
        key = _key(change.table, change.values)
        row = laid.get(key)
        if row is None:
            row = lookup(self._connection, change.table, key)
            if row is None:
                if not change.creates:
                    return
                row = _empty(change.table)
        laid[key] = {**row, **change.values}


def _key(table: Table, row: Row) -> _Key:
    return tuple(row[column.name] for column in table.primary_key)


def _empty(table: Table) -> dict[str, Any]:
    """Return a row that holds what the database would put where nothing is said."""
    defaults = {column.name: column.server_default for column in table.columns}
    return {name: getattr(default, "arg", None) for name, default in defaults.items()}
