"""Members of a basket that their venue lists no more: once nothing of one is held, it is cash.

Such a member counts as frozen at the price of the last rebalancing point: what became of it since
is in the cash that its settlement left, and the formula NAV sees no return of it. Its weight is
held as cash, nothing waits for its price, and everything else of its fund goes on. While a fund
holds some of it, or has an order on it of which nobody knows the end, the fund has no NAV.

One that is listed again stays so until an operator resumes its contract: the formula NAV goes on
from the frozen price as if it were the live one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from rebalancer.core.money import text, total
from rebalancer.core.record import Record

if TYPE_CHECKING:
    from rebalancer.core.order import Order
    from rebalancer.core.state import DeskState, FundState

_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ContractDelisted(Record):
    """Its venue lists a contract no more: it counts so until the contract may be traded again."""

    contract: str


@dataclass(frozen=True, slots=True)
class MemberListed(Record):
    """A member that was frozen goes on from here, as if its frozen price were the live one."""

    fund: str
    contract: str
    #: what the fund's own source and the mark say now
    price: Decimal
    mark: Decimal


RECORDS: tuple[type[Record], ...] = (ContractDelisted, MemberListed)


def anything_delisted(state: DeskState) -> bool:
    """Whether any contract of the desk is or was listed no more and is not traded again yet."""
    return bool(state.desk.unlisted or state.delisted)


def gone(state: DeskState, fund: FundState) -> frozenset[str]:
    """Return the contracts that are listed no more and of which the fund has nothing any more."""
    if not anything_delisted(state):
        return _NONE
    open_ones = {each.intent.contract for each in _orders(state, fund)}
    return (state.desk.unlisted | state.delisted) - open_ones - fund.holding.units.keys()


def followed(state: DeskState, fund: FundState, at_ms: int) -> tuple[str, ...]:
    """Return every contract whose price a decision depends on; none: the fund is cash for good."""
    members, absent = fund.members(at_ms), gone(state, fund)
    return tuple(each for each in members if each not in absent) if absent else members


def listed_basket(state: DeskState, fund: FundState, at_ms: int) -> Mapping[str, Decimal]:
    """Return the weights that a run opened at an instant can hold; what lacks of 1 stays cash."""
    basket, absent = fund.fund.basket_at(at_ms), gone(state, fund)
    return {each: basket[each] for each in basket if each not in absent} if absent else basket


def listed_share(basket: Mapping[str, Decimal], absent: Collection[str]) -> Decimal:
    """Return the sum of the weights of the members that are not gone."""
    return total(weight for symbol, weight in basket.items() if symbol not in absent)


def frozen_at(fund: FundState, symbol: str) -> tuple[Decimal | None, Decimal | None]:
    """Return the mark and the price that a member which is gone counts with; None: it has none.

    Those of the last rebalancing point; before the first, those that sized the run towards it.
    """
    if fund.point is not None and symbol in fund.point.prices:
        price = fund.point.prices[symbol]
        return fund.gap.marks.get(symbol, price), price
    if fund.run is not None:
        return fund.run.plan.marks.get(symbol), fund.run.plan.base_prices.get(symbol)
    return None, None


def what_frees(state: DeskState, fund: FundState) -> str:
    """Say what an operator has to do about what the fund has of delisted contracts, or ""."""
    parts = [
        f"order {each.intent.client_order_id} on {each.intent.contract}, which is listed no more, "
        "is to be ended by `rebalancer settle`"
        for each in _orders(state, fund)
        if each.intent.contract in state.desk.unlisted
    ]
    parts += [
        f"{symbol} is listed no more and the fund holds {text(units)} of it: once the venue "
        "settled that, `rebalancer adopt N --price PRICE --reason WHY` (N by `rebalancer breaks`)"
        for symbol, units in fund.holding.units.items()
        if symbol in state.desk.unlisted
    ]
    return "; ".join(parts)


def _orders(state: DeskState, fund: FundState) -> list[Order]:
    return [each for each in state.orders.values() if fund.name in each.intent.wanted]
