"""When a fund is looked at again: the prices its rules wait for, and its next alarm."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rebalancer.core.deciding import fixed_after_ms
from rebalancer.core.instant import DAY_MS, HOUR_MS
from rebalancer.core.market import Key
from rebalancer.core.methodology import COOLDOWN_MS
from rebalancer.core.money import ONE, ZERO
from rebalancer.core.nav import Valuation
from rebalancer.core.position import Holding
from rebalancer.core.records import TradingState
from rebalancer.core.rules.fixed import FIXED_LATE_MS
from rebalancer.core.run import RunStatus
from rebalancer.core.slicing import time_limit_ms
from rebalancer.core.state import DeskState, FundState
from rebalancer.core.triggers import NEVER_QUIET, Standing, quiet_ranges
from rebalancer.core.watch import Range


def arm(
    state: DeskState, fund: FundState, worth_of: Callable[[FundState], Valuation | None]
) -> None:
    """Set the ranges in which no rule of the fund can fire."""
    config = fund.fund
    shut = fund.trading is TradingState.WIPED or state.permission(fund).halted
    if shut and not fund.restless:
        state.watch.arm(fund.name, {})
        return
    worth = None
    if not fund.restless and fund.launched_ms is not None:
        worth = worth_of(fund)
    if worth is None or _waits_for_price(fund):
        keys = {(symbol, source) for symbol in config.symbols for source in config.sources}
        state.watch.arm(fund.name, dict.fromkeys(keys, NEVER_QUIET))
        return
    holding, owed = fund.holding, fund.accrued(state.now_ms)
    if owed:
        holding = Holding(holding.cash - owed, holding.units)
    standing = Standing(
        fund=config,
        holding=holding,
        point=fund.point,
        worth=worth,
        watch_winner=not fund.drift_told,
        duty=fund.duty is not None,
    )
    state.watch.arm(fund.name, _with_nav_thresholds(fund, worth, quiet_ranges(standing)))


def _with_nav_thresholds(
    fund: FundState, worth: Valuation, ranges: dict[Key, Range]
) -> dict[Key, Range]:
    """Narrow the marks' ranges to where the NAV stays on its side of the merge and split bounds."""
    terms, gross = fund.fund.consolidation, fund.holding.gross(worth.marks)
    bounds = [bound for bound in (terms.below, terms.above) if bound is not None]
    if not bounds or not gross or fund.proposal is not None or fund.announced is not None:
        return ranges
    slack = min(abs(worth.nav - bound) for bound in bounds) * fund.shares / gross
    if terms.proposal(worth.nav) is not None:
        slack = ZERO  # it waits for a price beyond doubt
    for symbol in fund.holding.units:
        key, mark = (symbol, fund.fund.mark_source), worth.marks[symbol]
        low, high = ranges.get(key, (None, None))
        least, most = mark * (ONE - slack), mark * (ONE + slack)
        ranges[key] = (
            least if low is None else max(low, least),
            most if high is None else min(high, most),
        )
    return ranges


def _waits_for_price(fund: FundState) -> bool:
    run = fund.run
    return fund.restless and run is not None and run.status is RunStatus.WORKING


def next_alarm_ms(fund: FundState, now_ms: int) -> int | None:
    """Return the next time at which something about the fund is due by the clock alone."""
    if fund.launched_ms is None:
        return None
    offset_ms = fund.fund.nav_boundary_ms
    times = [(now_ms - offset_ms) // DAY_MS * DAY_MS + offset_ms + DAY_MS]
    times += _money_times(fund, now_ms)
    rules, run = fund.fund.methodology, fund.run
    if run is not None and run.status is RunStatus.WORKING:
        times += [run.next_slice_ms, run.working_since_ms + time_limit_ms(fund) + 1]
    elif run is not None and fund.last_run_ms is not None:
        times.append(fund.last_run_ms + COOLDOWN_MS)
    after_ms = fixed_after_ms(fund)
    trades = fund.trading not in (TradingState.HALTED, TradingState.WIPED)
    if rules.fixed and after_ms is not None and trades:
        times.append(rules.fixed.next_due_ms(now_ms))
        oldest_ms = rules.fixed.next_due_ms(after_ms)
        if oldest_ms <= now_ms:
            times += [oldest_ms + FIXED_LATE_MS, oldest_ms + rules.fixed.catch_up_ms + 1]
    if fund.last_run_ms is not None:
        cooled = (rules.price_move, rules.leverage_cap, rules.leverage_band)
        times += [fund.last_run_ms + rule.cooldown_ms for rule in cooled if rule]
    if rules.emergency and fund.last_emergency_ms is not None:
        times.append(fund.last_emergency_ms + rules.emergency.cooldown_ms)
    times += _due_by_the_clock(fund, now_ms)
    return min((at_ms for at_ms in times if at_ms > now_ms), default=None)


def _money_times(fund: FundState, now_ms: int) -> list[int]:
    """Return the next times at which a fee is due or interest grows."""
    times = []
    if fund.fund.management_fee is not None:
        times.append(fund.fund.management_fee.next_due_ms(now_ms))
    if fund.fund.gap_alarm_bps is not None:
        times.append((now_ms // HOUR_MS + 1) * HOUR_MS)  # no price says when the NAVs part
    if fund.announced is not None:
        times.append(fund.announced.freeze_ms)
    if fund.cash_period is not None:
        times.append((now_ms // DAY_MS + 1) * DAY_MS)  # interest is by days
    return times


def _due_by_the_clock(fund: FundState, now_ms: int) -> Iterator[int]:
    """Yield when a duty, a period and a change of the basket are due."""
    rules = fund.fund.methodology
    if fund.duty is not None:
        yield fund.duty.due_ms
    if rules.elapsed and fund.point is not None:
        yield rules.elapsed.due_ms(fund.point.at_ms)
    change_ms = rules.reconstitution.next_due_ms(now_ms) if rules.reconstitution else None
    if change_ms is not None:
        yield change_ms
