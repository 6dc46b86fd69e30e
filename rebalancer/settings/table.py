"""What every table of the configuration has: refused keys, and one table laid over another."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict


def default_of(noun: type, field: str) -> Any:
    """Return what the core takes for `field` when nobody says anything."""
    return next(item.default for item in dataclasses.fields(noun) if item.name == field)


class Table(BaseModel):
    """One table of the file; a key that is not a field is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    #: keys of the full product that this version refuses
    later: ClassVar[frozenset[str]] = frozenset()
    #: keys of which only one may be in force
    either: ClassVar[frozenset[str]] = frozenset()

    def over(self, base: Self) -> Self:
        """Return `base` with everything that is set here put over it, table by table.

        Lists and baskets are values: they replace. Of the keys in `either`, one set here drops
        the other ones below.
        """
        values: dict[str, Any] = {}
        ours = self.model_fields_set & self.either
        for key in base.model_fields_set - (self.either if ours else frozenset()):
            values[key] = getattr(base, key)
        for key in self.model_fields_set:
            value = getattr(self, key)
            below = values.get(key)
            both = isinstance(value, Table) and isinstance(below, Table)
            values[key] = value.over(below) if both else value
        return type(self)().model_copy(update=values)
