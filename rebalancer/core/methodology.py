"""A methodology: the rules of one fund that say when it rebalances and where to, as plain values.

The rules themselves (value in, signal out) are in `core/rules/`; what cannot work together is
refused in `core/coherence.py`, before any price is known.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from rebalancer.core.calendar import ALWAYS_OPEN, WEEKDAYS, Calendar, DayTime, Roll, day_at
from rebalancer.core.flow import FlowRule
from rebalancer.core.instant import DAY_MS, HOUR_MS, SECOND_MS, between
from rebalancer.core.money import ONE

COOLDOWN_MS = 60 * SECOND_MS


class Trigger(StrEnum):
    """Why a run is made, in order of precedence: the first that fires names the run."""

    GAP = "gap"
    WIND_DOWN = "wind_down"
    EMERGENCY = "emergency"
    LEVERAGE_CAP = "leverage_cap"
    PRICE_MOVE = "price_move"
    LEVERAGE_BAND = "leverage_band"
    RECONSTITUTION = "reconstitution"
    ELAPSED = "elapsed"
    FIXED = "fixed"
    FLOW = "flow"
    MANUAL = "manual"
    LAUNCH = "launch"
    NONE = "none"


#: Runs that an automatic rule makes in between fixed ones; a cool-down delays them.
COOLED = frozenset({Trigger.PRICE_MOVE, Trigger.LEVERAGE_CAP, Trigger.LEVERAGE_BAND})


class Side(StrEnum):
    """Which funds a price rule touches."""

    LOSING = "losing"
    BOTH = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """An exact fraction, for a bound such as 4/3 that no decimal can hold."""

    numerator: Decimal
    denominator: Decimal = ONE

    def at_or_above(self, part: Decimal, whole: Decimal) -> bool:
        """Whether part / whole >= this ratio, compared without dividing; whole > 0."""
        return part * self.denominator >= self.numerator * whole

    def times(self, factor: Decimal) -> Ratio:
        """Return this ratio multiplied by `factor`."""
        return Ratio(numerator=self.numerator * factor, denominator=self.denominator)

    @property
    def value(self) -> Decimal:
        """The ratio as a decimal, for showing and for trigger prices."""
        return self.numerator / self.denominator


class Destination(StrEnum):
    """Where a run goes, the strictest first."""

    TARGET = "target"  # the promised leverage
    EDGE = "edge"  # the breached edge of the fund's band
    RECENTRE = "recentre"  # part of the way to the target, inside the band


STRICTNESS: Mapping[Destination, int] = {place: rank for rank, place in enumerate(Destination)}
"""Lower is stricter: triggers that meet go to the strictest of their destinations."""


@dataclass(frozen=True, slots=True)
class Goal:
    """Where a rule's runs go; `speed` is the part of the way of one recentring, 0 < speed <= 1."""

    to: Destination = Destination.TARGET
    speed: Decimal = ONE


