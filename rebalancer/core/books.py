"""A book, one contract of one account, as the planner has to know it at this moment."""

from __future__ import annotations

from decimal import Decimal

from rebalancer.core.money import ZERO
from rebalancer.core.order import PositionSide
from rebalancer.core.planner import Book, BookPlan, Want, plan_book
from rebalancer.core.work import BookKey, Work


def book_of(work: Work, key: BookKey, mark: Decimal) -> Book:
    """Return what the planner has to know of one contract on one account."""
    name, symbol = key
    state = work.state.accounts[name]
    return Book(
        contract=work.state.desk.contracts[symbol],
        mark=mark,
        net_units=state.position(symbol),
        long_units=state.books.get((symbol, PositionSide.LONG), ZERO),
        short_units=state.books.get((symbol, PositionSide.SHORT), ZERO),
        hedge=state.account.hedge,
        waives_min_notional=state.account.waives_min_notional,
    )


def plan_alone(book: Book, want: Want, *, sliced: bool = True) -> BookPlan:
    """Plan one fund's want as if no other fund were there."""
    units = want if sliced else Want(units=want.units, min_notional=want.min_notional)
    return plan_book(book, {"": units})
