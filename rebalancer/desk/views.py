"""Views: what readers see of the funds now. Derived from the state, never part of it."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from rebalancer.core.deciding import fixed_after_ms, idle
from rebalancer.core.delisting import gone
from rebalancer.core.fund import PriceSource
from rebalancer.core.nav import Valuation
from rebalancer.core.state import DeskState, FundState
from rebalancer.ports import NavView


def view_funds(state: DeskState, now_ms: int) -> tuple[NavView, ...]:
    """Return every fund as it stands at `now_ms`."""
    return tuple(view_fund(state, fund, now_ms) for fund in state.funds.values())


def view_prices(state: DeskState) -> dict[str, Decimal]:
    """Return the newest mark of every contract that has one."""
    return {
        symbol: price
        for symbol in state.holders
        if (price := state.market.price(symbol, PriceSource.MARK)) is not None
    }


def next_fixed(state: DeskState, now_ms: int) -> int | None:
    """Return the next fixed instant of any launched fund; None where none will come."""
    coming = (_next_fixed_ms(fund, now_ms) for fund in state.funds.values())
    return min((at_ms for at_ms in coming if at_ms is not None), default=None)


def _next_fixed_ms(fund: FundState, now_ms: int) -> int | None:
    rule, after_ms = fund.fund.methodology.fixed, None if idle(fund) else fixed_after_ms(fund)
    return rule.next_due_ms(max(after_ms, now_ms)) if rule and after_ms else None


def worth_of(state: DeskState, fund: FundState) -> Valuation | None:
    """Return what a fund is worth; None before its launch and without a price."""
    return state.worth(fund) if fund.launched_ms is not None else None


def view_fund(state: DeskState, fund: FundState, now_ms: int) -> NavView:
    """Return one fund as it stands at `now_ms`."""
    return view_at(state, fund, worth_of(state, fund), now_ms)


def view_at(state: DeskState, fund: FundState, worth: Valuation | None, now_ms: int) -> NavView:
    """Return one fund as it stands at `now_ms`, at what it is worth then."""
    price_at_ms, late = oldest_price(state, fund, now_ms)
    return NavView(
        fund=fund.name,
        at_ms=now_ms,
        nav=worth.nav if worth else None,
        formula_nav=worth.formula_nav if worth else None,
        leverage=worth.leverage if worth else None,
        target_leverage=fund.fund.target_leverage,
        equity=worth.equity if worth else None,
        shares=fund.shares,
        price_at_ms=price_at_ms,
        stale=late,
        trading=str(state.permission(fund).state),
        run=str(fund.run.plan.trigger) if fund.run else "",
        next_fixed_ms=_next_fixed_ms(fund, now_ms),
        premium=fund.premium(worth.nav, now_ms) if worth and not late else None,
        premium_stage=str(fund.premium_stage) if fund.fund.premium else "",
    )


def oldest_price(state: DeskState, fund: FundState, now_ms: int) -> tuple[int | None, bool]:
    """Return when the oldest price of a fund is from, and whether it is too old; None: one lacks.

    Nothing is valued for it: it is asked of every fund every few seconds. One that is cash alone
    is worth that now.
    """
    members = {**fund.basket, **fund.holding.units}.keys() - gone(state, fund)
    if not members:
        return now_ms, False
    at_ms, limit_ms = _oldest_price_ms(state, fund, members), fund.fund.max_age_ms
    return at_ms, at_ms is None or (limit_ms is not None and now_ms - at_ms > limit_ms)


def _oldest_price_ms(state: DeskState, fund: FundState, members: Iterable[str]) -> int | None:
    stamps = []
    for symbol in members:
        for source in fund.fund.sources:
            quote = state.market.quotes.get((symbol, source))
            if quote is None:
                return None
            stamps.append(quote.at_ms)
    return min(stamps)
