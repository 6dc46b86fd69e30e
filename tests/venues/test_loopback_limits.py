"""The loopback venue counts requests and orders exactly, and locks out whoever goes on."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import aiohttp
import pytest

from tests.loopback.binance.budget import BAN_MS, Budget, Cost
from tests.loopback.calls import Answer
from tests.loopback.limits import Window
from tests.loopback.presets import KEY, SECRET, binance
from tests.loopback.server import LoopbackVenue

START = 1_700_000_000_000


class Clock:
    """A clock that a test moves."""

    now = START

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def venue(clock: Clock) -> AsyncIterator[LoopbackVenue]:
    async with LoopbackVenue(binance(), clock=clock) as running:
        yield running


@pytest.fixture
async def session(venue: LoopbackVenue) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(venue.rest, headers={"X-MBX-APIKEY": KEY}) as opened:
        yield opened


def signed(venue: LoopbackVenue, params: dict[str, str]) -> str:
    query = urlencode({**params, "timestamp": str(venue.now_ms())})
    return (
        f"{query}&signature={hmac.new(SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()}"
    )


ORDER = {"symbol": "ETHUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}


def test_a_sliding_window_counts_any_span():
    window = Window(limit=3, span_ms=1000)
    for at in (0, 400, 900):
        assert window.admits(1, at)
        window.add(1, at)
    assert not window.admits(1, 999)
    assert window.admits(1, 1000), "what is exactly one span old no longer counts"
    window.add(1, 1000)
    assert not window.admits(1, 1399)
    assert (window.admits(1, 1400), window.admits(2, 1400)) == (True, False)


def test_an_aligned_window_begins_on_the_clock():
    window = Window(limit=2, span_ms=1000, aligned=True)
    window.add(2, 999)
    assert not window.admits(1, 999)
    assert window.admits(2, 1000)
    assert window.free_ms(1999) == 0
    window.add(1, 1999)
    assert window.free_ms(1999) == 1


def test_orders_are_counted_to_the_last_one():
    budget = Budget()
    for _ in range(300):
        assert budget.spend("ip", "a", Cost(0, short=1, long=1), START) is None
    refused = budget.spend("ip", "a", Cost(0, short=1, long=1), START + 9999)
    assert refused is not None
    assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
    assert json.loads(refused.body)["code"] == -1015
    assert budget.spend("ip", "b", Cost(0, short=1, long=1), START) is None, "by account"
    assert budget.spend("ip", "a", Cost(0, short=300, long=1), START + 10_000) is None
    assert len(budget.bans.violations) == 1


async def test_an_account_may_have_larger_limits_and_is_told(
    venue: LoopbackVenue, session: aiohttp.ClientSession
):
    budget: Budget = venue.dialect.budget  # type: ignore[attr-defined]
    budget.short_limit, budget.long_limit = 10_000, 20_000
    async with session.get("/fapi/v1/rateLimit/order?" + signed(venue, {})) as response:
        assert [each["limit"] for each in await response.json()] == [10_000, 20_000]
    assert budget.spend("ip", KEY, Cost(0, short=9999, long=1), START) is None


def test_five_hundred_orders_take_ten_seconds_and_the_long_limit_binds_after_twelve_hundred():
    budget = Budget()
    at = [START + 10_000 * (number // 300) for number in range(1200)]
    assert all(budget.spend("ip", "a", Cost(0, short=1, long=1), when) is None for when in at)
    refused = budget.spend("ip", "a", Cost(0, short=1, long=1), START + 40_000)
    assert refused is not None
    assert b"1200 orders per 1 MINUTE" in refused.body


async def test_weights_and_orders_are_told_in_headers(
    venue: LoopbackVenue, session: aiohttp.ClientSession
):
    async with session.get("/fapi/v1/ticker/24hr") as response:
        assert response.headers["X-MBX-USED-WEIGHT-1M"] == "40"
    async with session.get("/fapi/v1/ticker/24hr?symbol=BTCUSDT") as response:
        assert response.headers["X-MBX-USED-WEIGHT-1M"] == "41"
        assert "X-MBX-ORDER-COUNT-10S" not in response.headers
    for count in ("1", "2"):
        async with session.post("/fapi/v1/order?" + signed(venue, ORDER)) as response:
            assert (await response.json())["status"] == "NEW"
            assert response.headers["X-MBX-USED-WEIGHT-1M"] == "41", "a placement has no weight"
            assert response.headers["X-MBX-ORDER-COUNT-10S"] == count
    batch = {"batchOrders": json.dumps([ORDER] * 4)}
    async with session.post("/fapi/v1/batchOrders?" + signed(venue, batch)) as response:
        told = [response.headers[f"X-MBX-{name}"] for name in
                ("USED-WEIGHT-1M", "ORDER-COUNT-10S", "ORDER-COUNT-1M")]  # fmt: skip
        assert told == ["46", "6", "3"]


async def test_weight_follows_the_rows_asked_for(
    venue: LoopbackVenue, session: aiohttp.ClientSession
):
    used = []
    for rows in ("&limit=50", "&limit=100", "", "&limit=1000"):
        async with session.get(f"/fapi/v1/depth?symbol=BTCUSDT{rows}") as response:
            used.append(int(response.headers["X-MBX-USED-WEIGHT-1M"]))
    assert used == [2, 7, 17, 37]


async def test_excess_is_429_then_418_until_the_ban_is_over(
    venue: LoopbackVenue, session: aiohttp.ClientSession, clock: Clock
):
    for _ in range(60):
        async with session.get("/fapi/v1/ticker/24hr") as response:
            assert response.status == 200
    statuses = []
    for _ in range(4):
        async with session.get("/fapi/v1/time") as response:
            statuses.append((response.status, response.headers["Retry-After"]))
    assert statuses == [(429, "60"), (429, "60"), (418, "120"), (418, "120")]
    assert [violation.what for violation in venue.violations] == [
        *["request weight"] * 3,
        "a request during a ban",
    ]
    clock.now += BAN_MS
    async with session.get("/fapi/v1/time") as response:
        assert response.status == 200


async def test_an_order_past_the_limit_does_not_reach_the_core(
    venue: LoopbackVenue, session: aiohttp.ClientSession
):
    budget: Budget = venue.dialect.budget  # type: ignore[attr-defined]
    budget.spend("127.0.0.1", KEY, Cost(0, short=300, long=1), venue.now_ms())
    async with session.post("/fapi/v1/order?" + signed(venue, ORDER)) as response:
        assert response.status == 429
    assert not venue.core.accounts[KEY].orders


async def test_a_planned_ban(venue: LoopbackVenue, session: aiohttp.ClientSession, clock: Clock):
    venue.ban(5000)
    async with session.get("/fapi/v1/time") as response:
        assert (response.status, response.headers["Retry-After"]) == (418, "5")
        assert f"banned until {START + 5000}" in (await response.json())["msg"]
    clock.now += 5000
    async with session.get("/fapi/v1/time") as response:
        assert response.status == 200


def test_an_answer_knows_its_own_length():
    answer = Answer.of({"a": 1})
    assert b"Content-Length: 7\r\n" in answer.head()
    assert b"Content-Length: 4\r\n" in answer.head(length=4)
