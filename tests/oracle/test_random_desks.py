"""Random desks against the sentences of the specification: every rule, several funds, baskets."""

from __future__ import annotations

from typing import Any

import pytest

from rebalancer.errors import ConfigRefused
from tests.factories import dice_of
from tests.oracle.documents import planned
from tests.oracle.sentences import Books
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
        assert "it would fire at" in str(refused)  # noqa: PT017 - the one contradiction thrown
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
