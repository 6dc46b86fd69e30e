"""To flat at an operator's word: what a fund holds is sold, for good or until it is resumed."""

from __future__ import annotations

from rebalancer.core.methodology import Trigger
from rebalancer.core.rules.view import FundView, Signal


def check(view: FundView) -> Signal | None:
    """Fire while a fund that is wound down or flattened holds anything."""
    if not view.holds:
        return None
    if view.flattening and not view.winding:
        return Signal(trigger=Trigger.WIND_DOWN, reason=f"flattened: {view.flattening}")
    if not view.winding:
        return None
    return Signal(trigger=Trigger.WIND_DOWN, reason=f"wound down: {view.winding}")
