"""Worked numbers of single moments: every case quotes its figures, whole desks through the plan."""

from __future__ import annotations

from decimal import localcontext

import pytest

from rebalancer.core.methodology import LeverageCap
from rebalancer.core.nav import ValueInputs, value
from rebalancer.core.position import Holding
from tests.factories import (
    BTC,
    ETH,
    D,
    desk,
    emergency_at,
    fund,
    holding,
    move_rule,
    only,
    planned,
    rules,
    snapshot,
)

QUIET_TIME = "2026-01-01T12:00:00Z"


def near(text: str, expected: str, places: str) -> bool:
    """Whether a written number rounds to `expected`."""
    return D(text).quantize(D(places)) == D(expected)


def test_3x_at_nav_100_from_price_100_to_105_buys_30_and_not_45() -> None:
    # 45 is what one published calculator says: 345 - 300 forgets that the position drifted to 315.
    answer = planned(desk(), snapshot({"BTC3L": holding()}, "105"))
    told = answer["funds"]["BTC3L"]
    assert (told["nav"], told["formula_nav"]) == ("115", "115")
    assert near(told["leverage"], "2.7391", "1e-4")
    assert near(str(D(told["leverage"]) * 115), "315", "1e-12")
    assert told["delta_notional"] == {BTC: "30"}
    assert near(str(D(told["target_units"][BTC]) * 105), "345", "1e-12")


def test_3x_at_nav_200_up_5_percent_holds_630_wants_690_and_buys_60() -> None:
    told = planned(desk(), snapshot({"BTC3L": holding(nav=200)}, "105"))["funds"]["BTC3L"]
    assert told["nav"] == "230"
    assert near(told["leverage"], "2.739", "1e-3")
    assert told["delta_notional"] == {BTC: "60"}


def test_3x_long_and_3x_short_at_100_up_5_percent_buy_30_and_60_which_is_90() -> None:
    known = desk(fund("L"), fund("S", -3))
    document = snapshot({"L": holding(), "S": holding(leverage=-3)}, "105")
    answer = planned(known, document)
    assert answer["funds"]["L"]["delta_notional"] == {BTC: "30"}
    assert answer["funds"]["S"]["delta_notional"] == {BTC: "60"}
    (order,) = answer["orders"]
    assert order["side"] == "buy"
    assert near(order["notional"], "90", "1e-6")
    assert answer["crosses"] == []


@pytest.mark.parametrize("with_winner", [True, False])
def test_3s_at_plus_15_percent_buys_180_and_the_3l_is_untouched_to_the_last_digit(
    with_winner: bool,
) -> None:
    funds = {"S": holding(leverage=-3)} | ({"L": holding()} if with_winner else {})
    answer = planned(desk(fund("L"), fund("S", -3)), snapshot(funds, "115", at=QUIET_TIME))
    short = answer["funds"]["S"]
    assert (short["trigger"], short["nav"], short["formula_nav"]) == ("price_move", "55", "55")
    assert near(short["leverage"], "-6.2727", "1e-4")
    assert short["delta_notional"] == {BTC: "180"}
    assert near(str(D(short["target_units"][BTC]) * 115), "-165", "1e-12")
    (order,) = answer["orders"]
    assert order["allocations"] == {"S": order["units"]}
    if with_winner:
        winner = answer["funds"]["L"]
        assert (winner["trigger"], winner["nav"]) == ("none", "145")
        assert winner["target_units"] == {BTC: "3"}
        assert winner["delta_units"] == {BTC: "0"}


def test_3s_reset_at_plus_15_then_minus_10_percent_3l_buys_21_and_3s_sells_66() -> None:
    # 3L still stands on its point at 100: NAV 145 - 34.5 = 110.5, exposure 310.5, wants 331.5.
    # 3S was reset to NAV 55 at 115: NAV 71.5, exposure -148.5, wants -214.5.
    reset = holding(nav=55, leverage=-3, price=115, at=QUIET_TIME)
    answer = planned(
        desk(fund("L"), fund("S", -3)), snapshot({"L": holding(), "S": reset}, "103.5")
    )
    assert answer["funds"]["L"]["delta_notional"] == {BTC: "21"}
    assert answer["funds"]["S"]["delta_notional"] == {BTC: "-66"}
    (crossed,) = answer["crosses"]
    assert near(str(D(crossed["units"]["L"]) * D("103.5")), "21", "1e-12")
    (order,) = answer["orders"]
    assert order["side"] == "sell"
    assert near(order["notional"], "45", "1e-6")
    assert order["allocations"] == {"S": order["units"]}


