"""The seeded market and the feed that plays it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from rebalancer.clock import VirtualClock
from rebalancer.core.contract import Contract
from rebalancer.core.events import PricesObserved
from rebalancer.core.fund import PriceSource
from rebalancer.errors import InputRefused
from rebalancer.feeds.pace import FundingAhead, FundingDue
from rebalancer.feeds.simulated import Instrument, Market, MarketStep, SimulatedFeed
from rebalancer.ports import PriceFeed

BTC = "BTC/USDT:USDT"
ETH = "ETH/USDT:USDT"
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
HOURS_PER_YEAR = 365 * 24


def instrument(symbol: str, price: str, tick: str = "0", **kwargs: Any) -> Instrument:
    contract = Contract(symbol, tick=Decimal(tick))
    return Instrument(contract=contract, start_price=Decimal(price), **kwargs)


def market(seed: int = 7, *, jumps: str = "0", **kwargs: Any) -> Market:
    coins = [instrument(BTC, "60000", "0.1", **kwargs), instrument(ETH, "3000", **kwargs)]
    return Market(seed, coins, start_ms=0, jumps_per_day=Decimal(jumps))


def walked(market: Market, steps: int, dt_ms: int = HOUR_MS) -> list[MarketStep]:
    return [market.step(dt_ms) for _ in range(steps)]


def returns(steps: list[MarketStep], symbol: str) -> list[float]:
    logs = [math.log(step.quotes[symbol].index) for step in steps]
    return [after - before for before, after in pairwise(logs)]


class TestMarket:
    def test_the_same_seed_gives_the_same_prices_and_funding(self) -> None:
        assert walked(market(3, jumps="2"), 500) == walked(market(3, jumps="2"), 500)

    def test_another_seed_gives_another_market(self) -> None:
        assert walked(market(3), 5) != walked(market(4), 5)

    def test_it_begins_at_the_start_prices(self) -> None:
        quotes = market().quotes()
        assert quotes[BTC].index == Decimal(60_000)
        assert quotes[ETH].index == Decimal(3_000)

    @pytest.mark.parametrize("volatility", ["0.3", "0.6", "1.2"])
    def test_volatility_is_about_what_was_asked(self, volatility: str) -> None:
        asked = Decimal(volatility)
        steps = walked(market(annual_volatility=asked), 8_000)
        found = statistics.pstdev(returns(steps, BTC)) * math.sqrt(HOURS_PER_YEAR)
        assert found == pytest.approx(float(asked), rel=0.03)

    def test_volatility_does_not_depend_on_the_length_of_a_step(self) -> None:
        steps = walked(market(annual_volatility=Decimal("0.6")), 8_000, 60_000)
        found = statistics.pstdev(returns(steps, BTC)) * math.sqrt(HOURS_PER_YEAR * 60)
        assert found == pytest.approx(0.6, rel=0.03)

    def test_coins_correlate_through_the_common_factor(self) -> None:
        steps = walked(market(correlation=Decimal("0.9")), 8_000)
        found = statistics.correlation(returns(steps, BTC), returns(steps, ETH))
        assert found == pytest.approx(0.81, abs=0.02)

    def test_jumps_come_about_as_often_and_are_as_large_as_asked(self) -> None:
        still = market(jumps="2", annual_volatility=Decimal(0), jump_size=Decimal("0.05"))
        moved = returns(walked(still, 8_000), BTC)
        jumps = [size for size in moved if abs(size) > 1e-6]
        assert len(jumps) / (len(moved) / 24) == pytest.approx(2, rel=0.1)
        assert statistics.pstdev(jumps) == pytest.approx(0.05, rel=0.1)

    def test_without_volatility_and_jumps_the_index_stands_still(self) -> None:
        steps = walked(market(annual_volatility=Decimal(0)), 99)
        assert {step.quotes[BTC].index for step in steps} == {Decimal(60_000)}

    def test_the_mark_stays_within_a_few_basis_points_of_the_index(self) -> None:
        gaps = [
            float(step.quotes[ETH].mark / step.quotes[ETH].index - 1) * 1e4
            for step in walked(market(), 5_000)
        ]
        assert max(map(abs, gaps)) < 12
        assert statistics.fmean(gaps) == pytest.approx(1, abs=0.3)
        assert statistics.pstdev(gaps) == pytest.approx(2, abs=0.3)

    def test_prices_lie_on_the_tick_or_have_eight_digits(self) -> None:
        for step in walked(market(jumps="3"), 300):
            for price in (step.quotes[BTC].mark, step.quotes[BTC].index):
                assert price % Decimal("0.1") == 0
            for price in (step.quotes[ETH].mark, step.quotes[ETH].index):
                assert len(price.as_tuple().digits) <= 8

    def test_a_price_never_falls_under_one_tick(self) -> None:
        coin = instrument(BTC, "2", "1", annual_volatility=Decimal(5))
        steps = walked(Market(1, [coin], start_ms=0), 2_000, DAY_MS)
        assert min(step.quotes[BTC].mark for step in steps) == 1

    def test_funding_falls_due_every_eight_hours_of_utc_for_every_coin(self) -> None:
        some_market = market()
        due = [paid for step in walked(some_market, 10, 5 * HOUR_MS) for paid in step.funding]
        assert [(paid.at_ms // HOUR_MS, paid.contract) for paid in due] == [
            (hour, contract) for hour in range(8, 51, 8) for contract in (BTC, ETH)
        ]
        assert some_market.at_ms == 50 * HOUR_MS

    def test_one_long_step_settles_every_funding_on_its_way(self) -> None:
        hours = [due.at_ms // HOUR_MS for due in market().step(DAY_MS).funding]
        assert hours == [8, 8, 16, 16, 24, 24]

    def test_funding_follows_the_basis_and_is_bounded(self) -> None:
        rates = [due.rate for step in walked(market(), 4_000) for due in step.funding]
        assert all(abs(rate) <= Decimal("0.003") for rate in rates)
        assert all(rate == round(rate, 8) for rate in rates)
        assert statistics.fmean(map(float, rates)) == pytest.approx(1e-4, rel=0.2)
        assert min(rates) < 0 < max(rates)

    @pytest.mark.parametrize(
        ("make", "sentence"),
        [
            (lambda: instrument(BTC, "0"), "start_price: 0 must be above zero"),
            (
                lambda: instrument(BTC, "1", correlation=Decimal("1.1")),
                "correlation must lie between 0 and 1",
            ),
            (
                lambda: instrument(BTC, "1", annual_volatility=Decimal(6)),
                "annual_volatility must lie between 0 and 5",
            ),
            (lambda: Market(1, [instrument(BTC, "1")] * 2, start_ms=0), "is listed twice"),
            (lambda: market(jumps="-1"), "jumps_per_day must not be negative"),
            (lambda: market().step(0), "a step of 0 ms leads nowhere"),
            (lambda: SimulatedFeed(market(), VirtualClock(), 0), "a tick interval of 0 ms"),
        ],
    )
    def test_an_impossible_market_is_refused(
        self, make: Callable[[], object], sentence: str
    ) -> None:
        with pytest.raises(InputRefused, match=sentence):
            make()


def prices_of(observed: PricesObserved) -> dict[tuple[str, PriceSource], Decimal]:
    return {(tick.contract, tick.source): tick.price for tick in observed.ticks}


class TestSimulatedFeed:
    async def test_each_tick_has_a_mark_and_an_index_stamped_with_the_clock_s_time(self) -> None:
        feed: PriceFeed = SimulatedFeed(market(), VirtualClock(0), 1_000)
        observed = await anext(feed.prices())
        assert set(prices_of(observed)) == {
            (contract, source)
            for contract in (BTC, ETH)
            for source in (PriceSource.MARK, PriceSource.INDEX)
        }
        assert {tick.at_ms for tick in observed.ticks} == {observed.at_ms} == {0}
        assert not observed.confirmed

    async def test_a_late_loop_skips_ticks_and_sees_the_prices_it_would_have_seen(self) -> None:
        clock = VirtualClock(0)
        prices = SimulatedFeed(market(), clock, 1_000).prices()
        await anext(prices)
        clock.advance(600_500)
        late = await anext(prices)
        same = walked(market(), 600, 1_000)[-1].quotes
        assert {tick.at_ms for tick in late.ticks} == {600_000}
        assert late.at_ms == 600_500
        assert prices_of(late)[BTC, PriceSource.MARK] == same[BTC].mark

    async def test_a_machine_that_slept_for_a_year_catches_up_at_once(self) -> None:
        clock = VirtualClock(0)
        prices = SimulatedFeed(market(), clock, 1_000).prices()
        await anext(prices)
        clock.advance(365 * DAY_MS)
        assert (await anext(prices)).ticks[0].at_ms == 365 * DAY_MS

    async def test_funding_is_told_before_the_prices_that_follow_it(self) -> None:
        clock = VirtualClock(0)
        told: list[FundingDue] = []
        prices = SimulatedFeed(market(), clock, 60_000, told.append).prices()
        await anext(prices)
        assert told == []
        clock.advance(8 * HOUR_MS)
        observed = await anext(prices)
        assert [(due.at_ms, due.contract) for due in told] == [
            (8 * HOUR_MS, BTC),
            (8 * HOUR_MS, ETH),
        ]
        assert told[0].mark == prices_of(observed)[BTC, PriceSource.MARK]

    async def test_what_the_next_settlement_would_cost_is_told_every_minute(self) -> None:
        clock = VirtualClock(0)
        settled: list[FundingDue] = []
        told: list[FundingAhead] = []
        prices = SimulatedFeed(market(), clock, 20_000, settled.append, told.append).prices()
        for _ in range(4):
            await anext(prices)
            clock.advance(20_000)
        assert [each.contract for each in told] == [BTC, ETH, BTC, ETH]
        assert {(each.from_ms, each.due_ms) for each in told} == {(0, 8 * HOUR_MS)}
        clock.advance(8 * HOUR_MS - 100_000)
        await anext(prices)
        last, now = told[-2:], settled
        assert now == []
        clock.advance(20_000)
        await anext(prices)
        for expected, due in zip(last, settled, strict=True):
            assert expected.contract == due.contract
            assert abs(expected.rate - due.rate) < Decimal("0.000001")

    async def test_a_closed_feed_plays_nothing_more(self) -> None:
        clock = VirtualClock(0)
        feed = SimulatedFeed(market(), clock, 1_000)
        prices = feed.prices()
        await anext(prices)
        await feed.close()
        await feed.close()
        clock.advance(1_000)
        assert [observed async for observed in prices] == []
