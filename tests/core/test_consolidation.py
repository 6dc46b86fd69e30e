"""Merges and splits: what they conserve, who is shut out meanwhile, and who has to agree."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebalancer.core.capital import (
    Consolidated,
    ConsolidationAnnounced,
    ConsolidationProposed,
    FlowRefused,
)
from rebalancer.core.consolidation import Consolidation, Conversion, ConversionKind
from rebalancer.core.engine import Step
from rebalancer.core.events import CommandKind, ConsolidationAsked
from rebalancer.core.flow import FlowRule, OnBusy
from rebalancer.core.instant import DAY_MS, HOUR_MS
from rebalancer.errors import CommandRefused, ConfigRefused
from tests.core.test_flows import ask, flow
from tests.factories import BTC, Bench, D, bench, fund, rules

MERGE, SPLIT = ConversionKind.MERGE, ConversionKind.SPLIT
TERMS = Consolidation(below=D("0.05"), notice_ms=HOUR_MS)


def consolidate(made: Bench, **over: Any) -> Step:
    return made.take(ConsolidationAsked(made.now_ms, "BTC3L", "asked for", **over))


def low(terms: Consolidation = TERMS, **over: Any) -> Bench:
    """Return a 3L of 1 000 shares that stands at NAV 0.03."""
    chosen = {"methodology": rules(3, flow=FlowRule(on_busy=OnBusy.QUEUE))} | over
    small = fund(initial_nav=D("0.03"), initial_shares=D(1_000), consolidation=terms, **chosen)
    return bench(small).later(60)


def test_a_nav_of_0_03_with_1_000_shares_becomes_0_3_with_100() -> None:
    # field.md b2, case 46
    made = low()
    made.known(100)
    (proposed,) = made.of(ConsolidationProposed)
    assert (proposed.kind, proposed.ratio, proposed.nav) == (MERGE, 10, D("0.03"))
    assert "consolidation_proposed" in made.alerts
    assert made.of(ConsolidationAnnounced) == []
    consolidate(made)
    made.later(3_599).known(100)
    assert made.of(Consolidated) == []
    made.later(1).wake()
    (done,) = made.of(Consolidated)
    assert (done.shares_before, done.shares_after) == (D(1_000), D(100))
    assert (done.nav_before, done.nav_after, done.equity) == (D("0.03"), D("0.3"), D(30))
    there = made.fund()
    assert there.shares == 100
    assert there.point is not None
    assert there.point.nav == D("0.3")
    assert there.point.prices == {BTC: D(100)}
    made.later(60).known(101)
    worth = made.state.worth(there)
    assert worth is not None
    assert worth.nav == worth.formula_nav == D("0.309")
    assert len(made.of(ConsolidationProposed)) == 1


def test_a_proposal_ends_with_a_daily_nav_that_asks_for_none_and_may_come_again() -> None:
    made = low()
    made.known(100)
    made.later(60).known(140)
    assert made.fund().proposal is not None
    with pytest.raises(CommandRefused, match="nothing is proposed; name a ratio"):
        consolidate(made)
    made.later(86_400).known(140)
    assert made.fund().proposal is None
    assert made.restarted().fund().proposal is None
    made.later(60).known(100)
    assert len(made.of(ConsolidationProposed)) == 2


def test_ten_tokens_at_10_are_one_at_100() -> None:
    # field.md b2, case 49
    made = bench(fund(initial_nav=D(10), initial_shares=D(10))).later(60)
    made.known(100)
    consolidate(made, ratio=10)
    made.later(86_400).known(100)
    (done,) = made.of(Consolidated)
    assert (done.shares_after, done.nav_after) == (D(1), D(100))


@pytest.mark.parametrize(
    ("terms", "nav", "words"),
    [
        ({"below": "0.05"}, "0.03", "merge 10:1"),
        ({"below": "0.05"}, "0.05", None),
        ({"below": "0.05"}, "0.0099", "merge 20:1"),
        ({"below": "0.05"}, "0.005", "merge 20:1"),
        ({"below": "0.05"}, "0.0004", "merge 1000:1"),
        ({"below": "0.05"}, "0.00000001", "merge 10000:1"),
        ({"below": "0.1", "restore": "1"}, "0.05", "merge 20:1"),
        ({"below": "0.05"}, "0", None),
        ({"above": "1000"}, "1000", None),
        ({"above": "1000"}, "1001", "split 1:10"),
        ({"above": "1000"}, "25000", "split 1:50"),
    ],
)
def test_the_smallest_ratio_of_the_ladder_that_is_enough(
    terms: dict[str, str], nav: str, words: str | None
) -> None:
    given: dict[str, Any] = {key: D(value) for key, value in terms.items()}
    found = Consolidation(**given).proposal(D(nav))
    assert (None if found is None else found.words) == words


def test_it_may_announce_itself() -> None:
    made = low(Consolidation(below=D("0.05"), notice_ms=HOUR_MS, auto=True))
    made.known(100)
    assert len(made.of(ConsolidationAnnounced)) == 1
    made.later(3_600).known(100)
    assert made.fund().shares == 100


def test_a_wild_price_proposes_nothing() -> None:
    terms = Consolidation(below=D(60), restore=D(60))
    high = fund(initial_nav=D(100), consolidation=terms)
    made = bench(high).later(3_600)
    made.tick(86)
    assert made.of(ConsolidationProposed) == []
    made.later(5).tick(86)
    assert len(made.of(ConsolidationProposed)) == 1


def test_from_the_freeze_on_flows_are_shut_while_a_run_goes_on() -> None:
    made = low()
    made.known(105)
    consolidate(made, ratio=10)
    made.later(3_599).known(105)
    made.command(CommandKind.REBALANCE)
    (order,) = made.orders
    ask(made, flow("subscribe", 1, "waits"))
    made.later(1).known(105)
    assert [each.flow for each in made.of(FlowRefused)] == ["waits"]
    assert made.of(Consolidated) == []  # the run is under way
    with pytest.raises(CommandRefused, match="flows are shut until the merge 10:1 is done"):
        ask(made, flow("subscribe", 1, "late"))
    made.complete(order)
    (done,) = made.of(Consolidated)
    assert done.shares_after == 100
    there = made.fund()
    assert there.point is not None
    assert there.point.nav == D("0.345")
    ask(made, flow("subscribe", 1, "after"))
    assert there.shares > 100


def test_a_merge_survives_a_crash_at_every_point() -> None:
    made = low()
    made.known(100)
    made = made.restarted()
    made.known(100)
    consolidate(made)
    made = made.restarted()
    made.later(3_600).known(100)
    made = made.restarted()
    made.known(100)
    assert len(made.of(Consolidated)) == 1
    assert made.fund().shares == 100


def test_all_that_a_merge_left_can_be_redeemed_whatever_its_decimals() -> None:
    made = low()
    made.state.funds["BTC3L"].shares = D("1000.00000001")
    made.known(100)
    consolidate(made, ratio=10)
    made.later(3_600).known(100)
    there = made.fund()
    assert there.shares == D("100.000000001")
    with pytest.raises(CommandRefused, match="shares have 8 decimals"):
        ask(made, flow("redeem", D("50.000000001"), "part"))
    ask(made, flow("redeem", there.shares, "all"))
    assert there.shares == 0


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({}, "nothing is proposed; name a ratio"),
        ({"ratio": 1}, "a ratio is 2 or more"),
        ({"cancel": True}, "no consolidation is announced"),
    ],
)
def test_what_cannot_be_announced_is_refused(asked: dict[str, Any], sentence: str) -> None:
    made = bench().later(60)
    made.known(100)
    with pytest.raises(CommandRefused, match=sentence):
        consolidate(made, **asked)


def test_an_announcement_stands_until_it_is_cancelled() -> None:
    made = bench().later(60)
    made.known(100)
    consolidate(made, ratio=10)
    with pytest.raises(CommandRefused, match="a merge 10:1 is announced already; cancel it first"):
        consolidate(made, ratio=20)
    consolidate(made, cancel=True)
    made.later(2 * DAY_MS // 1_000).known(100)
    assert made.of(Consolidated) == []


@pytest.mark.parametrize(
    ("terms", "sentence"),
    [
        ({"below": D("0.2")}, "restore: 0.1 is under below, 0.2"),
        ({"ladder": ()}, "ladder: name ratios of 2 and more"),
        ({"ladder": (1, 10)}, "ladder: name ratios of 2 and more"),
        ({"ladder": (20, 10)}, "ladder: the ratios must ascend"),
        ({"below": D("0.05"), "above": D("0.9")}, "above: 0.9 must be at least"),
    ],
)
def test_what_could_not_come_to_rest_is_refused(terms: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigRefused, match=sentence):
        fund(consolidation=Consolidation(**terms))


@given(
    shares=st.decimals(min_value="0.00000001", max_value="1e12", places=8),
    equity=st.decimals(min_value="0.00000001", max_value="1e12", places=18),
    ratio=st.sampled_from([2, 3, 7, 10, 20, 50, 100, 1_000, 10_000]),
)
@settings(max_examples=300)
def test_nav_times_shares_is_conserved(shares: Decimal, equity: Decimal, ratio: int) -> None:
    for kind in ConversionKind:
        after = Conversion(kind=kind, ratio=ratio).shares(shares)
        if not after:
            continue
        before_value, after_value = equity / shares * shares, equity / after * after
        assert abs(after_value - before_value) <= equity * D("1e-55")
    back = Conversion(kind=SPLIT, ratio=ratio).shares(shares)
    assert Conversion(kind=MERGE, ratio=ratio).shares(back) == shares
