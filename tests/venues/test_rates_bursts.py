"""Five hundred orders at once, at all nine venues, in virtual time: soon, and never too many.

Everything between an intent and its signed request is the real thing: how the orders are cut into
batches, the limiter, ccxt. Only the wire is ours: it takes 1 to 20 ms each way, and counts what
arrives in windows of its own, as the table says that the venue counts. A longer way costs one round
trip per window, because a place is given free only once the venue has certainly counted it.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from rebalancer.core.order import OrderIntent, OrderSide, PositionSide, client_order_id
from rebalancer.venues.batching import cost_of
from rebalancer.venues.ccxt_client import CcxtClient
from rebalancer.venues.evidence import Evidence
from rebalancer.venues.exchange_sends import OrderSends
from rebalancer.venues.facts import FACTS, VenueFacts
from rebalancer.venues.rates import Budget, Limiter
from rebalancer.venues.transport import Transport
from rebalancer.venues.wire import Reply, SignedRequest
from tests.loopback.limits import Window
from tests.venues.golden.markets import contracts_of
from tests.venues.golden.recorder import LEVERAGE, Recorder, intent_of
from tests.virtual_time import VirtualLoop, run_virtually

COUNT = 500
LONGEST_WAY_MS = 20
#: what 500 contracts take at least by the documented limits (performance.md section 6)
BOUND_MS: Mapping[str, int] = {
    "binanceusdm": 10_000,  # 300 orders in 10 s
    "bybit": 24_000,  # 10 a second alone and 10 a second in batches
    "okx": 0,  # 1,000 in 2 s
    "gate": 9_000,  # 50 a second
    "xt": 49_000,  # 10 a second
    "bitget": 49_000,  # 10 a second
    "kucoinfutures": 0,  # 25 batches of weight 20, of 2,000 in 30 s
    "mexc": 48_000,  # 20 in 2 s
    "hyperliquid": 0,  # 13 batches, of 1,200 in a minute
}
_ID = re.compile(r"r[0-9a-z]{25}|0x[0-9a-f]{32}")


@dataclass
class Wire:
    """Stands for the network and the venue's own count."""

    facts: VenueFacts
    ours: frozenset[str]
    rng: random.Random
    arrived_ms: list[int] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._windows = {
            window.name: Window(limit=window.limit, span_ms=window.length_ms)
            for window in self.facts.limits.rate_windows
        }

    async def send(self, request: SignedRequest) -> Reply:
        await asyncio.sleep(self.rng.randint(1, LONGEST_WAY_MS) / 1_000)
        now_ms = cast("VirtualLoop", asyncio.get_running_loop()).now_ms()
        orders = set(_ID.findall(request.url + (request.body or ""))) & self.ours
        for name, units in cost_of(self.facts.limits, len(orders)).items():
            if not self._windows[name].admits(units, now_ms):
                self.violations.append(f"{name} at {now_ms} ms")
            self._windows[name].add(units, now_ms)
        self.orders += orders
        self.arrived_ms.append(now_ms)
        await asyncio.sleep(self.rng.randint(1, LONGEST_WAY_MS) / 1_000)
        return Reply(Evidence(left=True, status=500, body=""), {})


def intents_of(facts: VenueFacts) -> list[OrderIntent]:
    """Return orders of one contract, as if each were of another: no window is per contract."""
    contract, _ = contracts_of(facts.venue_id)
    hedged = PositionSide.NET not in facts.spelling.books
    book = PositionSide.LONG if hedged else PositionSide.NET
    order = intent_of(contract, OrderSide.BUY, book, reduce_only=False)
    return [
        replace(order, seq=seq, client_order_id=client_order_id("burst", "main", "X", seq))
        for seq in range(1, COUNT + 1)
    ]


def burst(facts: VenueFacts, *, seed: int = 1) -> Wire:
    """Send 500 orders as soon as the limits let them."""
    intents = intents_of(facts)
    ids = [each.client_order_id for each in intents]
    ours = frozenset((*ids, *(facts.client_ids.to_venue(each) for each in ids)))
    wire = Wire(facts, ours, random.Random(seed))  # noqa: S311 - a test wants to be repeatable

    async def send_all() -> None:
        loop = cast("VirtualLoop", asyncio.get_running_loop())
        limiter = Limiter(Budget(facts.limits.rate_windows), loop.now_ms)
        client = CcxtClient(Recorder(facts).exchange, cast("Transport", wire), limiter)
        contracts = {each.symbol: each for each in contracts_of(facts.venue_id)}
        sends = OrderSends(client, facts, contracts, leverage=LEVERAGE)
        await asyncio.gather(*sends.send_all(intents))

    run_virtually(send_all())
    return wire


@pytest.mark.parametrize("venue_id", FACTS)
def test_five_hundred_orders_take_hardly_longer_than_the_limits_allow(venue_id: str) -> None:
    wire = burst(FACTS[venue_id])
    assert wire.violations == []
    assert len(wire.orders) == len(set(wire.orders)) == COUNT, "each order, once"
    taken_ms = wire.arrived_ms[-1]
    assert taken_ms <= 1.05 * BOUND_MS[venue_id] + LONGEST_WAY_MS


def test_without_batches_bybit_would_take_twice_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rebalancer.venues.exchange_sends.cut", lambda _facts, count: (1,) * count)
    assert burst(FACTS["bybit"]).arrived_ms[-1] > 2 * BOUND_MS["bybit"]


def test_a_limiter_that_counts_a_batch_as_one_order_would_be_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "rebalancer.venues.exchange_sends.cost_of", lambda limits, _size: cost_of(limits, 1)
    )
    assert burst(FACTS["binanceusdm"]).violations
