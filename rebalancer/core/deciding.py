"""When: evaluates one fund, records its verdict, and opens or ends its runs."""

from __future__ import annotations

from decimal import Decimal

from rebalancer.core import rules
from rebalancer.core.actions import Severity
from rebalancer.core.fund import NavKind, PriceSource
from rebalancer.core.instant import DAY_MS, iso
from rebalancer.core.limits import check_run
from rebalancer.core.market import Suspicion
from rebalancer.core.methodology import COOLDOWN_MS, COOLED, Trigger
from rebalancer.core.money import ONE, ZERO, round_to_places, total
from rebalancer.core.nav import Valuation
from rebalancer.core.planner import target_units
from rebalancer.core.position import Prices
from rebalancer.core.records import (
    FixedSettled,
    FundLaunched,
    FundWiped,
    NavStruck,
    PointSet,
    PositionsAdopted,
    RunOpened,
    Settlement,
    TradingChanged,
    TradingState,
    VerdictChanged,
)
from rebalancer.core.rules.fixed import missed_instants
from rebalancer.core.rules.price_move import winner_drifts
from rebalancer.core.rules.view import FundView, Signal
from rebalancer.core.run import Run, RunPlan, RunStatus
from rebalancer.core.state import FundState
from rebalancer.core.work import Work

NOTHING_DUE = "nothing is due"


def decide(work: Work, fund: FundState) -> None:
    """Evaluate `fund` now. Opens a run, resumes one, or records why there is none."""
    work.touch(fund)
    fund.restless = False
    if fund.launched_ms is None:
        _launch(work, fund)
        return
    if fund.run is not None and fund.run.status is RunStatus.WORKING:
        work.plan_books_of(fund)
    worth = work.worth(fund)
    if worth is None:
        fund.restless = True
        say_none(work, fund, "no price is known yet for every contract")
        return
    strike(work, fund, worth)
    if fund.trading is TradingState.HALTED:
        say_none(work, fund, f"halted: {fund.trading_reason}")
    elif fund.trading is TradingState.WIPED:
        if not resume(work, fund):
            say_none(work, fund, "the gap rule ended this fund")
    else:
        settle_missed(work, fund)
        _follow_rules(work, fund, worth)


def _follow_rules(work: Work, fund: FundState, worth: Valuation) -> None:
    """Carry out the first signal that may act; else resume what is incomplete, or say why not."""
    view = view_of(work, fund, worth)
    _warn_of_drift(work, fund, view)
    fired = rules.signals(view)
    firing = {signal.trigger for signal in fired}
    fund.suspicions = {name: seen for name, seen in fund.suspicions.items() if name in firing}
    waiting = None
    for signal in fired:
        problem = _not_now(work, fund, worth, signal)
        if problem is None:
            if _act(work, fund, worth, signal, fired):
                return
        elif waiting is None:
            waiting = problem
    if not resume(work, fund):
        say_none(work, fund, waiting or NOTHING_DUE)


def _warn_of_drift(work: Work, fund: FundState, view: FundView) -> None:
    """Tell the operator once per rebalancing point that a winner lost its leverage."""
    text = None if fund.drift_told else winner_drifts(view)
    if text is not None:
        fund.drift_told = True
        work.alert(Severity.WARNING, "winner_drifts", fund.name, text)


def view_of(work: Work, fund: FundState, worth: Valuation) -> FundView:
    """Return what the rules may look at."""
    return FundView(
        fund=fund.fund,
        now_ms=work.now_ms,
        point=fund.point,
        worth=worth,
        last_run_ms=fund.last_run_ms,
        last_emergency_ms=fund.last_emergency_ms,
        fixed_after_ms=fixed_after_ms(fund),
        manual=fund.manual,
        forced=work.forced,
    )


def fixed_after_ms(fund: FundState) -> int | None:
    """Return the instant after which fixed times are still open: the last settled, or the start.

    Not the last point: a run that was under way at an instant and set a point after it did not
    serve the instant.
    """
    return fund.launched_ms if fund.fixed_settled_ms is None else fund.fixed_settled_ms


def say_none(work: Work, fund: FundState, reason: str) -> None:
    """Record the verdict "no trade", where it is a new one."""
    if fund.run is not None and fund.run.status is RunStatus.WORKING:
        return
    verdict = (Trigger.NONE, reason)
    if fund.verdict != verdict:
        work.record(VerdictChanged(work.now_ms, fund.name, *verdict))


def _not_now(work: Work, fund: FundState, worth: Valuation, signal: Signal) -> str | None:
    """Say what the signal waits for; None when it may act."""
    if fund.run is not None and not _takes_over(signal.trigger, fund.run):
        if fund.run.status is RunStatus.WORKING:
            return "a run is under way"
        if signal.trigger in COOLED:
            return "an incomplete run is resumed first"
    if work.forced is not None:
        return None
    return _price_not_good(work, fund, worth, signal) or _cooling(work, signal)


