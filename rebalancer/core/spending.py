"""What the orders of a fund count toward its notional limits, and what is given back of them.

An order counts whole while it may trade. What is proved not to have traded once it is over is given
back to its run and its day: a collar that was missed must not use up the limit of the run that
prices it again. The minute counts what was sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from rebalancer.core.instant import DAY_MS, MINUTE_MS
from rebalancer.core.methodology import Trigger
from rebalancer.core.money import ONE, ZERO, total
from rebalancer.core.order import Order, OrderIntent
from rebalancer.core.state import DeskState, FundState


def turn_day(fund: FundState, at_ms: int) -> None:
    """Begin to count anew where a UTC day has begun."""
    day_ms = at_ms // DAY_MS * DAY_MS
    if day_ms != fund.day_ms:
        fund.day_ms, fund.day_runs, fund.day_notional = day_ms, 0, ZERO


def is_free(before: Trigger | None, trigger: Trigger) -> bool:
    """Whether a run is none of the day's: a flow, which holders ask for, or no other than before.

    An emergency that the venue does not serve sizes its incomplete run anew with each cool-down.
    That is one run which goes on: counted, a crash would halt the fund in the midst of it.
    `before` is the rule of the incomplete run that gives way.
    """
    return trigger is Trigger.FLOW or before is trigger is Trigger.EMERGENCY


def spend(state: DeskState, intent: OrderIntent, at_ms: int) -> None:
    """Count an order that is about to be sent."""
    minute_ms = at_ms // MINUTE_MS * MINUTE_MS
    for fund, part in _parts(state, intent):
        turn_day(fund, at_ms)
        fund.day_notional += part
        if minute_ms != fund.minute_ms:
            fund.minute_ms, fund.minute_notional = minute_ms, ZERO
        fund.minute_notional += part
        if fund.run is not None:
            fund.run.ordered_notional += part


def give_back(state: DeskState, order: Order) -> None:
    """Give back what an order that is over did not trade."""
    intent = order.intent
    missed = ONE - order.filled_contracts / intent.contracts
    if not missed:
        return
    same_day = intent.created_ms // DAY_MS * DAY_MS
    for fund, part in _parts(state, intent):
        if fund.day_ms == same_day:
            fund.day_notional = max(ZERO, fund.day_notional - part * missed)
        run = fund.run
        if run is not None and run.plan.opened_ms <= intent.created_ms:
            run.ordered_notional = max(ZERO, run.ordered_notional - part * missed)


def _parts(state: DeskState, intent: OrderIntent) -> Iterator[tuple[FundState, Decimal]]:
    """Yield each fund of an order with its part of the notional, in quote currency."""
    wanted = total(abs(size) for size in intent.wanted.values())
    for name, size in intent.wanted.items():
        yield state.named(name), intent.notional * abs(size) / wanted
