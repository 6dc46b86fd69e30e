"""Quotes of tokens, from a venue that answers from this file."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import ccxt.async_support as ccxt
import pytest

from rebalancer import exchanges
from rebalancer.clock import VirtualClock
from rebalancer.core.events import Event, TokenQuoted
from rebalancer.core.premium import PremiumTerms
from rebalancer.feeds.token_quotes import INTERVAL_MS, TokenWatch
from tests.desk.rig import until
from tests.factories import NOON, D

TERMS = PremiumTerms(venue="gate", symbol="BTC3L/USDT")


class Market:
    """A venue as ccxt shows it: one token, and whatever the test lets it say."""

    def __init__(self) -> None:
        self.listed: dict[str, Any] = {"BTC3L/USDT": {"spot": True, "active": True}}
        self.markets: dict[str, Any] = {}
        self.ticker: Any = {"bid": "99.5", "ask": "100.5", "timestamp": NOON - 5}
        self.book: Any = {"bids": [], "asks": []}
        self.failures: list[Exception] = []
        self.asked: list[str] = []
        self.closed = 0

    async def load_markets(self) -> Any:
        self.asked.append("markets")
        self.markets = self.listed
        return self.markets

    async def fetch_ticker(self, symbol: str) -> Any:
        self.asked.append(f"ticker {symbol}")
        if self.failures:
            raise self.failures.pop(0)
        return self.ticker

    async def fetch_order_book(self, symbol: str, _levels: int) -> Any:
        self.asked.append(f"book {symbol}")
        return self.book

    async def close(self) -> None:
        self.closed += 1


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchanges, "LONGEST_PAUSE_SECONDS", 0.0)


def enough(heard: list[Event], number: int) -> bool:
    return len(heard) >= number


async def told(market: Market, rounds: int = 1) -> list[Event]:
    """Return what the watch tells in its first rounds."""
    heard: list[Event] = []
    clock = VirtualClock(NOON)
    watch = TokenWatch("gate", {"BTC3L": TERMS}, clock, heard.append, lambda _venue: market)
    task = asyncio.create_task(watch.run())
    try:
        for number in range(1, rounds + 1):
            await until(partial(enough, heard, number), "a quote")
            clock.advance(INTERVAL_MS)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert market.closed == 1
    return heard[:rounds]


async def test_best_bid_and_ask_come_with_every_digit_and_the_venue_s_time() -> None:
    market = Market()
    market.ticker = {"bid": "99.50000000000000001", "ask": "100.5", "timestamp": NOON - 5}
    assert await told(market) == [
        TokenQuoted(NOON, "BTC3L", D("99.50000000000000001"), D("100.5"), NOON - 5)
    ]
    assert market.asked[:2] == ["markets", "ticker BTC3L/USDT"]


async def test_markets_are_asked_for_once() -> None:
    market = Market()
    assert len(await told(market, rounds=3)) == 3
    assert market.asked.count("markets") == 1


async def test_a_ticker_without_a_book_is_followed_by_a_look_at_the_book() -> None:
    market = Market()
    market.ticker = {"last": "100", "timestamp": NOON}
    market.book = {"bids": [["99", "3"], ["98", "1"]], "asks": [["101", "2"]], "timestamp": None}
    assert await told(market) == [TokenQuoted(NOON, "BTC3L", D(99), D(101), None)]


async def test_an_empty_side_is_told_as_such() -> None:
    market = Market()
    market.ticker = {"bid": "99", "ask": "0", "timestamp": NOON}
    assert await told(market) == [TokenQuoted(NOON, "BTC3L", D(99), None, NOON)]
    market = Market()
    market.ticker = {"bid": None, "ask": None}
    assert await told(market) == [TokenQuoted(NOON, "BTC3L")]


@pytest.mark.parametrize(
    ("ticker", "words"),
    [
        (None, "BTC3L/USDT: the answer cannot be read"),
        ({"bid": "cheap", "ask": "1"}, "BTC3L/USDT: the answer cannot be read"),
        ({"bid": "-1", "ask": "1"}, "bid"),
        ({"bid": "NaN", "ask": "1"}, "BTC3L/USDT"),
        ({"bid": "1", "ask": "2", "timestamp": "soon"}, "cannot be read"),
    ],
)
async def test_an_answer_that_is_no_ticker_is_a_problem_and_no_quote(
    ticker: Any, words: str
) -> None:
    market = Market()
    market.ticker = ticker
    (event,) = await told(market)
    assert isinstance(event, TokenQuoted)
    assert (event.bid, event.ask) == (None, None)
    assert words in event.problem


async def test_an_outage_is_told_in_our_own_words_and_ends_nothing() -> None:
    market = Market()
    market.failures = [ccxt.ExchangeError("gate GET https://secret.example?key=SESAME")]
    bad, good = await told(market, rounds=2)
    assert isinstance(bad, TokenQuoted)
    assert bad.problem == "gate refused the question"
    assert isinstance(good, TokenQuoted)
    assert good.bid == D("99.5")


async def test_a_token_that_is_not_listed_or_not_traded_is_told() -> None:
    market = Market()
    market.listed = {"BTC5L/USDT": {"spot": True}}
    (event,) = await told(market)
    assert isinstance(event, TokenQuoted)
    assert event.problem == "gate has no spot market BTC3L/USDT; the nearest is BTC5L/USDT"
    market = Market()
    market.listed["BTC3L/USDT"]["active"] = False
    (event,) = await told(market)
    assert isinstance(event, TokenQuoted)
    assert event.problem == "BTC3L/USDT is not traded at gate now"
