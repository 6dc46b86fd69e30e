"""Opens a run to a frozen target, takes one up again, or stops a fund."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from rebalancer.core.actions import Severity
from rebalancer.core.books import book_of, plan_alone
from rebalancer.core.delisting import gone, listed_basket
from rebalancer.core.fund import NavKind
from rebalancer.core.instant import DAY_MS
from rebalancer.core.limits import check_run
from rebalancer.core.methodology import COOLDOWN_MS, Trigger
from rebalancer.core.money import ONE, ZERO, round_to_places, total, trunc_to_paper
from rebalancer.core.nav import Valuation
from rebalancer.core.planner import Want, target_units
from rebalancer.core.records import (
    FixedSettled,
    FundWiped,
    PositionsAdopted,
    RunOpened,
    Settlement,
    TradingChanged,
    TradingState,
    VerdictChanged,
)
from rebalancer.core.rules.destination import aim_of
from rebalancer.core.rules.view import Signal
from rebalancer.core.run import RunPlan, RunStatus
from rebalancer.core.spending import is_free
from rebalancer.core.state import FundState
from rebalancer.core.work import Work

NOTHING_DUE = "nothing is due"
RUN_WAITS = "an incomplete run waits to be taken up again"


def open_run(
    work: Work, fund: FundState, worth: Valuation, signal: Signal, due_ms: tuple[int, ...] = ()
) -> None:
    """Freeze a target and open a run to it; a breached limit halts the fund instead."""
    aim = aim_of_run(work, fund, worth, signal)
    open_run_to(work, fund, worth, signal, replace(aim, due_ms=due_ms) if due_ms else aim)


@dataclass(frozen=True, slots=True)
class Aim:
    """Where a run goes, and the fixed instants that it satisfies."""

    #: signed; zero flattens
    leverage: Decimal
    #: signed base coins by contract
    targets: Mapping[str, Decimal]
    due_ms: tuple[int, ...] = ()
    sets_point: bool = True
    #: the basket it goes to, by weight; empty: the one that the fund has
    basket: Mapping[str, Decimal] = field(default_factory=dict)


def aim_of_run(work: Work, fund: FundState, worth: Valuation, signal: Signal) -> Aim:
    """Return where a run of `signal` goes at the present prices; the gap rule flattens."""
    ends = signal.trigger in (Trigger.GAP, Trigger.WIND_DOWN)
    leverage = ZERO if ends else aim_of(signal.goal, fund.fund, worth)
    return aim_at(work, fund, worth, leverage)


def aim_at(work: Work, fund: FundState, worth: Valuation, leverage: Decimal) -> Aim:
    """Return the units that give the fund this signed leverage at the present marks."""
    size = worth.equity
    if fund.fund.size_from is NavKind.FORMULA:
        size = worth.formula_nav * fund.shares
    targets = dict.fromkeys(fund.holding.units, ZERO)
    if not leverage:
        return Aim(leverage, targets)
    listed = listed_basket(work.state, fund, work.now_ms)
    targets |= target_units(leverage, size, listed, worth.marks)
    return Aim(leverage, targets, basket=fund.fund.basket_at(work.now_ms))


def tradeable(work: Work, fund: FundState, worth: Valuation, aim: Aim) -> bool:
    """Whether any of the way can be traded now: not all of it is under a lot or a minimum."""
    deltas = _deltas(work, fund, aim)
    if fund.fund.index_only:
        return any(round_to_places(units) for units in deltas.values())
    for symbol, units in deltas.items():
        # Asked as the planner will be: what reduces a fund need not reduce its account.
        book = book_of(work, (fund.fund.account, symbol), worth.marks[symbol])
        want = Want(units=units, min_notional=fund.fund.execution.min_notional)
        if plan_alone(book, want).legs:
            return True
    return False


def _deltas(work: Work, fund: FundState, aim: Aim) -> dict[str, Decimal]:
    """Return what is still to trade, by contract: target - held - working."""
    return {
        symbol: units - fund.holding.units.get(symbol, ZERO) - working_units(work, fund, symbol)
        for symbol, units in aim.targets.items()
    }


def open_run_to(work: Work, fund: FundState, worth: Valuation, signal: Signal, aim: Aim) -> None:
    """Open a run to `aim`; a breached limit halts the fund instead, unless it is to be ended."""
    unchecked = signal.trigger in (Trigger.GAP, Trigger.WIND_DOWN, Trigger.FLOW)
    deltas, base = _deltas(work, fund, aim), aim.basket or fund.basket
    notional = total(abs(units) * worth.marks[symbol] for symbol, units in deltas.items())
    blocked = None if signal.trigger is Trigger.GAP else _blocked(work, fund, deltas)
    if blocked is not None:
        say_none(work, fund, blocked)
        return
    refused = (
        None if unchecked else check_run(fund.fund, _runs_before(work, fund, signal), notional)
    )
    if refused is not None:
        halt(work, fund, refused.reason)
        return
    if fund.run is not None:
        work.move_run(fund, RunStatus.SUPERSEDED, f"{signal.trigger}: {signal.reason}")
    run_id = f"{fund.name}-{fund.run_seq + 1:06d}"
    for instant_ms in aim.due_ms:
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
                target_leverage=aim.leverage,
                target_units=aim.targets,
                delta_units=deltas,
                marks=worth.marks,
                base_nav=worth.formula_nav,
                base_prices={symbol: worth.prices[symbol] for symbol in base},
                base_weights=base,
                nav=worth.nav,
                leverage=worth.leverage,
                due_ms=aim.due_ms,
                opened_ms=work.now_ms,
                sets_point=aim.sets_point,
                config_digest=fund.config_digest,
            ),
        )
    )
    fund.suspicions.clear()
    if fund.fund.index_only:
        _trade_on_paper(work, fund, deltas, worth)
    work.plan_books_of(fund)


def _trade_on_paper(
    work: Work, fund: FundState, deltas: Mapping[str, Decimal], worth: Valuation
) -> None:
    """Bring a fund without an account to its target at the price and at no cost, to 30 decimals."""
    cut = {symbol: trunc_to_paper(units) for symbol, units in deltas.items()}
    moved = {symbol: units for symbol, units in cut.items() if units}
    if moved:
        work.record(PositionsAdopted(work.now_ms, fund.name, "", moved, worth.marks))


def _blocked(work: Work, fund: FundState, deltas: Mapping[str, Decimal]) -> str | None:
    """Say which trading state keeps a run from doing anything at all; None when it can begin."""
    reason = None
    if fund.fund.index_only:
        return None
    absent = gone(work.state, fund)
    for symbol, units in deltas.items():
        if symbol in absent or not work.state.desk.contracts[symbol].contracts_in(units):
            continue
        permission = work.state.permission(fund, symbol)
        if permission.lets_through(fund.holding.units.get(symbol, ZERO), units):
            return None
        reason = permission.text
    return reason


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


def _runs_before(work: Work, fund: FundState, signal: Signal) -> int:
    """Return today's runs before one of `signal`, but for that which it only sizes anew."""
    run = fund.run if fund.run is not None and fund.run.status is RunStatus.INCOMPLETE else None
    before = run.plan.trigger if run is not None else None
    return runs_today(work, fund) - is_free(before, signal.trigger)


