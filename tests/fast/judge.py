"""Judges one case: whatever the fast path answers is what the engine answers, to the last digit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import inf
from typing import Any

import numpy as np

from rebalancer.core.state import Desk
from rebalancer.fast.backtest import FastResult, fast_backtest
from rebalancer.fast.rows import Floats
from rebalancer.fast.sketch import FundSketch, Sketch, sketch
from rebalancer.fast.tape import Tapes
from rebalancer.feeds.candles import History, merge
from rebalancer.sim.backtest import Book, FundResult, Result
from rebalancer.sim.replay import Replay, desk_for_history, sources_apart
from rebalancer.sim.summary import Summary, Way, summaries_of
from rebalancer.venues.paper import PaperCosts

COSTS = ("fees", "slippage", "funding", "management_fee")
#: how far NAVs at bars, which are floats, may lie from the engine's, relative and in quote currency
NAV_TOLERANCE = 1e-9
#: times this tolerance: a hundredth of a millionth of a millionth of the money
LAST_BITS = 1e-5

Replayed = tuple[Result, dict[str, Any]]
"""The engine's backtest, and the NAV of each fund at every bar of its contract."""


def differences(
    desk: Desk, histories: Mapping[str, History], costs: Mapping[str, PaperCosts]
) -> tuple[list[str], FastResult, Sketch]:
    """Return everything in which the engine differs from the two, and what these found."""
    return compared(replayed(desk, histories, costs), desk, histories, costs)


def compared(
    engine: Replayed,
    desk: Desk,
    histories: Mapping[str, History],
    costs: Mapping[str, PaperCosts],
) -> tuple[list[str], FastResult, Sketch]:
    """Return what `differences` does, of a history that the engine has replayed before."""
    exact, navs = engine
    fast = fast_backtest(desk, Tapes(histories), costs)
    found = [f"bars: {exact.bars} and {fast.bars}"] if exact.bars != fast.bars else []
    if list(exact.funds) != list(fast.funds):
        found.append(f"funds: {list(exact.funds)} and {list(fast.funds)}")
    for name, fund in fast.funds.items():
        found += [f"{name}: {each}" for each in _of_fund(exact.funds[name], fund)]
    drawn = sketch(desk, Tapes(histories), costs, navs=True)
    for name, one in drawn.funds.items():
        found += [f"{name}, sketched: {each}" for each in _of_sketch(exact.funds[name], one)]
        if _gap(one.navs, navs[name]) > NAV_TOLERANCE:
            found.append(f"{name}, sketched: a NAV at a bar differs")
    found += _of_summaries(summaries_of(exact), drawn.summaries())
    for name in fast.columns:
        gap = _gap(fast.navs(name), navs[name])
        if gap > NAV_TOLERANCE:
            found.append(f"{name}: a NAV at a bar differs by {gap}")
    return found, fast, drawn


def replayed(
    desk: Desk, histories: Mapping[str, History], costs: Mapping[str, PaperCosts]
) -> Replayed:
    """Return the engine's backtest, and the NAV of each fund at every bar of its contract."""
    book = Book.of(desk.funds)
    ready, apart = desk_for_history(desk, histories), sources_apart(histories)
    replay = Replay(ready, costs, on_records=book.take, apart=apart)
    navs: dict[str, list[float]] = {name: [] for name in desk.funds}
    for moment in merge(histories.values()):
        replay.play(moment)
        moved = {symbol for symbol, _ in moment.prices}
        for name, fund in replay.state.funds.items():
            if moved.intersection(fund.fund.basket):
                worth = replay.state.worth(fund)
                navs[name].append(float(worth.nav) if worth else float("nan"))
    return Result.of(replay, book), {name: np.array(each) for name, each in navs.items()}


