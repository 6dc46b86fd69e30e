"""The reconstitution: members or weights of the basket change on an effective date."""

from __future__ import annotations

from rebalancer.core.instant import iso
from rebalancer.core.methodology import Trigger
from rebalancer.core.rules.view import FundView, Signal


def check(view: FundView) -> Signal | None:
    """Fire when a change became effective that is not in the last rebalancing point."""
    rule = view.fund.methodology.reconstitution
    if rule is None or view.sized_ms is None:
        return None
    change = rule.in_force(view.now_ms)
    if change is None or change.due_ms <= view.sized_ms:
        return None
    members = ", ".join(change.basket)
    return Signal(
        trigger=Trigger.RECONSTITUTION,
        reason=f"the basket of {iso(change.due_ms)} is effective: {members}",
        goal=rule.goal,
        confirm_ticks=rule.confirm_ticks,
    )
