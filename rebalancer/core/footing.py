"""Footing: what stands between an account, or a fund, and its liquidation."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rebalancer.core.money import ONE, text


@dataclass(frozen=True, slots=True)
class Footing:
    """Equity and positions at one set of marks, in quote currency."""

    equity: Decimal
    #: signed, at the marks
    exposure: Decimal
    gross: Decimal
    #: share of gross that the venue wants to see
    maintenance: Decimal

    @property
    def margin(self) -> Decimal:
        """What the venue asks to keep the positions."""
        return self.gross * self.maintenance

    @property
    def distance(self) -> Decimal | None:
        """The move of all prices alike at which equity is the maintenance margin; None: never.

        E + m X = k G (1 + m), solved for m; a move under -1 does not exist.
        """
        slope = self.exposure - self.margin
        if not slope:
            return None
        move = (self.margin - self.equity) / slope
        return move if move > -ONE else None

    def document(self) -> dict[str, Any]:
        """Return the figures as text."""
        return {
            "equity": text(self.equity),
            "exposure": text(self.exposure),
            "maintenance_margin": text(self.margin),
            "liquidation_move": None if self.distance is None else text(self.distance),
        }
