"""The watch index: a quiet tick may cost nothing, and never hides a fund whose rules fire."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from rebalancer.core import deciding, engine, rules
from rebalancer.core.fund import Fund, PriceSource
from rebalancer.core.methodology import LeverageBand, LeverageCap, Methodology, Trigger
from rebalancer.core.nav import Point, ValueInputs, value
from rebalancer.core.order import Outcome
from rebalancer.core.position import Holding
from rebalancer.core.rules import leverage_band
from rebalancer.core.rules.view import FundView
from rebalancer.core.state import FundState
from rebalancer.core.triggers import Standing, quiet_ranges, trigger_prices
from rebalancer.core.watch import AlarmClock, WatchIndex
from rebalancer.core.work import Work
from tests.factories import (
    BTC,
    ETH,
    NOON,
    Bench,
    D,
    bench,
    dice_of,
    emergency_at,
    fund,
    move_rule,
)
from tests.factories import rules as default_rules

MARK, INDEX = PriceSource.MARK, PriceSource.INDEX
PRICE_RULES = {
    Trigger.GAP,
    Trigger.EMERGENCY,
    Trigger.LEVERAGE_CAP,
    Trigger.PRICE_MOVE,
    Trigger.LEVERAGE_BAND,
}


def fires(config: Fund, held: Holding, point: Point | None, prices: dict[str, Decimal]) -> bool:
    """Ask every rule, as if there were no index."""
    inputs = ValueInputs(config.basket, D(7), held, point, D(100), wiped=False)
    view = FundView(config, NOON, point, value(inputs, prices, prices), None, None, None)
    return any(signal.trigger in PRICE_RULES for signal in rules.signals(view))


def quiet(config: Fund, held: Holding, point: Point | None, prices: dict[str, Decimal]) -> Any:
    """Return a question: is the fund left alone at these prices, once armed at `prices`?"""
    inputs = ValueInputs(config.basket, D(7), held, point, D(100), wiped=False)
    worth = value(inputs, prices, prices)
    index = WatchIndex()
    index.arm(config.name, quiet_ranges(Standing(config, held, point, worth)))
    return lambda symbol, price: index.quiet((symbol, MARK), price)


def methodologies(dice: Random, target: Decimal) -> Methodology:
    size = abs(target)
    ratio = dice.choice([(D(4), D(3)), (D(5), D(2)), (D(7), D(6))])
    move = D(dice.choice(["0.05", "0.10", "0.15"])) / max(D(1), (size / 3).to_integral_value())
    return Methodology(
        price_move=move_rule(str(move), both=dice.random() < 0.5) if dice.random() < 0.7 else None,
        leverage_cap=LeverageCap(upper=size * D("1.1")) if dice.random() < 0.3 else None,
        leverage_band=LeverageBand(
            lower=size * D("0.93"), upper=size * D(dice.choice(["1", "1.05"]))
        )
        if dice.random() < 0.4
        else None,
        emergency=None
        if dice.random() < 0.2
        else emergency_at(max(D(30), 10 * size) * ratio[0], ratio[1]),
    )


def random_case(seed: int, members: int) -> tuple[Fund, Holding, Point | None, dict[str, Decimal]]:
    dice = dice_of(seed)
    target = D(dice.choice(["3", "2", "5", "1.25", "1", "0.5", "-1", "-2", "-3", "6", "-0.3"]))
    symbols = (BTC, ETH, "SOL/USDT:USDT")[:members]
    weights = {1: ["1"], 2: ["0.6", "0.4"], 3: ["0.5", "0.3", "0.2"]}[members]
    basket = dict(zip(symbols, map(D, weights), strict=True))
    plain = Methodology(emergency=None)
    base = {symbol: D(dice.randrange(1, 10**6)) / 100 for symbol in symbols}
    drift = D(dice.randrange(-40, 41)) / 1000
    held, share = Holding(), dice.choice([700, 700, 700, 100, 0])
    for symbol, weight in basket.items():
        units = share * target * weight / base[symbol] * (1 + D(dice.randrange(-90, 91)) / 1000)
        held.move(symbol, units.quantize(D("1e-18")))
        held.cash -= held.units.get(symbol, D(0)) * base[symbol]
    held.cash += 700
    config = fund("F", target, basket=basket, methodology=plain)
    chosen = methodologies(dice, target)
    object.__setattr__(config, "methodology", chosen)  # also ones that a loader would refuse
    at = D(dice.choice(["1", "1", "0.9", "-1"]))
    point = None if dice.random() < 0.1 else Point(NOON, D(100), base, target * at)
    return config, held, point, {symbol: price * (1 + drift) for symbol, price in base.items()}


def edges(config: Fund, held: Holding, point: Point | None) -> Iterator[Decimal]:
    """Every trigger price of a single fund, and its neighbours."""
    for item in trigger_prices(config, held, point):
        near = item.price.quantize(D("1e-18")) if item.price < D("1e12") else item.price
        yield from (near - D("1e-18"), near, near + D("1e-18"))


@pytest.mark.parametrize("seed", range(200))
def test_no_price_that_fires_a_rule_of_a_single_fund_is_quiet(seed: int) -> None:
    config, held, point, now = random_case(seed, members=1)
    asks = quiet(config, held, point, now)
    dice = dice_of(seed + 10**6)
    random_prices = [now[BTC] * D(dice.randrange(1, 4000)) / 1000 for _ in range(60)]
    for price in [*random_prices, *edges(config, held, point)]:
        if price > 0 and fires(config, held, point, {BTC: price}):
            assert not asks(BTC, price), (price, config.methodology, held, point)


@pytest.mark.parametrize("seed", range(150))
def test_no_prices_that_fire_a_rule_of_a_basket_are_all_quiet(seed: int) -> None:
    config, held, point, now = random_case(seed, members=2 + seed % 2)
    asks = quiet(config, held, point, now)
    dice = dice_of(seed + 10**6)
    heard = 0
    for _ in range(150):
        width = dice.choice([5, 50, 500, 990])
        prices = {
            symbol: price * (1 + D(dice.randrange(-width, width + 1)) / 1000)
            for symbol, price in now.items()
        }
        if all(asks(symbol, price) for symbol, price in prices.items()):
            assert not fires(config, held, point, prices), (prices, config, held, point)
            heard += 1
    if not fires(config, held, point, now) and seed < 50:
        assert asks(BTC, now[BTC] * D("1.000001")) or heard == 0


@pytest.mark.parametrize("lapses", [True, False])
@pytest.mark.parametrize("seed", range(100))
def test_a_known_breach_is_quiet_until_it_is_cured(seed: int, lapses: bool) -> None:
    config, held, point, now = random_case(seed, members=1 + seed % 2)
    size = abs(config.target_leverage)
    rule = LeverageBand(
        lower=size * D("0.99"),
        upper=size * D("1.01"),
        within_business_days=2,
        lapse_if_cured=lapses,
    )
    object.__setattr__(config, "methodology", Methodology(leverage_band=rule))
    inputs = ValueInputs(config.basket, D(7), held, point, D(100), wiped=False)

    def outside(prices: dict[str, Decimal]) -> bool | None:
        worth = value(inputs, prices, prices)
        if worth.leverage is None:
            return None
        return leverage_band.breached(config.target_leverage, rule, worth) is not None

    before = outside(now)
    if before is None:
        return
    index = WatchIndex()
    worth = value(inputs, now, now)
    index.arm("F", quiet_ranges(Standing(config, held, point, worth, duty=True)))
    dice = dice_of(seed + 10**6)
    for _ in range(200):
        width = dice.choice([5, 50, 500])
        prices = {
            symbol: price * (1 + D(dice.randrange(-width, width + 1)) / 1000)
            for symbol, price in now.items()
        }
        cured = before and outside(prices) is False
        if lapses and cured:
            assert not all(index.quiet((symbol, MARK), price) for symbol, price in prices.items())


@pytest.mark.parametrize("seed", range(200))
def test_the_edges_of_a_band_are_the_closed_forms(seed: int) -> None:
    """field.md b3: q = x (1 - L) / (L (1 - x)) for a long, x (1 + L) / (L (1 + x)) for a short."""
    dice = dice_of(seed)
    size = D(dice.choice(["5", "3", "2", "1.25", "0.5"]))
    lower, upper = size * D(dice.randrange(50, 100)) / 100, size * D(dice.randrange(101, 180)) / 100
    base = D(dice.randrange(1, 10**7)) / 100
    for target in (size, -size):
        rule = LeverageBand(lower=lower, upper=upper)
        config = fund("F", target, methodology=Methodology(leverage_band=rule))
        held = Holding(100 * base * (1 - target), {BTC: 100 * target})
        found = [
            item.price / base
            for item in trigger_prices(config, held, None)
            if item.trigger is Trigger.LEVERAGE_BAND
        ]
        expected = [
            x * (1 - size) / (size * (1 - x)) if target > 0 else x * (1 + size) / (size * (1 + x))
            for x in (lower, upper)
            if target < 0 or x != 1
        ]
        wanted = [factor for factor in expected if factor > 0]
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            assert abs(one - other) <= D("1e-40")


def test_the_edge_of_a_sixfold_is_exact_where_a_sixth_is_not() -> None:
    point = Point(NOON, D(100), {BTC: D(6)}, D(6))
    config = fund("F", 6, methodology=Methodology())
    held = Holding(D(600))
    asks = quiet(config, held, point, {BTC: D(6)})
    assert not asks(BTC, D(5))
    assert asks(BTC, D("5.000000000000000001"))


@pytest.mark.parametrize(
    ("target", "emergency", "price"),
    [
        ("1", (4, 3), "75"),  # 100 units at 75 against cash 0 - 1875: exactly 4/3
        ("2", (8, 3), "80"),
        ("-1", (4, 3), "114.285714285714285714285714285714"),
    ],
)
def test_the_edge_of_an_emergency_at_a_third_is_exact(
    target: str, emergency: tuple[int, int], price: str
) -> None:
    rule = emergency_at(*emergency)
    units, at = D(target), D(price)
    worth = abs(units) * at * emergency[1] / emergency[0]
    held = Holding(worth - units * at, {BTC: units})
    config = fund("F", target, methodology=Methodology(emergency=rule))
    asks = quiet(config, held, None, {BTC: at * D("1.05") if units > 0 else at * D("0.95")})
    if fires(config, held, None, {BTC: at}):
        assert not asks(BTC, at)
    nearly = at * (D(1) - D("1e-9") if units < 0 else D(1) + D("1e-9"))
    assert asks(BTC, nearly)


def test_trigger_prices_of_the_published_bands() -> None:
    """3x: 4 at -11.111 %, 4.125 at -12 %; -3x: 4 at +6.667 %; -1x: 1.333 at +14.286 %."""
    for target, level, expected in (
        (3, (4, 1), "88.888888888888888889"),
        (3, ("4.125", 1), "88"),
        (-3, (4, 1), "106.666666666666666667"),
        (-1, (4, 3), "114.285714285714285714"),
    ):
        rule = emergency_at(*level)
        config = fund("F", target, methodology=Methodology(emergency=rule))
        held = Holding(D(100) - D(target) * 100, {BTC: D(target)})
        (found,) = [
            item for item in trigger_prices(config, held, None) if item.trigger is Trigger.EMERGENCY
        ]
        assert found.price.quantize(D("1e-18")) == D(expected)
        assert found.falling is (target > 0)


def every_rule(made: Bench, state: FundState) -> set[Trigger]:
    work = Work(made.state, made.now_ms)
    worth = work.worth(state)
    if worth is None:
        return set()
    return {
        signal.trigger
        for signal in rules.signals(deciding.view_of(work, state, worth))
        if signal.trigger in PRICE_RULES
    }


def watched_desk() -> Bench:
    both = default_rules(3, price_move=move_rule("0.06", both=True))
    cap = default_rules(2, leverage_cap=LeverageCap(upper=D("2.3")))
    return bench(
        fund("L", methodology=default_rules(3, price_move=move_rule("0.04"))),
        fund("S", -3, methodology=default_rules(-3, price_move=move_rule("0.04"))),
        fund("I", methodology=both, price_source=INDEX),
        fund("J", methodology=default_rules(3, price_move=move_rule("0.03")), price_source=INDEX),
        fund("C", 2, methodology=cap),
        fund("M", 3, methodology=both, basket={BTC: D("0.7"), ETH: D("0.3")}),
    )


@pytest.mark.parametrize("seed", range(12))
def test_every_tick_that_fires_a_rule_is_looked_at(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: set[str] = set()

    def decide(work: Work, state: FundState) -> None:
        looked.add(state.name)
        deciding.decide(work, state)

    made = watched_desk()
    for symbol in (BTC, ETH):
        made.tick(100, symbol=symbol, source=INDEX, trusted=True)
    monkeypatch.setattr(engine, "decide", decide)
    dice, fired = dice_of(seed), 0
    levels = {(symbol, source): D(100) for symbol in (BTC, ETH) for source in (MARK, INDEX)}
    for _ in range(300):
        made.later(dice.choice([1, 5, 70]))
        key = dice.choice(list(levels))
        step = dice.choice([2, 10, 40])
        levels[key] *= 1 + D(dice.randrange(-step, step + 1)) / 1000
        levels[key] += (levels[key[0], MARK] - levels[key]) / 2
        levels[key] = levels[key].quantize(D("1e-6"))
        looked.clear()
        orders = len(made.orders)
        made.tick(levels[key], symbol=key[0], source=key[1], trusted=dice.random() < 0.7)
        for name, state in made.state.funds.items():
            concerned = key[0] in state.fund.basket and key[1] in {MARK, state.fund.price_source}
            if concerned and state.run is None and name not in looked:
                assert not every_rule(made, state), (name, key, levels)
        fired += len(made.orders) - orders
        for order in made.orders[orders:]:
            if dice.random() < 0.7:
                made.complete(order)
            else:
                made.report(order, Outcome.REJECTED)
    assert fired > 5, "the day was too calm to prove anything"


def test_a_mark_tick_is_looked_at_where_the_index_is_beyond_its_threshold() -> None:
    # The index is down 5 %, but the mark is up: leverage is under target, so nothing fires yet.
    config = fund(price_source=INDEX, methodology=default_rules(3, price_move=move_rule("0.04")))
    made = bench(config)
    made.tick(100, source=INDEX, trusted=True)
    made.later(60).tick(101, trusted=True)
    made.tick(95, source=INDEX, trusted=True)
    assert made.orders == []
    made.tick("99.9", trusted=True)
    assert len(made.orders) == 1


def test_a_crossing_names_exactly_the_funds_whose_range_was_left() -> None:
    index = WatchIndex()
    key = (BTC, MARK)
    index.arm("a", {key: (D(90), D(110))})
    index.arm("b", {key: (D(95), None)})
    index.arm("c", {key: (None, D(105))})
    assert index.quiet(key, D(100))
    for price, names in ((95, {"b"}), (90, {"a", "b"}), (105, {"c"}), (110, {"a", "c"})):
        assert not index.quiet(key, D(price))
        assert index.crossed(key, D(price)) == names
    index.arm("b", {})
    assert index.quiet(key, D(95))
    assert index.quiet((ETH, MARK), D(1))
    assert index.crossed((ETH, MARK), D(1)) == set()


def test_several_triggers_jumped_at_once_wake_every_fund_once() -> None:
    index = WatchIndex()
    for number in range(100):
        index.arm(f"f{number}", {(BTC, MARK): (D(number), None)})
    assert len(index.crossed((BTC, MARK), D(40))) == 60
    assert index.crossed((BTC, MARK), D("0.5")) == {f"f{number}" for number in range(1, 100)}


def test_an_alarm_rings_once_and_the_newest_setting_counts() -> None:
    clock = AlarmClock()
    clock.set_for("a", 10)
    clock.set_for("a", 20)
    clock.set_for("b", 15)
    clock.set_for("c", 5)
    clock.set_for("c", None)
    assert [clock.next_ms] == [15]
    assert clock.due(14) == set()
    assert clock.due(20) == {"a", "b"}
    assert [clock.next_ms] == [None]
    clock.set_for("a", 20)
    assert clock.due(20) == {"a"}
