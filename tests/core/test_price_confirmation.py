"""Which prices may trade: fresh ones, confirmed by a second source or by further ticks."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from rebalancer.core.events import PricesObserved, PriceTick
from rebalancer.core.fund import PriceSource
from rebalancer.core.methodology import Trigger
from rebalancer.core.records import FixedSettled, FundWiped, RunOpened, VerdictChanged
from tests.factories import (
    BTC,
    DUE,
    ETH,
    Bench,
    D,
    Number,
    bench,
    desk,
    fund,
    move_rule,
    only,
    rules,
)

INDEX, MARK, LAST = PriceSource.INDEX, PriceSource.MARK, PriceSource.LAST


def triggers(made: Bench) -> list[Trigger]:
    return [record.plan.trigger for record in made.of(RunOpened)]


def standing(**over: Any) -> Bench:
    """A 3L at target since an hour; 85 and below is its threshold, 66.67 its end."""
    return bench(fund(**over)).later(3600)


def test_one_tick_beyond_a_threshold_trades_nothing() -> None:
    made = standing()
    made.tick(84)
    assert triggers(made) == []
    assert (
        made.of(VerdictChanged)[-1].reason == "price_move waits for a second opinion on the price"
    )


@pytest.mark.parametrize("second", ["84", "84.8", "83.2", "84.84", "70"])
def test_a_second_tick_within_10_seconds_near_or_further_beyond_confirms(second: str) -> None:
    made = standing()
    made.tick(84)
    made.later(10).tick(second)
    assert triggers(made) == [Trigger.PRICE_MOVE]


@pytest.mark.parametrize("seconds", [11, 60, 3600])
def test_a_second_tick_after_more_than_10_seconds_does_not_confirm_but_a_third_does(
    seconds: int,
) -> None:
    made = standing()
    made.tick(84)
    made.later(seconds).tick(84)
    assert triggers(made) == []
    made.later(seconds).tick(84)
    assert triggers(made) == [Trigger.PRICE_MOVE]


def test_a_second_tick_back_by_more_than_1_percent_does_not_confirm_but_any_third_does() -> None:
    made = standing()
    made.tick(70)
    made.later(1).tick(80)
    assert triggers(made) == []
    made.later(1).tick(84)
    assert triggers(made) == [Trigger.PRICE_MOVE]


def test_a_tick_back_inside_starts_the_sequence_again() -> None:
    made = standing()
    for price in (84, 86, 84, 86, 84):
        made.later(1).tick(price)
    assert triggers(made) == []
    made.later(1).tick(84)
    assert triggers(made) == [Trigger.PRICE_MOVE]


def test_the_same_tick_told_twice_is_one_opinion() -> None:
    made = standing()
    stamp = made.now_ms
    for _ in range(5):
        made.later(1).tick(84, stamp_ms=stamp)
    assert triggers(made) == []


def test_more_ticks_are_asked_for_where_the_rule_says_so() -> None:
    patient = rules(3, price_move=move_rule("0.15", confirm_ticks=3))
    made = standing(methodology=patient)
    for _ in range(2):
        made.later(1).tick(84)
    assert triggers(made) == []
    made.later(1).tick(84)
    assert triggers(made) == [Trigger.PRICE_MOVE]


def test_one_tick_is_enough_where_the_rule_says_so() -> None:
    made = standing(methodology=rules(3, price_move=move_rule("0.15", confirm_ticks=1)))
    made.tick(84)
    assert triggers(made) == [Trigger.PRICE_MOVE]


@pytest.mark.parametrize(
    ("second", "seconds", "traded"),
    [
        ("84", 0, True),
        ("84.84", 10, True),
        ("84.85", 0, False),
        ("84", 11, False),
        ("90", 0, False),
    ],
)
def test_a_second_source_confirms_within_1_percent_and_10_seconds(
    second: str, seconds: int, traded: bool
) -> None:
    made = standing()
    made.tick(second, source=INDEX)
    made.later(seconds).tick(84)
    assert bool(triggers(made)) is traded


@pytest.mark.parametrize("price", ["60", "66.66"])
def test_one_wild_tick_does_not_end_a_fund(price: str) -> None:
    made = standing()
    made.tick(price)
    assert made.of(FundWiped) == []
    made.later(1).tick(100)
    assert made.of(FundWiped) == []
    made.later(1).tick(price)
    made.later(1).tick(price)
    assert len(made.of(FundWiped)) == 1


def on_index(**over: Any) -> Bench:
    made = Bench(desk(fund(price_source=INDEX, **over), free_launch=True))
    made.known(100)
    made.tick(100, source=INDEX, trusted=True)
    return made.later(3600)


def test_a_wild_index_is_not_confirmed_by_ticks_of_a_calm_mark() -> None:
    made = on_index(methodology=rules(3, price_move=move_rule("0.15", both=True)))
    made.tick("99.5")
    made.tick(60, source=INDEX)
    for _ in range(5):
        made.later(1).tick("99.4")
    assert triggers(made) == []
    assert made.of(FundWiped) == []


def test_a_wild_index_is_confirmed_by_its_own_second_tick() -> None:
    made = on_index(methodology=rules(3, price_move=move_rule("0.15", both=True)))
    made.tick("99.5")
    made.later(1).tick("99.5")
    made.tick(80, source=INDEX)
    made.later(1).tick(80, source=INDEX)
    assert triggers(made) == [Trigger.PRICE_MOVE]


def test_a_confirmed_index_waits_for_a_mark_that_has_jumped_just_once() -> None:
    """The index says when; the mark, by which the run is sized, must be beyond doubt as well."""
    made = on_index(methodology=rules(3, price_move=move_rule("0.15", both=True)))
    made.tick(80, source=INDEX)
    made.later(1).tick(80, source=INDEX)
    made.tick(120)
    made.later(1).tick(80, source=INDEX)
    assert triggers(made) == []
    made.tick(120)
    assert triggers(made) == [Trigger.PRICE_MOVE]


def test_a_wild_member_of_a_basket_is_not_confirmed_by_ticks_of_the_others() -> None:
    made = bench(fund(basket={BTC: D("0.5"), ETH: D("0.5")})).later(3600)
    made.tick(100)
    made.later(1).tick(60, symbol=ETH)
    for _ in range(5):
        made.later(1).tick(100)
    assert triggers(made) == []
    made.tick(60, symbol=ETH)
    made.later(1).tick(100)
    assert triggers(made) == [Trigger.PRICE_MOVE]


def test_a_wild_mark_is_not_confirmed_by_ticks_of_a_calm_index() -> None:
    made = on_index()
    made.tick(100, source=INDEX)
    made.later(11).tick(70)
    for _ in range(5):
        made.later(1).tick(100, source=INDEX)
    assert triggers(made) == []


BAD = [D("NaN"), D("sNaN"), D("Infinity"), D("-Infinity"), D(0), D(-1), D("-84")]


@pytest.mark.parametrize("price", BAD)
@pytest.mark.parametrize("source", [MARK, INDEX])
def test_what_is_not_a_price_is_refused_and_alerted_once(
    price: Decimal, source: PriceSource
) -> None:
    made = standing()
    for _ in range(5):
        made.later(1).tick(price, source=source)
    assert triggers(made) == []
    assert made.alerts == ["price_refused"]
    known = made.state.market.price(BTC, MARK)
    assert known == 100


def test_a_good_tick_ends_the_refusal_and_the_next_bad_one_is_alerted_again() -> None:
    made = standing()
    made.tick(0)
    made.later(1).tick(100)
    made.later(1).tick(0)
    assert made.alerts == ["price_refused", "price_refused"]


@pytest.mark.parametrize("age", [10_001, 3_600_000])
def test_old_prices_trade_nothing_however_many_there_are(age: int) -> None:
    made = standing()
    for _ in range(5):
        made.later(1).tick(84, stamp_ms=made.now_ms - age)
    assert triggers(made) == []
    assert made.of(VerdictChanged)[-1].reason == "price_move waits for a fresh price"


def test_a_price_of_exactly_the_maximum_age_still_counts() -> None:
    made = standing()
    for _ in range(2):
        made.later(1).tick(84, stamp_ms=made.now_ms - 10_000)
    assert triggers(made) == [Trigger.PRICE_MOVE]


def test_prices_from_the_future_are_refused() -> None:
    made = standing()
    for _ in range(5):
        made.later(1).tick(84, stamp_ms=made.now_ms + 1_001)
    assert triggers(made) == []
    assert made.state.market.price(BTC, MARK) == 100


def test_a_price_older_than_the_one_before_is_refused() -> None:
    made = standing()
    made.tick(99)
    for back in range(1, 5):
        made.later(1).tick(84, stamp_ms=made.now_ms - 2_000 - back * 2_000)
    assert made.state.market.price(BTC, MARK) == 99
    assert triggers(made) == []


def test_prices_of_contracts_that_no_fund_holds_are_refused() -> None:
    made = standing()
    made.tick(84, symbol=ETH)
    assert made.alerts == ["price_refused"]
    assert made.state.market.price(ETH, MARK) is None


def test_history_and_snapshots_need_no_second_opinion() -> None:
    made = standing()
    made.known(84)
    assert triggers(made) == [Trigger.PRICE_MOVE]


def fixed_on(made: Bench, ticks: list[tuple[int, Number]]) -> list[Trigger]:
    for offset_ms, price in ticks:
        made.now_ms = DUE + offset_ms
        made.tick(price)
    return triggers(made)


def test_a_fixed_run_waits_for_a_confirmed_price_inside_its_window() -> None:
    made = standing(methodology=only(fixed=rules(3).fixed))
    made.now_ms = DUE
    made.wake()
    assert triggers(made) == []
    assert fixed_on(made, [(1_000, 104)]) == []
    assert fixed_on(made, [(2_000, "104.5")]) == [Trigger.FIXED]
    assert made.of(FixedSettled)[-1].due_ms == DUE


def test_a_fixed_run_takes_a_second_source_at_once() -> None:
    made = standing()
    made.now_ms = DUE
    made.tick("105.5", source=LAST)
    assert fixed_on(made, [(0, 105)]) == [Trigger.FIXED]


def test_the_same_tick_told_twice_does_not_confirm_a_fixed_run() -> None:
    made = standing()
    stamp = DUE - 500
    for offset_ms in (0, 100, 200):
        made.now_ms = DUE + offset_ms
        made.tick(105, stamp_ms=stamp)
    assert triggers(made) == []


def test_a_fund_is_not_launched_on_a_single_tick() -> None:
    made = Bench(desk())
    made.tick(100)
    assert made.fund().launched_ms is None
    made.later(1).tick(100)
    assert made.fund().launched_ms == made.now_ms
    assert triggers(made) == [Trigger.LAUNCH]


def test_both_ticks_of_one_message_are_one_moment() -> None:
    made = standing()
    ticks = tuple(PriceTick(BTC, source, D(84), made.now_ms) for source in (MARK, INDEX))
    made.take(PricesObserved(made.now_ms, ticks))
    assert triggers(made) == [Trigger.PRICE_MOVE]
