"""Strict reading of a JSON document: every refusal names the place, nothing is guessed."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from rebalancer.core import money
from rebalancer.core.instant import iso, parse
from rebalancer.errors import InputRefused

#: what is larger or smaller is a slip of the pen, and its products would not be exact
MAGNITUDE_DIGITS = 24
#: keys of the full product that this version refuses
LATER: Sequence[str] = ()


def load(document: str, name: str) -> dict[str, Any]:
    """Return the object that `document` holds; `name` stands in the refusals."""

    def refuse_constant(word: str) -> None:
        raise InputRefused(f"{name}: {word} is not a number")

    def refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            keys = [key for key, _ in pairs]
            repeated = next(key for key in keys if keys.count(key) > 1)
            raise InputRefused(f"{name}: the key {repeated!r} stands twice")
        return result

    try:
        data = json.loads(
            document,
            parse_float=Decimal,
            parse_constant=refuse_constant,
            object_pairs_hook=refuse_repeats,
        )
    except json.JSONDecodeError as error:
        raise InputRefused(f"{name}:{error.lineno}: not JSON: {error.msg}") from None
    except (ValueError, ArithmeticError):
        raise InputRefused(f"{name}: a number in it is beyond what can be read") from None
    except RecursionError:
        raise InputRefused(f"{name}: not a snapshot: nested too deeply") from None
    return table(data, name)


def table(value: Any, where: str) -> dict[str, Any]:
    """Return `value` if it is an object."""
    if not isinstance(value, dict):
        raise InputRefused(f"{where}: expected an object, got {type(value).__name__}")
    return value


def need(table: Mapping[str, Any], key: str, where: str) -> Any:
    """Return what stands under `key`, which must be there."""
    if key not in table:
        raise InputRefused(f"{where}: the key {key!r} is missing")
    return table[key]


def only(table: Mapping[str, Any], allowed: Sequence[str], where: str) -> None:
    """Refuse a key that is not `allowed`, and name the nearest one."""
    for key in table:
        if key in allowed:
            continue
        if key in LATER:
            raise InputRefused(f"{where}: {key} is not available in this version")
        near = difflib.get_close_matches(key, allowed, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(allowed)}"
        raise InputRefused(f"{where}: unknown key {key!r}{hint}")


def number(value: Any, where: str) -> Decimal:
    """Return a number of a size that money has."""
    result = money.number(value, where)
    if result and abs(result.adjusted()) > MAGNITUDE_DIGITS:
        raise InputRefused(
            f"{where}: {value} is out of reach; numbers lie between 1e-{MAGNITUDE_DIGITS} and "
            f"1e{MAGNITUDE_DIGITS}"
        )
    return result


def positive(value: Any, where: str) -> Decimal:
    """Return such a number above zero."""
    return money.positive(number(value, where), where)


def time(fields: Mapping[str, Any], key: str, where: str, as_of_ms: int) -> int | None:
    """Return an optional instant, not after `as_of_ms`."""
    value = fields.get(key)
    return None if value is None else past(value, f"{where}.{key}", as_of_ms)


def past(value: Any, where: str, as_of_ms: int) -> int:
    """Return an instant, not after `as_of_ms`."""
    at_ms = parse(value, where)
    if at_ms > as_of_ms:
        raise InputRefused(
            f"{where}: {iso(at_ms)} lies after as_of, {iso(as_of_ms)}; correct one of the two"
        )
    return at_ms
