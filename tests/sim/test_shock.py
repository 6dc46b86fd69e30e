"""What if: the plan at shocked prices, and how far each account is from its end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rebalancer.core.fund import Account, Execution
from rebalancer.core.methodology import Emergency, Methodology, Ratio
from rebalancer.core.state import Desk
from rebalancer.errors import InputRefused
from rebalancer.sim.shock import simulate
from rebalancer.sim.snapshot import read_snapshot
from tests.factories import BTC, ETH, D, desk, fund, holding, snapshot


def shocked(known: Desk, funds: dict[str, Any], **moves: str) -> dict[str, Any]:
    document = json.dumps(snapshot(funds, "100", at="2026-01-01T12:00:00Z"))
    shocks = {symbol: D(move) for symbol, move in moves.items()}
    return simulate(read_snapshot(document, known), shocks)


def test_a_fall_of_16_percent_fires_the_losing_side_rule_of_the_long_fund_alone() -> None:
    known = desk(fund(), fund("BTC3S", -3))
    told = shocked(known, {"BTC3L": holding(), "BTC3S": holding(leverage=-3)}, **{BTC: "-0.16"})
    long, short = told["funds"]["BTC3L"], told["funds"]["BTC3S"]
    assert (long["nav_before"], long["nav"]) == ("100", "52")
    assert (long["leverage_before"], long["trigger"]) == ("3", "price_move")
    assert D(long["delta_notional"][BTC]) == 3 * 52 - 252
    assert (short["nav"], short["trigger"]) == ("148", "none")
    assert told["orders"][0]["side"] == "sell"


def test_the_liquidation_move_is_where_equity_is_the_maintenance_margin() -> None:
    """3x, cash -200, 3 units at 100, maintenance 5 %: 0.95 x 300 (1 + m) = 200."""
    account = Account(name="main", initial_margin=D("0.1"), maintenance_margin=D("0.05"))
    told = shocked(desk(fund(), account=account), {"BTC3L": holding()})["accounts"]["main"]
    move = D(told["funds"]["BTC3L"]["liquidation_move"])
    assert move == pytest.approx(D(200) / (D("0.95") * 300) - 1, abs=D("1e-17"))
    assert told["liquidation_move"] == told["funds"]["BTC3L"]["liquidation_move"]


def test_opposite_funds_share_one_position_at_the_venue() -> None:
    known = desk(fund(), fund("BTC3S", -3))
    told = shocked(known, {"BTC3L": holding(), "BTC3S": holding(leverage=-3)})["accounts"]["main"]
    assert (told["exposure"], told["maintenance_margin"]) == ("0", "0")
    assert told["liquidation_move"] is None, "no price hurts both"
    assert D(told["funds"]["BTC3S"]["liquidation_move"]) > 0


def test_slices_take_their_time() -> None:
    slow = Execution(max_child_notional=D(20), interval_ms=2_000)
    told = shocked(desk(fund(execution=slow)), {"BTC3L": holding()}, **{BTC: "-0.16"})
    assert told["funds"]["BTC3L"]["delever_ms"] == 4 * 2_000, "96 of notional in fives of 20"


def test_slices_bounded_in_coins_take_their_time() -> None:
    slow = Execution(max_child_units=D("0.25"), interval_ms=2_000)
    told = shocked(desk(fund(execution=slow)), {"BTC3L": holding()}, **{BTC: "-0.16"})
    assert told["funds"]["BTC3L"]["delever_ms"] == 4 * 2_000, "96 / 84 coins in fives of 0.25"


def test_an_emergency_takes_its_own_slices() -> None:
    slow = Execution(max_child_notional=D(20), interval_ms=2_000)
    level = Ratio(numerator=D(4), denominator=D(1))
    rules = Methodology(emergency=Emergency(level=level, max_child_notional=D(60)))
    known = desk(fund(execution=slow, methodology=rules))
    told = shocked(known, {"BTC3L": holding()}, **{BTC: "-0.16"})["funds"]["BTC3L"]
    assert (told["trigger"], told["delever_ms"]) == ("emergency", 1 * 2_000), "96 in two of 60"


def test_members_of_a_basket_are_sold_side_by_side() -> None:
    slow = Execution(max_child_notional=D(20), interval_ms=2_000)
    known = desk(fund("MIX3L", basket={BTC: D("0.5"), ETH: D("0.5")}, execution=slow))
    held = holding() | {"units": {BTC: "1.5", ETH: "1.5"}, "cash": "-200"}
    held["last_rebalance"]["prices"] = {BTC: "100", ETH: "100"}
    document = snapshot({"MIX3L": held}, "100", at="2026-01-01T12:00:00Z")
    document["prices"] = {BTC: "100", ETH: "100"}
    shocks = {BTC: D("-0.16"), ETH: D("-0.16")}
    told = simulate(read_snapshot(json.dumps(document), known), shocks)["funds"]["MIX3L"]
    assert told["delever_ms"] == 2 * 2_000, "48 of each, in threes of 20"


def test_a_fund_that_a_shock_ends_is_shown_as_ended() -> None:
    told = shocked(desk(fund()), {"BTC3L": holding()}, **{BTC: "-0.4"})["funds"]["BTC3L"]
    assert (told["trigger"], told["formula_nav"]) == ("gap", "0")


@pytest.mark.parametrize(
    ("moves", "words"),
    [({ETH: "-0.1"}, "no fund holds ETH"), ({BTC: "-1"}, "leaves no price")],
)
def test_a_shock_that_cannot_be_is_refused(moves: dict[str, str], words: str) -> None:
    with pytest.raises(InputRefused, match=words):
        shocked(desk(fund()), {"BTC3L": holding()}, **moves)


def test_each_rule_says_at_which_price_it_fires_and_whether_the_shock_gets_there() -> None:
    """Point and position at 100: 15 % against the holders at 85, the emergency beyond it."""
    told = shocked(desk(fund()), {"BTC3L": holding()}, **{BTC: "-0.15"})["funds"]["BTC3L"]
    found = {each["trigger"]: each for each in told["triggers"]}
    assert (found["price_move"]["prices"], found["price_move"]["move"]) == ({BTC: "85"}, "-0.15")
    assert (found["price_move"]["fires"], found["price_move"]["reached"]) == ("at or below", True)
    assert D(found["emergency"]["prices"][BTC]) < 85
    assert not found["emergency"]["reached"]


def test_members_of_a_basket_that_move_apart_reach_no_common_price() -> None:
    half = {BTC: D("0.5"), ETH: D("0.5")}
    known = desk(fund("MIX3L", basket=half))
    both = {"units": {BTC: "1.5", ETH: "1.5"}, "cash": "-200"}
    held = holding() | both
    held["last_rebalance"]["prices"] = {BTC: "100", ETH: "100"}
    document = json.dumps(snapshot({"MIX3L": held}, "100") | {"prices": {BTC: "100", ETH: "100"}})
    for shocks, reached in (({BTC: "-0.2"}, None), ({BTC: "-0.2", ETH: "-0.2"}, True)):
        moves = {symbol: D(move) for symbol, move in shocks.items()}
        told = simulate(read_snapshot(document, known), moves)["funds"]["MIX3L"]["triggers"]
        assert {each["reached"] for each in told if each["trigger"] == "price_move"} == {reached}


def test_the_margin_to_open_is_told_beside_the_margin_to_keep() -> None:
    account = Account(name="main", initial_margin=D("0.1"), maintenance_margin=D("0.05"))
    told = shocked(desk(fund(), account=account), {"BTC3L": holding()})["accounts"]["main"]
    assert (told["initial_margin"], told["maintenance_margin"]) == ("30", "15")