def resume(work: Work, fund: FundState) -> bool:
    """Take up an incomplete run whose cool-down is over; say whether one was."""
    run = fund.run
    if run is None or run.status is not RunStatus.INCOMPLETE or fund.last_run_ms is None:
        return False
    if work.now_ms < fund.last_run_ms + COOLDOWN_MS:
        return False
    missing = {
        symbol: units - fund.holding.units.get(symbol, ZERO)
        for symbol, units in run.plan.target_units.items()
    }
    if _blocked(work, fund, missing) is not None:
        return False
    work.move_run(fund, RunStatus.WORKING, "resumed after its cool-down")
    work.plan_books_of(fund)
    return True


def halt(work: Work, fund: FundState, reason: str) -> None:
    """Stop the fund's trading with a reason, and its run for good; an operator resumes it."""
    if fund.run is not None:
        work.move_run(fund, RunStatus.HALTED, reason)
    stop(work, fund, reason)


def stop(work: Work, fund: FundState, reason: str) -> None:
    """Stop the fund's trading with a reason, whatever becomes of its run."""
    if fund.trading in (TradingState.ACTIVE, TradingState.REDUCING):
        work.record(TradingChanged(work.now_ms, fund.name, TradingState.HALTED, reason))
        say_none(work, fund, f"halted: {reason}")
    work.alert(Severity.CRITICAL, "fund_halted", fund.name, reason)
    work.touch(fund)


def wipe(work: Work, fund: FundState, worth: Valuation, signal: Signal) -> None:
    """End the fund by the gap rule: its formula NAV is 0 from here on and it is flattened."""
    work.record(
        FundWiped(work.now_ms, fund.name, signal.reason, worth.nav, worth.prices, worth.marks)
    )
    work.alert(Severity.CRITICAL, "fund_wiped", fund.name, signal.reason)
    work.refuse_flows(fund, "the gap rule ended the fund before it was dealt")
    open_run(work, fund, worth, signal)


def say_none(work: Work, fund: FundState, reason: str) -> None:
    """Record the verdict "no trade", where it is a new one."""
    if fund.run is not None and fund.run.status is RunStatus.WORKING:
        return
    verdict = (Trigger.NONE, reason)
    if fund.verdict != verdict:
        work.record(VerdictChanged(work.now_ms, fund.name, *verdict))
