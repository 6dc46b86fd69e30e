"""Random snapshots against the sentences of the specification, computed again in fractions.

Nothing of the product is used for what is expected; numbers are compared as they are written.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from random import Random
from typing import Any

import pytest

from tests.factories import dice_of
from tests.oracle.documents import BTC, planned

PLACES = 10**18


def written(value: Fraction) -> str:
    """18 decimals at most, half-even (section 8)."""
    whole, rest = divmod(abs(round(value * PLACES)), PLACES)
    sign = "-" if round(value * PLACES) < 0 else ""
    return f"{sign}{whole}.{rest:018d}".rstrip("0").rstrip(".")


@dataclass(frozen=True)
class Case:
    """One fund of one share on one contract, rebalanced yesterday at `base`."""

    name: str
    target: Fraction
    cash: Fraction
    units: Fraction
    base: Fraction
    price: Fraction
    #: an optional cap, and the side of price_move
    cap: Fraction | None
    side: str

    @property
    def equity(self) -> Fraction:
        return self.cash + self.units * self.price

    @property
    def leverage(self) -> Fraction:
        return self.units * self.price / self.equity

    @property
    def move(self) -> Fraction:
        return self.price / self.base - 1

    def trigger(self) -> str:
        """Precedence: gap, emergency, cap, price_move (section 3)."""
        target, gain = abs(self.target), self.target * self.move
        if 1 + gain <= 0 or self.equity <= 0:
            return "gap"
        if abs(self.leverage) >= Fraction(5, 2) * target:
            return "emergency"
        if self.cap is not None and abs(self.leverage) > self.cap:
            return "leverage_cap"
        threshold = min(Fraction(15, 100), Fraction(45, 100) / target)
        # a losing-side run only ever lowers leverage; for 0 < M <= 1 it is no trade
        lowers = gain < 0 and not 0 < self.target <= 1 and abs(self.leverage) > target
        if abs(self.move) >= threshold and (self.side == "both" or lowers):
            return "price_move"
        return "none"

    def delta(self) -> Fraction:
        """L' E / P - held; the gap rule flattens."""
        trigger = self.trigger()
        if trigger in {"none", "gap"}:
            return -self.units if trigger == "gap" else Fraction(0)
        return self.target * self.equity / self.price - self.units

    def config(self) -> str:
        cap = "" if self.cap is None else f'leverage_cap = {{ upper = "{written(self.cap)}" }}\n'
        return (
            f'[funds.{self.name}]\naccount = "main"\ntarget_leverage = "{written(self.target)}"\n'
            f'basket = {{ "{BTC}" = 1 }}\n'
            f'[funds.{self.name}.rules]\nprice_move = {{ side = "{self.side}" }}\n{cap}'
        )

    def snapshot(self) -> dict[str, Any]:
        point = {"at": "2026-01-08T12:00:00Z", "nav": "100", "prices": {BTC: written(self.base)}}
        return {
            "shares": "1",
            "cash": written(self.cash),
            "units": {BTC: written(self.units)},
            "last_rebalance": point,
        }


def thrown(dice: Random, name: str, base: Fraction, price: Fraction) -> Case:
    target = Fraction(dice.choice(["3", "-3", "2", "-1", "1.25", "0.5", "1", "5", "-2"]))
    drift = Fraction(dice.choice([100, 100, 90, 120]), 100)
    units = Fraction(round(target * drift * 100 / base * PLACES), PLACES)
    cap = abs(target) * Fraction(13, 10) if dice.random() < 0.3 else None
    cash = 100 - Fraction(round(units * base * PLACES), PLACES)
    return Case(name, target, cash, units, base, price, cap, dice.choice(["losing", "both"]))


@pytest.mark.parametrize("seed", range(300))
def test_a_random_plan_is_what_the_sentences_say(seed: int) -> None:
    dice = dice_of(seed)
    base = Fraction(dice.randrange(1_000, 99_999), dice.choice([10, 100, 1000]))
    percent = dice.choice([dice.randrange(-40, 60), 15, -15, 9, -9])
    price = base * (100 + percent) / 100
    cases = [thrown(dice, name, base, price) for name in ("A", "B", "C")[: dice.randrange(1, 4)]]
    lot = Fraction(dice.choice([1, 10, 1000]), 10_000)
    margins = 'initial_margin = "1e-9"\nmaintenance_margin = "1e-9"\n'
    config = f'[contracts."{BTC}"]\nlot = "{written(lot)}"\n[accounts.main]\n{margins}'
    document = {
        "as_of": "2026-01-09T12:00:00Z",
        "prices": {BTC: written(price)},
        "funds": {case.name: case.snapshot() for case in cases},
    }
    found = planned(config + "".join(case.config() for case in cases), document)
    for case in cases:
        told = found["funds"][case.name]
        delta = case.delta()
        formula = max(Fraction(0), 100 * (1 + case.target * case.move))
        assert told["trigger"] == case.trigger()
        assert told["nav"] == written(case.equity)
        assert told["leverage"] == (written(case.leverage) if case.equity > 0 else None)
        assert told["formula_nav"] == ("0" if case.trigger() == "gap" else written(formula))
        assert told["delta_units"] == {BTC: written(delta)}
        assert told["delta_notional"] == {BTC: written(delta * price)}
    # Opposite deltas cross inside; the rest is trunc(delta / lot) x lot (section 4.2 and 4.3).
    rest = sum((case.delta() for case in cases), Fraction(0))
    lots = math.trunc(rest / lot)
    assert [order["units"] for order in found["orders"]] == ([written(lots * lot)] if lots else [])
    for order in found["orders"]:
        shares = [Fraction(units) for units in order["allocations"].values()]
        assert sum(shares) == lots * lot
