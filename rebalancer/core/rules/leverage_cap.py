"""The cap: effective leverage may not stay strictly above a bound."""

from __future__ import annotations

from rebalancer.core.methodology import Trigger
from rebalancer.core.rules.view import FundView, Signal


def check(view: FundView) -> Signal | None:
    """Fire when the magnitude of leverage is strictly above the cap."""
    rule, worth = view.fund.methodology.leverage_cap, view.worth
    if rule is None or worth.leverage is None or abs(worth.exposure) <= rule.upper * worth.equity:
        return None
    return Signal(
        trigger=Trigger.LEVERAGE_CAP,
        reason=f"leverage {worth.leverage:.4f} is above the cap {rule.upper:f}",
        falling=worth.rises_by_falling,
        goal=rule.goal,
        confirm_ticks=rule.confirm_ticks,
        not_before_ms=0 if view.last_run_ms is None else view.last_run_ms + rule.cooldown_ms,
    )
