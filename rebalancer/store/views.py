"""What readers see of the funds and prices now: overwritten all the time, no part of the chain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from decimal import Decimal
from functools import partial

from sqlalchemy import Connection, delete, select

from rebalancer.ports import NavView
from rebalancer.store.change import put
from rebalancer.store.projections import write
from rebalancer.store.tables import PRICES, VIEWS

#: Rows in one transaction: a commit that arrives meanwhile waits for one slice, not for all.
SLICE_ROWS = 50

Slice = Callable[[Connection], None]
_FIELDS = tuple(part.name for part in fields(NavView))


def slices(views: Sequence[NavView], prices: Mapping[str, Decimal]) -> Iterator[Slice]:
    """Yield the transactions that make the tables show exactly these views and prices."""
    yield partial(_replace_prices, prices=prices)
    for start in range(0, len(views), SLICE_ROWS):
        part = views[start : start + SLICE_ROWS]
        yield partial(_put_views, views=part)
    yield partial(_drop_others, funds={view.fund for view in views})


def _replace_prices(connection: Connection, prices: Mapping[str, Decimal]) -> None:
    connection.execute(delete(PRICES))
    write(connection, [put(PRICES, contract=name, price=at) for name, at in prices.items()])


def _put_views(connection: Connection, views: Sequence[NavView]) -> None:
    rows = [{name: getattr(view, name) for name in _FIELDS} for view in views]
    write(connection, [put(VIEWS, **row) for row in rows])


def _drop_others(connection: Connection, funds: set[str]) -> None:
    gone = set(connection.execute(select(VIEWS.c.fund)).scalars()) - funds
    for fund in sorted(gone):
        connection.execute(delete(VIEWS).where(VIEWS.c.fund == fund))
