"""Values as canonical JSON and back, by the types of what holds them: exact in both directions.

Equal values give equal text, whatever the order of their mappings and the trailing zeros of their
decimals: keys are sorted, decimals are plain text without an exponent. Floats, NaN and infinities
are refused in both directions.
"""

from __future__ import annotations

import json
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal
from enum import StrEnum
from functools import cache
from operator import attrgetter, call, itemgetter
from typing import Any

from rebalancer.errors import BrokenInvariant

#: Widest power of ten a decimal may have; beyond it plain notation is an accident, not a number.
MAX_POWER = 1_000

_PLAIN_DECIMAL = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
Convert = Callable[[Any], Any]


class UnfitError(Exception):
    """A value that has no place in a record; `path` grows on its way up to the record."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.path = ""


def decimal_text(value: Decimal) -> str:
    """Write a finite decimal exactly, in plain notation, without trailing zeros: 115, -0.285."""
    try:
        return _decimal_out(value)[1:-1]
    except UnfitError as unfit:
        raise BrokenInvariant(str(unfit)) from None


def mapping_text(value: Mapping[str, Decimal]) -> str:
    """Write decimals by name as one canonical JSON object."""
    try:
        return _DECIMALS_BY_NAME(value)
    except UnfitError as unfit:
        raise BrokenInvariant(str(unfit)) from None


def mapping_value(text: str) -> dict[str, Decimal]:
    """Read what `mapping_text` wrote."""
    return {name: _decimal_in(amount) for name, amount in from_json(text).items()}


def storable(text: str) -> str:
    """Return `text` with what no database column can hold (NUL, lone surrogates) written out."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


_QUOTED: Callable[[str], str] = json.encoder.encode_basestring_ascii
# A float in the text finds no type of field that takes it.
from_json: Callable[[str], Any] = json.JSONDecoder().decode


def _decimal_out(value: Any) -> str:
    """Return the decimal in quotes; nothing in it needs escaping."""
    if not isinstance(value, Decimal):
        raise UnfitError(f"{value!r} is not a Decimal")
    if not value.is_finite():
        raise UnfitError(f"{value} is not a finite number")
    if not value:
        return '"0"'
    text = str(value)
    if "E" in text or len(text) >= MAX_POWER:  # else it is plain already, and in range
        if not -MAX_POWER < value.adjusted() < MAX_POWER:
            raise UnfitError(f"{value} is out of every range")
        text = format(value, "f")
    if text[-1] == "0" and "." in text:
        text = text.rstrip("0").rstrip(".")
    return f'"{text}"'