@pytest.mark.parametrize(
    ("target", "coefficient"), [("2", "2"), ("3", "6"), ("-1", "2"), ("-2", "6"), ("-3", "12")]
)
@pytest.mark.parametrize("price", ["102", "98"])
def test_the_flow_of_a_rebalance_is_m_squared_less_m_times_equity_times_the_move(
    target: str, coefficient: str, price: str
) -> None:
    answer = planned(
        desk(fund("F", target)), snapshot({"F": holding(leverage=target)}, price, trigger="manual")
    )
    move = D(price) / 100 - 1
    assert D(answer["funds"]["F"]["delta_notional"][BTC]) == D(coefficient) * 100 * move


def test_20_000_borrowed_and_150_eth_a_token_at_210_is_2_7391x_and_buys_14_2857_eth() -> None:
    token = {"shares": "1", "cash": "-20000", "units": {ETH: "150"}}
    known = desk(fund("ETH3L", basket={ETH: D(1)}))
    answer = planned(
        known,
        {
            "as_of": QUIET_TIME,
            "trigger": "fixed",
            "prices": {ETH: "210"},
            "funds": {"ETH3L": token},
        },
    )
    told = answer["funds"]["ETH3L"]
    assert told["nav"] == "11500"
    assert near(told["leverage"], "2.7391", "1e-4")
    assert near(told["target_units"][ETH], "164.2857", "1e-4")
    assert near(told["delta_units"][ETH], "14.2857", "1e-4")


@pytest.mark.parametrize(
    ("price", "leverage", "nav"),
    [
        ("90", "3.857", "70"),
        ("110", "2.538", "130"),
        ("120", "2.250", "160"),
        ("80", "6.000", "40"),
    ],
)
def test_what_is_left_of_3x_after_a_move(price: str, leverage: str, nav: str) -> None:
    told = planned(desk(), snapshot({"BTC3L": holding()}, price, at=QUIET_TIME))["funds"]["BTC3L"]
    assert near(told["leverage"], leverage, "1e-3")
    assert told["nav"] == nav


@pytest.mark.parametrize(
    ("price", "trade", "position"), [("120", "120", "480"), ("80", "-120", "120")]
)
def test_3x_up_20_percent_buys_120_to_480_and_down_20_percent_sells_120_to_120(
    price: str, trade: str, position: str
) -> None:
    told = planned(desk(), snapshot({"BTC3L": holding()}, price, trigger="manual"))["funds"][
        "BTC3L"
    ]
    assert told["delta_notional"] == {BTC: trade}
    assert D(told["target_units"][BTC]) * D(price) == D(position)


@pytest.mark.parametrize(
    ("target", "price", "factor"), [("2", "150", "200"), ("3", "150", "250"), ("3", "90", "70")]
)
def test_2x_and_3x_up_50_percent_are_2_0_and_2_5_and_3x_down_10_percent_is_0_7(
    target: str, price: str, factor: str
) -> None:
    document = snapshot({"F": holding(leverage=target)}, price, at=QUIET_TIME)
    told = planned(desk(fund("F", target)), document)["funds"]["F"]
    assert (told["nav"], told["formula_nav"]) == (factor, factor)


def test_300_btc_at_40_000_against_400_000_shares_of_10_is_exactly_3_times() -> None:
    token = {"shares": "400000", "cash": str(4_000_000 - 300 * 40_000), "units": {BTC: "300"}}
    told = planned(desk(), snapshot({"BTC3L": token}, "40000", at=QUIET_TIME))["funds"]["BTC3L"]
    assert (told["nav"], told["leverage"]) == ("10", "3")


