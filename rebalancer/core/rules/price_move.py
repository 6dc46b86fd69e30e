"""The temporary rebalance: the price moved a threshold since the last rebalancing point."""

from __future__ import annotations

from decimal import Decimal

from rebalancer.core.methodology import PriceMove, Side, Trigger
from rebalancer.core.money import settled
from rebalancer.core.rules.view import FundView, Signal, percent


def check(view: FundView) -> Signal | None:
    """Fire when abs(r) reaches the threshold; on the losing side only for funds that lost."""
    rule, point = view.fund.methodology.price_move, view.point
    if rule is None or point is None:
        return None
    move = view.worth.move
    if abs(settled(move)) < rule.threshold:
        return None
    if rule.side is Side.LOSING and not _may_lower(view, point.leverage * move):
        return None
    return Signal(
        trigger=Trigger.PRICE_MOVE,
        reason=_reason(rule, move),
        falling=move < 0,
        by_mark=False,
        goal=rule.goal,
        confirm_ticks=rule.confirm_ticks,
        not_before_ms=0 if view.last_run_ms is None else view.last_run_ms + rule.cooldown_ms,
    )


def winner_drifts(view: FundView) -> str | None:
    """Say that a winner is far under its target, where a losing-side rule will not act on it."""
    rule, point = view.fund.methodology.price_move, view.point
    if rule is None or point is None or rule.side is Side.BOTH:
        return None
    move, leverage = view.worth.move, view.worth.leverage
    if abs(move) < rule.threshold or point.leverage * move <= 0 or leverage is None:
        return None
    if abs(leverage) >= abs(view.fund.target_leverage) * view.worth.listed:
        return None
    return (
        f"the price moved {percent(move)} in the fund's favour: leverage is down to "
        f'{leverage:.4f} until the next fixed run (side = "both" would act on it)'
    )


def _may_lower(view: FundView, gain: Decimal) -> bool:
    # A losing-side run only ever lowers leverage; with 0 < M <= 1 a loss lowers it by itself.
    if gain >= 0 or 0 < view.fund.target_leverage <= 1:
        return False
    leverage = view.worth.leverage
    target = abs(view.fund.target_leverage) * view.worth.listed
    return leverage is None or abs(leverage) > target


def _reason(rule: PriceMove, move: Decimal) -> str:
    side = "the losing side" if rule.side is Side.LOSING else "either side"
    return (
        f"the price moved {percent(move)} since the last point, at or beyond the threshold of "
        f"{percent(rule.threshold)} on {side}"
    )
