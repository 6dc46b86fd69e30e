"""A store read whole, in one transaction: for checking it against its own journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, create_engine, insert, select
from sqlalchemy.pool import StaticPool

from rebalancer.core.records import Record
from rebalancer.store import journal, projections
from rebalancer.store.journal import GENESIS, Head
from rebalancer.store.tables import METADATA, PROJECTED, PROJECTIONS

Rows = dict[str, dict[tuple[Any, ...], tuple[Any, ...]]]
"""By table, then by primary key."""


@dataclass(frozen=True, slots=True)
class Whole:
    """What one transaction saw: every record, the end of the chain, and the tables."""

    records: Sequence[Record]
    head: Head
    #: the number of the last record that the tables show
    projected_seq: int
    tables: Rows


def read_whole(connection: Connection) -> Whole:
    """Read everything; a gap in the chain or a changed row raises BrokenInvariant."""
    seq = projections.projected_seq(connection)
    tables = _rows(connection)
    records, head = [], GENESIS
    for row in journal.verified(connection):
        records.append(row.record)
        head = Head(row.seq, row.hash)
    return Whole(records, head, seq, tables)


def table_problems(whole: Whole) -> tuple[int, list[str]]:
    """Fold the tables anew in memory; return how many rows there are, and what differs."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    try:
        with engine.begin() as connection:
            METADATA.create_all(connection)
            connection.execute(insert(PROJECTED).values(seq=0))
            projections.rebuild(connection, whole.records[: whole.projected_seq])
            folded = _rows(connection)
    finally:
        engine.dispose()
    problems = []
    for name, rows in folded.items():
        kept = whole.tables[name]
        differing = sorted(
            str(key) for key in rows.keys() | kept.keys() if rows.get(key) != kept.get(key)
        )
        if differing:
            shown = ", ".join(differing[:3])
            problems.append(
                f"table {name}: {len(differing)} rows are not what the journal says: {shown}"
            )
    return sum(len(rows) for rows in folded.values()), problems


def _rows(connection: Connection) -> Rows:
    return {table.name: _by_key(connection, table) for table in PROJECTIONS}


def _by_key(connection: Connection, table: Table) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    keys = [column.name for column in table.primary_key]
    found = connection.execute(select(table)).mappings()
    # Flags are 0 and 1 on one engine and false and true on the other, which compare equal.
    return {tuple(row[name] for name in keys): tuple(row.values()) for row in found}
