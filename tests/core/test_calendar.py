"""Business days: weekmasks, holidays, joins, roll conventions, and times of a place."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from rebalancer.core.calendar import ALWAYS_OPEN, WEEKDAYS, Calendar, DayTime, Roll, day_at
from rebalancer.core.instant import DAY_MS, HOUR_MS, parse
from rebalancer.core.methodology import Elapsed, Fixed
from rebalancer.errors import ConfigRefused
from tests.factories import dice_of

SATURDAY, SUNDAY = dt.date(2026, 1, 31), dt.date(2026, 2, 1)
FRIDAY, MONDAY = dt.date(2026, 1, 30), dt.date(2026, 2, 2)


@pytest.mark.parametrize(
    ("day", "convention", "expected"),
    [
        (SATURDAY, Roll.UNADJUSTED, SATURDAY),
        (SATURDAY, Roll.FOLLOWING, MONDAY),
        (SATURDAY, Roll.MODIFIED_FOLLOWING, FRIDAY),  # Monday is another month
        (SATURDAY, Roll.PRECEDING, FRIDAY),
        (SATURDAY, Roll.MODIFIED_PRECEDING, FRIDAY),
        (SUNDAY, Roll.FOLLOWING, MONDAY),
        (SUNDAY, Roll.MODIFIED_FOLLOWING, MONDAY),
        (SUNDAY, Roll.PRECEDING, FRIDAY),
        (SUNDAY, Roll.MODIFIED_PRECEDING, MONDAY),  # Friday is another month
        (FRIDAY, Roll.PRECEDING, FRIDAY),
    ],
)
def test_a_closed_day_rolls_by_its_convention(
    day: dt.date, convention: Roll, expected: dt.date
) -> None:
    assert WEEKDAYS.roll(day, convention) == expected
    assert ALWAYS_OPEN.roll(day, convention) == day


@pytest.mark.parametrize(
    ("day", "count", "expected"),
    [
        (dt.date(2026, 1, 9), 2, dt.date(2026, 1, 13)),  # Friday: Tuesday
        (dt.date(2026, 1, 10), 2, dt.date(2026, 1, 13)),  # so is it from a Saturday
        (dt.date(2026, 1, 9), 0, dt.date(2026, 1, 9)),
        (dt.date(2026, 1, 12), -1, dt.date(2026, 1, 9)),
        (dt.date(2026, 1, 11), -2, dt.date(2026, 1, 8)),
    ],
)
def test_business_days_are_counted_without_the_day_itself(
    day: dt.date, count: int, expected: dt.date
) -> None:
    assert WEEKDAYS.add_business_days(day, count) == expected


@pytest.mark.parametrize("seed", range(20))
def test_counting_and_adding_business_days_agree(seed: int) -> None:
    dice = dice_of(seed)
    first = dt.date(2026, 1, 1)
    closed = frozenset(first + dt.timedelta(days=dice.randrange(90)) for _ in range(20))
    calendar = Calendar(name="X", weekmask=WEEKDAYS.weekmask, holidays=closed)
    day = first + dt.timedelta(days=dice.randrange(60))
    for count in range(1, 15):
        later = calendar.add_business_days(day, count)
        assert calendar.is_business_day(later)
        after = (day + dt.timedelta(days=step) for step in range(1, (later - day).days + 1))
        assert sum(calendar.is_business_day(each) for each in after) == count


def test_a_joint_calendar_is_open_where_all_of_its_parts_are() -> None:
    paris = Calendar(name="P", weekmask=WEEKDAYS.weekmask, holidays=frozenset({MONDAY}))
    gulf = Calendar(name="G", weekmask=(True, True, True, True, False, False, True))
    both = Calendar(name="J", join=(paris, gulf))
    assert [both.is_business_day(MONDAY + dt.timedelta(days=step)) for step in range(-1, 5)] == [
        False,
        False,
        True,
        True,
        True,
        False,
    ]
    assert not both.always_open
    assert Calendar(name="A", join=(ALWAYS_OPEN,)).always_open


def test_a_calendar_that_is_never_open_is_refused() -> None:
    weekend = Calendar(name="W", weekmask=(False,) * 5 + (True,) * 2)
    with pytest.raises(ConfigRefused, match=r"calendars\.J: no day of the week is a business day"):
        Calendar(name="J", join=(weekend, WEEKDAYS))


def test_a_calendar_that_stays_closed_for_ten_years_is_told_and_does_not_hang() -> None:
    closed = frozenset(MONDAY + dt.timedelta(days=step) for step in range(4_000))
    with pytest.raises(ConfigRefused, match="no business day within ten years"):
        Calendar(name="X", holidays=closed).add_business_days(MONDAY, 1)


def test_a_zone_is_resolved_for_each_day_by_itself() -> None:
    paris = DayTime(17 * HOUR_MS + HOUR_MS // 2, zone=ZoneInfo("Europe/Paris"))
    assert paris.on(dt.date(2026, 3, 27)) == parse("2026-03-27T16:30:00Z")
    assert paris.on(dt.date(2026, 3, 30)) == parse("2026-03-30T15:30:00Z")
    assert paris.day_of(parse("2026-03-29T22:30:00Z")) == dt.date(2026, 3, 30)
    # 02:30 does not exist that night, and exists twice on the other one: the first counts
    night = DayTime(2 * HOUR_MS + HOUR_MS // 2, zone=ZoneInfo("Europe/Paris"))
    assert night.on(dt.date(2026, 3, 29)) == parse("2026-03-29T01:30:00Z")
    assert night.on(dt.date(2026, 10, 25)) == parse("2026-10-25T00:30:00Z")


def test_days_of_a_negative_offset_begin_later() -> None:
    assert day_at(parse("2026-01-10T03:00:00Z"), -5 * HOUR_MS) == dt.date(2026, 1, 9)
    assert DayTime(9 * HOUR_MS, -5 * HOUR_MS).on(FRIDAY) == parse("2026-01-30T14:00:00Z")


@pytest.mark.parametrize("convention", [each for each in Roll if each is not Roll.UNADJUSTED])
def test_daily_times_of_a_closed_day_merge_into_an_open_one(convention: Roll) -> None:
    rule = Fixed(calendar=WEEKDAYS, roll=convention)
    found = rule.due_between(parse("2026-01-09T00:00:00Z"), parse("2026-01-13T23:00:00Z"))
    assert found == tuple(parse(f"2026-01-{day}T02:30:00Z") for day in ("09", "12", "13"))
    assert len(Fixed(calendar=WEEKDAYS, roll=Roll.UNADJUSTED).due_between(
        parse("2026-01-09T00:00:00Z"), parse("2026-01-13T23:00:00Z"))) == 5  # fmt: skip


@pytest.mark.parametrize("offset", [-11 * HOUR_MS, 0, 8 * HOUR_MS, 14 * HOUR_MS])
def test_a_calendar_without_closed_days_changes_no_fixed_time(offset: int) -> None:
    times = (0, 10 * HOUR_MS, 23 * HOUR_MS)
    usual = Fixed(times_of_day_ms=times, utc_offset_ms=offset)
    far = Calendar(name="X", holidays=frozenset({dt.date(2040, 1, 1)}))
    other = Fixed(times_of_day_ms=times, utc_offset_ms=offset, calendar=far)
    at_ms = parse("2026-01-09T00:00:00Z")
    for step in range(200):
        moment_ms = at_ms + step * 977_777
        assert usual.next_due_ms(moment_ms) == other.next_due_ms(moment_ms)


def test_a_period_never_rolls_back_over_its_own_beginning() -> None:
    rule = Elapsed(days=1, calendar=WEEKDAYS, roll=Roll.PRECEDING)
    friday_ms = parse("2026-01-09T10:00:00Z")
    assert rule.due_ms(friday_ms) == friday_ms + 3 * DAY_MS
    assert Elapsed(days=1, calendar=WEEKDAYS).due_ms(friday_ms) == friday_ms + 3 * DAY_MS
