"""What a fund is worth: both NAVs, exposure and leverage at given prices (spec section 2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from rebalancer.core.money import ONE, ZERO
from rebalancer.core.position import Holding, Prices, leverage


@dataclass(frozen=True, slots=True)
class Point:
    """A rebalancing point t_k: S_k, P_k and L_k, fixed when its run was done."""

    at_ms: int
    nav: Decimal
    prices: Mapping[str, Decimal]
    leverage: Decimal


@dataclass(frozen=True, slots=True)
class Valuation:
    """One fund at one instant. Nothing in it is rounded."""

    #: marks: what equity, leverage and sizing use
    marks: Prices
    #: prices of the fund's own source: what the formula NAV and the price rules use
    prices: Prices
    #: signed market value of the units at the marks, in quote currency
    exposure: Decimal
    equity: Decimal
    #: account NAV, equity per share
    nav: Decimal
    #: r, the weighted return of the basket since the point; zero before the first point
    move: Decimal
    formula_nav: Decimal
    #: signed effective leverage; None where equity is not above zero
    leverage: Decimal | None
    #: sum of the weights that can be held: under 1 where a member is listed no more and is cash
    listed: Decimal = ONE

    @property
    def other_prices(self) -> Prices:
        """The prices of its own source, where the marks do not say the same; else none."""
        return {} if self.prices == self.marks else self.prices

    @property
    def rises_by_falling(self) -> bool:
        """Whether the magnitude of leverage rises when the price falls: borrowed cash behind it.

        X / (C + X) of an exposure X moves with the sign of the cash C: longs over 1 owe cash,
        shorts and longs under 1 hold it.
        """
        return self.equity < self.exposure


def basket_move(basket: Mapping[str, Decimal], point: Point, prices: Prices) -> Decimal:
    """Return r = sum of w_i P_i / P_k,i - 1 (spec section 1)."""
    level = sum(
        (weight * prices[symbol] / point.prices[symbol] for symbol, weight in basket.items()), ZERO
    )
    return level - ONE


def formula_nav(point: Point, move: Decimal) -> Decimal:
    """Return S(t) = S_k (1 + L_k r), at least 0: a fund cannot owe its holders (spec section 2)."""
    return max(ZERO, point.nav * (ONE + point.leverage * move))


@dataclass(frozen=True, slots=True)
class ValueInputs:
    """What a valuation needs of a fund."""

    basket: Mapping[str, Decimal]
    shares: Decimal
    holding: Holding
    point: Point | None
    initial_nav: Decimal
    wiped: bool
    #: what the cash account owes and the ledger does not show yet, in quote currency
    accrued: Decimal = ZERO


def value(inputs: ValueInputs, marks: Prices, prices: Prices) -> Valuation:
    """Value a fund at `marks` (its account) and `prices` (its source).

    Nobody owns an empty fund: its shares would be issued at the formula NAV.
    """
    exposure = inputs.holding.exposure(marks)
    equity = inputs.holding.cash + exposure - inputs.accrued
    move, formula = ZERO, inputs.initial_nav
    if inputs.point is not None:
        move = basket_move(inputs.basket, inputs.point, prices)
        formula = formula_nav(inputs.point, move)
    return Valuation(
        marks=marks,
        prices=prices,
        exposure=exposure,
        equity=equity,
        nav=equity / inputs.shares if inputs.shares else formula,
        move=move,
        formula_nav=ZERO if inputs.wiped else formula,
        leverage=leverage(exposure, equity) if equity > 0 else None,
    )
