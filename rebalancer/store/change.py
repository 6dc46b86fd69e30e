"""A change of one row of a table, as the projections and the views write it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table

from rebalancer.store.rows import stored


@dataclass(frozen=True, slots=True)
class Change:
    """New values for one row: its primary key and the columns that change, see `put`, `amend`."""

    table: Table
    values: Mapping[str, object]
    creates: bool


Look = Callable[[Table, str], Mapping[str, Any] | None]
"""Returns the row of a table by its one-column primary key, as the changes so far left it."""


def put(table: Table, **values: object) -> Change:
    """Write these columns of the row with this key, which need not exist yet."""
    return Change(table, {name: stored(value) for name, value in values.items()}, creates=True)


def amend(table: Table, **values: object) -> Change:
    """Write these columns of the row with this key if it exists."""
    return Change(table, {name: stored(value) for name, value in values.items()}, creates=False)
