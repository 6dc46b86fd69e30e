"""What cannot work: rules of one fund that contradict each other or its target (spec section 3).

Everything here is known before any price is; each refusal names the key and says why.
"""

from __future__ import annotations

from decimal import Decimal

from rebalancer.core.instant import DAY_MS
from rebalancer.core.methodology import (
    Destination,
    Elapsed,
    Emergency,
    Fixed,
    LeverageBand,
    Methodology,
    PriceMove,
    Reconstitution,
    Side,
    leverage_after_move,
    losing_move,
)
from rebalancer.core.money import ONE, ZERO
from rebalancer.errors import ConfigRefused

#: threshold x abs(M) at and above which a fund could be near zero before it reacts
WORST_THRESHOLD_LOSS = Decimal("0.75")


def refuse_impossible(rules: Methodology, fund: str, target_leverage: Decimal) -> None:
    """Raise ConfigRefused with the reason when the rules of `fund` cannot work together."""
    magnitude = abs(target_leverage)
    where = f"funds.{fund}.rules"
    if rules.fixed:
        _refuse_fixed(where, rules.fixed)
    if rules.price_move:
        _refuse_price_move(where, rules.price_move, magnitude)
    if rules.leverage_band:
        _refuse_band(where, rules.leverage_band, magnitude)
    if rules.leverage_cap and rules.leverage_cap.upper <= magnitude:
        raise ConfigRefused(
            f"{where}.leverage_cap.upper: {rules.leverage_cap.upper} must be above the target "
            f"leverage of {magnitude}, or the fund would rebalance without end"
        )
    if rules.elapsed:
        _refuse_elapsed(where, rules.elapsed)
    if rules.reconstitution:
        _refuse_reconstitution(where, rules.reconstitution)
    if rules.flow:
        rules.flow.refuse_impossible(f"{where}.flow")
    _refuse_goals(where, rules)
    if rules.emergency:
        _refuse_emergency(where, rules.emergency, rules, target_leverage)


def _refuse_fixed(where: str, rule: Fixed) -> None:
    if not rule.times_of_day_ms:
        raise ConfigRefused(f"{where}.fixed.times: name at least one time, or set enabled = false")
    if len(set(rule.times_of_day_ms)) != len(rule.times_of_day_ms):
        raise ConfigRefused(f"{where}.fixed.times: a time stands twice")
    if rule.catch_up_ms <= 0:
        raise ConfigRefused(f"{where}.fixed.catch_up: must be above zero")
    if rule.skip_within and rule.skip_within[0] > rule.skip_within[1]:
        raise ConfigRefused(f"{where}.fixed.skip_within: the low end is above the high end")


def _refuse_price_move(where: str, rule: PriceMove, magnitude: Decimal) -> None:
    if rule.threshold <= 0:
        raise ConfigRefused(f"{where}.price_move.threshold: {rule.threshold} must be above zero")
    if rule.threshold * magnitude >= WORST_THRESHOLD_LOSS:
        raise ConfigRefused(
            f"{where}.price_move.threshold: {rule.threshold} x {magnitude} is a loss of "
            f"{rule.threshold * magnitude}, which must stay under {WORST_THRESHOLD_LOSS}; lower it "
            "(10 % is written 0.1)"
        )


def _refuse_band(where: str, rule: LeverageBand, magnitude: Decimal) -> None:
    if rule.lower <= 0:
        raise ConfigRefused(f"{where}.leverage_band.lower: {rule.lower} must be above zero")
    if rule.lower > magnitude:
        raise ConfigRefused(
            f"{where}.leverage_band.lower: {rule.lower} is above the target leverage of "
            f"{magnitude}, so that every run would end outside the band"
        )
    if rule.upper < magnitude:
        raise ConfigRefused(
            f"{where}.leverage_band.upper: {rule.upper} is under the target leverage of "
            f"{magnitude}, so that every run would end outside the band"
        )
    if rule.lower == rule.upper:
        raise ConfigRefused(
            f"{where}.leverage_band: lower and upper are both {rule.lower}; a band without width "
            "would rebalance without end"
        )


