"""Whether the price behind a signal is good enough to act on: fresh, and confirmed."""

from __future__ import annotations

from decimal import Decimal

from rebalancer.core.fund import PriceSource
from rebalancer.core.market import Suspicion
from rebalancer.core.methodology import Trigger
from rebalancer.core.money import ONE, total
from rebalancer.core.nav import Valuation
from rebalancer.core.position import Prices
from rebalancer.core.rules.view import Signal
from rebalancer.core.state import FundState
from rebalancer.core.work import Work


def price_not_good(work: Work, fund: FundState, worth: Valuation, signal: Signal) -> str | None:
    """Say what the price behind `signal` lacks; None when it may be acted on."""
    if not fresh(work, fund, for_fixed=signal.trigger is Trigger.FIXED):
        fund.restless = True
        return f"{signal.trigger} waits for a fresh price"
    if signal.trigger is not Trigger.MANUAL and not _confirmed(work, fund, worth, signal):
        fund.restless = True
        return f"{signal.trigger} waits for a second opinion on the price"
    return None


def sources_of(fund: FundState) -> tuple[PriceSource, ...]:
    """Return the price sources that the fund depends on, its own first."""
    source = fund.fund.price_source
    return (source,) if source is PriceSource.MARK else (source, PriceSource.MARK)


def fresh(work: Work, fund: FundState, *, for_fixed: bool) -> bool:
    """Whether no price of the fund is older than it may be."""
    limit_ms = fund.fund.age_limit_ms(for_fixed=for_fixed)
    if limit_ms is None:
        return True
    for symbol in fund.fund.symbols:
        for source in sources_of(fund):
            age_ms = work.state.market.age_ms(symbol, source, work.now_ms)
            if age_ms is None or age_ms > limit_ms:
                return False
    return True


def _confirmed(work: Work, fund: FundState, worth: Valuation, signal: Signal) -> bool:
    """Whether a second source, or enough ticks, agree on the price behind `signal`."""
    market = work.state.market
    pairs = [(symbol, source) for symbol in fund.fund.symbols for source in sources_of(fund)]
    if all(market.second_source_agrees(symbol, source) for symbol, source in pairs):
        return True
    if signal.falling is None:
        return all(
            market.second_source_agrees(symbol, source) or market.steady(symbol, source)
            for symbol, source in pairs
        )
    # Only ticks of the source that fired it count; a second source just has to be steady.
    source = PriceSource.MARK if signal.by_mark else fund.fund.price_source
    stamps_ms = [market.quotes[symbol, source].at_ms for symbol in fund.fund.symbols]
    level = _level(fund, worth.marks if signal.by_mark else worth.prices)
    suspicion = fund.suspicions.get(signal.trigger)
    if suspicion is None:
        suspicion = Suspicion(level, max(stamps_ms), confirmed=signal.confirm_ticks <= 1)
        fund.suspicions[signal.trigger] = suspicion
    else:
        suspicion.count_tick(
            level, stamps_ms, falling=signal.falling, ticks_needed=signal.confirm_ticks
        )
    return suspicion.confirmed and all(
        market.second_source_agrees(*pair) or market.steady(*pair)
        for pair in pairs
        if pair[1] is not source
    )


def _level(fund: FundState, prices: Prices) -> Decimal:
    # Relative to the point: the size of a price in which "within 1 %" means the same for all.
    point = fund.point
    return total(
        weight * prices[symbol] / (point.prices[symbol] if point else ONE)
        for symbol, weight in fund.fund.basket.items()
    )
