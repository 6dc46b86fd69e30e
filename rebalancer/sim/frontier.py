"""Cost against tracking error: what each setting of a sweep pays, beside what theory says it must.

The curve is Guasoni and Mayerhofer's (field.md c10): with proportional costs, tracking error x cost
is at least about sqrt(3)/12 s^3 L^2 (L-1)^2 e, for a volatility s, a leverage L and a cost e of
what is traded, all a year. Theirs is the error against continuous rebalancing, ours the days'.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from rebalancer.sim.summary import Summary

DAYS_A_YEAR = 365


def economics(known: Summary) -> dict[str, float] | None:
    """Return what a fund's trading cost a year and per unit traded, and its basket's volatility.

    Shares of equity and of notional; None where it was struck fewer than three times, never traded,
    or ended.
    """
    equities = known.equities
    if len(equities) < 3 or min(equities) <= 0 or not known.traded:
        return None
    if len(known.days) < len(equities) - 1:  # the gap rule ended it, and left something over
        return None
    spent = float(known.costs.fees + known.costs.slippage)
    moves = [math.log1p(day.moved) for day in known.days]
    return {
        "volatility": statistics.stdev(moves) * math.sqrt(DAYS_A_YEAR),
        "cost_a_year": spent / statistics.fmean(equities) * DAYS_A_YEAR / len(equities),
        "cost_of_traded": spent / known.traded,
    }


def theoretical_cost(
    volatility: float, leverage: float, cost_of_traded: float, error: float
) -> float:
    """Return the least cost a year at a tracking error a year, shares of equity (field.md c10)."""
    shape = volatility**3 * leverage**2 * (leverage - 1) ** 2
    return math.sqrt(3) / 12 * shape * cost_of_traded / error


def frontier(points: Sequence[Mapping[str, Any]], targets: Mapping[str, float]) -> dict[str, Any]:
    """Return by fund every point of a sweep, the smallest error first: error, cost and the curve's.

    `efficient` says that no other point has both a smaller error and a smaller cost.
    """
    told: dict[str, Any] = {}
    for name, leverage in targets.items():
        rows = []
        for point in points:
            fund = point["funds"].get(name)
            known = fund and fund["economics"]
            if not known or fund["tracking_error_bp"] is None:
                continue
            error = float(fund["tracking_error_bp"]) / 10_000 * math.sqrt(DAYS_A_YEAR)
            least = None
            if error > 0:
                terms = (known["volatility"], leverage, known["cost_of_traded"], error)
                least = theoretical_cost(*terms)
            rows.append(
                {
                    "set": point["set"],
                    "error_a_year": error,
                    "cost_a_year": known["cost_a_year"],
                    "theory_a_year": least,
                }
            )
        rows.sort(key=lambda row: (row["error_a_year"], row["cost_a_year"]))
        cheapest = math.inf
        for row in rows:
            row["efficient"] = row["cost_a_year"] < cheapest
            cheapest = min(cheapest, row["cost_a_year"])
        told[name] = rows
    return told