def _refuse_elapsed(where: str, rule: Elapsed) -> None:
    if rule.days * DAY_MS < rule.cooldown_ms:
        raise ConfigRefused(
            f"{where}.elapsed.days: {rule.days} days are shorter than the rule's cooldown"
        )


def _refuse_reconstitution(where: str, rule: Reconstitution) -> None:
    if not rule.changes:
        raise ConfigRefused(
            f"{where}.reconstitution.changes: name at least one change, or set enabled = false"
        )
    instants = [each.due_ms for each in rule.changes]
    if len(set(instants)) != len(instants):
        raise ConfigRefused(
            f"{where}.reconstitution.changes: two changes become effective at the same time"
        )


def _refuse_goals(where: str, rules: Methodology) -> None:
    for key, goal in rules.goals.items():
        if not ZERO < goal.speed <= ONE:
            raise ConfigRefused(
                f"{where}.{key}.speed: {goal.speed} must be above 0, which goes nowhere, and 1 at "
                "most, which goes all the way"
            )
        if goal.to is not Destination.TARGET and rules.leverage_band is None:
            raise ConfigRefused(
                f'{where}.{key}.to: "{goal.to}" needs the edges of the fund\'s leverage_band, '
                "which is not enabled"
            )
    cap, band = rules.leverage_cap, rules.leverage_band
    if cap and band and cap.goal.to is Destination.EDGE and band.upper > cap.upper:
        raise ConfigRefused(
            f"{where}.leverage_cap.to: the edge of leverage_band at {band.upper} is above the cap "
            f"of {cap.upper}, so that a run would leave leverage above it; go to the target, or "
            "lower the edge"
        )


def _reached_by_price(rule: PriceMove, target: Decimal) -> Decimal:
    """Return the largest magnitude of leverage at which the rule fires, from the target on."""
    moves = [losing_move(target, rule.threshold)]
    if rule.side is Side.BOTH:
        moves.append(-moves[0])  # a long under 1 gains leverage as it gains
    return max(leverage_after_move(target, move) for move in moves)


def _refuse_emergency(where: str, rule: Emergency, rules: Methodology, target: Decimal) -> None:
    level = rule.level.value
    if level <= abs(target):
        raise ConfigRefused(
            f"{where}.emergency: it would fire at {level:.4f}, which must be above the target "
            f"leverage of {abs(target)}"
        )
    if rule.collar_bps is not None and not ZERO < rule.collar_bps <= 10_000:
        raise ConfigRefused(f"{where}.emergency.collar_bps: must be above 0, 10000 at most")
    if rules.price_move:
        reached = _reached_by_price(rules.price_move, target)
        if level <= reached:
            raise ConfigRefused(
                f"{where}.emergency: it would fire at {level:.4f}, inside price_move, which "
                f"lets leverage reach {reached:.4f}; raise emergency.ratio"
            )
    if rules.leverage_band and level <= rules.leverage_band.upper:
        raise ConfigRefused(
            f"{where}.emergency: it would fire at {level:.4f}, inside leverage_band, which lets "
            f"leverage reach {rules.leverage_band.upper}; raise emergency.ratio"
        )
    if rules.leverage_cap and level <= rules.leverage_cap.upper:
        raise ConfigRefused(
            f"{where}.emergency: it would fire at {level:.4f}, before leverage_cap at "
            f"{rules.leverage_cap.upper}; raise emergency.ratio"
        )
    cooled = (
        ("price_move", rules.price_move),
        ("leverage_band", rules.leverage_band),
        ("leverage_cap", rules.leverage_cap),
    )
    for name, other in cooled:
        if other and other.cooldown_ms < rule.cooldown_ms:
            raise ConfigRefused(
                f"{where}.{name}.cooldown: must not be shorter than the emergency's cooldown"
            )
