"""One admitted Binance request: its parameters read strictly, its account, the core it acts on."""

from __future__ import annotations

import decimal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tests.loopback.accounts import Account
from tests.loopback.binance.errors import BinanceError, missing
from tests.loopback.instruments import Instrument
from tests.loopback.matching import Core


def native(name: str) -> str:
    """Return Binance's symbol of an instrument: BTC/USDT is BTCUSDT."""
    return name.replace("/", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a handler is given."""

    core: Core
    params: Mapping[str, str]
    now_ms: int
    #: absent on public routes
    owner: Account | None = None
    #: the account's own limits on orders
    order_limits: Sequence[Mapping[str, str | int]] = ()

    @property
    def account(self) -> Account:
        """The account of a private route."""
        if self.owner is None:
            raise BinanceError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        return self.owner

    def text(self, name: str) -> str:
        """Return a parameter that must be there."""
        value = self.params.get(name, "")
        if not value:
            raise missing(name)
        return value

    def number(self, name: str) -> Decimal:
        """Return a decimal parameter that must be there."""
        try:
            value = Decimal(self.text(name))
        except decimal.InvalidOperation:
            raise missing(name) from None
        if not value.is_finite():
            raise missing(name)
        return value

    def integer(self, name: str, default: int) -> int:
        """Return a whole parameter, or `default`."""
        value = self.params.get(name, "")
        if not value:
            return default
        if not value.lstrip("-").isdigit():
            raise missing(name)
        return int(value)

    def choice(self, name: str, kind: Any, default: str = "") -> Any:
        """Return a parameter as a member of the enumeration `kind`."""
        value = self.params.get(name) or default
        if not value:
            raise missing(name)
        try:
            return kind(value)
        except ValueError:
            code, what = {"side": (-1117, "side"), "type": (-1116, "orderType")}.get(
                name, (-1130, f"parameter '{name}'")
            )
            raise BinanceError(code, f"Invalid {what}.") from None

    def flag(self, name: str) -> bool:
        """Return a parameter that is `true` or `false` in either case."""
        return self.params.get(name, "false").lower() == "true"

    def instrument(self) -> Instrument:
        """Return the instrument that `symbol` names."""
        return self.listed(self.text("symbol"))

    def listed(self, symbol: str) -> Instrument:
        """Return the instrument of a native symbol; every quote here has four letters."""
        instrument = self.core.instruments.get(f"{symbol[:-4]}/{symbol[-4:]}")
        if instrument is None:
            raise BinanceError(-1121, "Invalid symbol.")
        return instrument

    def chosen(self) -> list[Instrument]:
        """Return the instrument that `symbol` names, or all where it names none."""
        if self.params.get("symbol"):
            return [self.instrument()]
        return list(self.core.instruments.values())

    def page(
        self,
        rows: list[Any],
        at_ms: Callable[[Any], int],
        default: int,
        *,
        newest: bool | None = None,
    ) -> list[Any]:
        """Return rows from startTime to endTime: the first with a start given, else the last.

        With `newest` told, the last or the first whatever is given.
        """
        start, end = self.integer("startTime", 0), self.integer("endTime", 2**62)
        limit = min(self.integer("limit", default), 1000)
        rows = [row for row in rows if start <= at_ms(row) <= end]
        newest = not start if newest is None else newest
        return rows[-limit:] if newest else rows[:limit]