def test_a_published_basket_of_eos3l_gives_its_nav_leverage_and_basket_to_the_18th_decimal() -> (
    None
):
    per_share, loan = D("1.261060779498318641"), D("-0.684866519289629374")
    circulation, price = D("72767.309468460367138199"), D("0.871")
    with localcontext() as context:
        context.prec = 60
        held = Holding(cash=loan * circulation, units={BTC: per_share * circulation})
    inputs = ValueInputs({BTC: D(1)}, circulation, held, None, D(1), wiped=False)
    worth = value(inputs, {BTC: price}, {BTC: price})
    tolerance = D("1e-18")
    assert abs(worth.nav - D("0.413517419653406162")) <= tolerance
    assert worth.leverage is not None
    assert abs(worth.leverage - D("2.656197506416192150")) <= tolerance
    assert abs(held.units[BTC] - D("91764.000000292013277472")) <= tolerance


@pytest.mark.parametrize(
    ("target", "cap", "edge", "beyond"),
    [
        ("3", "4", "88.888888888888888889", "88.888888888888888888"),  # -11.111 %
        ("3", "4.125", "88", "87.999999999999999999"),  # exactly -12 %
        ("-3", "4", "106.666666666666666666", "106.666666666666666667"),  # +6.667 %
    ],
)
def test_a_cap_of_a_3x_fires_beyond_its_trigger_price_and_not_before(
    target: str, cap: str, edge: str, beyond: str
) -> None:
    capped = only(leverage_cap=LeverageCap(upper=D(cap)))
    known = desk(fund("F", target, methodology=capped))
    for price, trigger in ((edge, "none"), (beyond, "leverage_cap")):
        document = snapshot({"F": holding(leverage=target)}, price, at=QUIET_TIME)
        assert planned(known, document)["funds"]["F"]["trigger"] == trigger


def test_the_hedge_of_minus_1x_reaches_four_thirds_at_plus_14_286_percent_and_not_at_30() -> None:
    # The published page says 30 %; its own rule of 1.33 x gives q = x (1 + L) / (L (1 + x)).
    backstop = only(emergency=emergency_at(4, 3))
    known = desk(fund("H", -1, methodology=backstop))
    for price, trigger in (
        ("114.285714285714285714", "none"),
        ("114.285714285714285715", "emergency"),
    ):
        document = snapshot({"H": holding(leverage=-1)}, price, at=QUIET_TIME)
        assert planned(known, document)["funds"]["H"]["trigger"] == trigger


def test_a_leverage_of_exactly_four_thirds_of_the_target_is_an_emergency() -> None:
    backstop = only(emergency=emergency_at(12, 3))
    known = desk(fund("F", 3, methodology=backstop))
    exactly = {"shares": "1", "cash": "-300", "units": {BTC: "4"}}
    answer = planned(known, snapshot({"F": exactly}, "100", at=QUIET_TIME))
    assert answer["funds"]["F"]["leverage"] == "4"
    assert answer["funds"]["F"]["trigger"] == "emergency"


def test_a_cap_does_not_fire_at_exactly_its_edge() -> None:
    capped = only(leverage_cap=LeverageCap(upper=D(4)))
    known = desk(fund("F", 3, methodology=capped))
    exactly = {"shares": "1", "cash": "-300", "units": {BTC: "4"}}
    answer = planned(known, snapshot({"F": exactly}, "100", at=QUIET_TIME))
    assert answer["funds"]["F"]["trigger"] == "none"


@pytest.mark.parametrize("price", ["85", "115"])
def test_pizzas_rule_of_both_sides_touches_the_winner_too(price: str) -> None:
    both = rules(3, price_move=move_rule("0.10", both=True))
    known = desk(fund("F", methodology=both))
    answer = planned(known, snapshot({"F": holding()}, price, at=QUIET_TIME))
    assert answer["funds"]["F"]["trigger"] == "price_move"


def test_a_run_that_ended_at_4x_and_then_5_percent_up_is_nav_times_1_20() -> None:
    point = {"at": "2026-01-01T02:30:00Z", "nav": "100", "prices": {BTC: "100"}, "leverage": "4"}
    ended = holding(leverage=4, last_rebalance=point)
    told = planned(desk(), snapshot({"BTC3L": ended}, "105", at=QUIET_TIME))["funds"]["BTC3L"]
    assert (told["nav"], told["formula_nav"]) == ("120", "120")
