"""Netting, crossing, cutting to lots, splitting for hedge venues: exact for any set of funds."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalancer.core.money import PLACES, split_pro_rata, total, trunc_to_places
from rebalancer.core.order import OrderSide, PositionSide
from rebalancer.core.planner import Book, Want, collar_price, plan_book, target_units
from tests.factories import BTC, ETH, D, Number, contract, dice_of

THIRD = D(1) / 3


def book(net: Number = 0, *, lot: Number = "1e-9", **over: Any) -> Book:
    fields: dict[str, Any] = {
        "contract": contract(lot=lot),
        "mark": D(100),
        "net_units": D(net),
    } | over
    return Book(**fields)


def wants(**units: Number) -> dict[str, Want]:
    return {name: Want(units=D(size)) for name, size in units.items()}


def test_targets_are_leverage_times_equity_times_weight_over_price() -> None:
    basket = {BTC: D("0.6"), ETH: D("0.4")}
    found = target_units(D("1.25"), D(1000), basket, {BTC: D(100), ETH: D(20)})
    assert found == {BTC: D("7.5"), ETH: D(25)}


def test_opposite_deltas_cross_the_smaller_side_fully_and_the_larger_pro_rata() -> None:
    plan = plan_book(book(), wants(a=3, b=1, c=-2))
    assert plan.crosses == {"a": D("1.5"), "b": D("0.5"), "c": -2}
    assert plan.wanted == {"a": D("1.5"), "b": D("0.5")}
    (leg,) = plan.legs
    assert (leg.side, leg.units) == (OrderSide.BUY, D(2))


def test_deltas_that_cancel_send_nothing_and_skip_nothing() -> None:
    plan = plan_book(book(), {"a": Want(units=THIRD), "b": Want(units=-THIRD)})
    assert plan.crosses == {"a": trunc_to_places(THIRD), "b": -trunc_to_places(THIRD)}
    assert (plan.legs, plan.wanted, plan.skips) == ((), {}, ())


def test_a_side_that_crossed_fully_has_no_part_in_the_order() -> None:
    plan = plan_book(book(), {"a": Want(units=THIRD), "b": Want(units=-2 * THIRD)})
    assert set(plan.wanted) == {"b"}


def test_a_slice_bounds_the_order_and_not_the_cross() -> None:
    want = {"a": Want(units=D(10), child_units=D(1)), "b": Want(units=D(-4))}
    plan = plan_book(book(), want)
    assert plan.crosses == {"a": 4, "b": -4}
    assert [leg.units for leg in plan.legs] == [1]


@pytest.mark.parametrize(
    ("units", "lot", "contracts"),
    [("2.99", 1, 2), ("-2.99", 1, 2), ("0.1", "0.1", "0.1"), ("0.30", "0.1", "0.3"), ("7", 3, 6)],
)
def test_lots_are_cut_toward_zero_exactly(units: str, lot: Number, contracts: Number) -> None:
    (leg,) = plan_book(book(lot=lot), wants(a=units)).legs
    assert leg.contracts == D(contracts)


def test_what_is_under_a_lot_together_is_skipped_with_each_share() -> None:
    plan = plan_book(book(lot=1), wants(a="0.3", b="0.6"))
    assert plan.legs == ()
    assert [(skip.fund, skip.units) for skip in plan.skips] == [("a", D("0.3")), ("b", D("0.6"))]


def test_two_funds_under_a_lot_each_may_fill_one_together() -> None:
    (leg,) = plan_book(book(lot=1), wants(a="0.6", b="0.6")).legs
    assert leg.contracts == 1


@pytest.mark.parametrize(
    ("net", "units", "reduces"),
    [
        (3, -3, True),
        (3, -1, True),
        (3, "-3.1", False),
        (3, 1, False),
        (0, -1, False),
        (-2, 2, True),
    ],
)
def test_an_order_is_reduce_only_where_it_only_shrinks_the_position(
    net: Number, units: Number, reduces: bool
) -> None:
    (leg,) = plan_book(book(net), wants(a=units)).legs
    assert leg.reduce_only is reduces


@pytest.mark.parametrize(("waives", "legs"), [(True, 1), (False, 0)])
def test_no_minimum_notional_blocks_a_reduction_where_it_is_waived(waives: bool, legs: int) -> None:
    want = {"a": Want(units=D(-1), min_notional=D(500))}
    plan = plan_book(book(3, contract=contract(min_notional=500), waives_min_notional=waives), want)
    assert len(plan.legs) == legs


@pytest.mark.parametrize(("units", "ordered"), [("0.9", False), ("1", True)])
def test_the_executions_own_minimum_notional_skips_smaller_orders(
    units: str, ordered: bool
) -> None:
    plan = plan_book(book(), {"a": Want(units=D(units), min_notional=D(100))})
    assert bool(plan.legs) is ordered
    assert [skip.reason for skip in plan.skips] == (
        [] if ordered else ["under the execution's minimum notional of 100"]
    )


def test_a_funds_own_minimum_does_not_hold_back_the_others() -> None:
    want = {"a": Want(units=D("0.5"), min_notional=D(100)), "b": Want(units=D("0.4"))}
    assert [leg.units for leg in plan_book(book(), want).legs] == [D("0.9")]


def test_a_minimum_amount_counts_in_contracts() -> None:
    plan = plan_book(book(contract=contract(min_amount=2)), wants(a="1.9"))
    assert [skip.reason for skip in plan.skips] == ["under the minimum amount of 2 contracts"]


def hedge(long: Number, short: Number, **over: Any) -> Book:
    return book(D(long) + D(short), long_units=D(long), short_units=D(short), hedge=True, **over)


@pytest.mark.parametrize(
    ("long", "short", "units", "legs"),
    [
        (3, 0, -5, [("long", -3, True), ("short", -2, False)]),
        (0, -3, 5, [("short", 3, True), ("long", 2, False)]),
        (3, 0, 2, [("long", 2, False)]),
        (3, -3, -2, [("long", -2, True)]),
        (0, 0, -2, [("short", -2, False)]),
    ],
)
def test_a_hedge_venue_closes_the_other_book_first_and_opens_with_the_rest(
    long: Number, short: Number, units: Number, legs: list[tuple[str, int, bool]]
) -> None:
    plan = plan_book(hedge(long, short), wants(a=units))
    found = [(str(leg.position_side), int(leg.units), leg.reduce_only) for leg in plan.legs]
    assert found == legs


def test_a_hedge_leg_under_the_minimum_is_skipped_and_the_other_is_sent() -> None:
    plan = plan_book(
        hedge(3, 0, contract=contract(min_notional=50), waives_min_notional=False),
        wants(a="-3.1"),
    )
    assert [leg.position_side for leg in plan.legs] == [PositionSide.LONG]
    assert [(skip.units, skip.reason) for skip in plan.skips] == [
        (D("-0.1"), "under the minimum notional of 50")
    ]


def test_the_collar_lies_on_the_dear_side() -> None:
    assert collar_price(OrderSide.BUY, D(200), D(100)) == 202
    assert collar_price(OrderSide.SELL, D(200), D(100)) == 198


def random_wants(dice: Random) -> dict[str, Want]:
    sizes = {
        f"f{number}": D(dice.randrange(-(10**12), 10**12)) / D(dice.choice([1, 3, 7, 10**6, 10**9]))
        for number in range(dice.randrange(1, 12))
    }
    return {name: Want(units=size) for name, size in sizes.items() if size}


@pytest.mark.parametrize("seed", range(20))
def test_allocations_are_exact_for_a_thousand_sets_of_funds(seed: int) -> None:
    dice = dice_of(seed)
    for _ in range(50):
        want = random_wants(dice)
        lot = D(dice.choice(["1e-9", "0.001", "1", "7"]))
        plan = plan_book(book(lot=lot), want)
        net = total(each.units for each in want.values())
        assert total(plan.crosses.values()) == 0
        for name, units in plan.crosses.items():
            assert abs(units) <= abs(want[name].units)
            assert units * want[name].units > 0
        for leg in plan.legs:
            assert leg.units % lot == 0
            shares = split_pro_rata(leg.units, {n: abs(u) for n, u in plan.wanted.items()})
            assert total(shares.values()) == leg.units
            for name, units in shares.items():
                assert units * want[name].units >= 0
                assert abs(units + plan.crosses.get(name, D(0))) <= abs(want[name].units) + PLACES
        ordered = total(leg.units for leg in plan.legs)
        assert abs(net - ordered) < lot + len(want) * PLACES
        assert abs(ordered) <= abs(net) + len(want) * PLACES


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_funds_changes_nothing(seed: int) -> None:
    dice = dice_of(seed)
    for _ in range(100):
        want = random_wants(dice)
        names = list(want)
        dice.shuffle(names)
        assert plan_book(book(), want) == plan_book(book(), {name: want[name] for name in names})


AMOUNTS = st.decimals("-1e9", "1e9", places=18)
WEIGHTS = st.dictionaries(
    st.text("abc", min_size=1, max_size=3), st.decimals(0, "1e9", places=9), min_size=1
)


@given(AMOUNTS, WEIGHTS, st.sampled_from(["1e-18", "0.01", "1"]))
def test_a_pro_rata_split_is_exact_and_near_its_proportions(
    amount: Decimal, weights: dict[str, Decimal], step: str
) -> None:
    whole = total(weights.values())
    if whole == 0:
        return
    shares = split_pro_rata(amount, weights, step=D(step))
    assert total(shares.values()) == amount
    assert list(shares) == list(weights)
    for name, share in shares.items():
        assert abs(share - amount * weights[name] / whole) < 2 * D(step)


def test_equal_remainders_go_by_name() -> None:
    shares = split_pro_rata(D(1), {"b": D(1), "a": D(1), "c": D(1)}, step=D("0.1"))
    assert shares == {"b": D("0.3"), "a": D("0.4"), "c": D("0.3")}
