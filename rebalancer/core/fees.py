"""The management fee: a daily rate, taken in equal parts at instants (spec section 2)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from rebalancer.core.instant import DAY_MS, HOUR_MS, between
from rebalancer.core.money import ONE, ZERO, round_to_places
from rebalancer.errors import ConfigRefused


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagementFee:
    """What the fund pays for being run. The parts of a day compound (field.md b2, case 53)."""

    #: share of equity per day, 0.003 = 0.3 %
    daily: Decimal
    #: milliseconds after midnight UTC; each instant takes the same part of `daily`
    times_of_day_ms: tuple[int, ...] = (0, 8 * HOUR_MS, 16 * HOUR_MS)

    def refuse_impossible(self, where: str) -> None:
        """Raise ConfigRefused with the reason when this cannot be charged."""
        if not ZERO <= self.daily < ONE:
            raise ConfigRefused(f"{where}.daily: {self.daily} must be at least 0 and under 1")
        if not self.times_of_day_ms:
            raise ConfigRefused(f"{where}.times: name at least one time of day")
        if len(set(self.times_of_day_ms)) != len(self.times_of_day_ms):
            raise ConfigRefused(f"{where}.times: a time stands twice")

    @property
    def share(self) -> Decimal:
        """What one instant takes, as a share of equity."""
        return self.daily / len(self.times_of_day_ms)

    def next_due_ms(self, after_ms: int) -> int:
        """Return the first instant strictly after `after_ms`."""
        day_ms = after_ms // DAY_MS * DAY_MS
        return min(
            start_ms + time_ms
            for start_ms in (day_ms, day_ms + DAY_MS)
            for time_ms in self.times_of_day_ms
            if start_ms + time_ms > after_ms
        )

    def due_between(self, after_ms: int, until_ms: int) -> tuple[int, ...]:
        """Return every instant in (after_ms, until_ms], oldest first."""
        return between(self.next_due_ms, after_ms, until_ms)

    def charge(self, equity: Decimal) -> Decimal:
        """Return what one instant takes of `equity` (> 0), in quote currency, 18 decimals."""
        return round_to_places(equity * self.share)

    def accrued(self, equity: Decimal, now_ms: int) -> Decimal:
        """Return what has grown due since the last instant, in proportion to time, 18 decimals."""
        day_ms = now_ms // DAY_MS * DAY_MS
        last_ms = max(
            start_ms + time_ms
            for start_ms in (day_ms - DAY_MS, day_ms)
            for time_ms in self.times_of_day_ms
            if start_ms + time_ms <= now_ms
        )
        length_ms = self.next_due_ms(now_ms) - last_ms
        return round_to_places(max(ZERO, equity) * self.share * (now_ms - last_ms) / length_ms)
