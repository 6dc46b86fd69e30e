"""The JSON Schema of the configuration file, for editors: made from the tables that read it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from rebalancer.settings.calendars import Close, Holidays, RollName, WeekMask
from rebalancer.settings.capital import RateOrName
from rebalancer.settings.rules import ChangeTable
from rebalancer.settings.tables import Settings
from rebalancer.settings.values import (
    Basket,
    Count,
    Flag,
    Milliseconds,
    Number,
    Pair,
    TimeOfDay,
    UtcOffset,
    parser_of,
)


def _reader(alias: Any) -> Any:
    """Return the outermost parser of one of our types; those of its parts come later."""
    return parser_of(*get_args(alias)[1:])


DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NUMBER = {"type": ["number", "string"], "description": 'an exact decimal: 0.15 or "0.15"'}
_ANYTHING: dict[str, Any] = {}
#: what operators write where our own parsers read it
_WRITTEN: Mapping[Any, dict[str, Any]] = {
    _reader(Number): _NUMBER,
    _reader(Milliseconds): {
        "type": "string",
        "pattern": "^([0-9]+(d|h|ms|m|s))+$",
        "description": "a duration: 6h, 90s, 1d12h or 250ms",
    },
    _reader(TimeOfDay): {
        "type": "string",
        "pattern": "^[0-9]{2}:[0-9]{2}(:[0-9]{2})?$",
        "description": "a time of day: 10:30:00",
    },
    _reader(UtcOffset): {
        "type": "string",
        "description": "a fixed offset: +08:00 or Z",
    },
    _reader(Flag): {"type": "boolean"},
    _reader(Count): {"type": "integer"},
    _reader(Pair): {
        "type": "array",
        "items": _NUMBER,
        "minItems": 2,
        "maxItems": 2,
    },
    _reader(Basket): {
        "description": "weight by contract, which sum to 1; or a list with equal weights",
        "oneOf": [
            {"type": "object", "additionalProperties": _NUMBER, "minProperties": 1},
            {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True},
        ],
    },
    _reader(RateOrName): _NUMBER,
    _reader(RollName): {"type": "string"},
    _reader(Close): {"type": "string"},
    _reader(WeekMask): _ANYTHING,
    _reader(Holidays): _ANYTHING,
    parser_of(*ChangeTable.model_fields["effective"].metadata): {"type": "string"},
}


def schema() -> dict[str, Any]:
    """Return the schema of the whole file."""
    tables: dict[str, Any] = {}
    top = _table(Settings, tables)
    return {
        "$schema": DIALECT,
        "title": "Configuration of the rebalancing desk",
        **top,
        "$defs": dict(sorted(tables.items())),
    }


def document() -> str:
    """Return the schema as it is written to docs/config.schema.json."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _table(shape: type[BaseModel], tables: dict[str, Any]) -> dict[str, Any]:
    summary = (shape.__doc__ or "").strip().splitlines()[0]
    return {
        "description": summary,
        "type": "object",
        "additionalProperties": False,
        "properties": {
            name: _value((field.annotation, *field.metadata), tables)
            for name, field in shape.model_fields.items()
        },
    }


def _value(annotations: tuple[Any, ...], tables: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of what stands at a key, with the constraints beside its type."""
    shape = annotations[0]
    if get_origin(shape) is Annotated:
        inner, *metadata = get_args(shape)
        return _value((inner, *metadata, *annotations[1:]), tables)
    found = parser_of(*annotations[1:])
    if found is not None:
        return _WRITTEN[found]
    if get_origin(shape) in (Union, UnionType):
        given = [each for each in get_args(shape) if each is not NoneType]
        return _value((given[0],), tables)
    return _whole(shape, tables) if get_origin(shape) else _plain(shape, tables)


def _whole(shape: Any, tables: dict[str, Any]) -> dict[str, Any]:
    origin, arguments = get_origin(shape), get_args(shape)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        return {"type": "array", "items": _value((arguments[0],), tables)}
    return {"type": "object", "additionalProperties": _value((arguments[1],), tables)}


def _plain(shape: Any, tables: dict[str, Any]) -> dict[str, Any]:
    if issubclass(shape, BaseModel):
        if shape.__name__ not in tables:
            tables[shape.__name__] = {}
            tables[shape.__name__] = _table(shape, tables)
        return {"$ref": f"#/$defs/{shape.__name__}"}
    if issubclass(shape, StrEnum):
        return {"enum": [str(each) for each in shape]}
    if shape is bool:
        return {"type": "boolean"}
    return {"type": "integer"} if shape is int else {"type": "string"}
