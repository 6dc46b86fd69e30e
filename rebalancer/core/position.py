"""A holding: the cash and units of one fund, and what they are worth at given prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from rebalancer.core.instant import DAY_MS, HOUR_MS, MINUTE_MS
from rebalancer.core.money import ZERO
from rebalancer.errors import BrokenInvariant

Prices = Mapping[str, Decimal]
"""Price by contract symbol, in quote currency, each finite and above zero."""


@dataclass(slots=True)
class Holding:
    """Cash in quote currency (negative = borrowed) and signed units by contract, in base coins."""

    cash: Decimal = ZERO
    units: dict[str, Decimal] = field(default_factory=dict)
    #: signed units that moved in the last day, by contract and from when they count
    moved: dict[tuple[int, str], Decimal] = field(default_factory=dict)

    def exposure(self, marks: Prices) -> Decimal:
        """Signed market value of the units, in quote currency."""
        return sum((size * marks[symbol] for symbol, size in self.units.items() if size), ZERO)

    def gross(self, marks: Prices) -> Decimal:
        """Sum of the magnitudes of the positions, in quote currency."""
        return sum((abs(size) * marks[symbol] for symbol, size in self.units.items()), ZERO)

    def equity(self, marks: Prices) -> Decimal:
        """Cash plus exposure (spec section 1), in quote currency."""
        return self.cash + self.exposure(marks)

    def held_at(self, symbol: str, at_ms: int | None) -> Decimal:
        """Return the signed units at an instant of the last day: those of now less what came since.

        Before that day they count as they were when it began; None is now. Exact in the first
        minute of each hour, where settlements lie: the rest of an hour counts from its start on.
        """
        if at_ms is None:
            return self.units.get(symbol, ZERO)
        moved = self.moved.items()
        since = (units for (when, name), units in moved if when > at_ms and name == symbol)
        return self.units.get(symbol, ZERO) - sum(since, ZERO)

    def lately(self) -> dict[str, None]:
        """Return every contract that is held or was within the last day, in order."""
        return dict.fromkeys((*self.units, *(symbol for _, symbol in self.moved)))

    def move(self, symbol: str, units: Decimal, at_ms: int | None = None) -> None:
        """Add signed `units`, at an instant that is kept where it is told.

        A position that becomes zero is forgotten.
        """
        if at_ms is not None:
            self._note(symbol, units, min(at_ms, at_ms // HOUR_MS * HOUR_MS + MINUTE_MS))
            while (first := next(iter(self.moved)))[0] < at_ms - DAY_MS:
                del self.moved[first]
        held = self.units.get(symbol, ZERO) + units
        if held:
            self.units[symbol] = held
        else:
            self.units.pop(symbol, None)

    def set_back(self, at_ms: int) -> None:
        """Take what moved after `at_ms` for moved then: the clock that said so ran ahead."""
        moved, self.moved = self.moved, {}
        for (when, symbol), units in moved.items():
            self._note(symbol, units, min(when, at_ms))

    def _note(self, symbol: str, units: Decimal, at_ms: int) -> None:
        self.moved[at_ms, symbol] = self.moved.get((at_ms, symbol), ZERO) + units


def leverage(exposure: Decimal, equity: Decimal) -> Decimal:
    """Effective leverage, signed: exposure / equity (spec section 1); equity must be above zero."""
    if equity <= 0:
        raise BrokenInvariant(f"leverage of an equity of {equity} was asked for")
    return exposure / equity
