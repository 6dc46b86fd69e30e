"""Trigger prices: between which prices none of a fund's rules can fire (field.md b3).

For a single contract the edges are the exact prices at which a rule fires. For a basket they are
safe instead: with every member inside its range, no rule can fire, whichever way the others move.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from rebalancer.core.fund import Fund, PriceSource
from rebalancer.core.market import Key
from rebalancer.core.methodology import LeverageBand, PriceMove, Ratio, Side, Trigger, losing_move
from rebalancer.core.money import ONE, ZERO
from rebalancer.core.nav import Point, Valuation
from rebalancer.core.position import Holding
from rebalancer.core.rules.leverage_band import breached
from rebalancer.core.watch import Range

#: a range that every price leaves
NEVER_QUIET: Range = (Decimal("Infinity"), None)


@dataclass(frozen=True, slots=True)
class TriggerPrice:
    """`trigger` fires when `source` of `contract` is at or beyond `price`."""

    trigger: Trigger
    contract: str
    source: PriceSource
    price: Decimal
    #: fires at and below the price, else at and above it
    falling: bool
    #: fires beyond the price only
    strict: bool = False


def trigger_prices(fund: Fund, holding: Holding, point: Point | None) -> tuple[TriggerPrice, ...]:
    """Return every trigger price of a fund on a single contract, unrounded."""
    (symbol,) = members_of(fund, holding, point)
    found = [*_formula_triggers(fund, symbol, point), *_leverage_triggers(fund, symbol, holding)]
    return tuple(item for item in found if item.price > 0)


def members_of(fund: Fund, holding: Holding, point: Point | None) -> tuple[str, ...]:
    """Return the contracts that the value of a fund follows."""
    basket = point.prices if point is not None else fund.basket
    return tuple(dict.fromkeys((*basket, *holding.units)))


def _formula_triggers(fund: Fund, symbol: str, point: Point | None) -> Iterator[TriggerPrice]:
    if point is None:
        return
    base, source = point.prices[symbol], fund.price_source
    if point.leverage != 0:
        price = base * (point.leverage - ONE) / point.leverage
        yield TriggerPrice(Trigger.GAP, symbol, source, price, falling=point.leverage > 0)
    rule = fund.methodology.price_move
    if rule is None:
        return
    moves = [losing_move(point.leverage or fund.target_leverage, rule.threshold)]
    if rule.side is Side.BOTH:
        moves.append(-moves[0])
    elif 0 < fund.target_leverage <= 1:
        moves = []
    for move in moves:
        yield TriggerPrice(
            Trigger.PRICE_MOVE, symbol, source, base * (ONE + move), falling=move < 0
        )


def _leverage_triggers(fund: Fund, symbol: str, holding: Holding) -> Iterator[TriggerPrice]:
    units, cash = holding.units.get(symbol, ZERO), holding.cash
    if not units:
        return
    mark, rules = fund.mark_source, fund.methodology
    yield TriggerPrice(Trigger.GAP, symbol, mark, -cash / units, falling=units > 0)
    levels = []
    if rules.emergency:
        levels.append((Trigger.EMERGENCY, rules.emergency.level))
    if rules.leverage_cap:
        levels.append((Trigger.LEVERAGE_CAP, Ratio(numerator=rules.leverage_cap.upper)))
    for trigger, level in levels:
        # abs(u) P = n / d (cash + u P), solved for P in one division, so that an edge which is a
        # price is met exactly; a long at a level of 1 has no such price.
        scale = level.denominator * abs(units) - level.numerator * units
        if scale:
            price = level.numerator * cash / scale
            falling = units > 0 and scale < 0
            strict = trigger is Trigger.LEVERAGE_CAP
            yield TriggerPrice(trigger, symbol, mark, price, falling=falling, strict=strict)
    if rules.leverage_band:
        yield from band_triggers(fund, rules.leverage_band, symbol, holding)


def band_triggers(
    fund: Fund, rule: LeverageBand, symbol: str, holding: Holding
) -> Iterator[TriggerPrice]:
    """Yield the prices at which leverage meets the edges of the band: x (C + u P) = s u P.

    For a fund at target these are the factors of field.md b3: x (1 - L) / (L (1 - x)) for a long
    and x (1 + L) / (L (1 + x)) for a short. Leverage moves with the price where cash is held, and
    against it where cash is owed.
    """
    cash, units = holding.cash, holding.units.get(symbol, ZERO)
    directed = units.copy_sign(units * fund.target_leverage)
    for edge, upper in ((rule.lower, False), (rule.upper, True)):
        scale = directed - edge * units
        if scale and cash and directed > 0:
            price, falling = edge * cash / scale, (cash < 0) is upper
            yield TriggerPrice(
                Trigger.LEVERAGE_BAND, symbol, fund.mark_source, price, falling, strict=True
            )


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a fund stands: what its quiet ranges follow from."""

    fund: Fund
    holding: Holding
    point: Point | None
    worth: Valuation
    #: whether a move in the fund's favour must be noticed too, to warn of it
    watch_winner: bool = False
    #: whether a breach of the band is known already and waits for its deadline
    duty: bool = False
    #: whether an operator has it sold: no rule but the gap acts, though others are watched
    ending: bool = False


