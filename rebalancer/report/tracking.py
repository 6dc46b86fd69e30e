"""How a fund followed its promise, day by day, and which cause took how much of the difference.

A day goes from one daily NAV to the next. Its difference is the NAV's return less M times the
underlying's. Every cause has a part of each day, and the parts sum to the day's difference; timing
is what no other cause explains: runs at other hours than the strike, leverage that drifted between
them, and what compounds.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from rebalancer.core.fund import Fund
from rebalancer.core.money import BPS, ONE, ZERO, round_to_places, total
from rebalancer.report.story import Strike

#: in the order in which they are shown; the last is the rest
CAUSES = (
    "fees",
    "funding",
    "slippage",
    "management_fee",
    "basis",
    "rounding",
    "timing",
)
_BOOKED = {
    "fees": "trading_fees",
    "funding": "funding",
    "slippage": "slippage",
    "basis": "basis",
    "rounding": "rounding",
}
#: days of a year: the market never closes
YEAR_DAYS = 365
_FEWEST_DAYS = 2


@dataclass(frozen=True, slots=True)
class Day:
    """One day of a fund, from one daily NAV to the next; returns as parts of one."""

    begin_ms: int
    end_ms: int
    underlying: Decimal
    #: M x the underlying's return: what the fund promises
    promised: Decimal
    nav: Decimal
    formula_nav: Decimal | None
    #: nav - promised by cause; the parts sum to it
    parts: Mapping[str, Decimal]

    @property
    def difference(self) -> Decimal:
        """What the day brought more than promised (negative: less)."""
        return self.nav - self.promised


@dataclass(frozen=True, slots=True)
class Tracking:
    """Differences over all days, in basis points a day, by cause and in all."""

    days: int
    mean_bp: Decimal
    #: standard deviation: the tracking error
    error_bp: Decimal
    #: mean of each cause; they sum to the mean
    mean_parts_bp: Mapping[str, Decimal]
    #: share of each cause in the tracking error: its covariance with the difference over the
    #: tracking error, so that the shares sum to it; below zero where a cause dampens
    error_parts_bp: Mapping[str, Decimal]


def days_of(fund: Fund, strikes: Sequence[Strike]) -> list[Day]:
    """Return the days between strikes; they end where a NAV is no longer above zero.

    Returns and parts are rounded at 18 decimals, so that the parts sum exactly.
    """
    found = []
    for before, after in itertools.pairwise(strikes):
        if before.nav <= 0 or not before.formula_nav:
            break
        moved = fund.underlying_return(before.at_ms, before.prices, after.prices)
        promised = round_to_places(fund.target_leverage * moved)
        nav = round_to_places(after.nav / before.nav - ONE)
        formula = after.formula_nav / before.formula_nav - ONE if before.formula_nav else None
        parts = {
            cause: round_to_places((after.gap[booked] - before.gap[booked]) / before.nav)
            for cause, booked in _BOOKED.items()
        }
        fee = (after.management_fee - before.management_fee) / before.nav
        parts["management_fee"] = -round_to_places(fee)
        parts["timing"] = nav - promised - total(parts.values())
        ordered = {cause: parts[cause] for cause in CAUSES}
        found.append(Day(before.at_ms, after.at_ms, moved, promised, nav, formula, ordered))
    return found


def tracking_of(days: Sequence[Day]) -> Tracking | None:
    """Return what the days say together; None under two."""
    if len(days) < _FEWEST_DAYS:
        return None
    differences = [day.difference for day in days]
    mean, error = statistics.mean(differences), statistics.stdev(differences)
    return Tracking(
        days=len(days),
        mean_bp=mean * BPS,
        error_bp=error * BPS,
        mean_parts_bp={
            cause: statistics.mean(day.parts[cause] for day in days) * BPS for cause in CAUSES
        },
        error_parts_bp={
            cause: _share([day.parts[cause] for day in days], differences, error) * BPS
            for cause in CAUSES
        },
    )


def _share(parts: Sequence[Decimal], differences: Sequence[Decimal], error: Decimal) -> Decimal:
    """Return cov(part, difference) / error."""
    if not error:
        return ZERO
    mean_part, mean = statistics.mean(parts), statistics.mean(differences)
    products = (
        (part - mean_part) * (whole - mean) for part, whole in zip(parts, differences, strict=True)
    )
    return total(products) / (len(parts) - 1) / error


def compounded(returns: Sequence[Decimal], begin: Decimal) -> list[Decimal]:
    """Return `begin` and what it became after each return; from 0 on it stays there."""
    levels = [begin]
    for each in returns:
        levels.append(max(ZERO, levels[-1] * (ONE + each)))
    return levels
