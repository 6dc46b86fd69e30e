"""What a signal waits for while its fund has a run, and what a run gives way to."""

from __future__ import annotations

from rebalancer.core.methodology import Trigger
from rebalancer.core.rules.view import Signal
from rebalancer.core.run import Run, RunStatus
from rebalancer.core.state import FundState

#: what gives an incomplete run a new target; every other signal waits until it was resumed
_RENEWING = frozenset({Trigger.FIXED, Trigger.MANUAL, Trigger.EMERGENCY})


def waits_for(fund: FundState, signal: Signal, now_ms: int) -> str | None:
    """Say what keeps a signal from acting while the fund has a run; None where nothing does."""
    run = fund.run
    if run is None or _takes_over(signal.trigger, run):
        return None
    if signal.duty is not None:
        # It is only to be recorded: unless the run works towards the point that would end the duty.
        works = run.status is RunStatus.WORKING and run.plan.sets_point
        return "a run is under way" if works else None
    if run.status is RunStatus.WORKING:
        return "a run is under way"
    if signal.trigger in _RENEWING or _has_other_basket(fund, run, signal, now_ms):
        return None
    return "an incomplete run is resumed first"


def _takes_over(trigger: Trigger, run: Run) -> bool:
    # A slow run may still be buying while the price falls: the backstop must not wait for it.
    if trigger is Trigger.EMERGENCY:
        return run.plan.trigger not in (Trigger.EMERGENCY, Trigger.GAP)
    if trigger is Trigger.WIND_DOWN:
        return run.plan.trigger not in (Trigger.WIND_DOWN, Trigger.GAP)
    return trigger is Trigger.GAP


def _has_other_basket(fund: FundState, run: Run, signal: Signal, now_ms: int) -> bool:
    """Whether the basket changed since the run was opened: what it buys may be out of it by now."""
    changed = run.plan.base_weights != fund.fund.basket_at(now_ms)
    return signal.trigger is Trigger.RECONSTITUTION and changed
