"""The configuration in force as its operator would write it: every key, its value, its origin."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from rebalancer.core.instant import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from rebalancer.settings.loading import read, validated
from rebalancer.settings.problems import Place, Places
from rebalancer.settings.rules import RulesTable, rules_in_force
from rebalancer.settings.shape import dotted
from rebalancer.settings.table import Table
from rebalancer.settings.tables import FundTable, Settings
from rebalancer.settings.toml_lines import KeyPath
from rebalancer.settings.values import (
    Milliseconds,
    TimeOfDay,
    UtcOffset,
    parser_of,
    without_password,
)

_UNITS = (("d", DAY_MS), ("h", HOUR_MS), ("m", MINUTE_MS), ("s", SECOND_MS), ("ms", 1))


@dataclass(frozen=True, slots=True)
class Setting:
    """One key in force."""

    path: KeyPath
    #: as TOML writes it; None where nothing is set, and for a secret
    written: str | None
    #: where it was written; None: it is the default
    place: Place | None
    secret: bool = False

    @property
    def key(self) -> str:
        """The key as TOML writes it."""
        return dotted(self.path)


def settings_in_force(path: Path | None, environ: Mapping[str, str]) -> tuple[Setting, ...]:
    """Return every setting after defaults, environment and credentials; raises ConfigRefused.

    Written one below the other they are a document that means the same. Secrets are hidden.
    """
    settings, places = validated(*read(path, environ), environ)
    return settings_of(settings, places)


def settings_of(settings: Settings, places: Places) -> tuple[Setting, ...]:
    """Return every setting of a validated document."""
    return tuple(_settings(settings, places))


def _settings(settings: Settings, places: Places) -> Iterator[Setting]:
    for name in Settings.model_fields:
        if name == "defaults":
            continue  # in force only as a part of each fund
        value = getattr(settings, name)
        if not isinstance(value, dict):
            yield from _one(settings, (name,), places)
            continue
        for each, table in value.items():
            whole = table.over(settings.defaults) if isinstance(table, FundTable) else table
            for key in type(whole).model_fields:
                yield from _one(whole, (name, each, key), places)


def _one(table: Any, path: KeyPath, places: Places) -> Iterator[Setting]:
    """Yield the setting of `table` at the end of `path`, or all of them where it is a table."""
    value, field = getattr(table, path[-1]), type(table).model_fields[path[-1]]
    if isinstance(value, RulesTable):
        yield from _rules(value, path, places)
    elif hasattr(value, "model_fields_set"):
        for key in type(value).model_fields:
            yield from _one(value, (*path, key), places)
    else:
        secret = isinstance(value, SecretStr)
        hidden = value is None or secret
        written = None if hidden else _toml(_as_given(value, field))
        place = places.of(path) if path[-1] in table.model_fields_set else None
        yield Setting(path, written, place, secret)


def _rules(rules: RulesTable, path: KeyPath, places: Places) -> Iterator[Setting]:
    """Yield the rules in force whole; of the others, which a fund does not name, that they are off.

    Without that the document would name them and so turn them on.
    """
    in_force = rules_in_force(rules)
    for name in RulesTable.model_fields:
        if name in in_force:
            yield from _one(rules, (*path, name), places)
        else:
            yield Setting((*path, name, "enabled"), "false", None)


def _as_given(value: Any, field: FieldInfo) -> Any:
    """Return what the operator would write: durations and times of day as text."""
    write = _WRITERS.get(parser_of(field.annotation, *field.metadata))
    if write is None:
        return without_password(value) if isinstance(value, str) else value
    return [write(each) for each in value] if isinstance(value, tuple) else write(value)


def duration_in_full(length_ms: int) -> str:
    """Write a duration with nothing left out: 1d2h3m4s5ms."""
    parts, rest = [], length_ms
    for unit, size_ms in _UNITS:
        count, rest = divmod(rest, size_ms)
        parts.append(f"{count}{unit}" if count else "")
    return "".join(parts) or "0ms"


def time_of_day(after_midnight_ms: int) -> str:
    """Write a time of day: 10:30:00."""
    seconds = after_midnight_ms // SECOND_MS
    return f"{seconds // 3_600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _utc_offset(offset_ms: int) -> str:
    return ("-" if offset_ms < 0 else "+") + time_of_day(abs(offset_ms))[:5]


_WRITERS = {
    parser_of(Milliseconds): duration_in_full,
    parser_of(TimeOfDay): time_of_day,
    parser_of(UtcOffset): _utc_offset,
}


def _toml(value: Any) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Table):
        value = {key: getattr(value, key) for key in value.model_fields_set}
    if isinstance(value, Mapping):
        pairs = (f"{dotted([key])} = {_toml(each)}" for key, each in value.items())
        return "{ " + ", ".join(pairs) + " }" if value else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(each) for each in value) + "]"
    # A basic string of TOML and a string of JSON escape alike, but for one character.
    plain = value if isinstance(value, bool | int) else str(value)
    return json.dumps(plain, ensure_ascii=False).replace("\x7f", "\\u007f")
