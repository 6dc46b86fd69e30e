"""A sweep: the same history under other settings, every core at work, and what is shown of it."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from decimal import Decimal
from importlib import import_module
from typing import Any

from rebalancer.core.fund import Fund
from rebalancer.core.money import ZERO, text, text_or_none
from rebalancer.errors import InputRefused
from rebalancer.sim.frontier import economics
from rebalancer.sim.summary import Day, Summary

VERSION = 1
#: how long a cluster may take to answer
CONNECT_SECONDS = 10

#: decimals of a tracking figure: a billionth of a basis point
BP_PLACES = 9
BPS_OF_ONE = 10_000

Setting = tuple[str, str]
"""A key of the configuration and what it is set to, as the operator writes both."""

Watch = Callable[[Iterator[dict[str, Any]], int], Iterator[dict[str, Any]]]
"""Looks on as points are done, of so many in all: a progress bar."""


def unwatched(done: Iterator[dict[str, Any]], _total: int) -> Iterator[dict[str, Any]]:
    """Look away."""
    return done


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
    watch: Watch = unwatched,
) -> dict[str, Any]:
    """Return the document of all points, in their order; `run` must be importable by its name.

    What `run` raises ends the sweep: points are checked before, so that it is no operator's slip.
    `scheduler` is the address of a Dask cluster, whose workers must have the desk and its files.
    """
    if scheduler is not None:
        found = _on_cluster(points, run, scheduler)
    elif processes == 1 or len(points) == 1:
        found = list(watch(map(run, points), len(points)))
    else:
        with ProcessPoolExecutor(min(processes, len(points))) as pool:
            found = list(watch(pool.map(run, points), len(points)))
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


def figures(known: Mapping[str, Summary]) -> dict[str, Any]:
    """Return what a sweep shows of each fund."""
    return {name: _figures(each) for name, each in known.items()}


def _figures(known: Summary) -> dict[str, Any]:
    tracked = tracking(known.fund, known.days)
    costs = {
        key: value
        for key, value in asdict(known.costs).items()
        if key != "financing" or known.fund.cash_account is not None
    }
    return {
        "final_nav": text_or_none(known.final_nav),
        "final_formula_nav": text_or_none(known.final_formula_nav),
        "fixed_runs": known.fixed_runs,
        "other_runs": known.other_runs,
        "costs": {key: text(value) for key, value in costs.items()},
        "cost": text(sum(costs.values(), ZERO)),
        "days": tracked.days if tracked else 0,
        "mean_bp": text_or_none(tracked.mean_bp) if tracked else None,
        "tracking_error_bp": text_or_none(tracked.error_bp) if tracked else None,
        "economics": economics(known),
        "by": known.by,
        "engine": known.engine,
    }


def tracking(fund: Fund, days: Sequence[Day]) -> Tracking | None:
    """Compare the fund's days with M times its underlying's; None under two of them."""
    if len(days) < 2:
        return None
    target = float(fund.target_leverage)
    gaps = [day.gained - target * day.moved for day in days]
    mean, error = statistics.fmean(gaps), statistics.stdev(gaps)
    return Tracking(len(gaps), _basis_points(mean), _basis_points(error))


def _basis_points(share: float) -> Decimal:
    return Decimal(f"{share * BPS_OF_ONE:.{BP_PLACES}f}")
