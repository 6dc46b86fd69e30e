"""A venue that refuses us for a while: what waits, for how long, and what never leaves."""

from __future__ import annotations

import asyncio
import json

import pytest

from rebalancer.core.events import OrderReported
from rebalancer.core.order import Outcome
from rebalancer.venues import ccxt_client
from rebalancer.venues.answers import says_too_many
from rebalancer.venues.exchange_venue import limiter_of
from rebalancer.venues.facts import FACTS
from rebalancer.venues.rates import loop_ms
from tests.loopback.faults import Fault, Shape, Taken
from tests.venues.test_exchange_venue import intent, trading
from tests.virtual_time import run_virtually


def test_waiting_for_the_limits_does_not_depend_on_the_wall_clock():
    # The wall's clock stands still for this loop, as one does that was set back by as much.
    async def eleven_at_ten_a_second() -> float:
        limiter = limiter_of(FACTS["bitget"])
        for _ in range(11):
            limiter.leave(await limiter.enter({"orders-1s": 1}, urgent=True))
        return asyncio.get_running_loop().time()

    async def within(seconds: float) -> float:
        async with asyncio.timeout(seconds):
            return await eleven_at_ten_a_second()

    assert run_virtually(within(60)) == pytest.approx(1.0, abs=0.01)


async def test_an_order_held_back_by_a_ban_never_leaves_with_its_old_price(monkeypatch):
    monkeypatch.setattr(ccxt_client, "WRITE_WAIT_SECONDS", 0.05)
    async with trading() as desk:
        desk.market.faults.plan(
            Fault(shape=Shape.BANNED, taken=Taken.NEVER, method="POST", path="/fapi/v1/order$")
        )
        await desk.venue.submit(intent("0.5", seq=1))
        await desk.venue.submit(intent("0.5", seq=2))
        last = desk.events[-1]
        assert isinstance(last, OrderReported)
        assert last.outcome is Outcome.NEVER_SENT
        assert "limits let nothing leave" in last.reason
        assert desk.sends() == 1
        assert not desk.market.violations


CODED = [
    ("binanceusdm", {"code": -1003, "msg": "Way too many requests"}),
    ("bybit", {"retCode": 10006, "retMsg": "Too many visits!", "result": {}}),
    ("okx", {"code": "50011", "msg": "Rate limit reached", "data": []}),
    ("gate", {"label": "TOO_MANY_REQUESTS", "message": "Request Rate limit Exceeded"}),
    ("xt", {"returnCode": 1, "error": {"code": "429", "msg": ""}, "result": None}),
    ("bitget", {"code": "429", "msg": "Too Many Requests", "data": None}),
    ("kucoinfutures", {"code": "200002", "msg": "Too many requests in a short period"}),
    ("mexc", {"success": False, "code": 510, "message": "Excessive frequency of requests"}),
]


@pytest.mark.parametrize(("venue_id", "body"), CODED, ids=[venue_id for venue_id, _ in CODED])
def test_too_many_requests_is_understood_without_its_http_status(venue_id, body):
    assert says_too_many(FACTS[venue_id], json.dumps(body))


@pytest.mark.parametrize("venue_id", FACTS)
@pytest.mark.parametrize("body", ["", "null", "[]", "{}", '"busy"', "<html>", "[{}]", '{"code":0}'])
def test_nothing_else_is_taken_for_too_many_requests(venue_id, body):
    assert not says_too_many(FACTS[venue_id], body)


async def test_a_refusal_in_a_200_holds_back_what_comes_next():
    async with trading() as desk:
        client = desk.venue._client
        desk.market.faults.plan(
            Fault(
                shape=Shape.ERROR_IN_200, taken=Taken.NEVER, method="POST", path="/fapi/v1/order$"
            )
        )
        client.too_many = lambda body: "code" in body
        await desk.venue.submit(intent("0.5"))
        wait_ms = client._limiter.budget.wait_ms({"orders-10s": 1}, loop_ms(), urgent=True)
        assert wait_ms is not None
        assert wait_ms > 5_000
