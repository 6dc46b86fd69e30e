"""The cash account: what borrowed cash costs, and the index level that comes of it.

L(t) = L_R + units . (P(t) - P_R) - financing - coupon (spec section 5, field.md b5), with
financing = (reference rate at the start of the period + spread) x C x days / basis, and C the cash
that was borrowed at the last rebalance (negative: cash that earns).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from rebalancer.core.instant import DAY_MS, to_datetime
from rebalancer.core.money import ONE, ZERO, round_to_places, total
from rebalancer.core.position import Prices


class DayCount(StrEnum):
    """How a period becomes a part of a year."""

    ACT_360 = "ACT/360"
    ACT_365 = "ACT/365"
    THIRTY_360 = "30/360"

    @property
    def basis(self) -> int:
        """The days of a year."""
        return 365 if self is DayCount.ACT_365 else 360

    def days(self, from_ms: int, to_ms: int) -> int:
        """Return the days of interest between two instants: by their dates in UTC."""
        if self is not DayCount.THIRTY_360:
            return to_ms // DAY_MS - from_ms // DAY_MS
        start, end = to_datetime(from_ms), to_datetime(to_ms)
        first = min(start.day, 30)
        # The bond basis: a 31st counts as a 30th where the period began on a 30th or 31st.
        last = 30 if end.day == 31 and first == 30 else end.day
        return (end.year - start.year) * 360 + (end.month - start.month) * 30 + last - first


@dataclass(frozen=True, slots=True)
class RateQuote:
    """The newest reference rate of one source: a share per year, as of `at_ms`."""

    rate: Decimal
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CashAccount:
    """The terms of a fund's cash account. Rates are shares per year: 0.0115 = 1.15 %."""

    #: the reference rate, or the name of a source of rates
    reference: Decimal | str
    spread: Decimal = ZERO
    day_count: DayCount = DayCount.ACT_360
    #: share of the level that is paid out per year
    coupon: Decimal = ZERO
    #: what cash that is not borrowed earns; None: reference - spread
    earn: Decimal | None = None

    def rate(self, reference: Decimal, borrowed: Decimal) -> Decimal:
        """Return the yearly rate on `borrowed` (negative: the rate that the cash earns)."""
        if borrowed > 0:
            return reference + self.spread
        return reference - self.spread if self.earn is None else self.earn


@dataclass(frozen=True, slots=True, kw_only=True)
class CashPeriod:
    """What was fixed at the last rebalance R; amounts in quote currency, for the whole fund."""

    at_ms: int
    #: the reference rate of the period, a share per year
    reference: Decimal
    #: L_R
    level: Decimal
    #: C; negative where the fund has cash left
    borrowed: Decimal
    #: equity at R, which the level stands for
    equity: Decimal
    #: signed base coins by contract, and P_R in the fund's own price source; both follow that to
    #: another one, so that the units need not be those that were held
    units: Mapping[str, Decimal]
    prices: Mapping[str, Decimal]
    #: financing and coupon are posted up to here
    posted_ms: int
    #: shares per year, fixed at R: what C costs, and what is paid out of the equity
    rate: Decimal
    coupon: Decimal
    day_count: DayCount

    @property
    def free(self) -> bool:
        """Whether it costs and pays nothing."""
        return not self.rate and not self.coupon

    def scaled(self, shares_after: Decimal, shares_before: Decimal) -> CashPeriod:
        """Return the period of a fund whose shares changed, with everything in proportion."""
        return replace(
            self,
            borrowed=self.borrowed * shares_after / shares_before,
            equity=self.equity * shares_after / shares_before,
            units={
                name: units * shares_after / shares_before for name, units in self.units.items()
            },
        )

    def in_prices_of(self, factors: Mapping[str, Decimal]) -> CashPeriod:
        """Return the period by another price source, whose price is a factor times that of before.

        The units become fewer by it: a move of the price brings what it brought.
        """
        by = {name: factors.get(name, ONE) for name in (*self.units, *self.prices)}
        return replace(
            self,
            units={name: units / by[name] for name, units in self.units.items()},
            prices={name: price * by[name] for name, price in self.prices.items()},
        )


def financing(period: CashPeriod, from_ms: int, to_ms: int) -> Decimal:
    """Return what the cash costs from one instant of the period to another (negative: earns)."""
    days = _days(period, from_ms, to_ms)
    return period.rate * period.borrowed * days / period.day_count.basis


def coupon(period: CashPeriod, from_ms: int, to_ms: int) -> Decimal:
    """Return what is paid out from one instant of the period to another."""
    days = _days(period, from_ms, to_ms)
    return period.coupon * period.equity * days / period.day_count.basis


def _days(period: CashPeriod, from_ms: int, to_ms: int) -> int:
    # Counted from the start of the period, so that parts of it sum to the whole in any convention.
    count = period.day_count.days
    return count(period.at_ms, to_ms) - count(period.at_ms, from_ms)


def accrued(period: CashPeriod, now_ms: int) -> Decimal:
    """Return financing and coupon that have grown due and are not posted yet, 18 decimals."""
    span = (period.posted_ms, max(now_ms, period.posted_ms))
    return round_to_places(financing(period, *span) + coupon(period, *span))


def index_level(period: CashPeriod, prices: Prices, now_ms: int) -> Decimal:
    """Return L(t), unrounded. A level that is not the equity at R moves in proportion to it."""
    gain = total(
        units * (prices[symbol] - period.prices[symbol]) for symbol, units in period.units.items()
    )
    span = (period.at_ms, max(now_ms, period.at_ms))
    change = gain - financing(period, *span) - coupon(period, *span)
    return period.level + change * period.level / period.equity
