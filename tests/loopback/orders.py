"""An order at the venue, its trades, and every reason for which one is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from tests.loopback.instruments import ZERO


class Side(StrEnum):
    """What the order does."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """Return 1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1


class Book(StrEnum):
    """Which position the order acts on: the net one, or one of a hedged pair."""

    NET = "BOTH"
    LONG = "LONG"
    SHORT = "SHORT"


class Kind(StrEnum):
    """How the order is priced."""

    LIMIT = "LIMIT"
    MARKET = "MARKET"


class Force(StrEnum):
    """How long what is not filled at once stays."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTX = "GTX"  # never takes; refused where it would


class Status(StrEnum):
    """Where an order stands at the venue."""

    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"  # by its owner
    EXPIRED = "EXPIRED"  # by the venue: IOC rest, nothing left to reduce


OPEN = frozenset({Status.NEW, Status.PARTIALLY_FILLED})


class Refusal(StrEnum):
    """Why the core said no; each protocol has its own code and text for these."""

    UNKNOWN_INSTRUMENT = "unknown instrument"
    NOT_TRADING = "instrument is not trading"
    REDUCE_ONLY_MARKET = "instrument only takes orders that reduce"
    BAD_QUANTITY = "quantity is not above zero"
    OFF_LOT = "quantity is not a multiple of the lot"
    TOO_LARGE = "quantity is above the largest"
    BAD_PRICE = "price is not above zero"
    OFF_TICK = "price is not a multiple of the tick"
    TOO_HIGH = "buys at a price too far above the mark"
    TOO_LOW = "sells at a price too far below the mark"
    MIN_NOTIONAL = "notional is under the smallest"
    NO_MARGIN = "margin is insufficient"
    NOT_REDUCING = "a reduce-only order would not only reduce"
    DUPLICATE_ID = "client order id is taken by an open order"
    WRONG_BOOK = "the order's book does not fit the position mode"
    REDUCE_ONLY_IN_HEDGE = "reduce-only is not for a hedged account"
    WOULD_TAKE = "a post-only order would take"
    CANNOT_FILL = "a fill-or-kill order cannot be filled whole"
    TOO_MANY = "too many open orders"
    UNKNOWN_ORDER = "no such order"
    NO_CHANGE = "nothing would change"
    OPEN_ORDERS = "open orders forbid the change"
    OPEN_POSITIONS = "open positions forbid the change"
    BAD_LEVERAGE = "leverage is out of range"


class Refused(Exception):
    """The core did not do what was asked, and nothing changed."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """What a client asks for, once a protocol has read it."""

    instrument: str
    side: Side
    contracts: Decimal
    kind: Kind = Kind.LIMIT
    price: Decimal | None = None
    force: Force = Force.GTC
    book: Book = Book.NET
    reduce_only: bool = False
    client_order_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One fill of one of the account's orders."""

    trade_id: int
    order_id: int
    instrument: str
    side: Side
    book: Book
    price: Decimal
    contracts: Decimal
    #: in quote currency, paid where positive
    fee: Decimal
    #: in quote currency
    realized: Decimal
    maker: bool
    at_ms: int


@dataclass(slots=True, kw_only=True)
class Order:
    """An order that the venue took."""

    order_id: int
    account: str
    request: OrderRequest
    created_ms: int
    updated_ms: int
    status: Status = Status.NEW
    filled: Decimal = ZERO
    #: sum of price x contracts of the fills
    turnover: Decimal = ZERO
    trades: list[Trade] = field(default_factory=list)
    #: made by the venue to close a position it liquidates
    liquidation: bool = False

    @property
    def open(self) -> bool:
        """Whether it can still trade."""
        return self.status in OPEN

    @property
    def remaining(self) -> Decimal:
        """Contracts not filled."""
        return self.request.contracts - self.filled

    @property
    def average(self) -> Decimal:
        """Mean price of the fills; zero where there are none."""
        return self.turnover / self.filled if self.filled else ZERO