def _of_fund(exact: FundResult, fast: FundResult) -> Iterator[str]:
    for what in ("worth", "costs", "fixed", "strikes"):
        one, other = getattr(exact, what), getattr(fast, what)
        if what == "strikes":
            one, other = list(one), list(other)
        if one != other:
            yield f"{what}: {one} and {other}"
    if len(exact.rebalances) != len(fast.rebalances):
        yield f"{len(exact.rebalances)} and {len(fast.rebalances)} runs"
    for number, (one, other) in enumerate(zip(exact.rebalances, fast.rebalances, strict=False)):
        if one.plan != other.plan or one.document() != other.document():
            yield f"run {number}: {one.document()} and {other.document()}; {one.plan} {other.plan}"
            return


def _of_sketch(exact: FundResult, drawn: FundSketch) -> Iterator[str]:
    runs = [(each.plan.opened_ms, each.plan.trigger) for each in exact.rebalances]
    if runs != list(zip(drawn.run_ms.tolist(), drawn.triggers, strict=True)):
        yield "other runs"
        return
    costs = [float(each.document()["cost"]) for each in exact.rebalances]
    units = [float(next(iter(each.plan.delta_units.values()))) for each in exact.rebalances]
    spent = np.array([float(getattr(exact.costs, name)) for name in COSTS])
    strikes = np.array([float(each.nav) for each in exact.strikes])
    for what, one, other in (
        ("cost of a run", drawn.run_costs, np.array(costs)),
        ("sum of costs", drawn.costs, spent),
        ("strike", drawn.strikes, strikes),
        ("units of a run", drawn.run_units, np.array(units)),
    ):
        if len(one) != len(other) or (len(one) and _gap(one, other) > NAV_TOLERANCE):
            yield f"another {what}"


def _of_summaries(exact: Mapping[str, Summary], drawn: Mapping[str, Summary]) -> Iterator[str]:
    """Compare what a sweep shows: sketched funds within a billionth, others to the last digit."""
    if list(exact) != list(drawn):
        yield f"compared funds: {list(exact)} and {list(drawn)}"
        return
    for name, one in exact.items():
        other = drawn[name]
        if other.by is not Way.SKETCH:
            if replace(one, by=other.by, engine=other.engine, fund=other.fund) != other:
                yield f"{name}: {replace(one, days=())} and {replace(other, days=())}"
            continue
        if (one.fixed_runs, one.other_runs) != (other.fixed_runs, other.other_runs):
            yield f"{name}: another number of runs"
        # Of two sums that cancel out, floats leave the last bits of the money that was summed; of
        # runs that trade nothing, those of each run.
        last_bits = float(one.fund.initial_shares * one.fund.initial_nav) * LAST_BITS
        runs = max(1, one.fixed_runs + one.other_runs)
        if _gap(_numbers(other), _numbers(one), last_bits) > NAV_TOLERANCE:
            yield f"{name}: {_numbers(one)} and {_numbers(other)}"
        if _gap(_traded(other), _traded(one), last_bits * runs) > NAV_TOLERANCE:
            yield f"{name}: {one.traded} and {other.traded} traded"


def _numbers(one: Summary) -> Floats:
    money = (one.final_nav, one.final_formula_nav, *(getattr(one.costs, name) for name in COSTS))
    days = [part for day in one.days for part in day]
    return np.array([float(each or 0) for each in (*money, *one.equities, *days)])


def _traded(one: Summary) -> Floats:
    return np.array([float(one.traded)])


def _gap(one: Floats, other: Floats, smallest: float = 1.0) -> float:
    """Return the largest difference, as a part of what is compared or of 1 or of `smallest`.

    What is no number in both is no difference; in one of them it is the largest there is.
    """
    if not np.array_equal(np.isnan(one), np.isnan(other)):
        return inf
    one, other = one[~np.isnan(one)], other[~np.isnan(other)]
    if not len(one):
        return 0.0
    return float(np.max(np.abs(one - other) / np.maximum(max(1.0, smallest), np.abs(other))))
