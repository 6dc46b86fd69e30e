"""May a flow be dealt: one whose trades would break a limit of its fund is refused.

A breach while its run works halts the fund, with the capital moved and the units not: what holders
ask for must not be able to do that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal

from rebalancer.core.delisting import listed_basket
from rebalancer.core.flow import Deal
from rebalancer.core.fund import NavKind
from rebalancer.core.instant import MINUTE_MS
from rebalancer.core.limits import Part, Refused, check_run, check_sizes
from rebalancer.core.methodology import Trigger
from rebalancer.core.money import ONE, ZERO, total
from rebalancer.core.nav import Valuation
from rebalancer.core.opening import runs_today
from rebalancer.core.planner import target_units
from rebalancer.core.slicing import child_limit_units
from rebalancer.core.state import FundState
from rebalancer.core.work import Work


@dataclass(frozen=True, slots=True)
class Dealing:
    """What flows are dealt from, all at one NAV."""

    #: the fund before any of them
    worth: Valuation
    shares: Decimal
    #: signed leverage that the run goes to which they join; None where it keeps the fund's
    aim: Decimal | None = None


def check_deal(work: Work, fund: FundState, dealing: Dealing, deal: Deal) -> Refused | None:
    """Check the run of a deal, of those dealt before it, and of the rebalance that they join."""
    if fund.fund.index_only:
        return None
    worth = dealing.worth
    parts = _parts(work, fund, dealing, deal)
    notional = total(part.notional for part in parts.values())
    runs = 0 if dealing.aim is None else runs_today(work, fund)  # flows alone are none of a day's
    refused = check_run(fund.fund, runs, notional)
    if refused is not None:
        return refused
    orders, largest, a_minute = 0, ZERO, ZERO
    for symbol, part in parts.items():
        child, count = _child_of(work, fund, symbol, part)
        orders += count
        largest = max(largest, child * part.mark)
        pace = MINUTE_MS // max(1, fund.fund.execution.interval_ms) + 1
        a_minute += min(count, pace) * child * part.mark
    most = fund.fund.limits.max_orders_per_run
    if orders > most:
        return Refused(f"max_orders_per_run: {orders} orders would be more than {most}")
    spent = fund.spent(work.now_ms)
    return check_sizes(
        fund.fund.limits,
        {
            "max_order_notional": largest,
            "max_day_notional": spent.day + notional,
            "max_minute_notional": spent.minute + min(a_minute, notional),
        },
    ) or _check_leverage(fund, worth, parts)


def _parts(work: Work, fund: FundState, dealing: Dealing, deal: Deal) -> dict[str, Part]:
    """Return what is to be traded of each contract."""
    held, aim, worth = fund.holding.units, dealing.aim, dealing.worth
    wanted = dict[str, Decimal]()
    if aim is None and held and dealing.shares:
        grown = (fund.shares + deal.shares) / dealing.shares - ONE
        wanted = {symbol: units * grown for symbol, units in held.items()}
    elif not fund.winding:
        size = fund.holding.equity(worth.marks) + deal.cash
        if fund.fund.size_from is NavKind.FORMULA:
            size = worth.formula_nav * (fund.shares + deal.shares)
        leverage = fund.fund.target_leverage if aim is None else aim
        basket = listed_basket(work.state, fund, work.now_ms)
        wanted = {symbol: -units for symbol, units in held.items()}
        for symbol, units in target_units(leverage, size, basket, worth.marks).items():
            wanted[symbol] = wanted.get(symbol, ZERO) + units
    return {
        symbol: Part(units=units, mark=worth.marks[symbol], held=held.get(symbol, ZERO))
        for symbol, units in wanted.items()
        if units
    }


def _child_of(work: Work, fund: FundState, symbol: str, part: Part) -> tuple[Decimal, int]:
    """Return the base coins of the largest order of a part, and how many orders it takes."""
    size, contract = abs(part.units), work.state.desk.contracts[symbol]
    bound = child_limit_units(fund.fund, Trigger.FLOW, part)
    if bound is None or bound >= size:
        return size, 1
    child = contract.units_in(contract.contracts_in(bound)) or bound
    return child, int((size / child).to_integral_value(rounding=ROUND_UP))


def _check_leverage(fund: FundState, worth: Valuation, parts: Mapping[str, Part]) -> Refused | None:
    """Check that a fund which already is over its largest leverage buys nothing at it."""
    limit = fund.fund.limits.max_leverage
    grows = any(not part.reduces for part in parts.values())
    if limit is None or not grows or abs(worth.exposure) <= limit * worth.equity:
        return None
    return Refused(
        f"max_leverage: leverage is {abs(worth.exposure) / worth.equity:.4f}, more than {limit:f}"
    )
