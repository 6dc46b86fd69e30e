"""The gap rule: a fund whose formula or equity reached zero ends (spec section 2)."""

from __future__ import annotations

from rebalancer.core.methodology import GAP_CONFIRM_TICKS, Trigger
from rebalancer.core.money import ONE, settled
from rebalancer.core.rules.view import FundView, Signal, percent


def check(view: FundView) -> Signal | None:
    """Fire when 1 + L_k r <= 0 or E <= 0; cannot be switched off."""
    worth, point, by_mark = view.worth, view.point, False
    if point is not None and settled(ONE + point.leverage * worth.move) <= 0:
        reason = (
            f"the price moved {percent(worth.move)} since the last point: at leverage "
            f"{point.leverage:f} nothing is left"
        )
    elif worth.equity <= 0:
        reason, by_mark = f"the equity is {worth.equity:.2f}: nothing is left", True
    else:
        return None
    return Signal(
        trigger=Trigger.GAP,
        reason=reason,
        falling=_falls(view),
        by_mark=by_mark,
        confirm_ticks=GAP_CONFIRM_TICKS,
    )


def _falls(view: FundView) -> bool:
    return view.worth.exposure > 0 or view.fund.target_leverage > 0