def _takes_over(trigger: Trigger, run: Run) -> bool:
    # A slow run may still be buying while the price falls: the backstop must not wait for it.
    if trigger is Trigger.EMERGENCY:
        return run.plan.trigger not in (Trigger.EMERGENCY, Trigger.GAP)
    return trigger is Trigger.GAP


def _price_not_good(work: Work, fund: FundState, worth: Valuation, signal: Signal) -> str | None:
    if not _fresh(work, fund, for_fixed=signal.trigger is Trigger.FIXED):
        fund.restless = True
        return f"{signal.trigger} waits for a fresh price"
    if signal.trigger is not Trigger.MANUAL and not _confirmed(work, fund, worth, signal):
        fund.restless = True
        return f"{signal.trigger} waits for a second opinion on the price"
    return None


def _cooling(work: Work, signal: Signal) -> str | None:
    if work.now_ms < signal.not_before_ms:
        return f"{signal.trigger} cools down until {iso(signal.not_before_ms)}"
    return None


def _sources(fund: FundState) -> tuple[PriceSource, ...]:
    source = fund.fund.price_source
    return (source,) if source is PriceSource.MARK else (source, PriceSource.MARK)


def _fresh(work: Work, fund: FundState, *, for_fixed: bool) -> bool:
    limit_ms = fund.fund.age_limit_ms(for_fixed=for_fixed)
    if limit_ms is None:
        return True
    for symbol in fund.fund.symbols:
        for source in _sources(fund):
            age_ms = work.state.market.age_ms(symbol, source, work.now_ms)
            if age_ms is None or age_ms > limit_ms:
                return False
    return True


def _confirmed(work: Work, fund: FundState, worth: Valuation, signal: Signal) -> bool:
    """Whether a second source, or enough ticks, agree on the price behind `signal`."""
    market = work.state.market
    pairs = [(symbol, source) for symbol in fund.fund.symbols for source in _sources(fund)]
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


def _act(
    work: Work, fund: FundState, worth: Valuation, signal: Signal, fired: tuple[Signal, ...]
) -> bool:
    """Carry out `signal`; return False when it asked for nothing but to be settled."""
    if signal.trigger is Trigger.GAP:
        _wipe(work, fund, worth, signal)
        return True
    if signal.skip is not None:
        for due_ms in signal.due_ms:
            work.record(
                FixedSettled(work.now_ms, fund.name, due_ms, Settlement.SKIPPED, signal.skip)
            )
        return False
    instants_ms = next((each.due_ms for each in fired if each.due_ms), ())
    open_run(work, fund, worth, signal, instants_ms)
    return True


def open_run(
    work: Work, fund: FundState, worth: Valuation, signal: Signal, due_ms: tuple[int, ...] = ()
) -> None:
    """Freeze a target and open a run to it; a breached limit halts the fund instead."""
    wiped = signal.trigger is Trigger.GAP
    aim = ZERO if wiped else fund.fund.target_leverage
    size = worth.equity
    if fund.fund.size_from is NavKind.FORMULA:
        size = worth.formula_nav * fund.shares
    targets = dict.fromkeys(fund.holding.units, ZERO)
    if not wiped:
        targets |= target_units(aim, size, fund.fund.basket, worth.marks)
    deltas = {
        symbol: units - fund.holding.units.get(symbol, ZERO) - working_units(work, fund, symbol)
        for symbol, units in targets.items()
    }
    notional = total(abs(units) * worth.marks[symbol] for symbol, units in deltas.items())
    refused = None if wiped else check_run(fund.fund, runs_today(work, fund), notional)
    if refused is not None:
        halt(work, fund, refused.reason)
        return
    if fund.run is not None:
        work.move_run(fund, RunStatus.SUPERSEDED, f"{signal.trigger}: {signal.reason}")
    run_id = f"{fund.name}-{fund.run_seq + 1:06d}"
    for instant_ms in due_ms:
        work.record(
            FixedSettled(work.now_ms, fund.name, instant_ms, Settlement.RUN, signal.reason, run_id)
        )
    work.record(
        RunOpened(
            work.now_ms,
            RunPlan(
                run_id=run_id,
                fund=fund.name,
                trigger=signal.trigger,
                reason=signal.reason,
                target_leverage=aim,
                target_units=targets,
                delta_units=deltas,
                marks=worth.marks,
                base_nav=worth.formula_nav,
                base_prices={symbol: worth.prices[symbol] for symbol in fund.fund.symbols},
                nav=worth.nav,
                leverage=worth.leverage,
                due_ms=due_ms,
                opened_ms=work.now_ms,
            ),
        )
    )
    fund.suspicions.clear()
    work.plan_books_of(fund)


