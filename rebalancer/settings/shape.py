"""Walking the shape of the configuration: which table a key path leads to, and its nearest keys."""

from __future__ import annotations

import difflib
import json
import re
import types
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
#: under this likeness the nearest key is hardly a misspelling: name the others as well
_ALIKE = 0.6


def below(shape: Any, key: str) -> Any:
    """Return the type of what stands under `key` in a table or a named set; None: no such key."""
    shape = _item(shape)
    if is_table(shape):
        field = shape.model_fields.get(key)
        return _plain(field.annotation) if field else None
    return _plain(get_args(shape)[1]) if get_origin(shape) is dict else None


def at(shape: Any, path: Sequence[str]) -> Any:
    """Return the type at the end of `path`; None where the path leaves the shape."""
    for key in path:
        shape = below(shape, key)
    return _item(shape)


def is_table(shape: Any) -> bool:
    """Whether `shape` is a table with keys of its own."""
    return isinstance(shape, type) and issubclass(shape, BaseModel)


def is_named_set(shape: Any) -> bool:
    """Whether `shape` holds tables under names that the operator chose, such as `funds`."""
    return get_origin(shape) is dict and is_table(_plain(get_args(shape)[1]))


def is_written_as_json(shape: Any) -> bool:
    """Whether a value of this type has parts, so that one line of text has to be JSON."""
    return get_origin(shape) in (dict, tuple)


def _item(shape: Any) -> Any:
    """Return what a list of tables holds; a key path does not count its places."""
    inner = _plain(get_args(shape)[0]) if get_origin(shape) is tuple else None
    return inner if is_table(inner) else shape


def _plain(annotation: Any) -> Any:
    """Take the constraints and the None off an annotation."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in (Union, types.UnionType):
            annotation = next(item for item in get_args(annotation) if item is not type(None))
        else:
            return annotation


def dotted(path: Iterable[str]) -> str:
    """Write a key path as TOML does: contracts."BTC/USDT:USDT".lot."""
    return ".".join(key if _BARE_KEY.fullmatch(key) else json.dumps(key) for key in path)


def closest(key: str, valid: Iterable[str]) -> str | None:
    """Return the one of the `valid` keys that looks most like `key`; None when there are none."""
    by_likeness = {name: _likeness(key, name) for name in sorted(valid)}
    return max(by_likeness, key=by_likeness.__getitem__, default=None)


def _likeness(key: str, other: str) -> float:
    return difflib.SequenceMatcher(None, key.lower(), other.lower()).ratio()


def nearest(key: str, valid: Iterable[str]) -> str:
    """Say which of the `valid` keys is nearest to `key`, and all of them where none is near."""
    keys = sorted(valid)
    best = closest(key, keys)
    if best is None:
        return "there are none here"
    sentence = f"the nearest valid one is {dotted([best])}"
    if _likeness(key, best) < _ALIKE:
        sentence += f" (valid: {', '.join(dotted([name]) for name in keys)})"
    return sentence
