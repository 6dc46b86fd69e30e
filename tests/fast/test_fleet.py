"""A fleet decides and plans what the core would, row by row and contract by contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from rebalancer.core import rules
from rebalancer.core.contract import Contract
from rebalancer.core.fund import Execution
from rebalancer.core.instant import MINUTE_MS
from rebalancer.core.methodology import Trigger
from rebalancer.core.money import round_to_places
from rebalancer.core.nav import Point
from rebalancer.fast.fleet import Fleet, Order, Row
from tests.factories import NOON, D, dice_of, fund, move_rule
from tests.factories import rules as rules_of
from tests.fast.fleet_faults import FLEET_MUTANTS
from tests.fast.funds import hurried, simple_fund
from tests.fast.interpreted import interpreted
from tests.planting import Mutant, planted

FLEETS = range(60)


def fleet_of(
    seed: int, funds: int, contracts: int, lot: str = "0.001"
) -> tuple[Fleet, list[Decimal]]:
    """Return funds of mixed leverages near their targets, and marks a few per cent away."""
    dice = dice_of(seed)
    known = [
        Contract(f"C{n}/USDT:USDT", lot=D(lot), min_notional=D(dice.choice((0, 5, 200))))
        for n in range(contracts)
    ]
    bases = [D(f"{dice.uniform(1, 500):.2f}") for _ in known]
    rows = []
    for number in range(funds):
        place = dice.randrange(contracts)
        target, nav = D(dice.choice((3, 2, -1, -3, 5))), D(dice.randint(500, 50_000))
        base, symbol = bases[place], known[place].symbol
        units = round_to_places(target * nav / base)
        given = fund(f"F{number}", target, basket={symbol: D(1)})
        point = Point(NOON, nav / 100, {symbol: base}, target)
        rows.append(Row(given, nav - units * base, units, D(100), point))
    marks = [round_to_places(base * D(f"{dice.uniform(0.84, 1.16):.4f}")) for base in bases]
    return Fleet.of(rows, known), marks


def mixed_fleet(seed: int) -> tuple[Fleet, list[Decimal]]:
    """Return funds with any rules of price and leverage, off their targets, and marks near by.

    Some minima are the funds' own, some orders have a smallest amount, and some only reduce.
    """
    dice = dice_of(seed)
    known = [
        Contract(
            f"C{n}/USDT:USDT",
            lot=D(dice.choice(("0.1", "1"))),
            min_amount=D(dice.choice((0, 3))),
            min_notional=D(dice.choice((0, 500))),
        )
        for n in range(4)
    ]
    base = D(dice.randint(20, 60))
    rows = []
    for number in range(dice.randint(1, 24)):
        symbol = dice.choice(known).symbol
        drawn = hurried(dice, simple_fund(dice, f"F{number}", [symbol], ["main"]), MINUTE_MS)
        given = replace(drawn, execution=Execution(min_notional=D(dice.choice((0, 0, 900)))))
        nav = D(dice.randint(50, 5_000))
        held = round_to_places(given.target_leverage * D(f"{dice.gauss(1, 0.02):.4f}") * nav / base)
        point = Point(NOON, nav / 10, {symbol: base}, given.target_leverage)
        rows.append(Row(given, nav - held * base, held, D(10), point))
    return Fleet.of(rows, known), [base * D(f"{dice.gauss(1, 0.03):.3f}") for _ in known]


def found_otherwise(seed: int) -> list[str]:
    """Return in what a mixed fleet, looked at and planned in arrays, is not the core's."""
    fleet, marks = mixed_fleet(seed)
    seen = fleet.look(marks, NOON)
    found = []
    for place in range(len(fleet.rows)):
        view = fleet.view(place, marks, NOON)
        if seen.fired.get(place, ()) != rules.signals(view):
            found.append(f"{view.fund.name} fires otherwise")
        exact = [float(each or 0) for each in (view.worth.nav, view.worth.leverage)]
        if not np.allclose(exact, [seen.navs[place], seen.leverages[place]], rtol=1e-12):
            found.append(f"{view.fund.name} is worth something else")
    if fleet.plan(marks) != by_core(fleet, marks):
        found.append("other orders")
    return found


def by_core(fleet: Fleet, marks: Sequence[Decimal]) -> list[Order]:
    return [
        order for place in range(len(fleet.contracts)) for order in fleet.plan_exactly(marks, place)
    ]


@pytest.mark.parametrize("seed", FLEETS)
def test_a_fleet_of_any_rules_fires_and_trades_as_the_core_says(seed: int) -> None:
    assert found_otherwise(seed) == []


@pytest.mark.parametrize("mutant", FLEET_MUTANTS, ids=lambda mutant: mutant.name)
def test_a_fleet_with_this_fault_is_found_out(mutant: Mutant) -> None:
    with interpreted(), planted(mutant):
        assert any(found_otherwise(seed) for seed in FLEETS)


@pytest.mark.parametrize("lot", ["1", "0.001", "0.000000001"])
def test_every_order_is_the_planners(lot: str) -> None:
    fleet, marks = fleet_of(1, funds=300, contracts=40, lot=lot)
    assert fleet.plan(marks) == by_core(fleet, marks)


def test_a_net_of_whole_lots_is_decided_by_the_planner() -> None:
    """300 of 3x at 100 after +5 %: 30 to buy at 105 are 2 lots of a seventh, exactly."""
    whole = Contract("BTC/USDT:USDT", lot=D(30) / D(105) / 2)
    point = Point(NOON, D(100), {whole.symbol: D(100)}, D(3))
    fleet = Fleet.of([Row(fund(), D(-200), D(3), D(1), point)], [whole])
    assert fleet.plan([D(105)]) == by_core(fleet, [D(105)])


def test_verdicts_and_values_are_the_cores() -> None:
    fleet, marks = fleet_of(2, funds=200, contracts=10)
    seen = fleet.look(marks, NOON)
    for place, row in enumerate(fleet.rows):
        mark = marks[int(fleet.places[place])]
        nav = (row.cash + row.units * mark) / row.shares
        assert float(nav) == pytest.approx(seen.navs[place], rel=1e-12)
        move = mark / next(iter(row.point.prices.values())) - 1
        losing = row.point.leverage * move < 0
        threshold = row.fund.methodology.price_move
        assert threshold is not None
        fires = losing and abs(move) >= threshold.threshold and row.fund.target_leverage != 1
        triggers = [each.trigger for each in seen.fired.get(place, ())]
        assert (Trigger.PRICE_MOVE in triggers) is fires
    assert seen.fired


@pytest.mark.parametrize(("mark", "fires"), [("85.000000000000001", False), ("85", True)])
def test_a_row_at_the_edge_is_decided_by_the_core(mark: str, fires: bool) -> None:
    point = Point(NOON, D(100), {"BTC/USDT:USDT": D(100)}, D(3))
    given = fund(methodology=rules_of(3, price_move=move_rule("0.15")))
    fleet = Fleet.of([Row(given, D(-200), D(3), D(1), point)], [Contract("BTC/USDT:USDT")])
    seen = fleet.look([D(mark)], NOON)
    assert bool(seen.fired) is fires
    assert np.isclose(seen.navs[0], 55)
