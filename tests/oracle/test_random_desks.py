"""Random desks against the sentences of the specification: every rule, several funds, baskets."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import pytest

from rebalancer.errors import ConfigRefused
from tests.factories import dice_of
from tests.oracle.documents import planned
from tests.oracle.sentences import Book, Books, Fund
from tests.oracle.thrown import Throw, config_text

SEEDS = range(200)
ORDER = ("contracts", "units", "notional", "side", "reduce_only", "allocations")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_desk_is_planned_as_the_sentences_say(seed: int) -> None:
    """Sections 1 to 4: NAVs, what fires first, where to, by when, crosses, orders, skips."""
    config, snapshot = Throw(dice_of(seed)).desk()
    try:
        found = planned(config_text(config), snapshot)
    except ConfigRefused as refused:
        # The two contradictions thrown: an emergency among the rules, an edge above the cap.
        assert re.search("it would fire at|is above the cap of", str(refused))  # noqa: PT017
        return
    expected = Books(config, snapshot)
    expected.decide()
    for name, wanted in expected.document().items():
        told = found["funds"][name]
        assert {key: told.get(key) for key in wanted} == wanted
        if told["trigger"] == "none":
            assert ("due_by" in told) is ("due_by" in wanted)
    crosses = {(each["account"], each["contract"]): each["units"] for each in found["crosses"]}
    assert crosses == expected.crosses
    assert orders_of(found) == expected.orders
    skipped = {(each["fund"], each["contract"]) for each in found["skipped"]}
    assert skipped == expected.skipped


@pytest.mark.parametrize("seed", SEEDS[::2])
def test_no_run_leaves_leverage_further_from_where_it_goes(seed: int) -> None:
    """No rule raises |leverage - target of that run| at its prices, before fees, beyond one lot."""
    config, snapshot = Throw(dice_of(seed)).desk()
    for row in config["contracts"].values():
        row.pop("min_notional", None)
        row.pop("min_amount", None)
    for row in config["funds"].values():
        row.pop("execution", None)
        row.pop("size_from", None)
        row.get("rules", {}).get("emergency", {}).pop("max_child_units", None)
    try:
        found = planned(config_text(config), snapshot)
    except ConfigRefused:
        return
    for name, told in found["funds"].items():
        fund = Fund(config, snapshot, name)
        if told["trigger"] == "none" or fund.equity <= 0 or "account" not in fund.row:
            continue
        aim = Fraction(told["target_leverage"])
        after, slack = fund.exposure, Fraction(0)
        for symbol, mark in fund.marks.items():
            book = Book(config, snapshot, symbol, mark)
            slack += 2 * book.lot * book.size * mark  # of a lot, and of its share in another's
            after += mark * moved(found, name, symbol)
        assert abs(after / fund.equity - aim) <= abs(fund.leverage - aim) + slack / fund.equity


def moved(found: dict[str, Any], name: str, symbol: str) -> Fraction:
    """What the fund gets of a contract by crosses and orders."""
    parts = [each["units"] for each in found["crosses"] if each["contract"] == symbol]
    parts += [each["allocations"] for each in found["orders"] if each["contract"] == symbol]
    return sum((Fraction(each.get(name, "0")) for each in parts), Fraction(0))


def orders_of(found: dict[str, Any]) -> dict[tuple[str, str, str], dict[str, Any]]:
    return {
        (each["account"], each["contract"], each["position_side"]): {k: each[k] for k in ORDER}
        for each in found["orders"]
    }


def test_the_throws_reach_every_rule() -> None:
    """A check that no fund ever met would prove nothing."""
    met = set()
    for seed in SEEDS:
        config, snapshot = Throw(dice_of(seed)).desk()
        expected = Books(config, snapshot)
        expected.decide()
        met |= {each.trigger for each in expected.told.values()}
        met |= {each.to for each in expected.told.values()}
        met |= {name for name in ("crosses", "orders", "skipped") if getattr(expected, name)}
    assert met == {
        *("gap", "emergency", "leverage_cap", "price_move", "leverage_band", "reconstitution"),
        *("elapsed", "fixed", "none", "target", "edge", "recentre"),
        *("crosses", "orders", "skipped"),
    }