def _decimal_in(value: Any) -> Decimal:
    # The pattern keeps out NaN, infinities, exponents and underscores, which Decimal would take.
    if type(value) is not str or _PLAIN_DECIMAL.fullmatch(value) is None:
        raise UnfitError(f"{value!r} is not a plain decimal in text")
    return Decimal(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise UnfitError(f"{value!r} is not text")
    return value


def _text_out(value: Any) -> str:
    return _QUOTED(value if isinstance(value, str) else _text(value))


def _whole_out(value: Any) -> str:
    return str(value if type(value) is int else _whole(value))


def _flag_out(value: Any) -> str:
    return "true" if _flag(value) else "false"


def _whole(value: Any) -> int:
    # A bool is an int to Python, and must not become one here.
    if type(value) is not int:
        raise UnfitError(f"{value!r} is not a whole number")
    return value


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise UnfitError(f"{value!r} is neither true nor false")
    return value


_OUT: Mapping[Any, Convert] = {
    str: _text_out,
    int: _whole_out,
    bool: _flag_out,
    Decimal: _decimal_out,
}
_IN: Mapping[Any, Convert] = {str: _text, int: _whole, bool: _flag, Decimal: _decimal_in}


@dataclass(frozen=True, slots=True)
class _Way:
    """What containers become: in JSON, or read from it."""

    nothing: Any
    sequence: Callable[[list[Any]], Any]
    mapping: Callable[[Mapping[Any, Any], Convert], Any]


def _object_out(items: Mapping[Any, Any], convert: Convert) -> str:
    """Return the object in JSON; a name that is no text raises TypeError."""
    return (
        "{" + ",".join([f"{_QUOTED(name)}:{convert(items[name])}" for name in sorted(items)]) + "}"
    )


def _object_in(items: Mapping[Any, Any], convert: Convert) -> dict[str, Any]:
    return {name: convert(item) for name, item in items.items()}


def _as_it_is(value: Any) -> Any:
    return value


_WRITING = _Way("null", lambda items: "[" + ",".join(items) + "]", _object_out)
_READING = _Way(None, tuple, _object_in)


@cache
def _encoder(hint: Any) -> Convert:
    """Return the function from a value of type `hint` to its JSON, with sorted keys."""
    if hint in _OUT:
        return _OUT[hint]
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _enum_out(hint)
    if is_dataclass(hint):
        return json_writer(typing.cast("type", hint))
    return _container(hint, _encoder, _WRITING)


@cache
def json_reader(hint: Any) -> Convert:
    """Return the function from what JSON holds to a value of type `hint`."""
    if hint in _IN:
        return _IN[hint]
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _enum_in(hint)
    if is_dataclass(hint):
        return _dataclass_in(typing.cast("type", hint))
    return _container(hint, json_reader, _READING)


def _container(hint: Any, inner: Callable[[Any], Convert], way: _Way) -> Convert:
    """Return the function for a mapping from str, a tuple, or a type that may be None."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType) and len(parts) == 2 and types.NoneType in parts:
        only = inner(next(part for part in parts if part is not types.NoneType))
        return lambda value: way.nothing if value is None else only(value)
    if origin is tuple and len(parts) == 2 and parts[1] is Ellipsis:
        return _sequence(inner(parts[0]), way)
    if origin is tuple:
        return _fixed_sequence([inner(part) for part in parts], way)
    if isinstance(origin, type) and issubclass(origin, Mapping) and parts[0] is str:
        return _mapping(inner(parts[1]), way)
    raise BrokenInvariant(f"no record may hold a {hint}")


def _sequence(convert: Convert, way: _Way) -> Convert:
    def run(value: Any) -> Any:
        if not isinstance(value, (tuple, list)):
            raise UnfitError(f"{value!r} is not a tuple")
        return way.sequence([convert(item) for item in value])

    return run


def _fixed_sequence(converts: list[Convert], way: _Way) -> Convert:
    def run(value: Any) -> Any:
        if not isinstance(value, (tuple, list)) or len(value) != len(converts):
            raise UnfitError(f"{value!r} is not a tuple of {len(converts)}")
        return way.sequence([convert(item) for convert, item in zip(converts, value, strict=True)])

    return run


def _mapping(convert: Convert, way: _Way) -> Convert:
    def run(value: Any) -> Any:
        # Most are plain ones, of which it is known without asking what else may be a mapping.
        if type(value) is not dict and not isinstance(value, Mapping):
            raise UnfitError(f"{value!r} is not a mapping")
        try:
            return way.mapping(value, convert)
        except (UnfitError, TypeError):
            return way.mapping(_each_named(value, convert), _as_it_is)  # once more, to say where

    return run


def _each_named(value: Mapping[Any, Any], convert: Convert) -> dict[str, Any]:
    result = {}
    for name, item in value.items():
        try:
            result[_text(name)] = convert(item)
        except UnfitError as unfit:
            unfit.path = f"[{name!r}]{unfit.path}"
            raise
    return result


def _enum_out(cls: type[StrEnum]) -> Convert:
    written = {member: _QUOTED(member.value) for member in cls}

    def run(value: Any) -> str:
        if not isinstance(value, cls):
            raise UnfitError(f"{value!r} is not a {cls.__name__}")
        return written[value]

    return run


def _enum_in(cls: type[StrEnum]) -> Convert:
    members: dict[Any, StrEnum] = {member.value: member for member in cls}

    def run(value: Any) -> StrEnum:
        member = members.get(value) if type(value) is str else None
        if member is None:
            raise UnfitError(f"{value!r} is not a {cls.__name__}")
        return member

    return run


def _converters(cls: type, inner: Callable[[Any], Convert]) -> list[tuple[str, Convert]]:
    hints = typing.get_type_hints(cls)
    return [(part.name, inner(hints[part.name])) for part in fields(cls)]


def json_writer(cls: type, version: int | None = None) -> Convert:
    """Return the function that writes a dataclass, with the version of its kind where it has one.

    The order of the keys and the text between the values are worked out here, once.
    """
    converters = sorted(_converters(cls, _encoder), key=itemgetter(0))
    converts = [convert for _, convert in converters]
    names = [name for name, _ in converters]
    between = _between(names, version)
    # The name that comes twice makes a tuple of one value, too.
    values_of = attrgetter(*names, names[0])

    def run(value: Any) -> str:
        if type(value) is not cls:
            raise UnfitError(f"{value!r} is not a {cls.__name__}")
        written = between.copy()
        try:
            written[1::2] = map(call, converts, values_of(value))
        except UnfitError:
            # Once more, field by field, to say where: an order waits for the way above.
            written[1::2] = _each(converters, lambda name: getattr(value, name)).values()
        return "".join(written)

    return run


def _between(names: Sequence[str], version: int | None) -> list[str]:
    """Return an object's text around each value, which goes into every second place."""
    known = sorted([*names, "v"]) if version is not None else names
    fixed = {"v": f'"v":{version}'}
    template = "{" + ",".join(fixed.get(name, f'"{name}":\n\n') for name in known) + "}"
    return template.split("\n")


def _dataclass_in(cls: type) -> Convert:
    converters = _converters(cls, json_reader)
    names = {name for name, _ in converters}

    def run(value: Any) -> Any:
        if not isinstance(value, dict) or value.keys() != names:
            found = sorted(value) if isinstance(value, dict) else value
            raise UnfitError(f"expected the fields {sorted(names)}, found {found}")
        return cls(**_each(converters, value.__getitem__))

    return run


def _each(converters: list[tuple[str, Convert]], value_of: Callable[[str], Any]) -> dict[str, Any]:
    result = {}
    for name, convert in converters:
        try:
            result[name] = convert(value_of(name))
        except UnfitError as unfit:
            unfit.path = f".{name}{unfit.path}"
            raise
    return result


_DECIMALS_BY_NAME: Callable[[Any], str] = _mapping(_decimal_out, _WRITING)
