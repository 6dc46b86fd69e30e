"""Calendars: which days are business days, where a holiday rolls to, and what time a day is.

Days are `datetime.date`. Conventions bear the names that ISDA and every rate library give them.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from rebalancer.core.instant import DAY_MS, from_datetime, to_datetime
from rebalancer.errors import ConfigRefused, ensure

_ONE_DAY = dt.timedelta(days=1)
_EPOCH_DAY = dt.date(1970, 1, 1)
#: a business day is looked for no further away than this; the longest real closure was months
SEARCH_DAYS_MAX = 3_660


class Roll(StrEnum):
    """Where a day goes that is not a business day."""

    UNADJUSTED = "unadjusted"  # nowhere
    FOLLOWING = "following"  # to the next business day
    MODIFIED_FOLLOWING = "modified_following"  # the same, but back where that is another month
    PRECEDING = "preceding"  # to the business day before
    MODIFIED_PRECEDING = "modified_preceding"  # the same, but on where that is another month


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """Which days are business days: open by the weekmask, no holiday, open in every `join`."""

    name: str = "always"
    #: open on Monday, Tuesday, ... Sunday
    weekmask: tuple[bool, ...] = (True,) * 7
    holidays: frozenset[dt.date] = frozenset()
    #: a joint calendar is open where all of these are open as well
    join: tuple[Calendar, ...] = ()

    def __post_init__(self) -> None:
        ensure(len(self.weekmask) == 7, "a week has seven days")
        if not any(self.open_on_weekday(day) for day in range(7)):
            raise ConfigRefused(
                f"calendars.{self.name}: no day of the week is a business day; "
                "open at least one, in every calendar of its join"
            )

    def open_on_weekday(self, weekday: int) -> bool:
        """Whether 0 = Monday ... 6 = Sunday is open in this calendar and all it is joined with."""
        return self.weekmask[weekday] and all(each.open_on_weekday(weekday) for each in self.join)

    @property
    def always_open(self) -> bool:
        """Whether every day is a business day."""
        return all(self.weekmask) and not self.holidays and all(c.always_open for c in self.join)

    def is_business_day(self, day: dt.date) -> bool:
        """Whether `day` is open."""
        return (
            self.weekmask[day.weekday()]
            and day not in self.holidays
            and all(each.is_business_day(day) for each in self.join)
        )

    def roll(self, day: dt.date, convention: Roll) -> dt.date:
        """Return `day`, or where the convention moves it when it is not a business day."""
        if convention is Roll.UNADJUSTED or self.is_business_day(day):
            return day
        forward = convention in (Roll.FOLLOWING, Roll.MODIFIED_FOLLOWING)
        rolled = self._next_open(day, _ONE_DAY if forward else -_ONE_DAY)
        modified = convention in (Roll.MODIFIED_FOLLOWING, Roll.MODIFIED_PRECEDING)
        if modified and (rolled.year, rolled.month) != (day.year, day.month):
            return self._next_open(day, -_ONE_DAY if forward else _ONE_DAY)
        return rolled

    def add_business_days(self, day: dt.date, count: int) -> dt.date:
        """Return the business day `count` after `day`, or before it where `count` is negative.

        `day` itself never counts: two business days after a Friday or a Saturday are a Tuesday.
        """
        for _ in range(abs(count)):
            day = self._next_open(day, _ONE_DAY if count > 0 else -_ONE_DAY)
        return day

    def _next_open(self, day: dt.date, step: dt.timedelta) -> dt.date:
        for _ in range(SEARCH_DAYS_MAX):
            day += step
            if self.is_business_day(day):
                return day
        raise ConfigRefused(
            f"calendars.{self.name}: there is no business day within ten years of {day}"
        )


ALWAYS_OPEN = Calendar()
"""Every day is a business day: a market that never closes."""

WEEKDAYS = Calendar(name="weekdays", weekmask=(True,) * 5 + (False,) * 2)
"""Monday to Friday, no holidays."""


@dataclass(frozen=True, slots=True)
class DayTime:
    """A time of day at a fixed offset from UTC, or in a zone that was asked for by name."""

    #: milliseconds after midnight on the clock of the place
    time_ms: int
    utc_offset_ms: int = 0
    #: None: the fixed offset counts
    zone: dt.tzinfo | None = None

    def on(self, day: dt.date) -> int:
        """Return the instant of this time on `day`, in milliseconds.

        A time that a zone skips is taken as if the clock had not been changed; of one that it
        repeats, the first counts (PEP 495, fold 0).
        """
        if self.zone is None:
            return (day - _EPOCH_DAY).days * DAY_MS + self.time_ms - self.utc_offset_ms
        midnight = dt.datetime.combine(day, dt.time(), tzinfo=self.zone)
        return from_datetime(midnight + dt.timedelta(milliseconds=self.time_ms))

    def day_of(self, at_ms: int) -> dt.date:
        """Return the day it is at this place at an instant."""
        if self.zone is None:
            return day_at(at_ms, self.utc_offset_ms)
        return to_datetime(at_ms).astimezone(self.zone).date()


def day_at(at_ms: int, utc_offset_ms: int = 0) -> dt.date:
    """Return the day it is at an instant, at a fixed offset from UTC."""
    return _EPOCH_DAY + _ONE_DAY * ((at_ms + utc_offset_ms) // DAY_MS)