def working_units(work: Work, fund: FundState, symbol: str) -> Decimal:
    """Return the fund's signed part of what is still open or unknown at the venue."""
    part = ZERO
    for order in work.state.orders.values():
        intent = order.intent
        wanted = intent.wanted.get(fund.name)
        if intent.contract == symbol and intent.account == fund.fund.account and wanted:
            open_share = ONE - order.filled_contracts / intent.contracts
            part += intent.units * open_share * wanted / total(intent.wanted.values())
    return part


def runs_today(work: Work, fund: FundState) -> int:
    """Return the runs the fund opened on the present UTC day."""
    same_day = fund.day_ms == work.now_ms // DAY_MS * DAY_MS
    return fund.day_runs if same_day else 0


def resume(work: Work, fund: FundState) -> bool:
    """Take up an incomplete run whose cool-down is over; say whether one was."""
    run = fund.run
    if run is None or run.status is not RunStatus.INCOMPLETE or fund.last_run_ms is None:
        return False
    if work.now_ms < fund.last_run_ms + COOLDOWN_MS:
        return False
    work.move_run(fund, RunStatus.WORKING, "resumed after its cool-down")
    work.plan_books_of(fund)
    return True


def settle_missed(work: Work, fund: FundState) -> None:
    """Record and alert every fixed instant that is too old to be caught up."""
    rule, after_ms = fund.fund.methodology.fixed, fixed_after_ms(fund)
    if rule is None or after_ms is None:
        return
    for due_ms in missed_instants(rule, after_ms, work.now_ms):
        reason = f"the fixed time {iso(due_ms)} passed without a run and is too old to catch up"
        work.record(FixedSettled(work.now_ms, fund.name, due_ms, Settlement.MISSED, reason))
        work.alert(Severity.CRITICAL, "fixed_missed", fund.name, reason)


def halt(work: Work, fund: FundState, reason: str) -> None:
    """Stop the fund's trading with a reason; an operator resumes it."""
    if fund.run is not None:
        work.move_run(fund, RunStatus.HALTED, reason)
    if fund.trading is TradingState.ACTIVE:
        work.record(TradingChanged(work.now_ms, fund.name, TradingState.HALTED, reason))
        say_none(work, fund, f"halted: {reason}")
    work.alert(Severity.CRITICAL, "fund_halted", fund.name, reason)
    work.touch(fund)


def _wipe(work: Work, fund: FundState, worth: Valuation, signal: Signal) -> None:
    work.record(FundWiped(work.now_ms, fund.name, signal.reason, worth.nav, worth.prices))
    work.alert(Severity.CRITICAL, "fund_wiped", fund.name, signal.reason)
    open_run(work, fund, worth, signal)


def strike(work: Work, fund: FundState, worth: Valuation) -> None:
    """Strike the daily NAV once its boundary has passed."""
    offset_ms = fund.fund.nav_boundary_ms
    boundary_ms = (work.now_ms - offset_ms) // DAY_MS * DAY_MS + offset_ms
    begun_ms = fund.launched_ms if fund.strike_ms is None else fund.strike_ms
    if begun_ms is None or boundary_ms <= begun_ms:
        return
    work.record(
        NavStruck(
            at_ms=work.now_ms,
            fund=fund.name,
            boundary_ms=boundary_ms,
            nav=worth.nav,
            formula_nav=worth.formula_nav,
            equity=worth.equity,
            shares=fund.shares,
            marks=worth.marks,
        )
    )


def _launch(work: Work, fund: FundState) -> None:
    """Give the fund its seed capital and first exposure once its prices are beyond doubt."""
    config, market = fund.fund, work.state.market
    pairs = [(symbol, source) for symbol in config.symbols for source in _sources(fund)]
    known = all(market.price(symbol, source) is not None for symbol, source in pairs)
    settled = known and all(
        market.second_source_agrees(symbol, source) or market.steady(symbol, source)
        for symbol, source in pairs
    )
    if not settled or not _fresh(work, fund, for_fixed=False):
        fund.restless = True
        say_none(work, fund, "launch waits for a fresh price and a second opinion on it")
        return
    cash = config.initial_nav * config.initial_shares
    work.record(FundLaunched(work.now_ms, fund.name, config.account, config.initial_shares, cash))
    worth = work.worth(fund)
    if worth is None:
        return
    if not work.state.desk.free_launch:
        reason = "the fund starts: first exposure"
        open_run(work, fund, worth, Signal(trigger=Trigger.LAUNCH, reason=reason))
        return
    units = target_units(config.target_leverage, cash, config.basket, worth.marks)
    hedge = work.state.accounts[config.account].account.hedge
    units = {symbol: round_to_places(size) for symbol, size in units.items()}
    work.record(
        PositionsAdopted(work.now_ms, fund.name, config.account, units, worth.marks, hedge=hedge)
    )
    work.record(
        PointSet(work.now_ms, fund.name, config.initial_nav, worth.prices, config.target_leverage)
    )
    say_none(work, fund, NOTHING_DUE)
