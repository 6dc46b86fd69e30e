"""The planner: from targets to net orders, with exact shares for every fund (spec section 4).

Pure arithmetic on values: who wants how much, what crosses inside the desk, what goes to the venue.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from rebalancer.core.contract import Contract
from rebalancer.core.money import ZERO, split_pro_rata, total, trunc_to_places
from rebalancer.core.order import OrderSide, PositionSide
from rebalancer.core.position import Prices

_WHOLE_PLACES = Decimal("1e-24")
_TARGET_PLACES = Decimal("1e-36")


def target_units(
    target_leverage: Decimal, equity: Decimal, basket: Mapping[str, Decimal], marks: Prices
) -> dict[str, Decimal]:
    """Return L' E w_i / P_i by contract, in signed base coins, to 36 decimals; equity > 0.

    A weight of a third or a leverage of 17/7 is cut after many digits: what is within 24 decimals
    of an amount that can be held is that amount, so that a target of whole lots does not fall short
    of its last lot. Every other keeps its digits, of which its notional is computed.
    """
    return {
        symbol: _unless_whole(target_leverage * equity * weight / marks[symbol])
        for symbol, weight in basket.items()
    }


def _unless_whole(units: Decimal) -> Decimal:
    near = units.quantize(_WHOLE_PLACES)
    return near if near == trunc_to_places(near) else units.quantize(_TARGET_PLACES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """What one fund still wants of one contract."""

    #: signed base coins to the frozen target
    units: Decimal
    #: most of it that one order may carry, without sign; None is unlimited
    child_units: Decimal | None = None
    #: orders under this are skipped, in quote currency
    min_notional: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """One contract on one account, at the moment of planning."""

    contract: Contract
    mark: Decimal
    #: what the account holds, in signed base coins: net, or in the books of a hedge venue
    net_units: Decimal
    long_units: Decimal = ZERO
    short_units: Decimal = ZERO
    hedge: bool = False
    waives_min_notional: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One venue order to be."""

    side: OrderSide
    position_side: PositionSide
    #: without sign, in contracts
    contracts: Decimal
    #: signed, in base coins
    units: Decimal
    reduce_only: bool


@dataclass(frozen=True, slots=True)
class Skip:
    """What a fund wanted and does not get now, and why."""

    fund: str
    units: Decimal
    reason: str


@dataclass(frozen=True, slots=True)
class BookPlan:
    """What happens to one contract: crosses inside, legs outside, skips with their reasons."""

    #: signed base coins by fund; sums to zero
    crosses: Mapping[str, Decimal]
    legs: tuple[Leg, ...]
    #: signed base coins that each fund wants of the legs together
    wanted: Mapping[str, Decimal]
    skips: tuple[Skip, ...]


def plan_book(book: Book, wants: Mapping[str, Want]) -> BookPlan:
    """Net the wants of all funds in `book` into crosses and orders."""
    # What lies under the 18th decimal can neither cross nor trade; left in, it would not net.
    holdable = {name: trunc_to_places(want.units) for name, want in wants.items()}
    crosses = cross(holdable)
    rest = {
        name: clamp(units - crosses.get(name, ZERO), wants[name].child_units)
        for name, units in holdable.items()
    }
    wanted = {name: units for name, units in rest.items() if units}
    if not wanted:
        return BookPlan(crosses, (), {}, ())
    net = total(wanted.values())
    contracts = book.contract.contracts_in(net)
    # The least of the minimums: what one fund alone could order, it can order with others too.
    legs, reason = _legs(book, contracts, min(wants[name].min_notional for name in wanted))
    skips: tuple[Skip, ...] = ()
    if reason is not None:
        missing = net - total(leg.units for leg in legs)
        skips = tuple(Skip(name, units * missing / net, reason) for name, units in wanted.items())
    return BookPlan(crosses, legs, wanted if legs else {}, skips)


def cross(deltas: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Return what opposite deltas, of 18 decimals, exchange inside the desk; sums to zero.

    The smaller side crosses fully, the larger side in proportion to its deltas (spec section 4.2).
    """
    buys = {name: units for name, units in deltas.items() if units > 0}
    sells = {name: -units for name, units in deltas.items() if units < 0}
    crossed = min(total(buys.values()), total(sells.values()))
    if crossed == 0:
        return {}
    bought = split_pro_rata(crossed, buys)
    sold = split_pro_rata(crossed, sells)
    return {**bought, **{name: -units for name, units in sold.items()}}


def clamp(units: Decimal, limit: Decimal | None) -> Decimal:
    """Return `units`, with a magnitude of `limit` at most."""
    if limit is None or abs(units) <= limit:
        return units
    return limit.copy_sign(units)


def _legs(
    book: Book, contracts: Decimal, min_notional: Decimal
) -> tuple[tuple[Leg, ...], str | None]:
    """Return the orders for a net of signed `contracts`, and why something is left out."""
    if contracts == 0:
        return (), book.contract.too_small(ZERO, book.mark, waive_notional=True)
    legs: list[Leg] = []
    reason: str | None = None
    for leg in _close_and_open(book, contracts) if book.hedge else (_net_leg(book, contracts),):
        waived = leg.reduce_only and book.waives_min_notional
        problem = book.contract.too_small(leg.contracts, book.mark, waive_notional=waived)
        if problem is None and not waived and abs(leg.units) * book.mark < min_notional:
            problem = f"under the execution's minimum notional of {min_notional.normalize():f}"
        if problem is None:
            legs.append(leg)
        else:
            reason = problem
    return tuple(legs), reason


def _net_leg(book: Book, contracts: Decimal) -> Leg:
    units = book.contract.units_in(contracts)
    shrinks = book.net_units * units < 0 and abs(units) <= abs(book.net_units)
    return _leg(book, contracts, PositionSide.NET, reduce_only=shrinks)


def _close_and_open(book: Book, contracts: Decimal) -> tuple[Leg, ...]:
    """Split for a venue with separate books: close the other side first, then open."""
    closing, opening = (
        (PositionSide.SHORT, PositionSide.LONG)
        if contracts > 0
        else (PositionSide.LONG, PositionSide.SHORT)
    )
    held = abs(book.short_units if contracts > 0 else book.long_units)
    closable = min(abs(contracts), book.contract.contracts_in(held))
    rest = abs(contracts) - closable
    legs = []
    if closable:
        legs.append(_leg(book, closable.copy_sign(contracts), closing, reduce_only=True))
    if rest:
        legs.append(_leg(book, rest.copy_sign(contracts), opening, reduce_only=False))
    return tuple(legs)


def _leg(book: Book, contracts: Decimal, side: PositionSide, *, reduce_only: bool) -> Leg:
    return Leg(
        side=OrderSide.BUY if contracts > 0 else OrderSide.SELL,
        position_side=side,
        contracts=abs(contracts),
        units=book.contract.units_in(contracts),
        reduce_only=reduce_only,
    )


def collar_price(side: OrderSide, mark: Decimal, collar_bps: Decimal) -> Decimal:
    """Return the worst price an order may fill at: the mark with the collar on the dear side."""
    distance = mark * collar_bps / 10_000
    return mark + distance if side is OrderSide.BUY else mark - distance


__all__ = [
    "Book",
    "BookPlan",
    "Leg",
    "Skip",
    "Want",
    "clamp",
    "collar_price",
    "cross",
    "plan_book",
    "target_units",
]
