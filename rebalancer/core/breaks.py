"""Breaks: every difference between the venue and the records, with its cause and its repair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from rebalancer.core.record import Record


class BreakKind(StrEnum):
    """What differs."""

    POSITION = "position"  # the venue holds something else than the funds do
    FOREIGN_TRADE = "foreign_trade"  # trades that no order of this desk explains
    FOREIGN_ORDER = "foreign_order"  # an order stands at the venue that this desk did not send
    LATE_FILL = "late_fill"  # a trade of an order whose end was told without it
    LIQUIDATION = "liquidation"  # the venue closed a position by itself
    BALANCE = "balance"  # the account has less than its funds own
    EVIDENCE = "evidence"  # what was told of an order cannot be true together


class BreakEnd(StrEnum):
    """How a break ended."""

    BOOKED = "booked"  # at once: the records follow what the venue did
    ADOPTED = "adopted"  # an operator had the records follow the venue
    EXPLAINED = "explained"  # an operator knows why, and nothing is to be booked
    VANISHED = "vanished"  # the venue and the records agree again


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueTrade:
    """One trade of an account as its venue lists it, whoever made it."""

    trade_id: str
    #: the venue's id of its order; empty where it names none
    order_id: str
    #: signed base coins
    units: Decimal
    price: Decimal
    #: in quote currency
    fee: Decimal
    #: by the venue's clock
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """One difference; `units` is what the venue has more than the records, signed base coins.

    Of a balance it is quote currency.
    """

    kind: BreakKind
    account: str
    contract: str
    units: Decimal
    cause: str
    #: the command that repairs it; empty where it ended at once
    repair: str = ""
    #: what an adoption books, each at its own price; empty where nobody lists it
    trades: tuple[VenueTrade, ...] = ()

    @property
    def subject(self) -> str:
        """What an alert of it is about: the account, and the contract where there is one."""
        return f"{self.account} {self.contract}".strip()


@dataclass(frozen=True, slots=True)
class BreakFound(Record):
    """A difference was found; breaks are numbered from 1."""

    number: int
    found: Break

    @property
    def key(self) -> str:
        """Each number exists once."""
        return f"break/{self.number}"


@dataclass(frozen=True, slots=True)
class BreakEnded(Record):
    """A difference is no more, or is explained."""

    number: int
    how: BreakEnd
    reason: str

    @property
    def key(self) -> str:
        """A break ends once."""
        return f"break/{self.number}/end"


@dataclass(frozen=True, slots=True)
class HistoryRead(Record):
    """Every trade of an account up to these instants is on record, in a break or was never ours.

    By contract and by the venue's clock. A start goes on reading here: what a restored backup does
    not know is listed after it.
    """

    account: str
    until_ms: Mapping[str, int]


RECORDS: tuple[type[Record], ...] = (BreakFound, BreakEnded, HistoryRead)
