"""The flow rule: subscriptions and redemptions wait to be dealt."""

from __future__ import annotations

from rebalancer.core.flow import Flow
from rebalancer.core.instant import iso
from rebalancer.core.methodology import Fixed, Trigger
from rebalancer.core.rules.fixed import open_instants
from rebalancer.core.rules.view import FundView, Signal


def check(view: FundView) -> Signal | None:
    """Fire when flows wait that are not held back by a cut-off."""
    flows = ripe(view)
    if not flows:
        return None
    words = "; ".join(flow.words for flow in flows[:3])
    more = f" and {len(flows) - 3} more" if len(flows) > 3 else ""
    return Signal(trigger=Trigger.FLOW, reason=f"flows: {words}{more}")


def ripe(view: FundView) -> tuple[Flow, ...]:
    """Return the flows that may be dealt now, in the order in which they came.

    A run at a fixed time takes along only what was asked for before its cut-off; the rest is dealt
    after it.
    """
    rule = view.fund.methodology.flow
    if rule is None or not view.flows:
        return ()
    fixed = view.fund.methodology.fixed
    if fixed is None or not rule.cutoff_ms or view.fixed_after_ms is None:
        return view.flows
    due_ms = open_instants(fixed, view.fixed_after_ms, view.now_ms)
    if due_ms:
        last_ms = due_ms[0] - rule.cutoff_ms
        return tuple(flow for flow in view.flows if flow.requested_ms <= last_ms)
    if closed_until_ms(fixed, rule.cutoff_ms, view.now_ms) is not None:
        return ()
    return view.flows


def closed_until_ms(fixed: Fixed, cutoff_ms: int, now_ms: int) -> int | None:
    """Return the fixed time whose cut-off has passed at `now_ms`; None while flows are dealt."""
    next_ms = fixed.next_due_ms(now_ms)
    return next_ms if now_ms + cutoff_ms > next_ms else None


def run_of(fixed: Fixed, cutoff_ms: int, requested_ms: int) -> int:
    """Return the fixed time by whose run a request is part of the fund (field.md b4)."""
    closed_ms = closed_until_ms(fixed, cutoff_ms, requested_ms)
    return fixed.next_due_ms(requested_ms if closed_ms is None else closed_ms)


def waiting(view: FundView) -> str | None:
    """Say what flows wait for that are not ripe."""
    rule, fixed = view.fund.methodology.flow, view.fund.methodology.fixed
    if not view.flows or ripe(view) or rule is None or fixed is None:
        return None
    served_ms = run_of(fixed, rule.cutoff_ms, view.now_ms)
    return f"flows wait: the cut-off of the fixed run before {iso(served_ms)} has passed"
