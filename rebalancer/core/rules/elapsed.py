"""The period: so many calendar days after the last rebalancing point."""

from __future__ import annotations

from rebalancer.core.instant import iso
from rebalancer.core.methodology import Trigger
from rebalancer.core.rules.view import FundView, Signal


def check(view: FundView) -> Signal | None:
    """Fire when the days since the last point reach the rule's; a closed day rolls."""
    rule, point = view.fund.methodology.elapsed, view.point
    if rule is None or point is None:
        return None
    due_ms = rule.due_ms(point.at_ms)
    if view.now_ms < due_ms:
        return None
    return Signal(
        trigger=Trigger.ELAPSED,
        reason=f"{rule.days} days since the last point of {iso(point.at_ms)}: due {iso(due_ms)}",
        goal=rule.goal,
        confirm_ticks=rule.confirm_ticks,
    )
