"""Statements compiled once: what every commit repeats goes to the driver as finished SQL.

Working a statement out anew for each commit is a noticeable part of what a small commit costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect, Insert
from sqlalchemy.sql.dml import UpdateBase

from rebalancer.errors import ensure

#: rows that one statement carries at most; more take several, in one transaction
ROWS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class _Prepared:
    sql: str
    #: the order of the parameters, None where the driver takes them by name
    names: tuple[str, ...] | None


_PREPARED: dict[tuple[str, UpdateBase], _Prepared] = {}


def run(connection: Connection, statement: UpdateBase, rows: Sequence[Mapping[str, Any]]) -> None:
    """Carry out `statement` for each row of parameters, which are passed on as they are.

    The statement must be one that is kept and used again: it is remembered for good.
    """
    prepared = _prepared(connection.dialect, statement)
    names = prepared.names
    parameters: list[Any] = list(rows)
    if names is not None:
        parameters = [tuple([row[name] for name in names]) for row in rows]
    connection.exec_driver_sql(prepared.sql, parameters if len(rows) > 1 else parameters[0])


def whole_rows(
    dialect: Dialect, statement: Insert, rows: Sequence[tuple[Any, ...]]
) -> tuple[str, Sequence[Any]]:
    """Return an INSERT of whole rows of its table as the driver takes it; remembered as well."""
    prepared = _prepared(dialect, statement)
    columns = tuple(statement.table.columns.keys())
    if prepared.names is None:
        return prepared.sql, [dict(zip(columns, row, strict=True)) for row in rows]
    ensure(prepared.names == columns, f"no INSERT of whole rows: {prepared.sql}")
    return prepared.sql, rows


@lru_cache(maxsize=ROWS_AT_ONCE)
def for_rows(sql: str, count: int) -> str:
    """Return an INSERT of one row of question marks as one of `count` rows."""
    head, values, row = sql.partition(" VALUES ")
    ensure(bool(values), f"no INSERT of values: {sql}")
    return head + values + ", ".join([row] * count)


def _prepared(dialect: Dialect, statement: UpdateBase) -> _Prepared:
    key = (dialect.name, statement)
    prepared = _PREPARED.get(key)
    if prepared is None:
        compiled = statement.compile(dialect=dialect)
        positions = getattr(compiled, "positiontup", None)
        names = None if positions is None else tuple(positions)
        prepared = _PREPARED[key] = _Prepared(str(compiled), names)
    return prepared
