"""A clock that was set back: what began later than now counts as begun now.

A clock that runs ahead for a minute and is set right leaves instants in the future behind: ends of
runs that cool-downs count from, pauses between slices, prices that are newer than any to come. Left
alone, the desk would wait until the clock has come to them again, for hours and with its funds
unguarded. What is settled stays settled: no fixed instant, strike or fee comes twice.
"""

from __future__ import annotations

from rebalancer.core.instant import MINUTE_MS
from rebalancer.core.state import DeskState, FundState

#: a clock that went back by less makes nothing wait for long
SET_BACK_MS = MINUTE_MS


def set_back(state: DeskState, at_ms: int) -> None:
    """Take what began after `at_ms` for begun then. Part of the fold: the same at recovery."""
    state.started_ms = min(state.started_ms, at_ms)
    for fund in state.funds.values():
        _set_back(fund, at_ms)
    for account in state.accounts.values():
        for contract, traded_ms in account.traded_ms.items():
            account.traded_ms[contract] = min(traded_ms, at_ms)


def _set_back(fund: FundState, at_ms: int) -> None:
    fund.holding.set_back(at_ms)
    if fund.last_run_ms is not None:
        fund.last_run_ms = min(fund.last_run_ms, at_ms)
    if fund.last_emergency_ms is not None:
        fund.last_emergency_ms = min(fund.last_emergency_ms, at_ms)
    if fund.duty is not None and fund.duty.since_ms > at_ms:
        fund.duty = None  # whether the band is left now, the next price says
    if fund.run is not None:
        fund.run.next_slice_ms = min(fund.run.next_slice_ms, at_ms)
        fund.run.working_since_ms = min(fund.run.working_since_ms, at_ms)


def forget_after(state: DeskState, at_ms: int) -> None:
    """Forget what is volatile and from later than `at_ms`: prices, quotes, rates, waiting ticks."""
    state.market.forget_after(at_ms)
    for account in state.accounts.values():
        for contract, told in account.funding.items():
            account.funding[contract] = tuple(each for each in told if each.told_ms <= at_ms)
    for fund in state.funds.values():
        fund.suspicions.clear()
        if fund.quote is not None and fund.quote.at_ms > at_ms:
            fund.quote = None
        if fund.quotes_since_ms is not None:
            fund.quotes_since_ms = min(fund.quotes_since_ms, at_ms)
