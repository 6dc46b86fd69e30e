"""One admitted XT request: parameters of the query or of the JSON body, account, core."""

from __future__ import annotations

import decimal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tests.loopback.accounts import Account
from tests.loopback.instruments import Instrument
from tests.loopback.matching import Core
from tests.loopback.orders import Book
from tests.loopback.xt.errors import XtError


def native(name: str) -> str:
    """Return XT's symbol of an instrument: BTC/USDT is btc_usdt."""
    return name.replace("/", "_").lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a handler is given."""

    core: Core
    params: Mapping[str, Any]
    now_ms: int
    #: absent on public routes
    owner: Account | None = None

    @property
    def account(self) -> Account:
        """The account of a private route."""
        if self.owner is None:
            raise XtError("AUTH_101", "ApiKey does not exist")
        return self.owner

    def text(self, name: str, default: str = "") -> str:
        """Return a parameter, or `default`; one that must be there has none."""
        value = self.params.get(name)
        if value is None or value == "":
            if not default:
                raise XtError("invalid_params", f"Parameter {name} is missing")
            return default
        return str(value)

    def number(self, name: str) -> Decimal:
        """Return a decimal parameter that must be there."""
        try:
            value = Decimal(self.text(name))
        except decimal.InvalidOperation:
            raise XtError("invalid_params", f"Parameter {name} is no number") from None
        if not value.is_finite():
            raise XtError("invalid_params", f"Parameter {name} is no number")
        return value

    def integer(self, name: str, default: int) -> int:
        """Return a whole parameter, or `default`."""
        value = self.text(name, str(default))
        if not value.lstrip("-").isdigit():
            raise XtError("invalid_params", f"Parameter {name} is no whole number")
        return int(value)

    def choice(self, name: str, kind: Any, default: str = "") -> Any:
        """Return a parameter as a member of the enumeration `kind`."""
        try:
            return kind(self.text(name, default))
        except ValueError:
            raise XtError("invalid_params", f"Parameter {name} is unknown") from None

    def book(self) -> Book:
        """Return the book that `positionSide` names; there is no net one."""
        book: Book = self.choice("positionSide", Book)
        if book is Book.NET:
            raise XtError("invalid_position_side", "Invalid position side")
        return book

    def instrument(self) -> Instrument:
        """Return the instrument that `symbol` names."""
        base, _, quote = self.text("symbol").upper().partition("_")
        instrument = self.core.instruments.get(f"{base}/{quote}")
        if instrument is None:
            raise XtError("invalid_symbol", "Invalid symbol")
        return instrument

    def chosen(self) -> list[Instrument]:
        """Return the instrument that `symbol` names, or all where it names none."""
        return [self.instrument()] if self.params.get("symbol") else self.listed()

    def listed(self) -> list[Instrument]:
        """Return every instrument."""
        return list(self.core.instruments.values())

    def window(self, rows: Sequence[Any], at_ms: Callable[[Any], int]) -> list[Any]:
        """Return rows from startTime to endTime, newest first, as every list of the venue is."""
        start, end = self.integer("startTime", 0), self.integer("endTime", 2**62)
        return [row for row in reversed(rows) if start <= at_ms(row) <= end]

    def page(self, rows: Sequence[Any], shape: Callable[[Any], Any]) -> dict[str, Any]:
        """Return one numbered page of rows."""
        page, size = self.integer("page", 1), self.integer("size", 10)
        shown = rows[(page - 1) * size : page * size]
        return {
            "page": page,
            "ps": size,
            "total": len(rows),
            "items": [shape(row) for row in shown],
        }

    def scroll(self, rows: Sequence[Any], shape: Callable[[Any], Any]) -> dict[str, Any]:
        """Return the newest rows, and say that there are more."""
        limit = self.integer("limit", 10)
        return {
            "hasPrev": False,
            "hasNext": len(rows) > limit,
            "items": [shape(row) for row in rows[:limit]],
        }
