"""The manual rebalance: an operator said so."""

from __future__ import annotations

from rebalancer.core.methodology import Trigger
from rebalancer.core.rules.view import FundView, Signal


def check(view: FundView) -> Signal | None:
    """Fire when a command waits and commands are enabled."""
    rule = view.fund.methodology.manual
    if view.manual is None or rule is None:
        return None
    return Signal(trigger=Trigger.MANUAL, reason=view.manual, goal=rule.goal)
