"""A real +3x fund beside our engine: UPRO, as its house published it, 2009 to 2018.

The engine runs three times the S&P 500's total return from close to close; what the real fund
loses against that are its fee and what it pays for the money it borrows.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import statistics
from decimal import Decimal
from functools import cache
from typing import Any

import pytest

from rebalancer.configured import desk_of
from rebalancer.core.instant import parse
from rebalancer.feeds.candles import History, PricePoint
from rebalancer.settings import parse as parse_config
from rebalancer.sim.backtest import backtest
from tests.shared_data import LEVERAGED, needs

YEARS = [str(year) for year in range(2010, 2019)]
CLOSE = "T21:00:00Z"
#: of the fund's prospectus, a year
EXPENSE_RATIO = 0.0095
#: over the risk-free rate that a bank asks for the money, a year: our assumption
SPREAD = 0.005
BP = 1e4

pytestmark = needs(LEVERAGED)


def table(name: str) -> dict[str, dict[str, str]]:
    with gzip.open(LEVERAGED / name, "rt") as file:
        return {row["date"]: row for row in csv.DictReader(file)}


@cache
def market() -> dict[str, dict[str, str]]:
    return table("SPX_SPXTR_RF_2009-06_2018-12.csv.gz")


@cache
def published() -> dict[str, float]:
    """UPRO's daily return by date, on days that both files know with the day before."""
    rows = table("UPRO_3x_published_nav_2009-06_2018-12.csv.gz")
    dates = sorted(rows.keys() & market().keys())
    navs = {date: float(rows[date]["nav"]) for date in dates}
    return {
        after: navs[after] / navs[before] - 1
        for before, after in itertools.pairwise(dates)
        if _next(before) == after
    }


@cache
def _dates() -> list[str]:
    return sorted(market())


def _next(date: str) -> str:
    return _dates()[_dates().index(date) + 1]


@cache
def engine(year: str, *, costs: bool) -> dict[str, float]:
    """Our fund's daily return by date over one year."""
    dates = [date for date in _dates() if date.startswith(year)]
    dates = [_dates()[_dates().index(dates[0]) - 1], *dates]
    closes = [(date, Decimal(market()[date]["spxtr_close"])) for date in dates]
    points = [PricePoint(parse(date + CLOSE), close) for date, close in closes]
    rates = [float(market()[date]["rf_rate"]) / 100 for date in dates[1:]]
    text = """
        [funds.X3]
        target_leverage = 3
        basket = ["SPXTR"]
        [funds.X3.rules.fixed]
        times = ["21:00"]
        utc_offset = "Z"
        [funds.X3.rules.emergency]
        enabled = false
    """
    if costs:
        text += f"""
        [funds.X3.management_fee]
        daily = {EXPENSE_RATIO / 365:.12f}
        times = ["21:00"]
        [funds.X3.cash_account]
        reference = {statistics.mean(rates) * 252:.8f}
        spread = {SPREAD}
        """
    history = History.observed("SPXTR", points)
    document = backtest(desk_of(parse_config(text)), {"SPXTR": history}, {}).document()
    runs: list[dict[str, Any]] = document["funds"]["X3"]["rebalances"]
    navs = {run["at"][:10]: float(run["nav"]) for run in runs}
    navs[dates[0]] = float(document["funds"]["X3"]["start_nav"])
    return {after: navs[after] / navs[before] - 1 for before, after in itertools.pairwise(dates)}


def losses_bp(year: str, *, costs: bool) -> list[float]:
    """What the real fund's day fell short of ours, in basis points, day by day."""
    ours = engine(year, costs=costs)
    return [(published()[day] - ours[day]) * BP for day in ours if day in published()]


def test_our_day_is_three_times_the_markets() -> None:
    dates = [date for date in _dates() if date.startswith("2014")]
    closes = {date: float(market()[date]["spxtr_close"]) for date in _dates()}
    ours = engine("2014", costs=False)
    for before, after in itertools.pairwise(dates):
        assert ours[after] == pytest.approx(3 * (closes[after] / closes[before] - 1), abs=1e-12)


def test_the_real_fund_moves_three_times_as_ours_says_and_loses_its_costs() -> None:
    """Shared data, leveraged/: slope 3.00 within 0.02; days differ by some basis points."""
    ours = {day: move for year in YEARS for day, move in engine(year, costs=False).items()}
    days = [day for day in ours if day in published()]
    slope, _ = statistics.linear_regression(
        [ours[day] / 3 for day in days], [published()[day] for day in days]
    )
    assert slope == pytest.approx(3, abs=0.02)
    losses = [(published()[day] - ours[day]) * BP for day in days]
    # What these files say, to a tenth: the fund's later years alone lose nearly 2 bp a day.
    assert statistics.stdev(losses) == pytest.approx(4.7, abs=0.1)
    assert statistics.mean(losses) == pytest.approx(-1.2, abs=0.1)
    late = [(published()[day] - ours[day]) * BP for day in days if day >= "2017"]
    assert statistics.mean(late) == pytest.approx(-2.2, abs=0.1)


@pytest.mark.parametrize("year", YEARS)
def test_the_parts_of_a_years_loss_are_its_fee_and_what_two_borrowed_shares_cost(year: str) -> None:
    """The expense ratio and 2 x (risk-free rate + 0.5 %) ACT/360, both on calendar days."""
    rates = [float(row["rf_rate"]) / 100 for day, row in market().items() if day.startswith(year)]
    nights = 365 / len(rates)
    fee = EXPENSE_RATIO / 365 * nights * BP
    financing = 2 * (statistics.mean(rates) * 252 + SPREAD) / 360 * nights * BP
    plain, charged = engine(year, costs=False), engine(year, costs=True)
    modelled = statistics.mean((plain[day] - charged[day]) * BP for day in plain)
    assert modelled == pytest.approx(fee + financing, abs=0.05)


@pytest.mark.parametrize("year", YEARS)
def test_with_its_fee_and_its_financing_our_year_is_the_real_funds(year: str) -> None:
    """The parts: expense ratio 0.95 % a year, 2 x (risk-free rate of the year + 0.5 %)."""
    before = statistics.mean(losses_bp(year, costs=False))
    after = statistics.mean(losses_bp(year, costs=True))
    assert abs(after) < 0.6
    assert abs(after) < abs(before)


def test_over_all_years_the_costs_explain_the_loss() -> None:
    rest = [loss for year in YEARS for loss in losses_bp(year, costs=True)]
    assert abs(statistics.mean(rest)) < 0.5
