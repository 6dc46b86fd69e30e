"""Slices: when the next child order of a run may leave, and when none is needed any more."""

from __future__ import annotations

import hashlib
from decimal import Decimal

from rebalancer.core.fund import Execution, Fund
from rebalancer.core.instant import HOUR_MS
from rebalancer.core.limits import Part
from rebalancer.core.methodology import COOLED, Trigger
from rebalancer.core.money import ZERO
from rebalancer.core.nav import Valuation
from rebalancer.core.order import OrderIntent
from rebalancer.core.position import Holding
from rebalancer.core.run import Run
from rebalancer.core.state import FundState

#: a run that works longer than this, and than its slices need, gives up until its cool-down is over
LONGEST_RUN_MS = HOUR_MS
_DRAWS = Decimal(2**32)


def pause_ms(execution: Execution, last: OrderIntent) -> int:
    """Return the pause after an order: the interval, moved by the jitter that its id draws.

    The same id draws the same pause, so a replay of the records gives the same times.
    """
    if not execution.jitter:
        return execution.interval_ms
    digest = hashlib.sha256(f"pause|{last.client_order_id}".encode()).digest()
    draw = int.from_bytes(digest[:4], "big") * 2 / _DRAWS - 1  # from -1 to 1
    return execution.interval_ms + int(execution.interval_ms * execution.jitter * draw)


def time_limit_ms(fund: FundState) -> int:
    """Return how long a run of the fund may work at a stretch."""
    pace_ms = fund.fund.execution.interval_ms * fund.fund.limits.max_orders_per_run
    return LONGEST_RUN_MS + 2 * pace_ms


def child_limit_units(fund: Fund, trigger: Trigger, part: Part) -> Decimal | None:
    """Return the most base coins that one order of a run may carry of `part`; None: no bound.

    What only reduces is sliced to the largest order, too; anything else beyond it is refused.
    """
    execution, emergency = fund.execution, fund.methodology.emergency
    units, notional = execution.max_child_units, execution.max_child_notional
    if trigger is Trigger.EMERGENCY and emergency is not None:
        units = emergency.max_child_units or units
        notional = emergency.max_child_notional or notional
    bounds = [units, notional / part.mark if notional else None]
    if part.reduces and fund.limits.max_order_notional:
        bounds.append(fund.limits.max_order_notional / part.mark)
    return min((bound for bound in bounds if bound is not None), default=None)


def market_did_the_rest(run: Run, holding: Holding, worth: Valuation | None) -> bool:
    """Whether leverage is back at what a reducing threshold run aims at, without its other slices.

    Only where all that is left of it would lower leverage: a run that still has a member to buy
    got there by its own trades in the others.

    Fixed and manual runs go to their frozen units whatever the market does: they are about the
    point that they set.
    """
    plan = run.plan
    if plan.trigger not in COOLED and plan.trigger is not Trigger.EMERGENCY:
        return False
    if not run.orders or worth is None or worth.leverage is None or plan.leverage is None:
        return False
    missing = (
        units - holding.units.get(symbol, ZERO) for symbol, units in plan.target_units.items()
    )
    if any(units * plan.leverage > 0 for units in missing):
        return False
    aim = abs(plan.target_leverage) * worth.listed
    return ZERO < aim < abs(plan.leverage) and abs(worth.leverage) <= aim