TO_TARGET = Goal()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """Rebalance at fixed times of day; instants are recurring UTC times."""

    #: milliseconds after midnight in the fixed offset
    times_of_day_ms: tuple[int, ...] = (10 * HOUR_MS + 30 * 60 * SECOND_MS,)
    utc_offset_ms: int = 8 * HOUR_MS
    #: how late a missed run may still be made
    catch_up_ms: int = 6 * HOUR_MS
    #: skip when the price moved less than this since the last point; None never skips
    skip_below_move: Decimal | None = None
    #: skip when the magnitude of leverage is inside [low, high]; None never skips
    skip_within: tuple[Decimal, Decimal] | None = None
    calendar: Calendar = ALWAYS_OPEN
    roll: Roll = Roll.FOLLOWING
    confirm_ticks: int = 2
    goal: Goal = TO_TARGET

    def next_due_ms(self, after_ms: int) -> int:
        """Return the first instant strictly after `after_ms`."""
        if self.calendar.always_open:
            start_ms = (after_ms + self.utc_offset_ms) // DAY_MS * DAY_MS - self.utc_offset_ms
            days_ms = (start_ms, start_ms + DAY_MS)
            coming = [day_ms + each for day_ms in days_ms for each in self.times_of_day_ms]
            return min(at_ms for at_ms in coming if at_ms > after_ms)
        day = day_at(after_ms, self.utc_offset_ms)
        while True:
            coming = [at_ms for at_ms in self.instants_on(day) if at_ms > after_ms]
            if coming:
                return min(coming)
            day = self._next_day(day)

    def instants_on(self, day: dt.date) -> tuple[int, ...]:
        """Return the instants on a day of the rule's own offset; none on a closed day.

        Times are daily, so that where a closed day rolls to there is one already: a roll merges
        into it. Unadjusted, closed days keep theirs.
        """
        if self.roll is not Roll.UNADJUSTED and not self.calendar.is_business_day(day):
            return ()
        return tuple(DayTime(each, self.utc_offset_ms).on(day) for each in self.times_of_day_ms)

    def _next_day(self, day: dt.date) -> dt.date:
        if self.roll is Roll.UNADJUSTED:
            return day + dt.timedelta(days=1)
        return self.calendar.add_business_days(day, 1)

    def due_between(self, after_ms: int, until_ms: int) -> tuple[int, ...]:
        """Return every instant in (after_ms, until_ms], oldest first."""
        return between(self.next_due_ms, after_ms, until_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceMove:
    """Rebalance when the price moved `threshold` or more since the last rebalancing point."""

    threshold: Decimal
    side: Side = Side.LOSING
    cooldown_ms: int = COOLDOWN_MS
    confirm_ticks: int = 2
    goal: Goal = TO_TARGET

    @staticmethod
    def default_threshold(target_leverage: Decimal) -> Decimal:
        """Return min(15 %, 45 % / abs(M)) (spec section 3)."""
        return min(Decimal("0.15"), Decimal("0.45") / abs(target_leverage))


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverageBand:
    """Rebalance when leverage is strictly outside [lower, upper], at once or by a deadline."""

    #: effective leverage in the fund's own direction: magnitudes
    lower: Decimal
    upper: Decimal
    #: a breach is a duty until the business day so many after it; 0 acts at once
    within_business_days: int = 0
    #: when a duty is due on its day where the fund has no fixed time then; None: the daily strike
    close: DayTime | None = None
    #: whether a duty ends when leverage comes back by itself
    lapse_if_cured: bool = False
    calendar: Calendar = WEEKDAYS
    cooldown_ms: int = COOLDOWN_MS
    confirm_ticks: int = 2
    goal: Goal = TO_TARGET


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverageCap:
    """Rebalance when effective leverage is strictly above `upper` (a magnitude)."""

    upper: Decimal
    cooldown_ms: int = COOLDOWN_MS
    confirm_ticks: int = 2
    goal: Goal = TO_TARGET


@dataclass(frozen=True, slots=True, kw_only=True)
class Elapsed:
    """Rebalance `days` calendar days (of 24 hours) after the last rebalancing point."""

    days: int
    calendar: Calendar = ALWAYS_OPEN
    roll: Roll = Roll.FOLLOWING
    #: delays nothing; the rule's period may not be shorter
    cooldown_ms: int = COOLDOWN_MS
    confirm_ticks: int = 2
    goal: Goal = TO_TARGET

    def due_ms(self, point_ms: int) -> int:
        """Return when the run after a point at `point_ms` is due; always after the point."""
        at_ms = point_ms + self.days * DAY_MS
        day = day_at(at_ms)
        due_ms = at_ms + (self.calendar.roll(day, self.roll) - day).days * DAY_MS
        if due_ms <= point_ms:  # rolled back over the whole period: the next open day it is
            due_ms = at_ms + (self.calendar.roll(day, Roll.FOLLOWING) - day).days * DAY_MS
        return due_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class BasketChange:
    """New members or weights, from an instant on that already fell on a business day."""

    due_ms: int
    #: weight by contract symbol, each above zero, summing to 1
    basket: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconstitution:
    """The basket's members or weights change on effective dates."""

    #: oldest first, no two at one instant
    changes: tuple[BasketChange, ...]
    confirm_ticks: int = 2
    goal: Goal = TO_TARGET

    def in_force(self, at_ms: int) -> BasketChange | None:
        """Return the newest change that is due at `at_ms`."""
        return next((each for each in reversed(self.changes) if each.due_ms <= at_ms), None)

    def next_due_ms(self, after_ms: int) -> int | None:
        """Return when the next change after an instant is due."""
        return next((each.due_ms for each in self.changes if each.due_ms > after_ms), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Emergency:
    """The backstop behind the other rules, with its own cool-down, size limit and collar."""

    #: magnitude of leverage at and above which it fires
    level: Ratio
    cooldown_ms: int = COOLDOWN_MS
    confirm_ticks: int = 2
    max_child_units: Decimal | None = None
    max_child_notional: Decimal | None = None
    collar_bps: Decimal | None = None
    goal: Goal = TO_TARGET


@dataclass(frozen=True, slots=True, kw_only=True)
class Manual:
    """An operator's command."""

    goal: Goal = TO_TARGET


#: the gap rule cannot be configured; it is confirmed like the other price rules
GAP_CONFIRM_TICKS = 2


def default_emergency_ratio(*, has_price_rule: bool) -> Ratio:
    """Return 2.5 behind a price, band or cap rule, else exactly 4/3 (spec section 3)."""
    if has_price_rule:
        return Ratio(numerator=Decimal("2.5"))
    return Ratio(numerator=Decimal(4), denominator=Decimal(3))


@dataclass(frozen=True, slots=True, kw_only=True)
class Methodology:
    """The enabled rules of one fund; None means the rule is off."""

    fixed: Fixed | None = None
    price_move: PriceMove | None = None
    leverage_band: LeverageBand | None = None
    leverage_cap: LeverageCap | None = None
    elapsed: Elapsed | None = None
    reconstitution: Reconstitution | None = None
    emergency: Emergency | None = None
    flow: FlowRule | None = field(default_factory=FlowRule)
    manual: Manual | None = field(default_factory=Manual)

    @property
    def goals(self) -> Mapping[str, Goal]:
        """Where the runs of each enabled rule go, by the rule's key in the configuration."""
        enabled = {
            "fixed": self.fixed,
            "price_move": self.price_move,
            "leverage_band": self.leverage_band,
            "leverage_cap": self.leverage_cap,
            "elapsed": self.elapsed,
            "reconstitution": self.reconstitution,
            "emergency": self.emergency,
            "manual": self.manual,
        }
        return {key: rule.goal for key, rule in enabled.items() if rule is not None}


def losing_move(target: Decimal, threshold: Decimal) -> Decimal:
    """Return the price move of `threshold` that hurts a fund with signed leverage `target`."""
    return -threshold if target > 0 else threshold


def leverage_after_move(target: Decimal, move: Decimal) -> Decimal:
    """Return the magnitude of leverage after `move`: abs(M (1 + r) / (1 + M r)) (field.md c1)."""
    remaining = ONE + target * move
    if remaining <= 0:
        return Decimal("Infinity")
    return abs(target * (ONE + move) / remaining)
