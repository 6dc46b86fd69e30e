"""Exact decimals: how a number enters, how it is rounded, how it is written.

Importing this module makes decimals exact for the whole process: 60 digits, half-even, and a trap
on every silent mix with floats. Money needs about 46 digits at most (a rate of 8 decimals x units
of 18 x a price of 8, in front of 12 integer digits), so sums and products of money are exact.
"""

from __future__ import annotations

import decimal
from collections.abc import Iterable, Mapping
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal

from rebalancer.errors import InputRefused

PRECISION_DIGITS = 60
ZERO = Decimal(0)
ONE = Decimal(1)
BPS = Decimal(10_000)
#: Allocations and everything shown outside stop at 18 decimals (spec sections 4 and 8).
PLACES = Decimal("1e-18")
#: Units that are held on paper only; times a price of 8 decimals they still are exact.
PAPER_PLACES = Decimal("1e-30")
#: far behind the last place shown, far before the noise of a division
_SETTLED_PLACES = Decimal("1e-26")
#: digits before the point beyond which those do not fit
_LARGEST_SETTLED = PRECISION_DIGITS - 28


def _make_decimals_exact() -> None:
    # New threads copy DefaultContext, running ones keep their own: set both.
    for context in (decimal.DefaultContext, decimal.getcontext()):
        context.prec = PRECISION_DIGITS
        context.rounding = ROUND_HALF_EVEN
        context.traps[decimal.FloatOperation] = True
        context.traps[decimal.InvalidOperation] = True


_make_decimals_exact()


def number(value: object, what: str = "number") -> Decimal:
    """Return `value` (Decimal, int or decimal text) as a finite Decimal.

    Floats, NaN, infinities, booleans and anything else raise InputRefused that names `what`.
    """
    if isinstance(value, str):  # first, as a price of a stream is text
        try:
            result = Decimal(value.strip())
        except decimal.InvalidOperation:
            raise InputRefused(f"{what}: {value!r} is not a decimal number") from None
    elif isinstance(value, Decimal):
        result = value
    elif isinstance(value, int) and not isinstance(value, bool):
        result = Decimal(value)
    else:
        raise InputRefused(
            f"{what}: expected a decimal number in text, got {type(value).__name__} {value!r}"
        )
    if not result.is_finite():
        raise InputRefused(f"{what}: {value!r} is not a finite number")
    return result


def positive(value: object, what: str = "number") -> Decimal:
    """Return `value` as a finite Decimal above zero, or raise InputRefused that names `what`."""
    result = number(value, what)
    if result <= ZERO:  # a whole number would be made a decimal first, each time
        raise InputRefused(f"{what}: {result} must be above zero")
    return result


def trunc_to_step(value: Decimal, step: Decimal) -> Decimal:
    """Round `value` toward zero to a whole multiple of `step` (> 0), exactly."""
    return (value / step).to_integral_value(rounding=ROUND_DOWN) * step


def trunc_to_places(value: Decimal) -> Decimal:
    """Round toward zero at 18 decimals: what can be held of a wanted amount."""
    return value.quantize(PLACES, rounding=ROUND_DOWN)


def round_to_places(value: Decimal) -> Decimal:
    """Round half-even at 18 decimals: how a number is shown and allocated."""
    return value.quantize(PLACES, rounding=ROUND_HALF_EVEN)


def trunc_to_paper(value: Decimal) -> Decimal:
    """Round toward zero at 30 decimals: what is only counted, so that its worth stays exact."""
    return value.quantize(PAPER_PLACES, rounding=ROUND_DOWN)


def settled(ratio: Decimal) -> Decimal:
    """Return what a computed number is without the noise of its divisions, at 26 decimals.

    A division keeps 60 digits, so 3 x (1/3) is short of 1 by the last of them: an edge that is
    reached exactly, or half a unit of the last place shown, must not be missed by that.
    """
    return ratio if ratio.adjusted() > _LARGEST_SETTLED else ratio.quantize(_SETTLED_PLACES)


def text(value: Decimal) -> str:
    """Write `value` with 18 decimals at most, half-even, in plain notation: 115, 0.285, -3.5."""
    rounded = round_to_places(settled(value))
    if rounded == 0:
        return "0"
    written = format(rounded, "f")
    return written.rstrip("0").rstrip(".") if "." in written else written


def counted(count: int, noun: str) -> str:
    """Write how many there are of something: 1 fund, 2 funds."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def text_or_none(value: Decimal | None) -> str | None:
    """Write `value` as `text` does; None, which JSON has as null, where there is none."""
    return None if value is None else text(value)


def split_pro_rata(
    total: Decimal, weights: Mapping[str, Decimal], *, step: Decimal = PLACES
) -> dict[str, Decimal]:
    """Split `total` over names in proportion to `weights` (all >= 0, some > 0), exactly.

    Shares are multiples of `step` and sum to `total` to the last digit: each is rounded toward
    zero, then single steps go to the largest remainders, ties by name. What `total` itself has
    below one step goes to the first name in that order.
    """
    weight_sum = sum(weights.values(), ZERO)
    if weight_sum <= 0:
        raise InputRefused("a pro-rata split needs at least one weight above zero")
    sign = -1 if total < 0 else 1
    magnitude = abs(total)
    exact = {name: magnitude * weight / weight_sum for name, weight in weights.items()}
    shares = {name: trunc_to_step(value, step) for name, value in exact.items()}
    order = sorted(exact, key=lambda name: (shares[name] - exact[name], name))
    rest = magnitude - sum(shares.values(), ZERO)
    for name in order:
        if rest < step:
            break
        shares[name] += step
        rest -= step
    shares[order[0]] += rest
    return {name: sign * shares[name] for name in weights}


def total(values: Iterable[Decimal]) -> Decimal:
    """Sum decimals from an exact zero."""
    return sum(values, ZERO)
