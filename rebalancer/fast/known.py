"""What the fast path knows: every setting under which it is proved equal to the engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rebalancer.core.fund import Account, Fund, Limits
from rebalancer.core.state import Desk
from rebalancer.fast.column import NEAR_MARGIN
from rebalancer.feeds.candles import History
from rebalancer.venues.paper import PaperCosts

_PLAIN_COSTS = PaperCosts()
_NO_LIMITS = Limits()


def unknown(
    desk: Desk, costs: Mapping[str, PaperCosts], histories: Mapping[str, History]
) -> dict[str, str]:
    """Return the funds that the engine must replay, with the reason.

    Funds of one account trade together, so one of them takes the others along.
    """
    reasons = {}
    for name, fund in desk.funds.items():
        account = desk.accounts.get(fund.account)
        reason = next(_of_fund(fund), None)
        if reason is None and any(
            fund.price_source in histories[symbol].apart for symbol in fund.symbols
        ):
            reason = f"a history of its own for {fund.price_source}"
        if reason is None and account is not None:
            reason = next(_of_account(fund, account, costs.get(account.name, _PLAIN_COSTS)), None)
        if reason is not None:
            reasons[name] = reason
    shared = {desk.funds[name].account: name for name in reversed(reasons)}
    for name, fund in desk.funds.items():
        if fund.account and fund.account in shared and name not in reasons:
            reasons[name] = f"it shares the account {fund.account} with {shared[fund.account]}"
    return reasons


def _of_fund(fund: Fund) -> Iterator[str]:
    rules, execution = fund.methodology, fund.execution
    if len(fund.basket) > 1:
        yield "a basket of several contracts"
    if rules.reconstitution is not None:
        yield "rules.reconstitution"
    if rules.leverage_band is not None and rules.leverage_band.within_business_days:
        yield "rules.leverage_band.within_business_days"
    if fund.cash_account is not None:
        yield "cash_account"
    if fund.consolidation.auto and (fund.consolidation.below or fund.consolidation.above):
        yield "consolidation.auto"
    if fund.limits != _NO_LIMITS:
        yield "limits"
    if execution.max_child_units is not None or execution.max_child_notional is not None:
        yield "execution.max_child_*"
    emergency = rules.emergency
    if emergency and (emergency.max_child_units or emergency.max_child_notional):
        yield "rules.emergency.max_child_*"


def _of_account(fund: Fund, account: Account, costs: PaperCosts) -> Iterator[str]:
    band, emergency = fund.methodology.leverage_band, fund.methodology.emergency
    collars = [fund.execution.collar_bps]
    if emergency is not None and emergency.collar_bps is not None:
        collars.append(emergency.collar_bps)
    if costs.latency_ms:
        yield "an account with latency"
    if costs.impact_bps:
        yield "an account with slippage that grows with the order"
    if costs.fill_ratio != _PLAIN_COSTS.fill_ratio:
        yield "an account that fills orders in part"
    if account.hedge:
        yield "an account with a book for each side"
    if not account.waives_min_notional:
        yield "an account that asks for a minimum notional of orders that only reduce"
    if costs.slippage_bps >= min(collars):
        yield "slippage beyond the collar"
    most = max(abs(fund.target_leverage), band.upper if band else 0)
    if most * account.initial_margin >= NEAR_MARGIN:
        yield "a target near the account's margin"
