"""Whether the price behind a signal is good enough to act on: fresh, and confirmed."""

from __future__ import annotations

from decimal import Decimal

from rebalancer.core.delisting import followed
from rebalancer.core.fund import PriceSource
from rebalancer.core.market import Market, Suspicion
from rebalancer.core.methodology import Trigger
from rebalancer.core.money import ONE, total
from rebalancer.core.nav import Valuation
from rebalancer.core.position import Prices
from rebalancer.core.rules.view import Signal
from rebalancer.core.state import FundState
from rebalancer.core.work import Work

#: ticks that confirm a price where the signal itself asks for no number
USUAL_TICKS = 2


def price_not_good(work: Work, fund: FundState, worth: Valuation, signal: Signal) -> str | None:
    """Say what the price behind `signal` lacks; None when it may be acted on."""
    if not fresh(work, fund, for_fixed=signal.by_clock):
        fund.restless = True
        return f"{signal.trigger} waits for a fresh price"
    if signal.falling is not None and fund.fund.sees_closes_only and not _closes_now(work, fund):
        fund.restless = True
        return f"{signal.trigger} waits for the next close"
    if signal.trigger is not Trigger.MANUAL and not _confirmed(work, fund, worth, signal):
        fund.restless = True
        return f"{signal.trigger} waits for a second opinion on the price"
    return None


def settled(work: Work, fund: FundState) -> bool:
    """Whether every price of the fund is fresh and beyond doubt, whatever rule asks."""
    return fresh(work, fund, for_fixed=False) and all(
        work.state.market.confirmed(symbol, source)
        for symbol in followed(work.state, fund, work.now_ms)
        for source in fund.fund.sources
    )


def fresh(work: Work, fund: FundState, *, for_fixed: bool) -> bool:
    """Whether no price of the fund is older than it may be."""
    limit_ms = fund.fund.age_limit_ms(for_fixed=for_fixed)
    if limit_ms is None:
        return True
    return all(
        work.state.market.fresh(symbol, source, work.now_ms, limit_ms)
        for symbol in followed(work.state, fund, work.now_ms)
        for source in fund.fund.sources
    )


def good_price(
    market: Market, fund: FundState, symbol: str, source: PriceSource, now_ms: int
) -> Decimal | None:
    """Return a price that is fresh and confirmed; None where there is none such."""
    fresh_ = market.fresh(symbol, source, now_ms, fund.fund.age_limit_ms(for_fixed=False))
    return market.price(symbol, source) if fresh_ and market.confirmed(symbol, source) else None


def _closes_now(work: Work, fund: FundState) -> bool:
    """Whether a price of the fund became known at this very instant."""
    ages = (
        work.state.market.age_ms(symbol, source, work.now_ms)
        for symbol in followed(work.state, fund, work.now_ms)
        for source in fund.fund.sources
    )
    return 0 in ages


def _confirmed(work: Work, fund: FundState, worth: Valuation, signal: Signal) -> bool:
    """Whether a second source, or enough ticks, agree on the price behind `signal`."""
    market, members = work.state.market, followed(work.state, fund, work.now_ms)
    ticks = signal.confirm_ticks or USUAL_TICKS
    pairs = [(symbol, source) for symbol in members for source in fund.fund.sources]
    if all(market.second_source_agrees(symbol, source) for symbol, source in pairs):
        return True
    if signal.falling is None:
        return all(market.confirmed(symbol, source, ticks) for symbol, source in pairs)
    # Only ticks of the source that fired it count; a second source just has to be steady.
    source = fund.fund.mark_source if signal.by_mark else fund.fund.price_source
    stamps_ms = [market.quotes[symbol, source].at_ms for symbol in members]
    level = _level(fund, worth.marks if signal.by_mark else worth.prices)
    suspicion = fund.suspicions.get(signal.trigger)
    if suspicion is None:
        suspicion = Suspicion(level, max(stamps_ms), confirmed=ticks <= 1)
        fund.suspicions[signal.trigger] = suspicion
    else:
        suspicion.count_tick(level, stamps_ms, falling=signal.falling, ticks_needed=ticks)
    return suspicion.confirmed and all(
        market.confirmed(*pair) for pair in pairs if pair[1] is not source
    )


def _level(fund: FundState, prices: Prices) -> Decimal:
    # Relative to the point: the size of a price in which "within 1 %" means the same for all.
    point = fund.point
    return total(
        weight * prices[symbol] / (point.prices[symbol] if point else ONE)
        for symbol, weight in fund.basket.items()
    )
