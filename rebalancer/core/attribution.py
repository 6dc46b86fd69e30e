"""Why the account NAV is not the formula NAV: the gap per share, split into its causes.

Costs are followed as they are booked. Basis and rounding follow from prices since the last
rebalancing point and are added up from point to point; what is left is timing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from rebalancer.core.money import ONE, ZERO, round_to_places, total
from rebalancer.core.nav import Point
from rebalancer.core.position import Prices

#: the causes that are followed, in the order in which they are shown; timing is the rest
FOLLOWED = ("basis", "funding", "trading_fees", "slippage", "management_fee", "rounding")
TIMING = "timing"


@dataclass(slots=True)
class GapBook:
    """What has driven the two NAVs of one fund apart so far, in quote currency per share."""

    funding: Decimal = ZERO
    trading_fees: Decimal = ZERO
    slippage: Decimal = ZERO
    management_fee: Decimal = ZERO
    #: of the periods between points that are over
    basis: Decimal = ZERO
    rounding: Decimal = ZERO
    #: the marks when the last point was sized: P_k is what the formula saw then
    marks: Prices = field(default_factory=dict)
    #: what the last run left under its lots: held less aimed at, in base coins per share
    leftover: Mapping[str, Decimal] = field(default_factory=dict)
    #: the marks at which it did
    leftover_marks: Prices = field(default_factory=dict)

    def scale(self, factor: Decimal) -> None:
        """Multiply what is per share, when shares are merged or split."""
        for name in FOLLOWED:
            setattr(self, name, getattr(self, name) * factor)
        self.leftover = {name: units * factor for name, units in self.leftover.items()}


@dataclass(frozen=True, slots=True)
class Standing:
    """What both NAVs say at one instant, against the last rebalancing point."""

    point: Point | None
    #: weight by contract since the point
    basket: Mapping[str, Decimal]
    marks: Prices
    nav: Decimal
    formula_nav: Decimal


def basis_since_point(book: GapBook, now: Standing) -> Decimal:
    """Return what the formula's position earned at the marks, less what the formula earned.

    A formula that has ended at 0 has no position any more.
    """
    point = now.point
    if point is None or not now.formula_nav:
        return ZERO
    if not all(name in book.marks and name in now.marks for name in now.basket):
        return ZERO
    at_marks = total(
        point.leverage
        * point.nav
        * weight
        * (now.marks[symbol] - book.marks[symbol])
        / point.prices[symbol]
        for symbol, weight in now.basket.items()
    )
    return at_marks - (now.formula_nav - point.nav)


def rounding_since_point(book: GapBook, marks: Prices) -> Decimal:
    """Return what the units earned that the last run had too many (negative: too few)."""
    return total(
        units * (marks[symbol] - book.leftover_marks[symbol])
        for symbol, units in book.leftover.items()
        if symbol in marks and symbol in book.leftover_marks
    )


def close_period(
    book: GapBook, now: Standing, leftover: Mapping[str, Decimal], marks: Prices
) -> None:
    """Begin a new period: `now` is when its run was sized, `leftover` what it left at `marks`."""
    book.basis += basis_since_point(book, now)
    book.rounding += rounding_since_point(book, marks)
    book.marks = now.marks
    book.leftover, book.leftover_marks = leftover, marks


def attribute(book: GapBook, now: Standing) -> dict[str, Decimal]:
    """Return account NAV less formula NAV by cause; the parts sum to the gap, at 18 decimals."""
    exact = {name: getattr(book, name) for name in FOLLOWED}
    exact["basis"] += basis_since_point(book, now)
    exact["rounding"] += rounding_since_point(book, now.marks)
    parts = {name: round_to_places(amount) for name, amount in exact.items()}
    parts[TIMING] = gap(now) - total(parts.values())
    return parts


def gap(now: Standing) -> Decimal:
    """Return account NAV less formula NAV, at 18 decimals."""
    return round_to_places(now.nav) - round_to_places(now.formula_nav)


def beyond(now: Standing, bound_bps: Decimal | None) -> str | None:
    """Say that the gap is wider than the bound, which is a part of the formula NAV."""
    if bound_bps is None or now.formula_nav <= 0:
        return None
    ratio_bps = (now.nav / now.formula_nav - ONE) * 10_000
    if abs(ratio_bps) <= bound_bps:
        return None
    return f"the account NAV is {ratio_bps:.1f} bp from the formula NAV, beyond {bound_bps:f} bp"
