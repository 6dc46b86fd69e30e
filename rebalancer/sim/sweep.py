"""A sweep: the same history under other settings, every core at work, each point by the engine."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from importlib import import_module
from typing import Any

from rebalancer.core.fund import Fund
from rebalancer.core.methodology import Trigger
from rebalancer.core.money import BPS, ONE, ZERO, text
from rebalancer.core.records import NavStruck
from rebalancer.errors import InputRefused
from rebalancer.sim.backtest import Outcome
from rebalancer.sim.frontier import economics

VERSION = 1
#: how long a cluster may take to answer
CONNECT_SECONDS = 10

Setting = tuple[str, str]
"""A key of the configuration and what it is set to, as the operator writes both."""


@dataclass(frozen=True, slots=True)
class Tracking:
    """How a fund's days compare with M times its underlying's, in basis points a day."""

    #: how many days
    days: int
    #: mean difference: what a day costs, or brings
    mean_bp: Decimal
    #: standard deviation of the differences: the tracking error
    error_bp: Decimal


def grid(alternatives: Mapping[str, Sequence[str]]) -> tuple[tuple[Setting, ...], ...]:
    """Return every combination of the alternatives of each key, the last key changing fastest."""
    axes = [[(key, value) for value in values] for key, values in alternatives.items()]
    return tuple(itertools.product(*axes))


def sweep(
    points: Sequence[tuple[Setting, ...]],
    run: Callable[[tuple[Setting, ...]], dict[str, Any]],
    processes: int,
    scheduler: str | None = None,
) -> dict[str, Any]:
    """Return the document of all points, in their order; `run` must be importable by its name.

    What `run` raises ends the sweep: points are checked before, so that it is no operator's slip.
    `scheduler` is the address of a Dask cluster, whose workers must have the desk and its files.
    """
    if scheduler is not None:
        found = _on_cluster(points, run, scheduler)
    elif processes == 1 or len(points) == 1:
        found = [run(point) for point in points]
    else:
        with ProcessPoolExecutor(min(processes, len(points))) as pool:
            found = list(pool.map(run, points))
    told = [
        {"set": dict(point), "funds": funds} for point, funds in zip(points, found, strict=True)
    ]
    return {"version": VERSION, "points": told}


def _on_cluster(
    points: Sequence[tuple[Setting, ...]],
    run: Callable[[tuple[Setting, ...]], dict[str, Any]],
    address: str,
) -> list[dict[str, Any]]:
    """Run the points on an existing cluster; InputRefused where there is none or no extra."""
    try:
        distributed: Any = import_module("distributed")  # an extra, and without types
    except ImportError:
        raise InputRefused(
            "--scheduler needs distributed: install the desk with its extra, rebalancer[cluster]"
        ) from None
    try:
        client = distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise InputRefused(f"--scheduler {address}: no cluster answers there: {error}") from None
    with client:
        return list(client.gather(client.map(run, points, pure=False)))


def figures(result: Outcome) -> dict[str, Any]:
    """Return what a sweep shows of each fund of a finished backtest."""
    told = {}
    for name, found in result.funds.items():
        fund = found.document()
        tracked = tracking(found.fund, found.strikes)
        fixed = found.count(Trigger.FIXED)
        told[name] = {
            "final_nav": fund["final_nav"],
            "final_formula_nav": fund["final_formula_nav"],
            "fixed_runs": fixed,
            "other_runs": len(fund["rebalances"]) - fixed,
            "costs": fund["costs"],
            "cost": text(sum((Decimal(each) for each in fund["costs"].values()), ZERO)),
            "days": tracked.days if tracked else 0,
            "mean_bp": text(tracked.mean_bp) if tracked else None,
            "tracking_error_bp": text(tracked.error_bp) if tracked else None,
            "economics": economics(found),
            "engine": result.by_engine(name),
        }
    return told


def tracking(fund: Fund, strikes: Sequence[NavStruck]) -> Tracking | None:
    """Compare the fund's struck NAVs with M times the underlying; None under three strikes.

    Day by day: nav_d / nav_(d-1) - 1 less M x (weighted sum of P_d / P_(d-1) - 1).
    """
    gaps = []
    for before, after in itertools.pairwise(strikes):
        if before.nav <= 0:
            break
        moved = sum(
            (
                weight * (after.marks[symbol] / before.marks[symbol] - ONE)
                for symbol, weight in fund.basket_at(before.boundary_ms).items()
                if symbol in after.marks and symbol in before.marks
            ),
            ZERO,
        )
        gaps.append((after.nav / before.nav - ONE - fund.target_leverage * moved) * BPS)
    if len(gaps) < 2:
        return None
    return Tracking(len(gaps), statistics.mean(gaps), statistics.stdev(gaps))
