"""An instrument: what is listed, what it costs now, and a synthetic book around that price."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

ZERO = Decimal(0)


class Listing(StrEnum):
    """Whether an instrument can be traded."""

    TRADING = "trading"
    HALTED = "halted"  # listed, takes no order
    DELISTING = "delisting"  # takes orders that reduce only


@dataclass(frozen=True, slots=True)
class Level:
    """One price of a book; `contracts` are on offer there."""

    price: Decimal
    contracts: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """A synthetic book: equal levels at equal distances, the same on both sides.

    It is renewed for every order, as if others had refilled it: what one order finds does not
    depend on the orders before it, so that a test can say beforehand what will be filled.
    """

    #: ticks between the last price and the best bid or ask
    half_spread_ticks: int = 1
    #: ticks between levels
    step_ticks: int = 1
    levels: int = 20
    #: contracts on offer at each level; None sells any size at the best price
    contracts: Decimal | None = None

    def asks(self, price: Decimal, tick: Decimal) -> Iterator[Level]:
        """Yield what is offered above `price`, best first."""
        yield from self._side(price, tick)

    def bids(self, price: Decimal, tick: Decimal) -> Iterator[Level]:
        """Yield what is wanted below `price`, best first."""
        yield from self._side(price, -tick)

    def _side(self, price: Decimal, step: Decimal) -> Iterator[Level]:
        contracts = Decimal(1_000_000) if self.contracts is None else self.contracts
        for number in range(self.levels):
            level = price + step * (self.half_spread_ticks + number * self.step_ticks)
            if level > 0:
                yield Level(level, contracts)


@dataclass(slots=True, kw_only=True)
class Instrument:
    """A linear perpetual swap with its present prices. Sizes are in contracts."""

    base: str
    quote: str = "USDT"
    #: base coins in one contract
    contract_size: Decimal = Decimal(1)
    #: smallest step of an order, in contracts
    lot: Decimal = Decimal("0.001")
    tick: Decimal = Decimal("0.1")
    #: smallest order that opens, in quote currency
    min_notional: Decimal = Decimal(5)
    max_contracts: Decimal = Decimal(1_000_000)
    #: a limit may lie this share of the mark beyond it
    price_band: Decimal = Decimal("0.1")
    max_leverage: int = 125
    maintenance_rate: Decimal = Decimal("0.004")
    maker_rate: Decimal = Decimal("0.0002")
    taker_rate: Decimal = Decimal("0.0005")
    listing: Listing = Listing.TRADING
    depth: Depth = field(default_factory=Depth)
    last: Decimal = Decimal(100)
    mark: Decimal = ZERO
    index: Decimal = ZERO
    #: when the price was last set
    priced_ms: int = 0
    funding_rate: Decimal = Decimal("0.0001")

    def __post_init__(self) -> None:
        self.mark = self.mark or self.last
        self.index = self.index or self.last

    @property
    def name(self) -> str:
        """The key of the instrument in the core: BTC/USDT."""
        return f"{self.base}/{self.quote}"

    @property
    def best_bid(self) -> Level:
        """The first level of the bids."""
        return next(self.depth.bids(self.last, self.tick))

    @property
    def best_ask(self) -> Level:
        """The first level of the asks."""
        return next(self.depth.asks(self.last, self.tick))

    def notional(self, contracts: Decimal, price: Decimal) -> Decimal:
        """Return what `contracts` are worth at `price`, with their sign."""
        return contracts * self.contract_size * price
