"""An order: the intent that is committed before it is sent, and the table of its lifecycle."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from rebalancer.core.money import ZERO
from rebalancer.errors import ensure


class OrderSide(StrEnum):
    """What the order does."""

    BUY = "buy"
    SELL = "sell"


class PositionSide(StrEnum):
    """Which book the order acts on: the net one, or a hedge venue's long or short book."""

    NET = "net"
    LONG = "long"
    SHORT = "short"

    @classmethod
    def of(cls, units: Decimal, *, hedge: bool) -> PositionSide:
        """Return the book in which a position of signed `units` stands."""
        if not hedge:
            return cls.NET
        return cls.LONG if units > 0 else cls.SHORT


class OrderStatus(StrEnum):
    """Where an order stands, as far as evidence goes."""

    PREPARED = "prepared"  # committed here, not known to have left
    ACCEPTED = "accepted"  # the venue has it
    UNKNOWN = "unknown"  # it may or may not be at the venue: ask, never send again
    CLOSED = "closed"  # filled, or its rest is gone; nothing more can happen
    REJECTED = "rejected"  # the venue proved that it did not take it
    NEVER_SENT = "never_sent"  # proved that it never left this host
    ABSENT = "absent"  # asked long enough, from two places: it does not exist


class Outcome(StrEnum):
    """What evidence says about an order; `filled` is a fill, the others are reports."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    NEVER_SENT = "never_sent"
    ABSENT = "absent"
    CLOSED = "closed"
    FILLED = "filled"


_S, _O = OrderStatus, Outcome
#: (status, evidence) -> status. What is not here cannot happen and raises.
TRANSITIONS: Mapping[tuple[OrderStatus, Outcome], OrderStatus] = {
    (_S.PREPARED, _O.ACCEPTED): _S.ACCEPTED,
    (_S.PREPARED, _O.FILLED): _S.ACCEPTED,  # a fill may overtake the answer to the send
    (_S.PREPARED, _O.CLOSED): _S.CLOSED,
    (_S.PREPARED, _O.REJECTED): _S.REJECTED,
    (_S.PREPARED, _O.NEVER_SENT): _S.NEVER_SENT,
    (_S.PREPARED, _O.UNKNOWN): _S.UNKNOWN,
    (_S.PREPARED, _O.ABSENT): _S.ABSENT,
    (_S.ACCEPTED, _O.ACCEPTED): _S.ACCEPTED,
    (_S.ACCEPTED, _O.FILLED): _S.ACCEPTED,
    (_S.ACCEPTED, _O.UNKNOWN): _S.ACCEPTED,  # a late time-out does not undo proof
    (_S.ACCEPTED, _O.CLOSED): _S.CLOSED,
    (_S.UNKNOWN, _O.UNKNOWN): _S.UNKNOWN,
    (_S.UNKNOWN, _O.ACCEPTED): _S.ACCEPTED,
    (_S.UNKNOWN, _O.FILLED): _S.ACCEPTED,
    (_S.UNKNOWN, _O.CLOSED): _S.CLOSED,
    (_S.UNKNOWN, _O.REJECTED): _S.REJECTED,
    (_S.UNKNOWN, _O.NEVER_SENT): _S.NEVER_SENT,
    (_S.UNKNOWN, _O.ABSENT): _S.ABSENT,
}
#: An order in one of these may still trade, so its contract takes no new order.
WORKING = frozenset({_S.PREPARED, _S.ACCEPTED, _S.UNKNOWN})
#: Evidence after which an order can trade no more.
ENDS = frozenset({_O.CLOSED, _O.REJECTED, _O.NEVER_SENT, _O.ABSENT})


def next_status(status: OrderStatus, outcome: Outcome, order_id: str) -> OrderStatus:
    """Return the status after `outcome`; an impossible pair raises BrokenInvariant."""
    following = TRANSITIONS.get((status, outcome))
    ensure(following is not None, f"order {order_id} is {status} and cannot be {outcome}")
    assert following is not None  # noqa: S101 - for the type checker; ensured above
    return following


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderIntent:
    """What one order is meant to do; written down before it is sent, and never changed."""

    client_order_id: str
    account: str
    contract: str
    #: number of the order on its account, from 1
    seq: int
    side: OrderSide
    position_side: PositionSide
    #: size without sign, in contracts
    contracts: Decimal
    #: size with sign, in base coins
    units: Decimal
    #: mark that sized the order, in quote currency
    mark: Decimal
    #: the collar: worst price the order may fill at, in quote currency
    limit_price: Decimal
    reduce_only: bool
    #: signed units that each fund still wanted; fills are shared in this proportion
    wanted: Mapping[str, Decimal]
    created_ms: int

    def units_in(self, contracts: Decimal) -> Decimal:
        """Return the signed base coins of so many of its contracts, exactly.

        By the contract size that sized it: a contract that is listed no more has none any more.
        """
        return self.units / self.contracts * contracts

    @property
    def notional(self) -> Decimal:
        """Size in quote currency at the mark."""
        return abs(self.units) * self.mark

    @property
    def log_fields(self) -> dict[str, object]:
        """What a log line says of the order."""
        return {
            "order": self.client_order_id,
            "account": self.account,
            "side": str(self.side),
            "contracts": self.contracts,
            "contract": self.contract,
            "limit_price": self.limit_price,
            "reduce_only": self.reduce_only,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One trade of one of our orders, as the venue reports it; `trade_id` makes it unique."""

    trade_id: str
    client_order_id: str
    price: Decimal
    #: size without sign, in contracts
    contracts: Decimal
    #: fee paid, in quote currency (negative = rebate)
    fee: Decimal
    at_ms: int


