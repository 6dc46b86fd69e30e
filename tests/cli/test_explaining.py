"""Why a fund does what it does, from the store, now and in the past."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from rebalancer.core.events import CommandKind
from rebalancer.core.instant import DAY_MS, HOUR_MS, iso
from rebalancer.core.methodology import LeverageBand, Trigger
from rebalancer.desk.views import next_fixed
from rebalancer.sim.explain import desk_at, explain
from tests.factories import BTC, ETH, NOON, D, bench, fund, only


def banded(**over: Any) -> Any:
    rule = LeverageBand(lower=D(2), upper=D(4))
    return fund(methodology=only(leverage_band=rule), **over)


def test_the_triggers_of_a_3x_in_a_band_of_2_to_4_are_those_of_the_books() -> None:
    """field.md b3: +33.333 % and -11.111 %; nothing is left at -33.333 %."""
    made = bench(banded())
    past = desk_at(made.desk, made.records, NOON, {BTC: (D(100), NOON)})
    found = explain(past, "BTC3L")
    told = [(each["trigger"], each["fires"], each["prices"][BTC][:7]) for each in found["triggers"]]
    assert told[0] == ("leverage_band", "below", "88.8888")
    assert sorted(told[1:]) == [
        ("gap", "at or below", "66.6666"),  # of the formula, and of the equity
        ("gap", "at or below", "66.6666"),
        ("leverage_band", "above", "133.333"),
    ]
    assert Decimal(found["triggers"][0]["move"]).quantize(D("1e-5")) == D("-0.11111")


def test_a_basket_is_told_the_prices_at_which_all_members_move_alike() -> None:
    made = bench(banded(basket={BTC: D("0.5"), ETH: D("0.5")}))
    past = desk_at(made.desk, made.records, NOON, {BTC: (D(100), NOON), ETH: (D(100), NOON)})
    first = explain(past, "BTC3L")["triggers"][0]
    assert first["trigger"] == "leverage_band"
    assert {price[:7] for price in first["prices"].values()} == {"88.8888"}


def test_the_past_is_told_as_it_was_known_then() -> None:
    made = bench(fund())
    made.now_ms = NOON + 3 * HOUR_MS
    made.known("80")  # the losing side: a run is opened and filled
    for order in made.orders:
        made.complete(order)
    before = explain(
        desk_at(made.desk, made.records, NOON + HOUR_MS, {BTC: (D(100), NOON)}), "BTC3L"
    )
    after = explain(desk_at(made.desk, made.records, NOON + 4 * HOUR_MS, {}), "BTC3L")
    assert before["verdict"]["trigger"] == "none"
    assert before["last_rebalance"]["at"] == iso(NOON)
    assert after["last_rebalance"]["at"] == iso(NOON + 3 * HOUR_MS)
    assert after["prices"] == {BTC: {"price": "80", "age_ms": HOUR_MS}}
    assert after["due"] == {"fixed": iso(NOON + 14 * HOUR_MS + HOUR_MS // 2)}
    assert Trigger.PRICE_MOVE in {each["trigger"] for each in after["triggers"]}


def test_a_fund_that_is_flattened_waits_for_no_rule_and_no_time() -> None:
    made = bench(fund())
    made.now_ms = NOON + HOUR_MS
    made.known("100")
    made.command(CommandKind.FLATTEN, "BTC3L", "drill")
    found = explain(desk_at(made.desk, made.records, made.now_ms, {}), "BTC3L")
    assert {each["trigger"] for each in found["triggers"]} == {Trigger.GAP}
    assert found["due"] == {}
    assert next_fixed(made.state, made.now_ms) is None
    made.command(CommandKind.RESUME, "BTC3L", "over")
    assert next_fixed(made.state, made.now_ms) == NOON + 14 * HOUR_MS + HOUR_MS // 2


def test_a_fund_of_which_no_price_is_known_has_no_triggers() -> None:
    made = bench(fund())
    found = explain(desk_at(made.desk, made.records, NOON + DAY_MS, {}), "BTC3L")
    assert (found["nav"], found["triggers"], found["prices"]) == (None, [], {})


@pytest.mark.parametrize("arguments", [["explain", "BTC9L"], ["triggers", "BTC9L"]])
def test_a_fund_that_is_none_is_refused(run: Any, store: Any, arguments: list[str]) -> None:
    answer = run(*arguments)
    assert answer.code == 2
    assert answer.sentence.startswith("there is no fund BTC9L; the configuration has BTC3L")


def test_both_commands_read_what_a_desk_has_written(run: Any, store: Any) -> None:
    told = run("explain", "BTC3L", "--json").json
    assert (told["version"], told["fund"]) == (1, "BTC3L")
    assert told["triggers"]
    listed = run("triggers", "--json").json
    assert {each["fund"] for each in listed["triggers"]} == {"BTC3L", "BTC1S"}
    assert "price_move" in run("triggers", "BTC3L").out
    assert run("explain", "BTC3L", "--at", "yesterday").code == 2
