"""The ledger: which record moves what between which books. Every entry sums to zero.

Books: `fund/NAME` (what the fund owns), `holders/NAME` (what was paid in), `venue/ACCOUNT` (the
venue's side of every trade, fee and funding), `index/NAME` (the same of an index-only fund, on
paper), `manager/NAME` (what running the fund earned), `lender/NAME` (who finances its cash
account) and `desk` (the platform's own loss account). Assets:
`cash` in the account's quote currency, and units of each contract by its symbol.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rebalancer.core.capital import FinancingPosted, FlowDealt, ManagementFeeCharged
from rebalancer.core.money import ZERO, total
from rebalancer.core.records import (
    Crossed,
    FundingPosted,
    FundLaunched,
    PositionsAdopted,
    Record,
    ShortfallCovered,
    Traded,
)
from rebalancer.errors import ensure

CASH = "cash"
DESK = "desk"


@dataclass(frozen=True, slots=True)
class Posting:
    """`amount` of `asset` arrives in `book` (negative: leaves it)."""

    book: str
    asset: str
    amount: Decimal


def fund_book(name: str) -> str:
    """Return the book of what fund `name` owns."""
    return f"fund/{name}"


def venue_book(account: str) -> str:
    """Return the book of the venue's side of `account`."""
    return f"venue/{account}"


def postings(record: Record) -> tuple[Posting, ...]:
    """Return the balanced entry of `record`; empty for records that move nothing."""
    write = _WRITERS.get(type(record))
    if write is None:
        return ()
    entry = tuple(write(record))
    refuse_unbalanced(entry, record)
    return entry


def refuse_unbalanced(entry: tuple[Posting, ...], record: Record) -> None:
    """Raise BrokenInvariant when an entry does not sum to zero in every asset."""
    sums: dict[str, Decimal] = {}
    for posting in entry:
        sums[posting.asset] = sums.get(posting.asset, ZERO) + posting.amount
    for asset, rest in sums.items():
        ensure(rest == 0, f"the entry of {type(record).__name__} leaves {rest} {asset}", record)


def _launched(record: FundLaunched) -> Iterator[Posting]:
    yield Posting(fund_book(record.fund), CASH, record.cash)
    yield Posting(f"holders/{record.fund}", CASH, -record.cash)


def _adopted(record: PositionsAdopted) -> Iterator[Posting]:
    for symbol, units in record.units.items():
        yield from _deal(record.fund, _other_side(record), symbol, units, record.prices)


def _other_side(record: PositionsAdopted | ShortfallCovered) -> str:
    # What an index-only fund counts with is nobody's: it has a paper side of its own.
    return venue_book(record.account) if record.account else f"index/{record.fund}"


def _deal(fund: str, other: str, symbol: str, units: Decimal, prices: Any) -> Iterator[Posting]:
    yield Posting(fund_book(fund), symbol, units)
    yield Posting(other, symbol, -units)
    yield Posting(fund_book(fund), CASH, -units * prices[symbol])
    yield Posting(other, CASH, units * prices[symbol])


def _crossed(record: Crossed) -> Iterator[Posting]:
    for fund, units in record.units.items():
        yield Posting(fund_book(fund), record.contract, units)
        yield Posting(fund_book(fund), CASH, -units * record.price)


def _traded(record: Traded) -> Iterator[Posting]:
    venue, price = venue_book(record.account), record.fill.price
    ensure(
        total(record.allocations.values()) == record.units,
        "allocations do not sum to the trade",
        record,
    )
    ensure(total(record.fees.values()) == record.fill.fee, "fees do not sum to the trade's", record)
    for fund, units in record.allocations.items():
        yield from _deal(fund, venue, record.contract, units, {record.contract: price})
    for fund, fee in record.fees.items():
        yield Posting(fund_book(fund), CASH, -fee)
        yield Posting(venue, CASH, fee)


def _funding(record: FundingPosted) -> Iterator[Posting]:
    for fund, paid in record.paid.items():
        yield Posting(fund_book(fund), CASH, -paid)
        yield Posting(venue_book(record.account), CASH, paid)


def _covered(record: ShortfallCovered) -> Iterator[Posting]:
    yield Posting(fund_book(record.fund), CASH, record.amount)
    yield Posting(DESK if record.account else _other_side(record), CASH, -record.amount)


def _fee_charged(record: ManagementFeeCharged) -> Iterator[Posting]:
    yield Posting(fund_book(record.fund), CASH, -record.amount)
    yield Posting(f"manager/{record.fund}", CASH, record.amount)


def _flow_dealt(record: FlowDealt) -> Iterator[Posting]:
    yield Posting(fund_book(record.fund), CASH, record.cash)
    yield Posting(f"manager/{record.fund}", CASH, record.fee)
    yield Posting(f"holders/{record.fund}", CASH, -(record.cash + record.fee))


def _financing(record: FinancingPosted) -> Iterator[Posting]:
    yield Posting(fund_book(record.fund), CASH, -(record.financing + record.coupon))
    yield Posting(f"lender/{record.fund}", CASH, record.financing)
    yield Posting(f"holders/{record.fund}", CASH, record.coupon)


_WRITERS: dict[type[Record], Callable[[Any], Iterator[Posting]]] = {
    FundLaunched: _launched,
    PositionsAdopted: _adopted,
    Crossed: _crossed,
    Traded: _traded,
    FundingPosted: _funding,
    ShortfallCovered: _covered,
    ManagementFeeCharged: _fee_charged,
    FlowDealt: _flow_dealt,
    FinancingPosted: _financing,
}
