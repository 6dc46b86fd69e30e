"""How far each price rule is from firing: the exact prices, for funds on one contract or many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from rebalancer.core.fund import Fund, PriceSource
from rebalancer.core.methodology import Trigger
from rebalancer.core.money import ONE
from rebalancer.core.nav import Point, Valuation
from rebalancer.core.position import Holding
from rebalancer.core.records import TradingState
from rebalancer.core.state import FundState
from rebalancer.core.triggers import Standing, TriggerPrice, members_of, trigger_prices

#: the pseudo contract that stands for a basket whose members all move alike; its price now is 1
_BASKET = "basket"


@dataclass(frozen=True, slots=True)
class Distance:
    """One rule of one fund, and the prices at which it fires."""

    trigger: Trigger
    source: PriceSource
    #: of each member, when all of them move alike
    prices: Mapping[str, Decimal]
    #: the way from the present price, 0.05 = 5 % up
    move: Decimal
    #: fires at and below the price, else at and above it
    falling: bool
    #: fires beyond the price only
    strict: bool

    @property
    def fires(self) -> str:
        """On which side of its price it fires: below, at or below, above, at or above."""
        side = "below" if self.falling else "above"
        return side if self.strict else f"at or {side}"


def distances_of(fund: FundState, worth: Valuation | None) -> tuple[Distance, ...]:
    """Return the triggers of a fund as it stands; none without a price, an owner, or a life."""
    if worth is None or not fund.shares or fund.trading is TradingState.WIPED:
        return ()
    return distances(Standing(fund.fund, fund.holding, fund.point, worth, ending=fund.ending))


def distances(standing: Standing) -> tuple[Distance, ...]:
    """Return every trigger of a fund that can act, the nearest first, unrounded.

    For a basket the prices are those at which a rule fires when all members move by one factor:
    with exposure X and cash C it is a single contract of X units at 1 (field.md b3). Members that
    are listed no more do not move: r is s m, of the move m of the others and their share s.
    """
    fund, worth = standing.fund, standing.worth
    members, point = members_of(fund, standing.holding, standing.point), standing.point
    cash = worth.equity - worth.exposure  # what is owed and not yet posted is in the equity
    if len(members) == 1:
        found = trigger_prices(fund, Holding(cash, standing.holding.units), point)
    elif not worth.listed:
        return ()
    else:
        share = worth.listed
        if share != ONE:
            members = tuple(each for each in members if each in standing.holding.units)
        base = {_BASKET: share / (share + worth.move)}
        level = point and Point(point.at_ms, point.nav, base, point.leverage * share)
        alike = replace(_of_the_rest(fund, share), basket={_BASKET: ONE})
        found = trigger_prices(alike, Holding(cash, {_BASKET: worth.exposure}), level)
    acting = [each for each in found if each.trigger is Trigger.GAP or not standing.ending]
    told = [_distance(standing, members, each) for each in acting]
    return tuple(sorted(told, key=lambda each: abs(each.move)))


def _of_the_rest(fund: Fund, share: Decimal) -> Fund:
    """Return a fund as the members are to it that make up a share of its basket."""
    rules = fund.methodology
    move, band = rules.price_move, rules.leverage_band
    return replace(
        fund,
        target_leverage=fund.target_leverage * share,
        methodology=replace(
            rules,
            price_move=move and replace(move, threshold=move.threshold / share),
            leverage_band=band
            and replace(band, lower=band.lower * share, upper=band.upper * share),
        ),
    )


def _distance(standing: Standing, members: tuple[str, ...], found: TriggerPrice) -> Distance:
    fund, worth = standing.fund, standing.worth
    now = worth.prices if found.source is fund.price_source else worth.marks
    if found.contract == _BASKET:
        move = found.price - ONE
        prices = {symbol: now[symbol] * found.price for symbol in members}
    else:
        move = found.price / now[found.contract] - ONE
        prices = {found.contract: found.price}
    return Distance(found.trigger, found.source, prices, move, found.falling, found.strict)
