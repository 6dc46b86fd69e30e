"""Cost against tracking error, with the curve of theory beside it."""

from __future__ import annotations

from typing import Any

import pytest

from rebalancer.sim.frontier import economics, frontier, theoretical_cost
from rebalancer.sim.summary import summaries_of
from tests.factories import D, desk, fund, history, replayed


def test_the_curve_is_the_published_one() -> None:
    """sqrt(3)/12 x 0.8^3 x 9 x 4 x 0.0005 at an error of 1 %: 13.3 % a year."""
    assert theoretical_cost(0.8, 3, 0.0005, 0.01) == pytest.approx(0.13302, abs=1e-5)
    assert theoretical_cost(0.8, 3, 0.0005, 0.02) == pytest.approx(0.06651, abs=1e-5)


def point(name: str, error: str, cost: float) -> dict[str, Any]:
    known = {"volatility": 0.5, "cost_a_year": cost, "cost_of_traded": 0.0005}
    return {"set": {"n": name}, "funds": {"X": {"tracking_error_bp": error, "economics": known}}}


def test_a_point_is_efficient_where_no_other_is_better_in_both() -> None:
    points = [point("a", "30", 0.01), point("b", "10", 0.03), point("c", "20", 0.04)]
    told = frontier(points, {"X": 3.0})["X"]
    assert [(row["set"]["n"], row["efficient"]) for row in told] == [
        ("b", True),
        ("c", False),
        ("a", True),
    ]
    assert told[0]["theory_a_year"] == pytest.approx(3 * told[2]["theory_a_year"])


def test_what_is_traded_costs_what_the_venue_takes() -> None:
    hours = [(f"2026-01-{1 + n // 24:02}T{n % 24:02}:00:00Z", 100 + n % 7) for n in range(144)]
    result = replayed(desk(fund()), history(hours), fee_bps=D(5))
    known = economics(summaries_of(result)["BTC3L"])
    assert known is not None
    assert known["cost_of_traded"] == pytest.approx(0.0005, rel=1e-6)
    assert known["volatility"] > 0


@pytest.mark.parametrize("day", [0, 1, 2, 3])
def test_a_fund_that_ended_with_something_left_has_no_economics(day: int) -> None:
    """Funding that it was paid outlives the fall: equity stays above zero, the formula NAV is 0."""
    hours = [
        (f"2026-01-{1 + n // 24:02}T{n % 24:02}:00:00Z", 100 if n < day * 24 + 12 else 55)
        for n in range(144)
    ]
    paid = [(f"2026-01-{1 + day:02}T08:00:00Z", "-0.3")]
    result = replayed(desk(fund()), history(hours, funding=paid), fee_bps=D(5))
    known = summaries_of(result)["BTC3L"]
    assert min(known.equities) > 0
    assert known.final_formula_nav == 0
    assert economics(known) is None
