"""An account: its wallet, positions, modes and the history of what it was paid and charged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from tests.loopback.instruments import ZERO, Instrument
from tests.loopback.orders import Book, Order, Trade


class Margin(StrEnum):
    """How a position is collateralised."""

    CROSS = "cross"
    ISOLATED = "isolated"


class IncomeKind(StrEnum):
    """What moved the wallet."""

    TRANSFER = "TRANSFER"
    REALIZED_PNL = "REALIZED_PNL"
    COMMISSION = "COMMISSION"
    FUNDING_FEE = "FUNDING_FEE"
    LIQUIDATION_FEE = "INSURANCE_CLEAR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Income:
    """One movement of the wallet; `amount` is signed, in quote currency."""

    income_id: int
    kind: IncomeKind
    instrument: str
    book: Book
    amount: Decimal
    at_ms: int
    trade_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Funding:
    """One settlement of an instrument: longs paid `rate` of their notional at `mark`."""

    instrument: str
    rate: Decimal
    mark: Decimal
    at_ms: int


@dataclass(slots=True, kw_only=True)
class Position:
    """What an account holds of an instrument in one book."""

    instrument: str
    book: Book
    #: signed: a short is below zero in every book
    contracts: Decimal = ZERO
    #: mean entry price; zero where nothing is held
    entry: Decimal = ZERO
    realized: Decimal = ZERO
    updated_ms: int = 0

    def unrealized(self, instrument: Instrument) -> Decimal:
        """Return profit at the mark, in quote currency."""
        return instrument.notional(self.contracts, instrument.mark - self.entry)

    def trade(self, contracts: Decimal, price: Decimal, instrument: Instrument) -> Decimal:
        """Move by signed `contracts` at `price`; return the profit that this realized."""
        held = self.contracts
        after = held + contracts
        if held * contracts >= 0:
            self.entry = (self.entry * abs(held) + price * abs(contracts)) / abs(after)
            self.contracts = after
            return ZERO
        closed = min(abs(held), abs(contracts)).copy_sign(held)
        profit = instrument.notional(closed, price - self.entry)
        self.contracts = after
        if after == 0:
            self.entry = ZERO
        elif after * held < 0:
            self.entry = price
        self.realized += profit
        return profit


@dataclass(slots=True, kw_only=True)
class Account:
    """One account at the venue, found by its key; all margin is drawn from one pool."""

    name: str
    key: str
    secret: str
    wallet: Decimal = Decimal(100_000)
    hedged: bool = False
    may_withdraw: bool = False
    ip_restricted: bool = True
    default_leverage: int = 20
    #: until when its stream of private events may be opened
    listening_until_ms: int = 0
    leverages: dict[tuple[str, Book], int] = field(default_factory=dict)
    margins: dict[tuple[str, Book], Margin] = field(default_factory=dict)
    positions: dict[tuple[str, Book], Position] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    #: ids of the orders in `orders` that can still trade
    open_ids: dict[int, None] = field(default_factory=dict)
    #: latest order of each client order id
    by_client_id: dict[str, int] = field(default_factory=dict)
    trades: list[Trade] = field(default_factory=list)
    incomes: list[Income] = field(default_factory=list)

    def position(self, instrument: str, book: Book) -> Position:
        """Return the position, made where there was none."""
        return self.positions.setdefault(
            (instrument, book), Position(instrument=instrument, book=book)
        )

    def contracts(self, instrument: str, book: Book) -> Decimal:
        """Return what is held, signed."""
        position = self.positions.get((instrument, book))
        return ZERO if position is None else position.contracts

    def leverage(self, instrument: str, book: Book) -> int:
        """Return the leverage that sizes the initial margin."""
        return self.leverages.get((instrument, book), self.default_leverage)

    def margin(self, instrument: str, book: Book) -> Margin:
        """Return the margin mode; cross unless it was changed."""
        return self.margins.get((instrument, book), Margin.CROSS)

    def open_orders(self) -> Iterator[Order]:
        """Yield orders that can still trade, oldest first."""
        return (self.orders[order_id] for order_id in tuple(self.open_ids))

    def held(self) -> Iterator[Position]:
        """Yield positions that are not zero."""
        return (position for position in self.positions.values() if position.contracts)
