"""A whole desk at one instant: 5,000 funds on 500 contracts, by arrays and by decimals."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from decimal import Decimal

import numpy as np

from rebalancer.core.contract import Contract
from rebalancer.core.fund import Fund
from rebalancer.core.instant import parse
from rebalancer.core.methodology import Emergency, Methodology, PriceMove, Ratio
from rebalancer.core.money import round_to_places
from rebalancer.core.nav import Point
from rebalancer.fast.fleet import Fleet, Row

FUNDS, CONTRACTS, ROUNDS = 5_000, 500, 9
NOW_MS = parse("2026-01-01T00:00:00Z")


def fleet_of() -> tuple[Fleet, list[Decimal]]:
    """Return funds of five leverages, and marks up to 4 % from their points."""
    dice = np.random.default_rng(3)
    bases = [Decimal(f"{price:.2f}") for price in dice.uniform(1, 500, CONTRACTS)]
    moves = [Decimal(f"{move:.4f}") for move in dice.uniform(0.96, 1.04, CONTRACTS)]
    known = [
        Contract(f"C{n}/USDT:USDT", lot=Decimal("0.001"), min_notional=Decimal(5))
        for n in range(CONTRACTS)
    ]
    rows = []
    for number in range(FUNDS):
        base, symbol = bases[number % CONTRACTS], known[number % CONTRACTS].symbol
        target, nav = (
            Decimal((3, 2, -1, -3, 5)[number % 5]),
            Decimal(int(dice.integers(500, 50_000))),
        )
        units = round_to_places(target * nav / base)
        rules = Methodology(
            price_move=PriceMove(threshold=PriceMove.default_threshold(target)),
            emergency=Emergency(level=Ratio(numerator=abs(target) * Decimal("2.5"))),
        )
        fund = Fund(
            name=f"F{number}",
            account="main",
            target_leverage=target,
            basket={symbol: Decimal(1)},
            methodology=rules,
        )
        point = Point(NOW_MS, nav / 100, {symbol: base}, target)
        rows.append(Row(fund, nav - units * base, units, Decimal(100), point))
    return Fleet.of(rows, known), [b * m for b, m in zip(bases, moves, strict=True)]


def by_decimals(fleet: Fleet, marks: list[Decimal]) -> list[int]:
    """Return the rows beyond a bound: NAV, leverage, move and both bounds, in plain decimals."""
    fired = []
    for number, row in enumerate(fleet.rows):
        place = number % CONTRACTS
        mark, base = marks[place], row.point.prices[fleet.contracts[place].symbol]
        exposure = row.units * mark
        equity = row.cash + exposure
        _nav, leverage, move = equity / row.shares, exposure / equity, mark / base - 1
        rules = row.fund.methodology
        assert rules.price_move is not None
        assert rules.emergency is not None
        losing = row.point.leverage * move < 0 and abs(move) >= rules.price_move.threshold
        if losing or abs(leverage) >= rules.emergency.level.value:
            fired.append(number)
    return fired


def median(work: Callable[[], object]) -> float:
    """Return the median processor seconds of a call."""
    work()
    found = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        work()
        found.append(time.process_time() - begun)
    return statistics.median(found)


def run() -> None:
    fleet, marks = fleet_of()
    assert sorted(fleet.look(marks, NOW_MS).fired) == by_decimals(fleet, marks)
    arrays = median(lambda: fleet.look(marks, NOW_MS))
    decimals = median(lambda: by_decimals(fleet, marks))
    print(
        f"sweep of {FUNDS} funds: decimals {decimals * 1e3:.2f} ms, arrays {arrays * 1e6:.0f} us: "
        f"{decimals / arrays:.0f} x, the same funds fire; goal 20 x"
    )

    def exactly() -> list[object]:
        places = range(CONTRACTS)
        return [order for place in places for order in fleet.plan_exactly(marks, place)]

    orders = fleet.plan(marks)
    assert orders == exactly()
    arrays, core = median(lambda: fleet.plan(marks)), median(exactly)
    print(
        f"plan of {FUNDS} funds into {len(orders)} orders: the core {core * 1e3:.1f} ms, arrays "
        f"{arrays * 1e3:.2f} ms: {core / arrays:.0f} x, every order equal; goal 10 x"
    )
