"""Premium: what the token costs on its secondary market over its NAV, in stages (spec section 5).

The stages are those of the Korean exchange's rule for leveraged products (field.md, section a): a
warning at 20 %, a halt at 30 %, and release under 6 %. A discount as large counts alike: either way
one side of the market deals far from what the fund holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from rebalancer.core.instant import MINUTE_MS
from rebalancer.core.money import ONE, ZERO
from rebalancer.core.record import Priced
from rebalancer.errors import ConfigRefused


class PremiumStage(StrEnum):
    """How far the token's price has left the NAV."""

    NONE = "none"
    WARN = "warn"
    HALT = "halt"  # flows are shut; rebalancing goes on


class Height(StrEnum):
    """Where the magnitude of a premium lies between the thresholds."""

    CALM = "calm"  # strictly under `release`
    RAISED = "raised"
    HIGH = "high"  # at or over `warn`
    EXTREME = "extreme"  # at or over `halt`


_P = PremiumStage
#: stage and height -> the next stage. Only calm ends a stage, and a halt is not softened before.
STAGES: Mapping[tuple[PremiumStage, Height], PremiumStage] = {
    (_P.NONE, Height.CALM): _P.NONE,
    (_P.NONE, Height.RAISED): _P.NONE,
    (_P.NONE, Height.HIGH): _P.WARN,
    (_P.NONE, Height.EXTREME): _P.HALT,
    (_P.WARN, Height.CALM): _P.NONE,
    (_P.WARN, Height.RAISED): _P.WARN,
    (_P.WARN, Height.HIGH): _P.WARN,
    (_P.WARN, Height.EXTREME): _P.HALT,
    (_P.HALT, Height.CALM): _P.NONE,
    (_P.HALT, Height.RAISED): _P.HALT,
    (_P.HALT, Height.HIGH): _P.HALT,
    (_P.HALT, Height.EXTREME): _P.HALT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PremiumTerms:
    """Where a fund's token is quoted, and at which premium what happens; all are shares of 1."""

    #: ccxt exchange id and spot symbol of the secondary market
    venue: str
    symbol: str
    warn: Decimal = Decimal("0.20")
    halt: Decimal = Decimal("0.30")
    release: Decimal = Decimal("0.06")
    #: an older quote says nothing
    max_age_ms: int = 5 * MINUTE_MS

    @property
    def market(self) -> str:
        """The market as an operator writes it."""
        return f"{self.venue}:{self.symbol}"

    def refuse_impossible(self, where: str) -> None:
        """Raise ConfigRefused unless 0 < release < warn < halt."""
        if not ZERO < self.release < self.warn < self.halt:
            raise ConfigRefused(
                f"{where}: needs 0 < release < warn < halt, got {self.release}, {self.warn} and "
                f"{self.halt}"
            )

    def height(self, premium: Decimal) -> Height:
        """Return where a premium (or discount, below zero) lies."""
        size = abs(premium)
        if size >= self.halt:
            return Height.EXTREME
        if size >= self.warn:
            return Height.HIGH
        return Height.CALM if size < self.release else Height.RAISED

    def next_stage(self, stage: PremiumStage, premium: Decimal) -> PremiumStage:
        """Return the stage that follows `stage` at a premium."""
        return STAGES[stage, self.height(premium)]


def premium_of(price: Decimal, nav: Decimal) -> Decimal:
    """Return price / NAV - 1, unrounded; the NAV is above zero."""
    return price / nav - ONE


@dataclass(frozen=True, slots=True)
class TokenQuote:
    """The newest live quote of a token: the middle of its best bid and ask, in quote currency."""

    price: Decimal
    at_ms: int


@dataclass(frozen=True, slots=True)
class PremiumStaged(Priced):
    """The premium of a fund's token came to another stage."""

    fund: str
    stage: PremiumStage
    market: str
    price: Decimal
    #: account NAV
    nav: Decimal
    #: price / nav - 1
    premium: Decimal
