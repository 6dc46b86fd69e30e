"""A ladder of shocks says at each rung what a shock alone says."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from rebalancer.core.fund import PriceSource
from rebalancer.core.state import Desk
from rebalancer.errors import InputRefused
from rebalancer.fast.ladder import ladder
from rebalancer.sim.shock import simulate
from rebalancer.sim.snapshot import Snapshot, read_snapshot
from tests.factories import BTC, ETH, D, contract, desk, fund, holding, snapshot

MOVES = [D(percent) / 100 for percent in range(-40, 41, 4)]


def book(known: Desk, funds: dict[str, Any]) -> Snapshot:
    return read_snapshot(json.dumps(snapshot(funds, "100", at="2026-01-01T12:00:00Z")), known)


def climbed(known: Desk, funds: dict[str, Any]) -> dict[str, Any]:
    return ladder(book(known, funds), MOVES)


FUNDS = {"BTC3L": holding(), "BTC3S": holding(leverage=-3), "BTC1S": holding(leverage=-1)}


def three() -> Desk:
    return desk(fund(), fund("BTC3S", -3), fund("BTC1S", -1), contracts=[contract(lot="0.01")])


def test_every_rung_is_the_shock_of_its_size() -> None:
    for rung in climbed(three(), FUNDS)["rungs"]:
        alone = simulate(book(three(), FUNDS), {BTC: D(rung["shock"])})["funds"]
        fired = {name: rule for rule, names in rung["fires"].items() for name in names}
        for name, told in alone.items():
            assert fired.get(name, "none") == told["trigger"], (rung["shock"], name)


def test_the_orders_of_a_rung_are_those_of_a_fixed_run_there() -> None:
    """3x long and short and 1x short, each 100: after +4 % they want 24, 48 and 8 in all."""
    (rung,) = (each for each in climbed(three(), FUNDS)["rungs"] if each["shock"] == "0.04")
    (order,) = rung["fixed_run"]
    assert (order["side"], order["account"], order["contract"]) == ("buy", "main", BTC)
    assert order["contracts"] == "0.76", "80 of notional at 104, in whole hundredths"
    assert D(order["notional"]) == D("0.76") * 104


def test_an_index_only_fund_needs_no_contract_described_and_orders_nothing() -> None:
    known = replace(desk(fund(account="")), contracts={}, accounts={})
    rungs = climbed(known, {"BTC3L": holding()})["rungs"]
    assert [rung["shock"] for rung in rungs if rung["fires"]][-1] == "-0.16"
    assert not any(rung["fixed_run"] for rung in rungs)


def test_a_fund_that_ends_at_a_rung_takes_no_part_in_its_fixed_run() -> None:
    """At 60 the shorts, 220 and 140, want 480 and 80 more; the 3x long has nothing left."""
    (rung,) = (each for each in climbed(three(), FUNDS)["rungs"] if each["shock"] == "-0.4")
    assert rung["fires"]["gap"] == ["BTC3L"]
    (order,) = rung["fixed_run"]
    assert (order["side"], order["contracts"]) == ("sell", "9.33")


def test_what_arrays_do_not_know_is_left_out_with_its_reason() -> None:
    mixed = fund("MIX", 2, basket={BTC: D("0.5"), ETH: D("0.5")})
    by_index = fund("IDX", 2, price_source=PriceSource.INDEX)
    prices = {BTC: {"mark": "100", "index": "99"}, ETH: "10"}
    document = snapshot({"BTC3L": holding(), "IDX": holding(leverage=2)}, "100")
    document["prices"] = prices
    document["funds"]["MIX"] = {
        "shares": "1",
        "cash": "-100",
        "units": {BTC: "1", ETH: "10"},
        "last_rebalance": {
            "at": "2026-01-01T02:30:00Z",
            "nav": "100",
            "prices": {BTC: "100", ETH: "10"},
        },
    }
    read = read_snapshot(json.dumps(document), desk(fund(), mixed, by_index))
    told = ladder(read, [D(0)])
    assert told["funds"] == 1
    assert told["left_out"] == {
        "IDX": "its price_source is not at the mark",
        "MIX": "a basket of several contracts",
    }


def test_a_book_without_a_known_fund_is_refused() -> None:
    with pytest.raises(InputRefused, match="arrays know none of the funds"):
        ladder(book(desk(fund()), {}), [D(0)])
