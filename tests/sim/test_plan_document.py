"""The plan document: the published example, and what stands in each of its fields."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from rebalancer.core.fund import Account, Execution
from rebalancer.errors import InputRefused
from rebalancer.sim.plan import plan
from rebalancer.sim.snapshot import read_snapshot
from tests.factories import BTC, contract, desk, fund, holding, only, planned, rules, snapshot

EXAMPLE = """
{"as_of": "2026-01-02T02:30:00Z", "trigger": "auto",
 "contracts": {"BTC/USDT:USDT": {"contract_size": "0.001", "lot": "1", "tick": "0.1",
                                 "min_notional": "5"}},
 "prices": {"BTC/USDT:USDT": "105"},
 "funds": {"BTC3L": {"shares": "1", "cash": "-200", "units": {"BTC/USDT:USDT": "3"},
           "last_rebalance": {"at": "2026-01-01T02:30:00Z", "nav": "100",
                              "prices": {"BTC/USDT:USDT": "100"}}}}}
"""


def test_the_published_example_comes_out_whole() -> None:
    assert plan(read_snapshot(EXAMPLE, desk())) == {
        "version": 1,
        "as_of": "2026-01-02T02:30:00Z",
        "funds": {
            "BTC3L": {
                "nav": "115",
                "formula_nav": "115",
                "leverage": "2.739130434782608696",
                "trigger": "fixed",
                "reason": "fixed time 2026-01-02T02:30:00Z",
                "target_leverage": "3",
                "target_units": {BTC: "3.285714285714285714"},
                "delta_units": {BTC: "0.285714285714285714"},
                "delta_notional": {BTC: "30"},
            }
        },
        "orders": [
            {
                "account": "main",
                "seq": 1,
                "contract": BTC,
                "side": "buy",
                "position_side": "net",
                "contracts": "285",
                "units": "0.285",
                "notional": "29.925",
                "reduce_only": False,
                "allocations": {"BTC3L": "0.285"},
            }
        ],
        "crosses": [],
        "skipped": [],
    }


def test_the_document_is_json_and_the_same_every_time() -> None:
    first = json.dumps(plan(read_snapshot(EXAMPLE, desk())))
    again = json.dumps(plan(read_snapshot(EXAMPLE, desk())))
    assert first == again


def test_version_1_may_be_said_and_version_2_is_refused() -> None:
    document = json.loads(EXAMPLE)
    said = planned(desk(), document | {"version": 1})
    assert said == planned(desk(), document)
    with pytest.raises(InputRefused, match="version: 2 is not known; this reads 1"):
        planned(desk(), document | {"version": 2})


def test_a_fund_with_nothing_to_do_says_so_and_has_zero_deltas() -> None:
    document = snapshot({"BTC3L": holding()}, "105", at="2026-01-01T12:00:00Z")
    told = planned(desk(), document)["funds"]["BTC3L"]
    assert told["trigger"] == "none"
    assert told["reason"] == (
        "nothing is due: the price moved 5.00 % since the last point, leverage is 2.7391"
    )
    assert told["delta_units"] == {BTC: "0"}
    assert told["delta_notional"] == {BTC: "0"}
    assert told["target_units"] == {BTC: "3"}


@pytest.mark.parametrize("trigger", ["fixed", "manual"])
def test_a_forced_run_needs_no_rule_to_fire(trigger: str) -> None:
    document = snapshot({"BTC3L": holding()}, at="2026-01-01T12:00:00Z", trigger=trigger)
    answer = planned(desk(), document)
    assert answer["funds"]["BTC3L"]["trigger"] == trigger
    assert answer["funds"]["BTC3L"]["delta_notional"] == {BTC: "30"}
    assert answer["orders"][0]["allocations"] == {"BTC3L": "0.285714285"}


def test_a_forced_run_moves_every_fund_of_the_snapshot() -> None:
    known = desk(fund("A"), fund("B"), fund("NOT_IN_IT"))
    document = snapshot({"B": holding(), "A": holding()}, trigger="manual")
    answer = planned(known, document)
    assert list(answer["funds"]) == ["B", "A"]
    assert {told["trigger"] for told in answer["funds"].values()} == {"manual"}


def test_even_a_forced_run_gives_way_to_the_gap_rule() -> None:
    short = holding(leverage=-3)
    answer = planned(desk(fund("S", -3)), snapshot({"S": short}, "140", trigger="manual"))
    told = answer["funds"]["S"]
    assert (told["trigger"], told["formula_nav"], told["nav"]) == ("gap", "0", "-20")
    assert told["target_units"] == {BTC: "0"}
    assert told["leverage"] is None


def test_a_fund_that_lost_its_equity_has_a_formula_of_zero_whatever_the_formula_says() -> None:
    ruined = holding() | {"cash": "-400"}
    told = planned(desk(), snapshot({"BTC3L": ruined}, "105"))["funds"]["BTC3L"]
    assert (told["trigger"], told["nav"], told["formula_nav"]) == ("gap", "-85", "0")
    assert told["target_units"] == {BTC: "0"}


def test_a_halted_fund_is_valued_and_not_traded_even_when_forced() -> None:
    document = snapshot({"BTC3L": holding(state="halted")}, trigger="fixed")
    answer = planned(desk(), document)
    assert answer["funds"]["BTC3L"]["trigger"] == "none"
    assert answer["funds"]["BTC3L"]["reason"].startswith("halted")
    assert answer["funds"]["BTC3L"]["nav"] == "115"
    assert answer["orders"] == []


def test_a_wiped_fund_has_a_formula_nav_of_zero_and_goes_on_to_flat() -> None:
    """Spec section 2, gap rule: the fund halts and its position is flattened."""
    document = snapshot({"BTC3L": holding(state="wiped")}, trigger="fixed")
    told = planned(desk(), document)["funds"]["BTC3L"]
    assert (told["trigger"], told["formula_nav"]) == ("gap", "0")
    assert told["target_units"] == {BTC: "0"}


def test_a_wiped_fund_that_holds_nothing_is_left_alone() -> None:
    flat = holding(state="wiped", units={}, cash="0")
    told = planned(desk(), snapshot({"BTC3L": flat}, trigger="fixed"))["funds"]["BTC3L"]
    assert (told["trigger"], told["formula_nav"]) == ("none", "0")


def under_way(**over: Any) -> dict[str, Any]:
    return {
        "trigger": "fixed",
        "target_units": {BTC: "4"},
        "target_leverage": "3",
        "started_at": "2026-01-01T11:00:00Z",
    } | over


def test_a_run_under_way_goes_on_to_its_frozen_target() -> None:
    document = snapshot({"BTC3L": holding(run=under_way())}, "120", at="2026-01-01T12:00:00Z")
    answer = planned(desk(), document)
    told = answer["funds"]["BTC3L"]
    assert (told["trigger"], told["target_units"]) == ("fixed", {BTC: "4"})
    assert (told["delta_units"], told["delta_notional"]) == ({BTC: "1"}, {BTC: "120"})
    assert answer["orders"][0]["units"] == "1"


def test_a_run_under_way_waits_for_its_next_slice() -> None:
    slice_run = under_way(last_slice_at="2026-01-01T11:59:59.500Z")
    document = snapshot({"BTC3L": holding(run=slice_run)}, at="2026-01-01T12:00:00Z")
    answer = planned(desk(), document)
    assert answer["orders"] == []
    assert answer["funds"]["BTC3L"]["delta_units"] == {BTC: "1"}
    assert "next slice is due at 2026-01-01T12:00:00.500Z" in answer["funds"]["BTC3L"]["reason"]


def test_a_crossing_during_a_fixed_run_waits_for_the_run() -> None:
    short = fund("S", -3)
    document = snapshot(
        {"S": holding(leverage=-3, run=under_way(target_units={BTC: "-2.9"}))},
        "116",
        at="2026-01-01T12:00:00Z",
    )
    answer = planned(desk(short), document)
    assert answer["funds"]["S"]["trigger"] == "fixed"
    assert [order["units"] for order in answer["orders"]] == ["0.1"]


def test_a_gap_during_a_fixed_run_takes_over() -> None:
    document = snapshot(
        {"S": holding(leverage=-3, run=under_way(target_units={BTC: "-2.9"}))},
        "134",
        at="2026-01-01T12:00:00Z",
    )
    answer = planned(desk(fund("S", -3)), document)
    assert answer["funds"]["S"]["trigger"] == "gap"
    assert [order["units"] for order in answer["orders"]] == ["3"]


def test_a_finished_run_without_a_last_rebalance_ends_quietly() -> None:
    bare = holding(leverage=-3, run=under_way(target_units={BTC: "-3"}, target_leverage="-3"))
    del bare["last_rebalance"]
    answer = planned(desk(fund("S", -3, methodology=rules(-3, fixed=None))), snapshot({"S": bare}))
    assert answer["funds"]["S"]["trigger"] == "fixed"
    assert answer["orders"] == []


def test_where_a_run_is_sliced_orders_hold_the_first_slice_and_delta_the_whole() -> None:
    slow = fund(execution=Execution(max_child_notional=Decimal(10)))
    answer = planned(desk(slow), snapshot({"BTC3L": holding()}, "105"))
    assert answer["funds"]["BTC3L"]["delta_notional"] == {BTC: "30"}
    assert [order["units"] for order in answer["orders"]] == ["0.095238095"]


def test_what_is_under_a_lot_is_skipped_with_a_reason() -> None:
    coarse = contract(lot=1)
    answer = planned(desk(contracts=[coarse]), snapshot({"BTC3L": holding()}))
    assert answer["orders"] == []
    assert answer["skipped"] == [
        {
            "fund": "BTC3L",
            "account": "main",
            "contract": BTC,
            "units": "0.285714285714285714",
            "reason": "under one lot of 1 contracts",
        }
    ]


def test_what_is_under_the_minimum_notional_is_skipped_with_a_reason() -> None:
    document = snapshot({"BTC3L": holding()}, contracts={BTC: {"min_notional": "30.01"}})
    answer = planned(desk(), document)
    assert answer["orders"] == []
    assert [each["reason"] for each in answer["skipped"]] == ["under the minimum notional of 30.01"]


@pytest.mark.parametrize(("waives", "orders"), [(True, 1), (False, 0)])
def test_minimum_notional_does_not_block_reducing_where_the_venue_waives_it(
    waives: bool, orders: int
) -> None:
    account = Account(name="main", waives_min_notional=waives)
    known = desk(contracts=[contract(min_notional=1000)], account=account)
    answer = planned(known, snapshot({"BTC3L": holding()}, "95"))
    assert [each["reduce_only"] for each in answer["orders"]] == [True] * orders
    assert len(answer["skipped"]) == 1 - orders


def test_funds_without_rules_never_trade() -> None:
    known = desk(fund(methodology=only()))
    answer = planned(known, snapshot({"BTC3L": holding()}, "70"))
    assert answer["funds"]["BTC3L"]["trigger"] == "none"


def test_a_hedge_venue_gets_a_close_before_an_open() -> None:
    account = Account(name="main", hedge=True)
    known = desk(fund("BTC1S", -1), account=account)
    document = snapshot(
        {"BTC1S": holding(leverage=1)},
        "100",
        trigger="manual",
        accounts={"main": {"positions": {BTC: {"long": "1", "short": "0"}}}},
    )
    close, opening = planned(known, document)["orders"]
    assert [close["seq"], opening["seq"]] == [1, 2]
    assert (close["side"], close["position_side"], close["units"]) == ("sell", "long", "-1")
    assert (opening["side"], opening["position_side"], opening["units"]) == ("sell", "short", "-1")
    assert (close["reduce_only"], opening["reduce_only"]) == (True, False)
    assert close["allocations"] == {"BTC1S": "-1"}


def test_a_hedge_venue_closes_no_more_than_the_other_book_holds() -> None:
    account = Account(name="main", hedge=True)
    known = desk(fund("BTC3L"), account=account)
    document = snapshot(
        {"BTC3L": holding()},
        "105",
        trigger="manual",
        accounts={"main": {"positions": {BTC: {"long": "3.1", "short": "0.1"}}}},
    )
    close, opening = planned(known, document)["orders"]
    assert (close["position_side"], close["units"]) == ("short", "0.1")
    assert (opening["position_side"], opening["units"]) == ("long", "0.185714285")


def test_the_same_orders_come_from_prices_by_source() -> None:
    by_source = {"mark": "105", "index": "105", "spot": "105", "last": "105"}
    one, other = (
        planned(desk(), snapshot({"BTC3L": holding()}, price)) for price in ("105", by_source)
    )
    assert one == other
