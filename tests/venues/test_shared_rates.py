"""Public questions and an account's: within the windows that they share, orders first."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import ccxt.async_support as ccxt
import pytest

from rebalancer.exchanges import open_exchange, open_streams
from rebalancer.venues.exchange_venue import facts_of, limiter_of, open_client
from rebalancer.venues.facts import FACTS as EVERY
from rebalancer.venues.facts_shape import Ask, VenueFacts
from rebalancer.venues.facts_shape import Call as Question
from rebalancer.venues.rates import Limiter
from rebalancer.venues.shared_rates import in_turn
from tests.loopback.binance.routes import ROUTES
from tests.loopback.calls import Call
from tests.loopback.presets import KEY, SECRET, xt
from tests.loopback.server import LoopbackVenue

FACTS = facts_of("binanceusdm")
DEAREST = FACTS.limits.costs[Ask.PUBLIC]["weight-1m"]
FAPI = "https://of-the-venue/fapi"


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
    assert await exchange.fetch(f"{FAPI}/v1/premiumIndex") == "told"
    assert used_of(limiter) == 10
    assert await exchange.fetch(f"{FAPI}/v1/premiumIndex?symbol=BTCUSDT") == "told"
    assert used_of(limiter) == 10 + 1


async def test_ccxts_own_throttle_holds_up_no_request_and_still_what_it_sends_over_sockets() -> (
    None
):
    exchange = open_streams("binanceusdm")
    exchange.throttler = None  # what it waits for
    in_turn(exchange, FACTS, limiter_of(FACTS))
    await exchange.throttle(10_000)
    assert exchange.enableRateLimit
    await exchange.close()


async def test_what_the_table_does_not_know_counts_as_the_dearest() -> None:
    limiter = limiter_of(FACTS)
    exchange = in_turn(exchange_that("told"), FACTS, limiter)
    await exchange.fetch(f"{FAPI}/v9/premiumIndex?symbol=BTCUSDT")
    await exchange.fetch(f"{FAPI}/v1/time", "POST")
    assert used_of(limiter) == 2 * DEAREST


@pytest.mark.parametrize(
    ("path", "query"),
    [
        *((f"v1/{name}", "") for name in ("time", "exchangeInfo", "fundingRate")),
        *(
            (path, query)
            for path in ("v1/premiumIndex", "v1/ticker/24hr", "v1/ticker/bookTicker")
            for query in ("", "symbol=BTCUSDT")
        ),
        *(("v2/ticker/price", query) for query in ("", "symbol=BTCUSDT")),
        *(("v1/depth", f"symbol=BTCUSDT&limit={levels}") for levels in (5, 20, 50, 100, 1_000)),
    ],
)
def test_binances_requests_weigh_what_the_loopback_counts(path: str, query: str) -> None:
    call = Call(
        method="GET",
        path=f"/fapi/{path}",
        query=query,
        body=b"",
        headers={},
        peer="",
        at_ms=0,
    )
    counted = ROUTES["GET", call.path].cost(call).weight
    assert FACTS.limits.public_cost("GET", call.path, call.params) == {"weight-1m": counted}


async def test_hyperliquids_questions_are_told_apart_by_what_stands_in_them() -> None:
    facts = facts_of("hyperliquid")
    limiter = limiter_of(facts)
    exchange = in_turn(exchange_that("told"), facts, limiter)
    for body, weight in (('{"type":"l2Book","coin":"BTC"}', 2), ('{"type":"meta"}', 20)):
        before = used_of(limiter)
        await exchange.fetch("https://of-the-venue/info", "POST", None, body)
        assert used_of(limiter) - before == weight


@pytest.mark.parametrize("facts", EVERY.values(), ids=EVERY)
def test_no_public_request_weighs_more_than_one_that_is_not_known(facts: VenueFacts) -> None:
    dearest = facts.limits.costs[Ask.PUBLIC]
    for weight in facts.limits.public:
        # A window of one kind of request alone is filled by no other.
        known = {name: units for name, units in weight.cost.items() if name != "detail-5s"}
        assert all(units <= dearest[name] for name, units in known.items())


async def test_the_venues_own_count_is_believed() -> None:
    limiter = limiter_of(FACTS)
    exchange = in_turn(exchange_that(**{"X-MBX-USED-WEIGHT-1M": "900"}), FACTS, limiter)
    await exchange.fetch(f"{FAPI}/v1/premiumIndex")
    assert used_of(limiter) == 900


@pytest.mark.parametrize("refusal", [ccxt.DDoSProtection(""), ccxt.RateLimitExceeded("")])
async def test_a_refusal_holds_the_account_back_as_long_as_the_venue_says(
    refusal: Exception,
) -> None:
    limiter = limiter_of(FACTS)
    exchange = in_turn(exchange_that(refusal, **{"Retry-After": "90"}), FACTS, limiter)
    with pytest.raises(type(refusal)):
        await exchange.fetch(f"{FAPI}/v1/premiumIndex")
    now_ms = int(asyncio.get_running_loop().time() * 1_000)
    wait_ms = limiter.budget.wait_ms({"orders-10s": 1}, now_ms, urgent=True)
    assert wait_ms is not None
    assert 89_000 < wait_ms <= 90_000


async def test_polls_and_questions_of_an_account_stay_within_what_the_venue_counts_together() -> (
    None
):
    facts, positions = facts_of("xt"), Question("fetch_positions", ())
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
