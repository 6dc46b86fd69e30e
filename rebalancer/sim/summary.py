"""What is compared of a fund of a backtest, whoever played it: how it ended, runs, costs, days."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from rebalancer.core.fund import Fund
from rebalancer.core.methodology import Trigger
from rebalancer.core.money import ONE, ZERO
from rebalancer.core.records import NavStruck
from rebalancer.core.state import Costs
from rebalancer.sim.backtest import FundResult, Outcome


class Way(StrEnum):
    """Who played a fund."""

    #: compiled floats: the engine's runs, and figures within 1e-9 of its
    SKETCH = "sketch"
    #: arrays and the core's own decimals: the engine's figures to the last digit
    COLUMNS = "columns"
    ENGINE = "engine"


class Day(NamedTuple):
    """From one daily NAV to the next: what a share gained, and how its basket moved; fractions."""

    gained: float
    moved: float


@dataclass(frozen=True, slots=True)
class Summary:
    """What is compared of one fund; money in quote currency."""

    fund: Fund
    #: at the end; None where a price was missing
    final_nav: Decimal | None
    final_formula_nav: Decimal | None
    fixed_runs: int
    other_runs: int
    costs: Costs
    #: notional that its runs were opened to trade
    traded: float
    #: equity at each daily strike, and the days between them
    equities: Sequence[float]
    days: Sequence[Day]
    by: Way
    #: why the engine replayed the fund; None where arrays found the same
    engine: str | None = None


def summaries_of(result: Outcome) -> dict[str, Summary]:
    """Return what is compared of each fund of a backtest by exact columns or by the engine."""
    return {name: _summary(found, result.by_engine(name)) for name, found in result.funds.items()}


def _summary(found: FundResult, engine: str | None) -> Summary:
    fixed, traded = 0, ZERO
    for each in found.rebalances:
        plan = each.plan
        fixed += plan.trigger is Trigger.FIXED
        traded += sum(abs(units) * plan.marks[symbol] for symbol, units in plan.delta_units.items())
    strikes = list(found.strikes)
    return Summary(
        fund=found.fund,
        final_nav=found.worth.nav if found.worth else None,
        final_formula_nav=found.worth.formula_nav if found.worth else None,
        fixed_runs=fixed,
        other_runs=len(found.rebalances) - fixed,
        costs=found.costs,
        traded=float(traded),
        equities=[float(each.equity) for each in strikes],
        days=days_of(found.fund, strikes),
        by=Way.COLUMNS if engine is None else Way.ENGINE,
        engine=engine,
    )


def days_of(fund: Fund, strikes: Sequence[NavStruck]) -> list[Day]:
    """Return the days between daily NAVs, up to the first at which the fund is worth nothing."""
    days = []
    for before, after in itertools.pairwise(strikes):
        if before.nav <= 0 or not before.formula_nav:
            break
        moved = fund.underlying_return(before.boundary_ms, before.own_prices, after.own_prices)
        days.append(Day(float(after.nav / before.nav - ONE), float(moved)))
    return days
