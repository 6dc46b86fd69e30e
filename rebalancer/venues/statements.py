"""What an account at an exchange holds, owes and was paid, in base coins and exact decimals."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from rebalancer.core.money import ZERO
from rebalancer.core.order import OrderSide, PositionSide


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """What is held of one contract in one book."""

    contract: str
    book: PositionSide
    #: signed base coins
    units: Decimal
    entry_price: Decimal | None
    mark_price: Decimal | None
    liquidation_price: Decimal | None
    initial_margin: Decimal | None
    maintenance_margin: Decimal | None
    unrealized: Decimal | None
    leverage: Decimal | None
    #: "cross", "isolated", or None where the venue does not say
    margin_mode: str | None

    @property
    def liquidation_distance(self) -> Decimal | None:
        """How far the mark is from liquidation, as a share of the mark."""
        if self.mark_price is None or self.liquidation_price is None:
            return None
        return abs(self.mark_price - self.liquidation_price) / self.mark_price


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """One currency of the account."""

    currency: str
    #: with the profit of open positions; None where the venue does not tell enough
    equity: Decimal | None
    available: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOrder:
    """An order that can still trade, ours or not."""

    order_id: str
    client_order_id: str
    contract: str
    side: OrderSide
    #: base coins still to trade
    remaining: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTrade:
    """One trade of the account, ours or not."""

    trade_id: str
    order_id: str
    contract: str
    #: signed base coins
    units: Decimal
    price: Decimal
    at_ms: int
    #: in quote currency; zero where the venue takes it in another one
    fee: Decimal = ZERO
    #: whether the trade itself says that the venue made it: some say so of the order only
    forced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingPayment:
    """One payment of funding as the venue booked it; below zero = paid by the account."""

    #: the venue's id; some venues give none, or the same to all
    payment_id: str
    contract: str
    amount: Decimal
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedFunding:
    """What the next settlement of a contract is expected to cost; times are the venue's."""

    contract: str
    #: longs will pay it, as a share of units x mark
    rate: Decimal
    #: the interval that it is for: it is settled at its end
    from_ms: int
    due_ms: int


def held_units(positions: tuple[Position, ...]) -> dict[str, Decimal]:
    """Return the signed base coins held by contract, both books together."""
    units: dict[str, Decimal] = {}
    for position in positions:
        units[position.contract] = units.get(position.contract, ZERO) + position.units
    return {symbol: size for symbol, size in units.items() if size}
