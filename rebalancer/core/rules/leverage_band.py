"""The band: effective leverage must stay inside [lower, upper], mended at once or by a deadline."""

from __future__ import annotations

from decimal import Decimal

from rebalancer.core.duty import Duty, duty_of
from rebalancer.core.instant import iso
from rebalancer.core.methodology import LeverageBand, Trigger
from rebalancer.core.nav import Valuation
from rebalancer.core.rules.view import FundView, Signal


def check(view: FundView) -> Signal | None:
    """Fire when leverage is strictly outside the band, or when a duty to mend it is due."""
    rule = view.fund.methodology.leverage_band
    if rule is None or view.worth.leverage is None:
        return None
    cooled_ms = 0 if view.last_run_ms is None else view.last_run_ms + rule.cooldown_ms
    if view.duty is not None:
        if view.now_ms < view.duty.due_ms or _lapses(view, rule):
            return None
        return Signal(
            trigger=Trigger.LEVERAGE_BAND,
            reason=f"the breach of {iso(view.duty.since_ms)} is to be mended by "
            f"{iso(view.duty.due_ms)}: leverage is {view.worth.leverage:.4f}, the band is "
            f"{rule.lower:f}-{rule.upper:f}",
            goal=rule.goal,
            confirm_ticks=rule.confirm_ticks,
            not_before_ms=cooled_ms,
        )
    breach = breached(view.fund.target_leverage, rule, view.worth)
    if breach is None:
        return None
    duty = duty_of(view.fund, rule, view.now_ms) if rule.within_business_days else None
    above = "above the upper" if breach == rule.upper else "below the lower"
    return Signal(
        trigger=Trigger.LEVERAGE_BAND,
        reason=f"leverage {view.worth.leverage:.4f} is {above} edge {breach:f} of the band",
        goal=rule.goal,
        falling=view.worth.rises_by_falling is (breach == rule.upper),
        confirm_ticks=rule.confirm_ticks,
        not_before_ms=0 if duty else cooled_ms,
        duty=duty,
    )


def lapsed(view: FundView) -> str | None:
    """Say why a duty of the fund has ended by itself; None where it stands, or there is none."""
    rule = view.fund.methodology.leverage_band
    if view.duty is None:
        return None
    if rule is None or not rule.within_business_days:
        return "the fund has no band with a deadline any more"
    if _lapses(view, rule):
        return "leverage came back into the band before the breach was to be mended"
    return None


def waits(duty: Duty | None) -> str | None:
    """Say what a duty waits for; None where there is none."""
    if duty is None:
        return None
    return f"the band was breached at {iso(duty.since_ms)}, to be mended by {iso(duty.due_ms)}"


def breached(target: Decimal, rule: LeverageBand, worth: Valuation) -> Decimal | None:
    """Return the edge that leverage is strictly beyond, compared without dividing, or None.

    Leverage counts in the fund's own direction: a fund on the wrong side is under its lower edge.
    Where a part of the basket is cash for good, the edges are those of the rest.
    """
    exposure = worth.exposure if target > 0 else -worth.exposure
    equity = worth.equity * worth.listed
    if exposure > rule.upper * equity:
        return rule.upper
    if exposure < rule.lower * equity:
        return rule.lower
    return None


def _lapses(view: FundView, rule: LeverageBand) -> bool:
    return rule.lapse_if_cured and not breached(view.fund.target_leverage, rule, view.worth)
