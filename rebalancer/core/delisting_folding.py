"""How records about contracts that are listed no more, or again, change the state of the desk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rebalancer.core.delisting import ContractDelisted, MemberListed, frozen_at
from rebalancer.core.record import Record
from rebalancer.errors import ensure

if TYPE_CHECKING:
    from rebalancer.core.state import DeskState


def _delisted(state: DeskState, record: ContractDelisted) -> None:
    state.delisted |= {record.contract}


def _listed(state: DeskState, record: MemberListed) -> None:
    """Put the live prices in the place of the frozen ones; nothing has moved by that."""
    fund, symbol = state.named(record.fund), record.contract
    ensure(symbol in state.delisted, f"{symbol} was listed all the time")
    _, frozen = frozen_at(fund, symbol)
    ensure(frozen is not None, f"{fund.name} has no frozen price of {symbol}")
    assert frozen is not None  # noqa: S101 - for the type checker; ensured above
    price, mark = {symbol: record.price}, {symbol: record.mark}
    if fund.cash_period is not None:
        fund.cash_period = fund.cash_period.in_prices_of({symbol: record.price / frozen})
    if fund.point is not None:
        fund.point = replace(fund.point, prices=_with(fund.point.prices, price))
    if fund.run is not None:
        plan = fund.run.plan
        base = _with(plan.base_prices, price)
        fund.run.plan = replace(plan, base_prices=base, marks=_with(plan.marks, mark))
    fund.gap.marks = _with(fund.gap.marks, mark)
    # Nothing is held of it: what the last run left of it under a lot is settled, too.
    fund.gap.leftover = {each: left for each, left in fund.gap.leftover.items() if each != symbol}


def _with(prices: Mapping[str, Decimal], other: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Return the prices, those that are in both by the others."""
    return {symbol: other.get(symbol, price) for symbol, price in prices.items()}


HANDLERS: Mapping[type[Record], Callable[[DeskState, Any], None]] = {
    ContractDelisted: _delisted,
    MemberListed: _listed,
}
