"""Points in time: milliseconds since 1970-01-01 UTC, always named `..._ms`.

Whole numbers compare, add and store exactly; ISO 8601 text and time zones exist at the edge only.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

from rebalancer.errors import InputRefused

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")
_MILLISECONDS = re.compile(r"-?[0-9]{9,15}")
#: the years 1 to 9999, which can be written
_WRITABLE = range(-62_135_596_800_000, 253_402_300_800_000)
_OFFSET = re.compile(r"([+-])(\d{2}):(\d{2})")
_TIME_OF_DAY = re.compile(r"(\d{2}):(\d{2})(?::(\d{2}))?")


def between(next_due_ms: Callable[[int], int], after_ms: int, until_ms: int) -> tuple[int, ...]:
    """Return every instant in (after_ms, until_ms], oldest first.

    `next_due_ms` returns the first instant strictly after the one it is given.
    """
    instants = []
    due_ms = next_due_ms(after_ms)
    while due_ms <= until_ms:
        instants.append(due_ms)
        due_ms = next_due_ms(due_ms)
    return tuple(instants)


def from_datetime(moment: datetime) -> int:
    """Return the whole milliseconds of an aware `moment`; a naive one is refused."""
    if moment.tzinfo is None:
        raise InputRefused(f"{moment.isoformat()}: a time needs its UTC offset (Z or +08:00)")
    elapsed = moment - _EPOCH
    return (elapsed.days * 86_400 + elapsed.seconds) * SECOND_MS + elapsed.microseconds // 1_000


def to_datetime(at_ms: int) -> datetime:
    """Return `at_ms` as an aware datetime in UTC."""
    return datetime.fromtimestamp(at_ms // SECOND_MS, tz=UTC).replace(
        microsecond=at_ms % SECOND_MS * 1_000
    )


def parse(value: object, what: str = "time") -> int:
    """Return ISO 8601 text with an offset, or Unix milliseconds, as milliseconds."""
    at_ms = value if isinstance(value, int) and not isinstance(value, bool) else None
    if isinstance(value, str):
        written = value.strip()
        try:
            is_number = _MILLISECONDS.fullmatch(written)
            at_ms = int(written) if is_number else from_datetime(datetime.fromisoformat(written))
        except (ValueError, InputRefused):
            at_ms = None
    if at_ms is not None and at_ms in _WRITABLE:
        return at_ms
    raise InputRefused(
        f"{what}: {value!r} is not a time; write it as 2026-01-02T02:30:00Z or in Unix milliseconds"
    )


def iso(at_ms: int) -> str:
    """Write `at_ms` as 2026-01-02T02:30:00Z, with milliseconds only where there are any."""
    moment = to_datetime(at_ms)
    written = moment.isoformat(timespec="milliseconds" if at_ms % SECOND_MS else "seconds")
    return written.replace("+00:00", "Z")


def parse_duration(value: object, what: str = "duration") -> int:
    """Return "6h", "90s", "1d12h" or "250ms" as milliseconds."""
    if isinstance(value, str):
        match = _DURATION.fullmatch(value.strip())
        if match and any(match.groups()):
            days, hours, minutes, seconds, millis = (int(part or 0) for part in match.groups())
            return (
                days * DAY_MS + hours * HOUR_MS + minutes * MINUTE_MS + seconds * SECOND_MS + millis
            )
    raise InputRefused(f"{what}: {value!r} is not a duration; write 6h, 90s, 1d12h or 250ms")


def duration(length_ms: int) -> str:
    """Write a duration for a person in at most two units: 6h, 1m30s, 250ms."""
    if length_ms < SECOND_MS:
        return f"{length_ms}ms"
    parts = []
    rest = length_ms
    for name, size_ms in (("d", DAY_MS), ("h", HOUR_MS), ("m", MINUTE_MS), ("s", SECOND_MS)):
        count, rest = divmod(rest, size_ms)
        if count:
            parts.append(f"{count}{name}")
    return "".join(parts[:2])


def parse_utc_offset(value: object, what: str = "utc_offset") -> int:
    """Return a fixed offset such as "+08:00" (or "Z") as milliseconds; named zones are refused."""
    if value in ("Z", "UTC", "utc"):
        return 0
    if isinstance(value, str) and (match := _OFFSET.fullmatch(value.strip())):
        sign, hours, minutes = match.groups()
        if int(hours) <= 14 and int(minutes) < 60:
            magnitude_ms = int(hours) * HOUR_MS + int(minutes) * MINUTE_MS
            return -magnitude_ms if sign == "-" else magnitude_ms
    raise InputRefused(
        f"{what}: {value!r} is not a fixed offset; write +08:00 or Z "
        "(zones with daylight saving would skip or repeat a rebalance)"
    )


def parse_time_of_day(value: object, what: str = "time") -> int:
    """Return "10:30" or "10:30:00" as milliseconds after midnight."""
    if isinstance(value, str) and (match := _TIME_OF_DAY.fullmatch(value.strip())):
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
        if hours < 24 and minutes < 60 and seconds < 60:
            return hours * HOUR_MS + minutes * MINUTE_MS + seconds * SECOND_MS
    raise InputRefused(f"{what}: {value!r} is not a time of day; write 10:30:00")
