"""`[calendars.X]`: weekmasks, holidays from a list, a file or the holidays package, and joins."""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from rebalancer.core.calendar import ALWAYS_OPEN, WEEKDAYS, Calendar, DayTime, Roll
from rebalancer.core.instant import parse_time_of_day, parse_utc_offset
from rebalancer.errors import ConfigRefused, InputRefused
from rebalancer.settings.shape import nearest
from rebalancer.settings.table import Table
from rebalancer.settings.values import Name

BUILT_IN: Mapping[str, Calendar] = {each.name: each for each in (ALWAYS_OPEN, WEEKDAYS)}
"""Calendars that need no table."""

_WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_BITS = re.compile(r"[01]{7}")
_CLOSE = re.compile(
    r"(\d{2}:\d{2}(?::\d{2})?)\s*(Z|[+-]\d{2}:\d{2}|[A-Za-z]+(?:/[A-Za-z0-9_+-]+)*)?"
)
_SOURCE_KEYS = frozenset({"country", "market", "subdivision"})
#: years for which the holidays package is asked
_YEARS = range(2000, 2101)


def _weekmask(value: object) -> object:
    """Read "1111100", "Mon Tue Wed Thu Fri" or a list of seven flags or of names of days."""
    if value is None:
        return None
    if isinstance(value, str):
        if _BITS.fullmatch(value.strip()):
            return tuple(bit == "1" for bit in value.strip())
        value = re.findall(r"[A-Za-z]+", value) if re.search(r"[\s,]", value) else _days(value)
    if isinstance(value, (list, tuple)):
        if len(value) == 7 and all(each in (0, 1) for each in value):
            return tuple(bool(each) for each in value)
        named = [str(each)[:3].lower() for each in value]
        if named and set(named) <= set(_WEEK):
            return tuple(day in named for day in _WEEK)
    raise ValueError('is not a weekmask; write "1111100" or "Mon Tue Wed Thu Fri"')


def _days(value: str) -> list[str]:
    return [value[at : at + 3] for at in range(0, len(value), 3)]


def _day(value: object) -> dt.date:
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    if isinstance(value, str):
        try:
            return dt.date.fromisoformat(value.strip())
        except ValueError:
            pass
    raise ValueError(f"{value!r} is not a day; write 2026-12-25")


def _holidays(value: object) -> object:
    """Read a list of days, the name of a file, or what to ask the holidays package for."""
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, (list, tuple)):
        return tuple(_day(each) for each in value)
    if (
        isinstance(value, dict)
        and value.keys() <= _SOURCE_KEYS
        and len(value.keys() & {"country", "market"}) == 1
        and all(isinstance(each, str) for each in value.values())
    ):
        return value
    raise ValueError(
        'must be a list of days, the name of a file, or { country = "FR" } or { market = "XNYS" }'
    )


def _roll(value: object) -> object:
    if isinstance(value, str):
        return re.sub(r"[\s-]+", "_", value.strip().lower())
    return value


def _close(value: object) -> str:
    plain = value.isoformat() if isinstance(value, dt.time) else str(value)
    day_time(plain)
    return plain


WeekMask = Annotated[tuple[bool, ...] | None, BeforeValidator(_weekmask)]
Holidays = Annotated[tuple[dt.date, ...] | str | dict[str, str], BeforeValidator(_holidays)]
RollName = Annotated[Roll, BeforeValidator(_roll)]
Close = Annotated[str, BeforeValidator(_close)]
"""A time of day: in UTC, at a fixed offset, or in a zone that is named."""


def day_time(text: str) -> DayTime:
    """Return "16:00", "16:00+08:00" or "17:30 Europe/Paris"; raises ValueError with the remedy."""
    match = _CLOSE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a time of day; write 16:00:00 or 17:30 Europe/Paris")
    clock, place = match.groups()
    try:
        time_ms = parse_time_of_day(clock, "time")
        if place is None or place == "Z" or place[0] in "+-":
            return DayTime(time_ms, parse_utc_offset(place or "Z"))
        return DayTime(time_ms, zone=zoneinfo.ZoneInfo(place))
    except InputRefused as refused:
        raise ValueError(str(refused).partition(": ")[2]) from None
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"there is no time zone {place!r}; write Europe/Paris or +01:00") from None


