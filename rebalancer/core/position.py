"""A holding: the cash and units of one fund, and what they are worth at given prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from rebalancer.core.money import ZERO
from rebalancer.errors import BrokenInvariant

Prices = Mapping[str, Decimal]
"""Price by contract symbol, in quote currency, each finite and above zero."""


@dataclass(slots=True)
class Holding:
    """Cash in quote currency (negative = borrowed) and signed units by contract, in base coins."""

    cash: Decimal = ZERO
    units: dict[str, Decimal] = field(default_factory=dict)

    def exposure(self, marks: Prices) -> Decimal:
        """Signed market value of the units, in quote currency."""
        return sum((size * marks[symbol] for symbol, size in self.units.items() if size), ZERO)

    def gross(self, marks: Prices) -> Decimal:
        """Sum of the magnitudes of the positions, in quote currency."""
        return sum((abs(size) * marks[symbol] for symbol, size in self.units.items()), ZERO)

    def equity(self, marks: Prices) -> Decimal:
        """Cash plus exposure (spec section 1), in quote currency."""
        return self.cash + self.exposure(marks)

    def move(self, symbol: str, units: Decimal) -> None:
        """Add signed `units`; a position that becomes zero is forgotten."""
        held = self.units.get(symbol, ZERO) + units
        if held:
            self.units[symbol] = held
        else:
            self.units.pop(symbol, None)


def leverage(exposure: Decimal, equity: Decimal) -> Decimal:
    """Effective leverage, signed: exposure / equity (spec section 1); equity must be above zero."""
    if equity <= 0:
        raise BrokenInvariant(f"leverage of an equity of {equity} was asked for")
    return exposure / equity
