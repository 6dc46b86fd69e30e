"""A duty: a breach of the leverage band that must be mended by a deadline (spec section 3)."""

from __future__ import annotations

from dataclasses import dataclass

from rebalancer.core.calendar import DayTime
from rebalancer.core.fund import Fund
from rebalancer.core.methodology import LeverageBand


@dataclass(frozen=True, slots=True)
class Duty:
    """The fund's leverage was seen outside its band at `since_ms`; the run is due at `due_ms`."""

    since_ms: int
    due_ms: int


def duty_of(fund: Fund, rule: LeverageBand, since_ms: int) -> Duty:
    """Return the duty of a breach seen at `since_ms`.

    It is due at the first fixed time of the business day so many after the breach, in the offset of
    the fixed rule; where there is none on that day at the close, else at the daily strike.
    """
    fixed = fund.methodology.fixed
    if fixed is not None:
        clock = DayTime(0, fixed.utc_offset_ms)
        day = rule.calendar.add_business_days(clock.day_of(since_ms), rule.within_business_days)
        instants = fixed.instants_on(day)
        if instants:
            return Duty(since_ms, min(instants))
    close = rule.close or DayTime(fund.nav_boundary_ms)
    day = rule.calendar.add_business_days(close.day_of(since_ms), rule.within_business_days)
    return Duty(since_ms, close.on(day))
