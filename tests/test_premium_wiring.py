"""The premium watch in a whole desk: prices from a loopback exchange, the token from a fake one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rebalancer import live
from rebalancer.bootstrap import open_daemon
from rebalancer.clock import VirtualClock
from rebalancer.core.premium import PremiumStage, PremiumStaged
from rebalancer.desk.views import view_funds
from rebalancer.exchanges import open_exchange
from rebalancer.settings import parse
from rebalancer.store.memory import MemoryStore
from tests.desk.rig import of, until
from tests.factories import D
from tests.feeds.test_token_quotes import Market
from tests.loopback.presets import binance
from tests.loopback.server import LoopbackVenue
from tests.test_live_wiring import DESK

PREMIUM = """
[funds.BTC3L.premium]
market = "gate:BTC3L/USDT"
"""


async def test_a_token_at_131_over_a_nav_of_100_shuts_flows_and_is_published(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate, opened = Market(), open_exchange

    def opening(venue_id: str, endpoint: str = "") -> Any:
        return gate if venue_id == "gate" else opened(venue_id, endpoint)

    monkeypatch.setattr(live, "open_exchange", opening)
    monkeypatch.setattr("rebalancer.feeds.token_quotes.INTERVAL_MS", 100)
    gate.ticker = {"bid": "130.9", "ask": "131.1"}
    async with LoopbackVenue(binance()) as market:
        overrides = {"accounts": {"main": {"endpoint": market.rest}}}
        store = MemoryStore(through_codec=True)
        config = parse(DESK + PREMIUM, overrides=overrides)
        daemon = await open_daemon(config, store, control=False)
        stop = asyncio.Event()
        running = asyncio.create_task(daemon.run(stop))
        try:
            await until(lambda: of(store.records, PremiumStaged), "the halt", 20)
            await asyncio.sleep(0)
            (view,) = view_funds(daemon.state, daemon.clock.now_ms())
        finally:
            stop.set()
            await asyncio.wait_for(running, 20)
    (staged,) = of(store.records, PremiumStaged)
    assert staged.stage is PremiumStage.HALT
    assert (staged.market, staged.price) == ("gate:BTC3L/USDT", D(131))
    assert abs(staged.premium - D("0.31")) < D("0.01")
    assert view.premium_stage == "halt"
    assert view.premium is not None
    assert gate.closed == 1


def test_a_simulated_market_watches_no_real_token() -> None:
    config = parse(DESK.replace('"200ms"', '"200ms"\nsource = "simulated"') + PREMIUM)
    assert live.token_watches(config, VirtualClock(), lambda _event: None, {}) == {}
