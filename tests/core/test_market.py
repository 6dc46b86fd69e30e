"""The market's short way for calm prices is its long way in fewer steps."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from rebalancer.core.events import PriceTick
from rebalancer.core.fund import PriceSource
from rebalancer.core.market import Market, Quote, near
from tests.factories import BTC, D

KEY = (BTC, PriceSource.MARK)
STEPS = st.tuples(st.decimals(D("-0.012"), D("0.012"), places=5), st.integers(0, 3), st.booleans())


@dataclass
class Plain:
    """What spec section 3 says of ticks in a row, by arithmetic on every tick."""

    price: D
    at_ms: int
    steady_ticks: int = 1
    gap_ms: int = 0

    def take(self, price: D, at_ms: int) -> None:
        if abs(price - self.price) > D("0.01") * self.price:
            self.steady_ticks = 1
        elif at_ms > self.at_ms:
            self.steady_ticks += 1
            self.gap_ms = at_ms - self.at_ms
        self.price, self.at_ms = price, at_ms


@settings(max_examples=150)
@given(st.decimals(D("0.0001"), D(90_000), places=6), st.lists(STEPS, max_size=40))
def test_whether_prices_are_steady_is_found_as_if_each_was_compared_with_the_last(first, steps):
    market, plain = Market(frozenset({BTC})), Plain(first, 0)
    market.observe(PriceTick(BTC, PriceSource.MARK, first, 0), 0, trusted=False)
    price, at_ms = first, 0
    for move, later_ms, trusted in steps:
        price, at_ms = price * (1 + move), at_ms + later_ms
        tick = PriceTick(BTC, PriceSource.MARK, price, at_ms)
        assert market.observe(tick, at_ms, trusted=trusted) is None
        plain.take(price, at_ms)
        quote = market.quotes[KEY]
        assert (quote.price, quote.at_ms, quote.trusted) == (price, at_ms, trusted)
        assert (quote.steady_ticks, quote.gap_ms) == (plain.steady_ticks, plain.gap_ms)


@given(st.decimals(D("1e-12"), D("1e12"), allow_nan=False, allow_infinity=False))
def test_the_ends_of_a_calm_range_are_near_each_other(price):
    quote = Quote(price, 0)
    assert quote.calm_low < price < quote.calm_high
    assert near(quote.calm_high, quote.calm_low)


def test_what_is_no_price_is_refused_also_while_prices_are_calm():
    market = Market(frozenset({BTC}))
    market.observe(PriceTick(BTC, PriceSource.MARK, D(100), 0), 0, trusted=False)
    for wrong in ("NaN", "sNaN", "Infinity", "-100", "0"):
        tick = PriceTick(BTC, PriceSource.MARK, D(wrong), 1)
        assert market.observe(tick, 1, trusted=False) == f"{wrong} is not a price"
    for wrong in ("1.8e+308", "1e+25", "9e-25"):
        tick = PriceTick(BTC, PriceSource.MARK, D(wrong), 1)
        told = market.observe(tick, 1, trusted=False)
        assert told == f"{wrong} is no price that anything has"
    for at_ms, told in ((5_000, "from the future"), (-1, "older")):
        tick = PriceTick(BTC, PriceSource.MARK, D(100), at_ms)
        assert told in (market.observe(tick, 1, trusted=False) or "")
    assert market.quotes[KEY].at_ms == 0
