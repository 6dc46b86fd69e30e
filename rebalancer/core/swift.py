"""Frozen values that are made as swiftly as others, for those that an order waits for.

A frozen dataclass sets its own fields past its own guard, one by one, which makes it three times as
slow to make. A decision makes some thirty values of up to nineteen fields; a fifth of it was that.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, fields
from typing import Any, TypeVar

T = TypeVar("T")


def swiftly_made(cls: type[T]) -> type[T]:
    """Have instances of a frozen dataclass with slots filled before they are frozen.

    Everything else about the class stays: its signature, its guard, what it compares and shows. It
    must have no base and no `__post_init__`.
    """
    parts: tuple[Field[Any], ...] = fields(cls)  # type: ignore[arg-type]
    thawed = type(cls.__name__, (), {"__slots__": tuple(part.name for part in parts)})
    known: dict[str, Any] = {"_become": object.__setattr__, "_thawed": thawed, "_frozen": cls}
    takes, fills = ["self"], []
    for part in parts:
        if part.kw_only and "*" not in takes:
            takes.append("*")
        takes.append(part.name)
        value = part.name
        if part.default is not MISSING or part.default_factory is not MISSING:
            takes[-1] += f"=_default_{part.name}"
            known[f"_default_{part.name}"] = part.default
        if part.default_factory is not MISSING:
            known[f"_new_{part.name}"] = part.default_factory
            value = f"_new_{part.name}() if {part.name} is _default_{part.name} else {part.name}"
        fills.append(f"self.{part.name} = {value}")
    thaw, freeze = '_become(self, "__class__", _thawed)', "self.__class__ = _frozen"
    body = "\n    ".join([f"def __init__({', '.join(takes)}):", thaw, *fills, freeze])
    exec(body, known)  # noqa: S102 - as dataclasses do; nothing in it is from outside
    cls.__init__ = known["__init__"]  # type: ignore[method-assign]
    return cls
