"""No order is ever sized by what is no price, old, from the future, or told by one source alone."""

from __future__ import annotations

from itertools import islice

import pytest

from rebalancer.core import engine
from rebalancer.core.events import PricesObserved
from rebalancer.core.instant import SECOND_MS
from rebalancer.core.records import RunOpened
from tests.planting import planted
from tests.simulation import bad_prices
from tests.simulation.bad_prices import CASES, D, both
from tests.simulation.day import BTC
from tests.simulation.mutants import MUTANTS

SEEDS = 10_000
CHUNK = 1_250
BELIEVED = {
    "no_number": "a price of zero or less, or of infinity, is taken",
    "stale": "a stale price is traded on",
    "future": "a price from the future is taken",
    "frozen": "an unconfirmed price is traded on",
    "swapped": "an unconfirmed price is traded on",
    "one_of_two": "an unconfirmed price is traded on",
    "gap_of_one": "an unconfirmed price is traded on",
    "old_at_the_fixed_time": "a stale price is traded on",
}


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_nothing_is_sized_by_a_bad_price(first: int) -> None:
    problems = list(islice(bad_prices.tried(range(first, first + CHUNK)), 5))
    assert not problems, "\n".join(problems)


def test_the_same_price_told_well_is_traded_on() -> None:
    state = bad_prices.waiting()
    opened = []
    for second in range(1, 4):
        at_ms = state.now_ms + second * SECOND_MS
        step = engine.step(state, PricesObserved(at_ms, tuple(both(BTC, D(40_000), at_ms))))
        opened += [record for record in step.records if isinstance(record, RunOpened)]
    assert {record.plan.fund for record in opened} >= {"BTC3L"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_every_kind_of_bad_price_would_trade_on_a_desk_that_believes_it(
    case: bad_prices.Case,
) -> None:
    (mutant,) = (each for each in MUTANTS if each.name == BELIEVED[case.__name__])
    seeds = range(CASES.index(case), 400, len(CASES))
    with planted(mutant):
        assert next(bad_prices.tried(seeds), None) is not None