def quiet_ranges(standing: Standing) -> dict[Key, Range]:
    """Return, by contract and source, the open range in which no price rule can fire."""
    fund, point = standing.fund, standing.point
    members = members_of(fund, standing.holding, point)
    if len(members) > 1:
        return _basket_ranges(standing, members)
    triggers = tuple(
        each
        for each in trigger_prices(fund, standing.holding, point)
        if each.trigger is not Trigger.LEVERAGE_BAND
    )
    triggers += tuple(_band_watch(standing, members[0]))
    rule = fund.methodology.price_move
    if standing.watch_winner and rule is not None and point is not None:
        symbol = members[0]
        move = -losing_move(point.leverage or fund.target_leverage, rule.threshold)
        price = point.prices[symbol] * (ONE + move)
        winner = TriggerPrice(Trigger.NONE, symbol, fund.price_source, price, falling=move < 0)
        triggers = (*triggers, winner)
    return _with_restless_mark(standing, members[0], _single_ranges(triggers))


def _band_watch(standing: Standing, symbol: str) -> Iterator[TriggerPrice]:
    """Yield the edges of the band that must be noticed, at the prices where they are met.

    A known breach is noticed again when it is cured, and only where that ends the duty.
    """
    fund, rule = standing.fund, standing.fund.methodology.leverage_band
    if rule is None or (standing.duty and not rule.lapse_if_cured):
        return
    price = standing.worth.marks[symbol]
    found = [each for each in band_triggers(fund, rule, symbol, standing.holding) if each.price > 0]
    outside = breached(fund.target_leverage, rule, standing.worth) is not None
    if not standing.duty or not outside:
        yield from found
        if outside and not found:  # no price mends it: look at every one
            low = Decimal("Infinity")
            yield TriggerPrice(Trigger.LEVERAGE_BAND, symbol, fund.mark_source, low, falling=True)
        return
    for each in found:
        if each.price < price if each.falling else each.price > price:
            continue  # the other edge, on the far side of the band
        yield replace(each, falling=not each.falling)


def _with_restless_mark(
    standing: Standing, symbol: str, ranges: dict[Key, Range]
) -> dict[Key, Range]:
    """Ask for every mark while the fund's own price is beyond a trigger.

    A losing-side move also asks for the leverage, which the mark alone can lift over the target.
    """
    source, mark_source = standing.fund.price_source, standing.fund.mark_source
    low, high = ranges.get((symbol, source), (None, None))
    price = standing.worth.prices[symbol]
    beyond = (low is not None and price <= low) or (high is not None and price >= high)
    if beyond and source is not mark_source:
        ranges[symbol, mark_source] = NEVER_QUIET
    return ranges


def _single_ranges(triggers: tuple[TriggerPrice, ...]) -> dict[Key, Range]:
    ranges: dict[Key, Range] = {}
    for item in triggers:
        key = (item.contract, item.source)
        low, high = ranges.get(key, (None, None))
        if item.falling:
            low = item.price if low is None else max(low, item.price)
        else:
            high = item.price if high is None else min(high, item.price)
        ranges[key] = (low, high)
    return ranges


def _basket_ranges(standing: Standing, members: tuple[str, ...]) -> dict[Key, Range]:
    fund, worth = standing.fund, standing.worth
    slack = _basket_slack(standing)
    ranges: dict[Key, Range] = {}
    for symbol in members:
        for source, prices in (
            (fund.mark_source, worth.marks),
            (fund.price_source, worth.prices),
        ):
            price = prices[symbol]
            ranges[symbol, source] = (price * (ONE - slack), price * (ONE + slack))
    return ranges


def _basket_slack(standing: Standing) -> Decimal:
    """Return the relative move of every member, in any direction, that no rule can notice."""
    point, worth, rules = standing.point, standing.worth, standing.fund.methodology
    slacks = [ONE]
    if point is not None:
        level = ONE + worth.move
        if point.leverage:
            slacks.append((ONE + point.leverage * worth.move) / (abs(point.leverage) * level))
        if rules.price_move:
            spare = rules.price_move.threshold - _towards(standing, rules.price_move, point)
            slacks.append(spare / level)
    gross = standing.holding.gross(worth.marks)
    if gross > 0:
        slacks.append(worth.equity / gross)
        for bound in (
            rules.emergency.level.value if rules.emergency else None,
            rules.leverage_cap.upper if rules.leverage_cap else None,
        ):
            if bound is not None:
                spare = bound * worth.equity - abs(worth.exposure)
                slacks.append(spare / (gross * (ONE + bound)))
    slacks += _band_slacks(standing, gross)
    return max(ZERO, min(slacks))


def _band_slacks(standing: Standing, gross: Decimal) -> Iterator[Decimal]:
    """Yield the moves of every member that keep leverage on this side of the band's edges."""
    worth, rule = standing.worth, standing.fund.methodology.leverage_band
    if rule is None or (standing.duty and not rule.lapse_if_cured):
        return
    exposure = worth.exposure if standing.fund.target_leverage > 0 else -worth.exposure
    upper, lower = rule.upper * worth.listed, rule.lower * worth.listed
    for edge, spare in (
        (upper, upper * worth.equity - exposure),
        (lower, exposure - lower * worth.equity),
    ):
        # A known breach waits to be cured: it is looked at when its own edge comes near.
        room = -spare if standing.duty and spare < 0 else spare
        yield room / (gross * (ONE + edge)) if gross else ZERO


def _towards(standing: Standing, rule: PriceMove, point: Point) -> Decimal:
    """Return how far the price has gone in a direction in which it will be noticed."""
    move = standing.worth.move
    if rule.side is Side.BOTH or standing.watch_winner:
        return abs(move)
    return -move if point.leverage > 0 else move
