"""What a fund owes of funding that is to be settled: followed from what its venue expects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial

from rebalancer.core.events import FundingExpected, FundingPaid
from rebalancer.core.funding import (
    NEAR_MS,
    POSTED_WITHIN_MS,
    FundingInterval,
    Intervals,
    accrued,
    after_settlement,
    with_news,
)
from rebalancer.core.money import total
from rebalancer.core.position import Prices
from rebalancer.core.state import AccountState, DeskState, FundState
from rebalancer.core.work import Work


@dataclass(frozen=True, slots=True)
class FundingAccrued:
    """What a fund owes of settlements to come, in quote currency; below zero: is owed."""

    #: by contract
    amounts: Mapping[str, Decimal] = field(default_factory=dict)
    #: by contract, what the venue expects: what the amounts come from
    expected: Mapping[str, Intervals] = field(default_factory=dict)
    #: contracts held of which the venue is asked and not all that accrued is known
    unknown: tuple[str, ...] = ()

    @property
    def amount(self) -> Decimal:
        """All of it."""
        return total(self.amounts.values())


def on_funding_expected(work: Work, event: FundingExpected) -> None:
    """Take what the next settlement is expected to cost; nothing follows from it by itself."""
    account = work.state.accounts[event.account]
    known = account.funding.setdefault(event.contract, ())
    if event.rate is None or event.due_ms <= event.from_ms:
        return  # what was told before counts until it is too old
    booked_ms = account.funded_ms.get(event.contract)
    if booked_ms is None or event.due_ms > booked_ms + NEAR_MS:
        news = FundingInterval(event.rate, event.from_ms, event.due_ms, event.at_ms)
        account.funding[event.contract] = with_news(known, news)


def end_accrual(state: DeskState, event: FundingPaid) -> None:
    """Let nothing accrue any more of what was settled."""
    account = state.accounts.get(event.account)
    if account is None:
        return
    known = account.funding.get(event.contract)
    if known:
        settled_ms = event.at_ms if event.settled_ms is None else event.settled_ms
        account.funding[event.contract] = after_settlement(known, settled_ms)


def funding_accrued(
    state: DeskState, fund: FundState, marks: Prices, now_ms: int
) -> FundingAccrued:
    """Return what a fund owes already of the funding to come: see `core/funding.py`."""
    account = state.accounts.get(fund.fund.account)
    if account is None or not account.funding:
        return FundingAccrued()
    amounts, expected, unknown = {}, {}, []
    for symbol in {**fund.basket, **fund.holding.lately()}:
        known = account.funding.get(symbol)
        if known is None or symbol not in marks:
            continue
        counting = tuple(each for each in known if each.counts(now_ms))
        held_at = partial(fund.holding.held_at, symbol)
        unheard = not counting and fund.holding.units.get(symbol)
        unpaid_ms = _unpaid_ms(account, symbol, now_ms)
        if unheard or (unpaid_ms is not None and held_at(unpaid_ms)):
            unknown.append(symbol)
        if amount := accrued(counting, held_at, marks[symbol], now_ms):
            amounts[symbol], expected[symbol] = amount, counting
    return FundingAccrued(amounts, expected, tuple(unknown))


def _unpaid_ms(account: AccountState, symbol: str, now_ms: int) -> int | None:
    """Return a settlement that may still be paid, and whose rate was not told since the start."""
    known, booked_ms = account.funding[symbol], account.funded_ms.get(symbol)
    if not known or booked_ms is None:
        return None  # on paper none is stamped: what falls due while no desk runs is not charged
    settled_ms = known[0].from_ms
    waits = booked_ms + NEAR_MS < settled_ms and now_ms - settled_ms <= POSTED_WITHIN_MS
    return settled_ms if waits else None
