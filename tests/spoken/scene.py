"""What is true at a venue while a test looks at it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar

from rebalancer.core.contract import Contract
from tests.venues.golden.markets import contracts_of, markets_of

D = Decimal
Row = TypeVar("Row", "Paid", "Traded")


@dataclass(frozen=True, slots=True)
class Prices:
    """The public prices of one contract; no two are equal, so that no two can be mistaken."""

    mark: str
    index: str
    last: str
    bid: str
    ask: str


#: every digit has to arrive
PRICES = {
    "BTC": Prices("50000.51", "50001.52", "50002.5", "50002.4", "50002.6"),
    "ETH": Prices("3000.513", "3001.524", "3002.55", "3002.54", "3002.56"),
}
#: what is offered and wanted of BTC: a price, and base coins
ASKS = (("50002.6", "0.5"), ("50010.0", "1"))
BIDS = (("50002.4", "0.5"), ("49990.0", "1"))
#: how far the account's prices of entry and liquidation are from the mark
ZERO, WALLET, FREE = D(0), D(1000), D(900)
ENTRY, LIQUIDATION = D("49000.51"), D("40000.5")


@dataclass(frozen=True, slots=True)
class Paid:
    """A payment of funding; below zero where the account paid."""

    base: str
    number: int
    amount: Decimal
    at_ms: int


@dataclass(frozen=True, slots=True)
class Traded:
    """A trade of the account; its order has the number after its own."""

    base: str
    number: int
    #: signed base coins
    units: Decimal
    price: Decimal
    #: in quote currency, above zero where the account paid
    fee: Decimal
    at_ms: int


@dataclass
class Scene:
    """One venue with one account."""

    venue_id: str
    #: in quote currency, without the profit of what is held
    wallet: Decimal = WALLET
    free: Decimal = FREE
    #: signed base coins of BTC that are held
    units: Decimal = ZERO
    hedged: bool = False
    isolated: bool = False
    leverage: Decimal | int = 5
    #: whether ETH is traded
    open_for_orders: bool = True
    #: the id of an order of BTC that stands, not of the desk
    foreign: str = ""
    #: MEXC's number of its side: to open long, close short, open short, close long
    foreign_side: int = 1
    #: of both contracts, newest first
    paid: Sequence[Paid] = ()
    traded: Sequence[Traded] = ()
    #: how far the venue's clock is ahead, in ms
    skew_ms: int = 0
    #: whether the keys are taken, and whether they may take money away (where it is told)
    takes_keys: bool = True
    may_withdraw: bool = False
    #: whether anything but html is said
    up: bool = True
    #: whether sockets tell prices
    streams: bool = True
    prices: dict[str, Prices] = field(default_factory=lambda: dict(PRICES))

    @property
    def now_ms(self) -> int:
        """The venue's time."""
        return time.time_ns() // 1_000_000 + self.skew_ms

    @property
    def contracts(self) -> dict[str, Contract]:
        """The venue's contracts by base coin."""
        return dict(zip(("BTC", "ETH"), contracts_of(self.venue_id), strict=True))

    @property
    def ids(self) -> dict[str, str]:
        """The venue's own names of the contracts by base coin."""
        btc, eth = markets_of(self.venue_id)
        return {"BTC": btc["id"], "ETH": eth["id"]}

    def levels(self, side: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
        """Return a side of the book of BTC, its sizes in contracts."""
        size = self.contracts["BTC"].contract_size
        return [(price, f"{(D(coins) / size).normalize():f}") for price, coins in side]

    def base_of(self, market_id: str) -> str:
        """Return the base coin of a contract by the venue's name."""
        return next(base for base, name in self.ids.items() if name == market_id)

    def contracts_in(self, units: Decimal, base: str) -> str:
        """Return how many contracts base coins are, whichever way."""
        return f"{(abs(units) / self.contracts[base].contract_size).normalize():f}"

    @property
    def held(self) -> Decimal:
        """Signed contracts of BTC that are held."""
        return self.units / self.contracts["BTC"].contract_size

    @property
    def mark(self) -> Decimal:
        """The mark of BTC."""
        return D(self.prices["BTC"].mark)

    @property
    def profit(self) -> Decimal:
        """What the position has won."""
        return self.units * (self.mark - ENTRY)

    @property
    def equity(self) -> Decimal:
        """The wallet with the profit."""
        return self.wallet + self.profit

    @property
    def margin(self) -> Decimal:
        """What the position ties up."""
        return abs(self.units) * self.mark / self.leverage


def oldest(rows: Sequence[Row], bounds: tuple[int, int], most: int) -> list[Row]:
    """Return a page of rows of all contracts that begins with the oldest."""
    return newest(rows, bounds, len(rows))[::-1][:most]


def newest(rows: Sequence[Row], bounds: tuple[int, int], most: int, base: str = "") -> list[Row]:
    """Return a page of rows between two instants in ms, both included; of all contracts or one."""
    begin_ms, end_ms = bounds
    found = [row for row in rows if begin_ms <= row.at_ms <= end_ms and base in ("", row.base)]
    return found[:most]
