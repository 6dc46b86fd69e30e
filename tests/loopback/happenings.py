"""What the core tells its accounts and the public, in the order in which it happened."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from tests.loopback.accounts import IncomeKind, Position
from tests.loopback.orders import Book, Order, Trade


class Execution(StrEnum):
    """What happened to an order."""

    NEW = "NEW"
    TRADE = "TRADE"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    LIQUIDATED = "CALCULATED"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderMoved:
    """An order as it stood right after `execution`."""

    account: str
    at_ms: int
    execution: Execution
    order: Order
    trade: Trade | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletMoved:
    """The wallet after a movement, and the positions that moved with it."""

    account: str
    at_ms: int
    #: None for a trade, which may carry several kinds
    reason: IncomeKind | None
    wallet: Decimal
    #: what moved it, where it was no trade
    amount: Decimal
    positions: tuple[Position, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverageMoved:
    """The account changed its leverage for an instrument."""

    account: str
    at_ms: int
    instrument: str
    book: Book
    leverage: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """An instrument has a new price."""

    at_ms: int
    instrument: str


Happening = OrderMoved | WalletMoved | LeverageMoved | Priced
