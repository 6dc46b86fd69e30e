"""The end of a fund: what it holds is sold, once, and nothing is bought again."""

from __future__ import annotations

from rebalancer.core.methodology import Trigger
from rebalancer.core.rules.view import FundView, Signal


def check(view: FundView) -> Signal | None:
    """Fire while a fund that is wound down holds anything."""
    if not view.winding or not view.holds:
        return None
    return Signal(trigger=Trigger.WIND_DOWN, reason=f"wound down: {view.winding}")
