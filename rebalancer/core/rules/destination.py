"""Where a run goes: to the target, to the breached edge of the band, or part of the way."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from rebalancer.core.fund import Fund
from rebalancer.core.methodology import STRICTNESS, Destination, Goal
from rebalancer.core.money import ONE
from rebalancer.core.nav import Valuation
from rebalancer.errors import ensure


def strictest(goals: Iterable[Goal]) -> Goal:
    """Return where triggers that meet go together: the strictest place, by the longest step."""
    return min(goals, key=lambda goal: (STRICTNESS[goal.to], -goal.speed))


def aim_of(goal: Goal, fund: Fund, worth: Valuation) -> Decimal:
    """Return the signed leverage that a run with this goal aims at; the equity is above zero.

    Recentring is L' = max(lower, min(upper, L + speed (target - L))), in the fund's own direction
    (spec section 3; field.md c5). At the edge, the speed is zero: a fund inside its band stays.
    L is that of the part of the basket which can be held, like every leverage that is aimed at.
    """
    if goal.to is Destination.TARGET:
        return fund.target_leverage
    band = fund.methodology.leverage_band
    ensure(band is not None, f"{fund.name} has no band to go to the edge of")
    assert band is not None  # noqa: S101 - for the type checker; ensured above
    sign = ONE.copy_sign(fund.target_leverage)
    target = abs(fund.target_leverage)
    now = sign * worth.exposure / (worth.equity * (worth.listed or ONE))
    step = goal.speed * (target - now) if goal.to is Destination.RECENTRE else 0
    return sign * max(band.lower, min(band.upper, now + step))
