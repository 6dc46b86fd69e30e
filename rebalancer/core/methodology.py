"""A methodology: the rules of one fund that say when it rebalances, as plain values.

The rules themselves (value in, signal out) are in `core/rules/`; here is what an operator sets, and
what can be refused before any price is known (spec section 3).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from rebalancer.core.flow import FlowRule
from rebalancer.core.instant import DAY_MS, HOUR_MS, SECOND_MS
from rebalancer.core.money import ONE, ZERO
from rebalancer.errors import ConfigRefused

COOLDOWN_MS = 60 * SECOND_MS
#: threshold x abs(M) at and above which a fund could be near zero before it reacts
WORST_THRESHOLD_LOSS = Decimal("0.75")


class Trigger(StrEnum):
    """Why a run is made, in order of precedence: the first that fires names the run."""

    GAP = "gap"
    EMERGENCY = "emergency"
    LEVERAGE_CAP = "leverage_cap"
    PRICE_MOVE = "price_move"
    FIXED = "fixed"
    FLOW = "flow"
    MANUAL = "manual"
    LAUNCH = "launch"
    NONE = "none"


#: Runs that an automatic rule makes in between fixed ones; a cool-down delays them.
COOLED = frozenset({Trigger.PRICE_MOVE, Trigger.LEVERAGE_CAP})


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

    def next_due_ms(self, after_ms: int) -> int:
        """Return the first instant strictly after `after_ms`."""
        day_ms = (after_ms + self.utc_offset_ms) // DAY_MS * DAY_MS - self.utc_offset_ms
        coming = [
            start_ms + time_ms
            for start_ms in (day_ms, day_ms + DAY_MS)
            for time_ms in self.times_of_day_ms
            if start_ms + time_ms > after_ms
        ]
        return min(coming)

    def due_between(self, after_ms: int, until_ms: int) -> tuple[int, ...]:
        """Return every instant in (after_ms, until_ms], oldest first."""
        instants = []
        due_ms = self.next_due_ms(after_ms)
        while due_ms <= until_ms:
            instants.append(due_ms)
            due_ms = self.next_due_ms(due_ms)
        return tuple(instants)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceMove:
    """Rebalance when the price moved `threshold` or more since the last rebalancing point."""

    threshold: Decimal
    side: Side = Side.LOSING
    cooldown_ms: int = COOLDOWN_MS
    confirm_ticks: int = 2

    @staticmethod
    def default_threshold(target_leverage: Decimal) -> Decimal:
        """Return min(15 %, 45 % / abs(M)) (spec section 3)."""
        return min(Decimal("0.15"), Decimal("0.45") / abs(target_leverage))


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverageCap:
    """Rebalance when effective leverage is strictly above `upper` (a magnitude)."""

    upper: Decimal
    cooldown_ms: int = COOLDOWN_MS
    confirm_ticks: int = 2


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
    leverage_cap: LeverageCap | None = None
    emergency: Emergency | None = None
    flow: FlowRule | None = field(default_factory=FlowRule)
    manual: bool = True

    def refuse_impossible(self, fund: str, target_leverage: Decimal) -> None:
        """Raise ConfigRefused with the reason when the rules cannot work together."""
        magnitude = abs(target_leverage)
        where = f"funds.{fund}.rules"
        if self.fixed:
            _refuse_fixed(where, self.fixed)
        if self.price_move:
            _refuse_price_move(where, self.price_move, magnitude)
        if self.leverage_cap and self.leverage_cap.upper <= magnitude:
            raise ConfigRefused(
                f"{where}.leverage_cap.upper: {self.leverage_cap.upper} must be above the target "
                f"leverage of {magnitude}, or the fund would rebalance without end"
            )
        if self.flow:
            self.flow.refuse_impossible(f"{where}.flow")
        if self.emergency:
            self._refuse_emergency(where, self.emergency, target_leverage)

    def _refuse_emergency(self, where: str, rule: Emergency, target: Decimal) -> None:
        level = rule.level.value
        if level <= abs(target):
            raise ConfigRefused(
                f"{where}.emergency: it would fire at {level:.4f}, which must be above the target "
                f"leverage of {abs(target)}"
            )
        if rule.collar_bps is not None and not ZERO < rule.collar_bps <= 10_000:
            raise ConfigRefused(f"{where}.emergency.collar_bps: must be above 0, 10000 at most")
        if self.price_move:
            reached = leverage_after_move(target, losing_move(target, self.price_move.threshold))
            if level <= reached:
                raise ConfigRefused(
                    f"{where}.emergency: it would fire at {level:.4f}, inside price_move, which "
                    f"lets leverage reach {reached:.4f}; raise emergency.ratio"
                )
        if self.leverage_cap and level <= self.leverage_cap.upper:
            raise ConfigRefused(
                f"{where}.emergency: it would fire at {level:.4f}, before leverage_cap at "
                f"{self.leverage_cap.upper}; raise emergency.ratio"
            )
        for name, other in (("price_move", self.price_move), ("leverage_cap", self.leverage_cap)):
            if other and other.cooldown_ms < rule.cooldown_ms:
                raise ConfigRefused(
                    f"{where}.{name}.cooldown: must not be shorter than the emergency's cooldown"
                )


def _refuse_fixed(where: str, rule: Fixed) -> None:
    if not rule.times_of_day_ms:
        raise ConfigRefused(f"{where}.fixed.times: name at least one time, or set enabled = false")
    if len(set(rule.times_of_day_ms)) != len(rule.times_of_day_ms):
        raise ConfigRefused(f"{where}.fixed.times: a time stands twice")
    if rule.catch_up_ms <= 0:
        raise ConfigRefused(f"{where}.fixed.catch_up: must be above zero")
    if rule.skip_within and rule.skip_within[0] > rule.skip_within[1]:
        raise ConfigRefused(f"{where}.fixed.skip_within: the low end is above the high end")


def _refuse_price_move(where: str, rule: PriceMove, magnitude: Decimal) -> None:
    if rule.threshold <= 0:
        raise ConfigRefused(f"{where}.price_move.threshold: {rule.threshold} must be above zero")
    if rule.threshold * magnitude >= WORST_THRESHOLD_LOSS:
        raise ConfigRefused(
            f"{where}.price_move.threshold: {rule.threshold} x {magnitude} is a loss of "
            f"{rule.threshold * magnitude}, which must stay under {WORST_THRESHOLD_LOSS}"
        )


def losing_move(target: Decimal, threshold: Decimal) -> Decimal:
    """Return the price move of `threshold` that hurts a fund with signed leverage `target`."""
    return -threshold if target > 0 else threshold


def leverage_after_move(target: Decimal, move: Decimal) -> Decimal:
    """Return the magnitude of leverage after `move`: abs(M (1 + r) / (1 + M r)) (field.md c1)."""
    remaining = ONE + target * move
    if remaining <= 0:
        return Decimal("Infinity")
    return abs(target * (ONE + move) / remaining)
