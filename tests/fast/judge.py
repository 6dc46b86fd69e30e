"""Judges one case: whatever the fast path answers is what the engine answers, to the last digit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from rebalancer.core.state import Desk
from rebalancer.fast.backtest import FastResult, fast_backtest
from rebalancer.feeds.candles import History, merge
from rebalancer.sim.backtest import Book, FundResult, Result
from rebalancer.sim.replay import Replay, desk_for_history
from rebalancer.venues.paper import PaperCosts

#: how far NAVs at bars, which are floats, may lie from the engine's, relative and in quote currency
NAV_TOLERANCE = 1e-9


def differences(
    desk: Desk, histories: Mapping[str, History], costs: Mapping[str, PaperCosts]
) -> tuple[list[str], FastResult]:
    """Return everything in which the two differ, and what the fast path found."""
    exact, navs = replayed(desk, histories, costs)
    fast = fast_backtest(desk, histories, costs)
    found = [f"bars: {exact.bars} and {fast.bars}"] if exact.bars != fast.bars else []
    if list(exact.funds) != list(fast.funds):
        found.append(f"funds: {list(exact.funds)} and {list(fast.funds)}")
    for name, fund in fast.funds.items():
        found += [f"{name}: {each}" for each in _of_fund(exact.funds[name], fund)]
    for name in fast.columns:
        gap = np.max(np.abs(fast.navs(name) - navs[name]) / np.maximum(1.0, np.abs(navs[name])))
        if not gap <= NAV_TOLERANCE:
            found.append(f"{name}: a NAV at a bar differs by {gap}")
    return found, fast


def replayed(
    desk: Desk, histories: Mapping[str, History], costs: Mapping[str, PaperCosts]
) -> tuple[Result, dict[str, Any]]:
    """Return the engine's backtest, and the NAV of each fund at every bar of its contract."""
    intervals = {symbol: history.interval_ms for symbol, history in histories.items()}
    book = Book.of(desk.funds)
    replay = Replay(desk_for_history(desk, intervals), costs, on_records=book.take)
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