class CalendarTable(Table):
    """`[calendars.X]`: which days are business days."""

    weekmask: WeekMask = None
    holidays: Holidays = ()
    join: tuple[Name, ...] = ()


def calendars_from(tables: Mapping[str, CalendarTable], beside: Path) -> dict[str, Calendar]:
    """Return the built-in and the configured calendars by name.

    `beside` is the configuration's file: a file of holidays is looked for in the working directory,
    then there. Raises ConfigRefused with the key and the remedy.
    """
    made: dict[str, Calendar] = dict(BUILT_IN)
    for name in tables:
        _calendar(name, tables, made, (), beside)
    return made


def _calendar(
    name: str,
    tables: Mapping[str, CalendarTable],
    made: dict[str, Calendar],
    above: tuple[str, ...],
    beside: Path,
) -> Calendar:
    if name in above:
        circle = " -> ".join((*above, name))
        raise ConfigRefused(f"calendars.{above[0]}.join: goes round in a circle: {circle}")
    if name not in tables and name in made:
        return made[name]
    if name in made and made[name] is not BUILT_IN.get(name):
        return made[name]
    if name not in tables:
        known = {*tables, *BUILT_IN}
        raise ConfigRefused(
            f"calendars.{above[-1]}.join: there is no [calendars.{name}]; {nearest(name, known)}"
        )
    table = tables[name]
    joined = tuple(_calendar(each, tables, made, (*above, name), beside) for each in table.join)
    # A calendar that only joins others adds no closed days of its own.
    usual = ALWAYS_OPEN.weekmask if table.join and not table.holidays else WEEKDAYS.weekmask
    made[name] = Calendar(
        name=name,
        weekmask=usual if table.weekmask is None else table.weekmask,
        holidays=_days_off(f"calendars.{name}.holidays", table.holidays, beside),
        join=joined,
    )
    return made[name]


def _days_off(where: str, given: Any, beside: Path) -> frozenset[dt.date]:
    if isinstance(given, str):
        return _from_file(where, Path(given), beside)
    if isinstance(given, dict):
        return _from_package(where, given)
    return frozenset(given)


def _from_file(where: str, file: Path, beside: Path) -> frozenset[dt.date]:
    """Read one day per line: the first column; # begins a comment, and a heading is passed over."""
    found = file if file.exists() else beside.parent / file
    try:
        lines = found.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigRefused(f"{where}: {file} cannot be read: {error}") from None
    days = set()
    for number, line in enumerate(lines, 1):
        first = re.split(r"[,;\t]", line.partition("#")[0])[0].strip().strip('"')
        if not first or (number == 1 and not first[0].isdigit()):
            continue
        try:
            days.add(_day(first))
        except ValueError as error:
            raise ConfigRefused(f"{where}: {file}:{number}: {error}") from None
    return frozenset(days)


def _from_package(where: str, given: Mapping[str, str]) -> frozenset[dt.date]:
    """Ask the holidays package, which is only needed where it is asked for."""
    try:
        import holidays  # noqa: PLC0415 - an extra
    except ImportError:
        raise ConfigRefused(
            f"{where}: needs the package holidays: pip install 'rebalancer[calendars]', "
            "or give a list or a file of days"
        ) from None
    try:
        if "market" in given:
            table = holidays.financial_holidays(given["market"], years=_YEARS)
        else:
            subdivision = given.get("subdivision")
            table = holidays.country_holidays(given["country"], subdiv=subdivision, years=_YEARS)
    except (NotImplementedError, KeyError, ValueError, AttributeError) as error:
        raise ConfigRefused(f"{where}: the package holidays refuses {given}: {error}") from None
    return frozenset(table)


def named_calendar(
    where: str, name: str | None, calendars: Mapping[str, Calendar], usual: Calendar
) -> Calendar:
    """Return the calendar of a rule; ConfigRefused names the nearest one where there is none."""
    if name is None:
        return usual
    if name not in calendars:
        raise ConfigRefused(f"{where}: there is no [calendars.{name}]; {nearest(name, calendars)}")
    return calendars[name]
