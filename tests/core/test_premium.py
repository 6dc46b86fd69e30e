"""The premium of a token over its NAV: stages, edges, what a halt shuts, and what is no quote."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from rebalancer.core.capital import FlowDealt
from rebalancer.core.engine import Step
from rebalancer.core.events import CommandKind, ConsolidationAsked, TokenQuoted
from rebalancer.core.flow import FlowRule, OnBusy
from rebalancer.core.instant import MINUTE_MS
from rebalancer.core.premium import (
    STAGES,
    Height,
    PremiumStage,
    PremiumStaged,
    PremiumTerms,
    premium_of,
)
from rebalancer.core.records import RunOpened
from rebalancer.errors import CommandRefused, ConfigRefused
from tests.core.test_flows import ask, flow
from tests.factories import Bench, D, bench, fund, rules

NONE, WARN, HALT = PremiumStage.NONE, PremiumStage.WARN, PremiumStage.HALT
TERMS = PremiumTerms(venue="gate", symbol="BTC3L/USDT")


def watched(terms: PremiumTerms = TERMS, **over: Any) -> Bench:
    """Return a 3L at NAV 100 whose token is watched."""
    return bench(fund(premium=terms, **over)).later(1)


def quote(made: Bench, price: Any = None, **over: Any) -> Step:
    """Quote the token with a book of no width, unless told otherwise."""
    book = {} if price is None else {"bid": D(price), "ask": D(price)}
    made.known(100)
    return made.take(TokenQuoted(made.now_ms, "BTC3L", **(book | over)))


def stages(made: Bench) -> list[tuple[PremiumStage, Decimal]]:
    return [(each.stage, each.premium) for each in made.of(PremiumStaged)]


def test_a_premium_is_the_price_over_the_nav() -> None:
    assert premium_of(D(131), D(100)) == D("0.31")
    assert premium_of(D(75), D(100)) == D("-0.25")


@pytest.mark.parametrize(
    ("price", "stage"),
    [
        ("100", NONE),
        ("119.999999", NONE),
        ("120", WARN),
        ("129.999999", WARN),
        ("130", HALT),
        ("948", HALT),  # field.md c3: WTI notes at +848 %
        ("80.000001", NONE),
        ("80", WARN),
        ("70", HALT),
    ],
)
def test_a_stage_begins_exactly_at_its_edge_on_either_side(price: str, stage: PremiumStage) -> None:
    made = watched()
    quote(made, price)
    assert made.fund().premium_stage is stage
    assert len(made.of(PremiumStaged)) == (0 if stage is NONE else 1)


@pytest.mark.parametrize(
    ("prices", "seen"),
    [
        (["125", "119", "106", "105.999"], [WARN, NONE]),
        (["125", "131", "125", "106", "105"], [WARN, HALT, NONE]),
        (["131", "94.001", "90", "131"], [HALT, NONE, HALT]),
        (["131", "69", "130"], [HALT]),
    ],
)
def test_only_a_calm_price_ends_a_stage(prices: list[str], seen: list[PremiumStage]) -> None:
    # field.md, section a: 20 %, 30 %, normal again under 6 %
    made = watched()
    for price in prices:
        quote(made, price)
    assert [stage for stage, _ in stages(made)] == seen


def test_every_stage_and_height_has_one_follower() -> None:
    assert set(STAGES) == {(stage, height) for stage in PremiumStage for height in Height}


def test_the_record_holds_what_was_compared_and_survives_a_restart() -> None:
    made = watched()
    quote(made, "131")
    (staged,) = made.of(PremiumStaged)
    assert (staged.market, staged.price, staged.nav) == ("gate:BTC3L/USDT", D(131), D(100))
    assert staged.premium == D("0.31")
    assert made.restarted().fund().premium_stage is HALT


def test_the_price_is_the_middle_of_the_book() -> None:
    made = watched()
    quote(made, bid=D(110), ask=D(130))
    assert stages(made) == [(WARN, D("0.2"))]


def test_each_stage_is_told_once() -> None:
    made = watched()
    for price in ("125", "126", "131", "140", "100", "100"):
        quote(made, price)
    assert made.alerts == ["premium_warn", "premium_halt", "premium_released"]


def test_a_halt_shuts_flows_and_nothing_else() -> None:
    made = watched()
    quote(made, "131")
    with pytest.raises(CommandRefused, match=r"takes no flows: its price on gate:BTC3L/USDT left"):
        ask(made, flow("subscribe", 100))
    made.later(60).known(104)
    made.command(CommandKind.REBALANCE)
    assert made.of(RunOpened), "rebalancing goes on"


def test_flows_open_again_once_the_price_came_back() -> None:
    made = watched()
    quote(made, "131")
    quote(made, "105")
    ask(made, flow("subscribe", 100))
    made.known(100)
    assert made.of(FlowDealt)


def test_a_warning_shuts_nothing() -> None:
    made = watched()
    quote(made, "129")
    ask(made, flow("subscribe", 100))
    made.known(100)
    assert made.of(FlowDealt)


def test_flows_that_waited_are_dealt_when_the_halt_is_released() -> None:
    made = watched(methodology=rules(3, flow=FlowRule(on_busy=OnBusy.QUEUE)))
    made.later(60)
    ask(made, flow("subscribe", 100))  # its price is old: it waits
    made.fund().premium_stage = HALT
    made.known(100)
    assert not made.of(FlowDealt)
    quote(made, "100")
    made.known(100)
    assert made.of(FlowDealt)


@pytest.mark.parametrize(
    ("book", "words"),
    [
        ({}, "there is no bid and no ask"),
        ({"bid": D(140)}, "there is no ask"),
        ({"ask": D(140)}, "there is no bid"),
        ({"bid": D(141), "ask": D(140)}, "the book is crossed"),
    ],
)
def test_a_book_without_two_sides_is_no_premium_but_an_alarm(
    book: dict[str, Decimal], words: str
) -> None:
    made = watched()
    quote(made, None, **book)
    quote(made, None, **book)
    (alert,) = [each for each in made.actions if getattr(each, "name", "") == "quote_dead"]
    assert words in getattr(alert, "text", "")
    assert made.of(PremiumStaged) == []
    quote(made, "100")
    quote(made, None, **book)
    assert made.alerts.count("quote_dead") == 2, "told anew after it was well"


def test_a_quote_is_dead_once_it_is_older_than_allowed() -> None:
    # field.md c3: +50 % with the stock -8 % when the quotes of the liquidity provider lapsed
    made = watched()
    quote(made, "100")
    old_ms = made.now_ms
    made.later(300)
    quote(made, "150", quoted_ms=old_ms)
    assert made.alerts == ["premium_halt"], "five minutes are not over five minutes"
    made = watched()
    quote(made, "100")
    made.later(300, ms=1)
    quote(made, "150", quoted_ms=old_ms)
    assert made.alerts == ["quote_dead"]
    assert made.fund().premium(D(100), made.now_ms) is None


def test_one_question_without_an_answer_is_no_alarm_but_five_minutes_of_them_are() -> None:
    made = watched()
    for _ in range(6):
        quote(made, None, problem="gate did not answer in time")
        made.later(60)
    assert made.alerts == []
    quote(made, None, problem="gate did not answer in time")
    assert made.alerts == ["quote_dead"]


def test_a_dead_quote_keeps_the_stage() -> None:
    made = watched()
    quote(made, "131")
    quote(made, None)
    assert made.fund().premium_stage is HALT


def test_a_nav_from_an_old_price_is_not_compared() -> None:
    made = watched()
    made.later(11)
    made.take(TokenQuoted(made.now_ms, "BTC3L", D(150), D(150)))
    assert made.of(PremiumStaged) == []
    made.known(100)
    made.take(TokenQuoted(made.now_ms, "BTC3L", D(150), D(150)))
    assert stages(made) == [(HALT, D("0.5"))]


def test_a_premium_and_a_merge_together_are_told_twice() -> None:
    # field.md, section a: the premium is destroyed at conversion
    announced_first, staged_first = watched(), watched()
    ratio = ConsolidationAsked(announced_first.now_ms, "BTC3L", "asked for", ratio=10)
    announced_first.take(ratio)
    assert "premium_and_conversion" not in announced_first.alerts
    quote(announced_first, "125")
    quote(staged_first, "125")
    staged_first.take(ratio)
    for made in (announced_first, staged_first):
        assert made.alerts.count("premium_and_conversion") == 1


def test_quotes_of_funds_that_nobody_watches_change_nothing() -> None:
    made = bench()
    made.take(TokenQuoted(made.now_ms, "BTC3L", D(200), D(200)))
    made.take(TokenQuoted(made.now_ms, "GONE", D(200), D(200)))
    assert made.alerts == []


@pytest.mark.parametrize(
    ("warn", "halt", "release"),
    [("0.2", "0.3", "0.2"), ("0.3", "0.3", "0.06"), ("0.2", "0.3", "0"), ("0.2", "0.1", "0.06")],
)
def test_thresholds_that_do_not_ascend_are_refused(warn: str, halt: str, release: str) -> None:
    terms = replace(TERMS, warn=D(warn), halt=D(halt), release=D(release))
    with pytest.raises(ConfigRefused, match=r"BTC3L.premium: needs 0 < release < warn < halt"):
        fund(premium=terms)


def test_the_usual_age_limit_is_five_minutes() -> None:
    assert TERMS.max_age_ms == 5 * MINUTE_MS


def test_a_quote_that_is_stamped_ahead_of_the_clock_counts_from_now_and_grows_old() -> None:
    made = watched()
    quote(made, "125", quoted_ms=made.now_ms + 10 * MINUTE_MS)
    assert made.fund().premium(D(100), made.now_ms + TERMS.max_age_ms) == D("0.25")
    assert made.fund().premium(D(100), made.now_ms + TERMS.max_age_ms + 1) is None
