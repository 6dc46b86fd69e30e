"""The emergency rule: the backstop behind the others, with a cool-down of its own."""

from __future__ import annotations

from rebalancer.core.methodology import Trigger
from rebalancer.core.rules.view import FundView, Signal


def check(view: FundView) -> Signal | None:
    """Fire when the magnitude of leverage is at or above the emergency level."""
    rule, worth = view.fund.methodology.emergency, view.worth
    if rule is None or worth.leverage is None:
        return None
    if not rule.level.at_or_above(abs(worth.exposure), worth.equity):
        return None
    waited_from_ms = view.last_emergency_ms
    return Signal(
        trigger=Trigger.EMERGENCY,
        reason=f"leverage {worth.leverage:.4f} reached the emergency level {rule.level.value:.4f}",
        falling=worth.rises_by_falling,
        goal=rule.goal,
        confirm_ticks=rule.confirm_ticks,
        not_before_ms=0 if waited_from_ms is None else waited_from_ms + rule.cooldown_ms,
    )
