"""The first moment of a fund: its seed capital and its first exposure."""

from __future__ import annotations

from rebalancer.core.charging import begin_cash_period, rate_missing
from rebalancer.core.methodology import Trigger
from rebalancer.core.money import round_to_places, trunc_to_paper
from rebalancer.core.opening import NOTHING_DUE, open_run, say_none
from rebalancer.core.planner import target_units
from rebalancer.core.records import FundLaunched, PointSet, PositionsAdopted, TradingState
from rebalancer.core.rules.view import Signal
from rebalancer.core.state import FundState
from rebalancer.core.trust import fresh
from rebalancer.core.work import Work


def launch(work: Work, fund: FundState) -> None:
    """Give the fund its seed capital and first exposure once its prices are beyond doubt."""
    config, market = fund.fund, work.state.market
    permission = work.state.permission(fund)
    if permission.state is not TradingState.ACTIVE:
        say_none(work, fund, permission.text)
        return
    basket = config.basket_at(work.now_ms)
    pairs = [(symbol, source) for symbol in basket for source in config.sources]
    known = all(market.price(symbol, source) is not None for symbol, source in pairs)
    settled = known and all(market.confirmed(symbol, source) for symbol, source in pairs)
    if not settled or not fresh(work, fund, for_fixed=False):
        fund.restless = True
        say_none(work, fund, "launch waits for a fresh price and a second opinion on it")
        return
    missing = rate_missing(work, fund)
    if missing is not None:
        fund.restless = True
        say_none(work, fund, missing)
        return
    cash = config.initial_nav * config.initial_shares
    work.record(FundLaunched(work.now_ms, fund.name, config.account, config.initial_shares, cash))
    worth = work.worth(fund)
    if worth is None:
        return
    if not work.state.desk.free_launch:
        reason = "the fund starts: first exposure"
        first = Signal(trigger=Trigger.LAUNCH, reason=reason)
        open_run(work, fund, worth, first)
        return
    units = target_units(config.target_leverage, cash, basket, worth.marks)
    hedge = not config.index_only and work.state.accounts[config.account].account.hedge
    fit = trunc_to_paper if config.index_only else round_to_places
    units = {symbol: fit(each) for symbol, each in units.items()}
    work.record(
        PositionsAdopted(work.now_ms, fund.name, config.account, units, worth.marks, hedge=hedge)
    )
    work.record(
        PointSet(
            at_ms=work.now_ms,
            fund=fund.name,
            nav=config.initial_nav,
            prices={symbol: worth.prices[symbol] for symbol in basket},
            leverage=config.target_leverage,
            weights=basket,
            opened_ms=work.now_ms,
            source=config.price_source,
        )
    )
    begin_cash_period(work, fund)
    say_none(work, fund, NOTHING_DUE)