#: looks in a row that have to find an order nowhere, where its request may have been under way
LOOKS_MIN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """How an order was looked for in vain (safety.md section 8, I8)."""

    #: since its request had left at the latest, by a clock that nobody sets
    waited_ms: int
    #: for so long the venue may take the request, or not show the order yet; 0: for no time at all
    window_ms: int
    #: looks in a row that found it nowhere, once the window was over
    looks: int

    @property
    def proved(self) -> bool:
        """Whether the order cannot exist, nor come to exist."""
        enough = LOOKS_MIN if self.window_ms else 1
        return self.waited_ms >= self.window_ms and self.looks >= enough


@dataclass(slots=True)
class Order:
    """An intent and what is known of it so far."""

    intent: OrderIntent
    status: OrderStatus = OrderStatus.PREPARED
    filled_contracts: Decimal = ZERO
    #: contracts the venue says were filled in all, once it said that the order is closed
    closed_contracts: Decimal | None = None
    venue_order_id: str = ""

    @property
    def working(self) -> bool:
        """Whether the order may still trade, or fills we know of are still to come."""
        if self.status in WORKING:
            return True
        return self.closed_contracts is not None and self.filled_contracts < self.closed_contracts


_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
#: two digits of base 36 at a time, the lower one first
_PAIRS = tuple(low + high for high in _ALPHABET for low in _ALPHABET)


def client_order_id(desk_id: str, account: str, contract: str, seq: int) -> str:
    """Return the id under which a replay would send the same order again.

    26 characters of [a-z0-9] that start with "r": the widest form that every venue takes.
    """
    digest = hashlib.sha256(f"{desk_id}|{account}|{contract}|{seq}".encode()).digest()
    number = int.from_bytes(digest[:16], "big")
    pairs = []
    for _ in range(13):
        number, pair = divmod(number, len(_PAIRS))
        pairs.append(_PAIRS[pair])
    return "r" + "".join(pairs)[:25]


def is_ours(client_id: str) -> bool:
    """Whether a client id has the form of `client_order_id`, whichever desk it is of."""
    return re.fullmatch("r[0-9a-z]{25}", client_id) is not None
