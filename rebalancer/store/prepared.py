"""Statements compiled once: what every commit repeats goes to the driver as finished SQL.

Working a statement out anew for each commit is a noticeable part of what a small commit costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect
from sqlalchemy.sql.dml import UpdateBase

from rebalancer.errors import ensure

#: rows that one statement carries at most; more go one by one, in a transaction of several
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
    sql, parameters = finished(connection.dialect, statement, rows)
    connection.exec_driver_sql(sql, parameters if len(rows) > 1 else parameters[0])


def finished(
    dialect: Dialect, statement: UpdateBase, rows: Sequence[Mapping[str, Any]]
) -> tuple[str, list[Any]]:
    """Return the statement and its rows as the driver takes them; remembered for good as well."""
    key = (dialect.name, statement)
    prepared = _PREPARED.get(key)
    if prepared is None:
        prepared = _PREPARED[key] = _prepare(dialect, statement)
    names = prepared.names
    if names is None:
        return prepared.sql, list(rows)
    return prepared.sql, [tuple([row[name] for name in names]) for row in rows]


@lru_cache(maxsize=ROWS_AT_ONCE)
def for_rows(sql: str, count: int) -> str:
    """Return an INSERT of one row of question marks as one of `count` rows."""
    head, values, row = sql.partition(" VALUES ")
    ensure(bool(values), f"no INSERT of values: {sql}")
    return head + values + ", ".join([row] * count)


def _prepare(dialect: Dialect, statement: UpdateBase) -> _Prepared:
    compiled = statement.compile(dialect=dialect)
    positions = getattr(compiled, "positiontup", None)
    return _Prepared(str(compiled), None if positions is None else tuple(positions))
