"""The rules, in order of precedence: the first signal that may act names the run."""

from __future__ import annotations

from rebalancer.core.methodology import TO_TARGET
from rebalancer.core.rules import (
    elapsed,
    emergency,
    fixed,
    flow,
    gap,
    leverage_band,
    leverage_cap,
    manual,
    price_move,
    reconstitution,
    wind_down,
)
from rebalancer.core.rules.view import FundView, Rule, Signal

RULES: tuple[Rule, ...] = (
    gap.check,
    emergency.check,
    leverage_cap.check,
    price_move.check,
    leverage_band.check,
    reconstitution.check,
    elapsed.check,
    fixed.check,
    flow.check,
    manual.check,
)


def signals(view: FundView) -> tuple[Signal, ...]:
    """Return what fires, in order of precedence. A forced trigger is preceded by the gap rule."""
    flow_signal = flow.check(view)
    if view.empty:
        return () if flow_signal is None else (flow_signal,)
    if view.winding or view.flattening:
        ending = (gap.check(view), wind_down.check(view), flow_signal)
        return tuple(signal for signal in ending if signal is not None)
    if view.forced is not None:
        gap_signal = gap.check(view)
        if gap_signal is not None:
            return (gap_signal,)
        fixed_signal = fixed.check(view)
        forced = Signal(
            trigger=view.forced,
            reason=f"forced: {view.forced}",
            goal=view.fund.methodology.goals.get(view.forced, TO_TARGET),
            due_ms=fixed_signal.due_ms if fixed_signal else (),
        )
        return (forced,) if flow_signal is None else (forced, flow_signal)
    fired = (rule(view) for rule in RULES)
    return tuple(signal for signal in fired if signal is not None)


__all__ = ["RULES", "FundView", "Rule", "Signal", "signals"]
