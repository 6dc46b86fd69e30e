"""What a column went through, told as the engine tells it: runs, strikes, and NAVs at every bar."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TypeVar, overload

import numpy as np
import numpy.typing as npt

from rebalancer.core.fund import Fund
from rebalancer.core.instant import DAY_MS, iso
from rebalancer.core.money import ZERO
from rebalancer.core.nav import Point, basket_move, formula_nav
from rebalancer.core.position import leverage
from rebalancer.core.records import NavStruck, RunMoved
from rebalancer.core.run import RunPlan, RunStatus
from rebalancer.fast.column import Column
from rebalancer.fast.scan import fill_navs
from rebalancer.sim.backtest import FundResult, Rebalance

T = TypeVar("T")


class Told(Sequence[T]):
    """A story told when it is asked for: a sweep of a thousand points asks for few of its runs."""

    def __init__(self, length: int, tell: Callable[[int], T]) -> None:
        self._length = length
        self._tell = tell

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> list[T]: ...

    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            return [self._tell(place) for place in range(self._length)[index]]
        return self._tell(range(self._length)[index])


def result_of(column: Column) -> FundResult:
    """Return what the backtest did to the fund of a column that was played to the end."""
    boundaries_ms = strikes_ms(column.fund, column.launched_ms, column.now_ms)
    starts = [span.at_ms for span in column.spans]
    return FundResult(
        fund=column.fund,
        rebalances=Told(len(column.runs), lambda place: _rebalance(column, place)),
        fixed=dict(column.fixed),
        strikes=Told(
            len(boundaries_ms), lambda place: _strike(column, starts, boundaries_ms[place])
        ),
        costs=column.costs,
        worth=column.worth(),
    )


def navs_of(column: Column) -> npt.NDArray[np.float64]:
    """Return the account NAV at every bar, after what happened at it; NaN before the launch."""
    tape, spans = column.tape, column.spans
    navs = np.full(len(tape.times_ms), np.nan)
    starts = np.array([span.at_ms for span in spans], np.int64)
    shares = float(column.shares)
    holdings = np.array(
        [[float(each.cash), float(each.units), float(each.settled)] for each in spans]
    )
    holdings[:, :2] /= shares
    firsts = np.searchsorted(tape.times, starts, "left")
    fill_navs(tape.series[0], tape.series[1], (firsts, holdings), navs)
    return navs


def _rebalance(column: Column, place: int) -> Rebalance:
    run = column.runs[place]
    symbol, name = column.symbol, column.fund.name
    marks = {symbol: run.price}
    nav, ratio = _standing(column, run.cash_before, run.units_before, run.price)
    plan = RunPlan(
        run_id=f"{name}-{place + 1:06d}",
        fund=name,
        trigger=run.trigger,
        reason=run.reason or f"fixed time {iso(run.at_ms)}",
        target_leverage=run.aim,
        target_units={symbol: run.target},
        delta_units={symbol: run.delta},
        marks=marks,
        base_nav=run.base_nav,
        base_prices=marks,
        base_weights=column.fund.basket,
        nav=nav,
        leverage=ratio,
        due_ms=run.due_ms,
        opened_ms=run.at_ms,
    )
    nav, ratio = _standing(column, run.cash_after, run.units_after, run.price)
    ended = RunMoved(
        at_ms=run.at_ms,
        fund=name,
        run_id=plan.run_id,
        status=RunStatus.DONE,
        reason="at its target within one lot",
        nav=nav,
        leverage=ratio,
        cost=run.cost,
        marks=marks,
    )
    return Rebalance(plan, ended)


def _standing(
    column: Column, cash: Decimal, units: Decimal, price: Decimal
) -> tuple[Decimal, Decimal | None]:
    exposure = units * price
    equity = cash + exposure
    return equity / column.shares, leverage(exposure, equity) if equity > 0 else None


def strikes_ms(fund: Fund, after_ms: int, until_ms: int) -> range:
    """Return the instants of the daily strikes in (after_ms, until_ms]."""
    offset_ms = fund.nav_boundary_ms
    day_ms = (after_ms - offset_ms) // DAY_MS * DAY_MS + DAY_MS
    return range(day_ms + offset_ms, until_ms + 1, DAY_MS)


def _strike(column: Column, starts: Sequence[int], boundary_ms: int) -> NavStruck:
    """Strike a daily NAV: after the funding of the instant and before all else at it."""
    tape, span = column.tape, column.spans[bisect_left(starts, boundary_ms) - 1]
    price = tape.closes[tape.bar_at(boundary_ms)]
    marks = {column.symbol: price}
    paid = span.units * (tape.settled_by(boundary_ms) - span.settled)
    equity = span.cash - paid + span.units * price
    point = Point(span.at_ms, span.base_nav, {column.symbol: span.base_price}, span.leverage)
    formula = formula_nav(point, basket_move(column.fund.basket, point, marks))
    return NavStruck(
        at_ms=boundary_ms,
        fund=column.fund.name,
        boundary_ms=boundary_ms,
        nav=equity / column.shares,
        formula_nav=ZERO if span.wiped else formula,
        equity=equity,
        shares=column.shares,
        marks=marks,
    )
