"""A sketch: the engine's runs in compiled floats, and a way out of every doubt."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rebalancer.core.methodology import Trigger
from rebalancer.fast.sketch import sketch
from rebalancer.fast.tape import Tapes
from rebalancer.feeds.candles import FundingPoint, History, PricePoint
from rebalancer.venues.paper import PaperCosts
from tests.factories import BTC, NOON, D, contract, desk, dice_of, fund, move_rule, only, rules
from tests.fast.judge import differences

pytest_plugins = ["tests.fast.compiling"]
pytestmark = pytest.mark.usefixtures("compiled")

COSTS = {"main": PaperCosts(fee_bps=D(4), slippage_bps=D(1))}
LOTS = [contract(lot="0.001", min_notional=5)]
HOUR_MS = 3_600_000


def walk(seed: int, bars: int = 300) -> History:
    """Prices every hour with two decimals, and funding every eight hours."""
    dice, price, points = dice_of(seed), 30_000.0, []
    for bar in range(bars):
        points.append(PricePoint(NOON + bar * HOUR_MS, D(f"{price:.2f}")))
        price *= 1 + dice.gauss(0, 0.012)
    times_ms = range(NOON - NOON % (8 * HOUR_MS), points[-1].at_ms, 8 * HOUR_MS)
    return History.observed(
        BTC, points, [FundingPoint(at, D(f"{dice.gauss(0.0001, 0.0003):.8f}")) for at in times_ms]
    )


@pytest.mark.parametrize("seed", range(6))
def test_funds_of_every_leverage_on_one_account_are_netted_and_equal(seed: int) -> None:
    both = rules(2, price_move=move_rule("0.03", both=True))
    known = desk(
        fund("A", 3),
        fund("B", -3),
        fund("C", 2, methodology=both),
        fund("D", "1.25", initial_shares=33),
        contracts=LOTS,
    )
    found, fast, drawn = differences(known, {BTC: walk(seed)}, COSTS)
    assert found == []
    assert drawn.exact is None, "nothing was in doubt"
    assert set(drawn.funds) == set(fast.columns)
    assert Trigger.PRICE_MOVE in drawn.funds["C"].triggers


@pytest.mark.parametrize("closes", [["100", "90", "85"], ["100", "90", "60", "50"]])
def test_a_tie_of_price_is_decided_and_the_end_of_a_fund_is_left_to_the_columns(
    closes: list[str],
) -> None:

    points = [PricePoint(NOON + n * HOUR_MS, D(price)) for n, price in enumerate(closes)]
    known = desk(contracts=[contract(lot="0.01")])
    found, _, drawn = differences(known, {BTC: History.observed(BTC, points)}, COSTS)
    assert found == []
    wiped = closes[-1] == "50"
    assert list(drawn.funds) == ([] if wiped else ["BTC3L"])
    assert wiped or drawn.funds["BTC3L"].triggers == [Trigger.PRICE_MOVE]


def test_the_start_of_a_fund_begins_its_cool_down_too() -> None:
    """15 % down after an hour, while a rule cools for three: it acts at the third close."""
    slow = replace(move_rule("0.15"), cooldown_ms=3 * HOUR_MS)
    closes = ["100.00", "85.00", "84.90", "84.80", "84.70"]
    points = [PricePoint(NOON + n * HOUR_MS, D(price)) for n, price in enumerate(closes)]
    known = desk(fund(methodology=only(price_move=slow)), contracts=[contract(lot="0.01")])
    found, _, drawn = differences(known, {BTC: History.observed(BTC, points)}, COSTS)
    assert found == []
    assert drawn.funds["BTC3L"].run_ms.tolist() == [NOON + 3 * HOUR_MS]


def test_lots_finer_than_floats_are_left_to_the_columns() -> None:
    drawn = sketch(desk(fund(initial_shares=D(10**9))), Tapes({BTC: walk(0, bars=40)}), COSTS)
    assert not drawn.funds
    assert drawn.exact is not None
    assert list(drawn.exact.columns) == ["BTC3L"]
