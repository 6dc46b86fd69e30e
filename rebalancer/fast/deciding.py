"""When, on the fast path: the core's rules asked about one column, and nothing decided beside them.

This follows `core/deciding.py` where history leaves it: prices are confirmed, no run waits, nothing
is paused. What the core does there and this does not know is refused before, in `fast/known.py`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from rebalancer.core import rules
from rebalancer.core.books import plan_alone
from rebalancer.core.deciding import Meeting
from rebalancer.core.fund import NavKind
from rebalancer.core.methodology import Destination, Goal, Trigger
from rebalancer.core.money import ZERO, round_to_places
from rebalancer.core.nav import Valuation
from rebalancer.core.planner import Want, target_units
from rebalancer.core.records import Settlement
from rebalancer.core.rules.destination import aim_of
from rebalancer.core.rules.view import FundView, Signal
from rebalancer.fast.column import Column


class Wish(NamedTuple):
    """A run that a column asks for now."""

    trigger: Trigger
    #: empty: a fixed run at its time, whose reason can be told from its instant
    reason: str
    aim: Decimal
    target: Decimal
    #: signed base coins from what is held to the target
    delta: Decimal
    due_ms: tuple[int, ...]


def look(column: Column) -> Wish | None:
    """Charge what is due at the instant that the column has come to, and ask its rules."""
    if column.wiped:
        return None
    column.refuse_near_margin()
    column.charge_fees()
    column.settle_missed()
    return decide(column)


def decide(column: Column) -> Wish | None:
    """Return the run that the rules ask for at the present instant."""
    due = column.due()
    quiet = not column.may_fire()
    if quiet and not due and not _elapsed(column):
        return None
    if quiet and len(due) == 1 and _plain(column, due[0]):
        return _fixed(column, due[0])
    return _by_rules(column)


def _elapsed(column: Column) -> bool:
    rule = column.fund.methodology.elapsed
    return rule is not None and column.now_ms >= rule.due_ms(column.point_ms)


def _plain(column: Column, due_ms: int) -> bool:
    """Whether nothing but a fixed run to the target at its very time is in question."""
    chosen = column.fund.methodology
    rule = chosen.fixed
    return (
        rule is not None
        and due_ms == column.now_ms
        and column.age_ms <= column.tape.interval_ms
        and rule.skip_below_move is None
        and rule.skip_within is None
        and rule.goal.to is Destination.TARGET
        and not _elapsed(column)
    )


def _fixed(column: Column, due_ms: int) -> Wish | None:
    equity = column.equity
    if equity <= 0:
        column.restless = True
        return None
    aim = column.fund.target_leverage
    target = _target(column, aim, equity)
    return Wish(Trigger.FIXED, "", aim, target, target - column.units, (due_ms,))


def _by_rules(column: Column) -> Wish | None:
    """Show the fund to every rule, in order of precedence, and take the first that may act."""
    worth = column.worth()
    fired = rules.signals(_view(column, worth))
    ready = tuple(signal for signal in fired if _ready(column, worth, signal))
    meeting = Meeting(fired, ready)
    for signal in ready:
        if signal.trigger is Trigger.GAP:
            return _gap(column, signal)
        if signal.skip is not None:
            column.settle_fixed(signal.due_ms, Settlement.SKIPPED)
            continue
        goal = meeting.goal()
        wish = _wish(column, worth, signal, goal, meeting.satisfied(goal))
        if signal.at_edge(goal) and not tradeable(column, wish.delta):
            continue
        return wish
    return None


def _view(column: Column, worth: Valuation) -> FundView:
    return FundView(
        fund=column.fund,
        now_ms=column.now_ms,
        point=column.point(),
        worth=worth,
        last_run_ms=column.last_run_ms,
        last_emergency_ms=column.last_emergency_ms,
        fixed_after_ms=column.fixed_after_ms,
        holds=bool(column.units),
    )


def _ready(column: Column, worth: Valuation, signal: Signal) -> bool:
    """Whether a signal may act now (`core/deciding.py`, `core/trust.py`)."""
    if signal.trigger is not Trigger.GAP and worth.equity <= 0:
        column.restless = True
        return False
    if signal.by_clock:
        fresh = column.age_ms <= column.tape.interval_ms
        column.restless = column.restless or not fresh
        return fresh
    if not column.closes_now:
        column.restless = True
        return False
    return column.now_ms >= signal.not_before_ms


def _gap(column: Column, signal: Signal) -> Wish:
    column.wiped = True
    return Wish(Trigger.GAP, signal.reason, ZERO, ZERO, -column.units, ())


def _wish(
    column: Column, worth: Valuation, signal: Signal, goal: Goal, due_ms: tuple[int, ...]
) -> Wish:
    aim = aim_of(goal, column.fund, worth)
    target = _target(column, aim, worth.equity)
    return Wish(signal.trigger, signal.reason, aim, target, target - column.units, due_ms)


def _target(column: Column, aim: Decimal, equity: Decimal) -> Decimal:
    if not aim:
        return ZERO
    fund, symbol, size = column.fund, column.symbol, equity
    if fund.size_from is NavKind.FORMULA:
        size = column.formula_nav() * column.shares
    return target_units(aim, size, fund.basket, {symbol: column.price})[symbol]


def tradeable(column: Column, delta: Decimal) -> bool:
    """Whether any of `delta` can be traded now: it is not under a lot or a minimum."""
    if column.book is None:
        return bool(round_to_places(delta))
    want = Want(units=delta, min_notional=column.fund.execution.min_notional)
    return bool(plan_alone(column.book(), want).legs)
