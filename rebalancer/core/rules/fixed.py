"""The fixed rebalance: at fixed times of day, caught up when the desk was down."""

from __future__ import annotations

from rebalancer.core.instant import MINUTE_MS, iso
from rebalancer.core.methodology import Fixed, Trigger
from rebalancer.core.rules.view import FundView, Signal, percent

#: a fixed run that has not begun this long after its instant is told to a person
FIXED_LATE_MS = MINUTE_MS


def check(view: FundView) -> Signal | None:
    """Fire when instants are due that no run has satisfied and that may still be caught up."""
    rule = view.fund.methodology.fixed
    if rule is None or view.fixed_after_ms is None:
        return None
    due_ms = open_instants(rule, view.fixed_after_ms, view.now_ms)
    if not due_ms:
        return None
    late_ms = view.now_ms - due_ms[-1]
    reason = f"fixed time {iso(due_ms[-1])}"
    if late_ms >= FIXED_LATE_MS:
        reason += f", caught up {late_ms // MINUTE_MS} min late"
    return Signal(
        trigger=Trigger.FIXED,
        reason=reason,
        goal=rule.goal,
        confirm_ticks=rule.confirm_ticks,
        due_ms=due_ms,
        skip=_skip(rule, view),
    )


def open_instants(rule: Fixed, after_ms: int, now_ms: int) -> tuple[int, ...]:
    """Return the instants in (after_ms, now_ms] that are not older than the catch-up window."""
    first_ms = max(after_ms, now_ms - rule.catch_up_ms - 1)
    return rule.due_between(first_ms, now_ms)


def missed_instants(rule: Fixed, after_ms: int, now_ms: int) -> tuple[int, ...]:
    """Return the instants after `after_ms` that are too old to be caught up."""
    return rule.due_between(after_ms, now_ms - rule.catch_up_ms - 1)


def _skip(rule: Fixed, view: FundView) -> str | None:
    worth = view.worth
    if rule.skip_below_move is not None and abs(worth.move) < rule.skip_below_move:
        return (
            f"skipped: the price moved {percent(worth.move)} only, under skip_below_move of "
            f"{percent(rule.skip_below_move)}"
        )
    if rule.skip_within is not None and worth.leverage is not None:
        low, high = rule.skip_within
        if low * worth.equity <= abs(worth.exposure) <= high * worth.equity:
            return (
                f"skipped: leverage {worth.leverage:.4f} is inside skip_within of {low:f}-{high:f}"
            )
    return None
