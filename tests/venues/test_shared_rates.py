"""Public questions and an account's: within the windows that they share, orders first."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import ccxt.async_support as ccxt
import pytest

from rebalancer.exchanges import open_exchange
from rebalancer.venues.exchange_venue import facts_of, limiter_of, open_client
from rebalancer.venues.facts_shape import Ask, Call
from rebalancer.venues.rates import Limiter
from rebalancer.venues.shared_rates import in_turn
from tests.loopback.presets import KEY, SECRET, xt
from tests.loopback.server import LoopbackVenue

FACTS = facts_of("binanceusdm")
PRICES = FACTS.limits.costs[Ask.PRICES]["weight-1m"]


def exchange_that(answer: Any = None, **headers: str) -> Any:
    """An exchange of ccxt whose requests end with `answer`, raised where it is an exception."""

    async def fetch(*_arguments: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return SimpleNamespace(fetch=fetch, last_response_headers=headers)


def used_of(limiter: Limiter) -> int:
    return next(used for window, used in limiter.used().items() if window.name == "weight-1m")


async def test_a_public_question_takes_of_the_windows_of_the_account() -> None:
    limiter = limiter_of(FACTS)
    exchange = in_turn(exchange_that("told"), FACTS, limiter)
    assert await exchange.fetch("https://of-the-venue/prices") == "told"
    assert used_of(limiter) == PRICES


async def test_the_venues_own_count_is_believed() -> None:
    limiter = limiter_of(FACTS)
    exchange = in_turn(exchange_that(**{"X-MBX-USED-WEIGHT-1M": "900"}), FACTS, limiter)
    await exchange.fetch("https://of-the-venue/prices")
    assert used_of(limiter) == 900


@pytest.mark.parametrize("refusal", [ccxt.DDoSProtection(""), ccxt.RateLimitExceeded("")])
async def test_a_refusal_holds_the_account_back_as_long_as_the_venue_says(
    refusal: Exception,
) -> None:
    limiter = limiter_of(FACTS)
    exchange = in_turn(exchange_that(refusal, **{"Retry-After": "90"}), FACTS, limiter)
    with pytest.raises(type(refusal)):
        await exchange.fetch("https://of-the-venue/prices")
    now_ms = int(asyncio.get_running_loop().time() * 1_000)
    wait_ms = limiter.budget.wait_ms({"orders-10s": 1}, now_ms, urgent=True)
    assert wait_ms is not None
    assert 89_000 < wait_ms <= 90_000


async def test_polls_and_questions_of_an_account_stay_within_what_the_venue_counts_together() -> (
    None
):
    facts, positions = facts_of("xt"), Call("fetch_positions", ())
    limiter = limiter_of(facts)
    async with LoopbackVenue(xt(per_second=10)) as market:
        client = open_client(facts, {"apiKey": KEY, "secret": SECRET}, market.rest, limiter)
        polled = in_turn(open_exchange("xt", market.rest), facts, limiter)
        try:
            await client.load_markets(facts.limits.costs[Ask.MARKETS])
            polled.set_markets(client._exchange.markets)
            await asyncio.gather(
                *(polled.fetch_tickers(["BTC/USDT:USDT"]) for _ in range(8)),
                *(client.ask(positions.carry_out, facts.limits.costs[Ask.POSITIONS]) for _ in "ab"),
            )
        finally:
            await polled.close()
            await client.close()
        assert market.violations == []
