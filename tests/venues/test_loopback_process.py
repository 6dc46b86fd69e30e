"""The loopback venue as a process of its own, commanded from outside and bounded in time."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp
import ccxt
import pytest

from tests.loopback.clients import client
from tests.loopback.presets import binance
from tests.loopback.server import LoopbackVenue

BTC = "BTC/USDT:USDT"


@asynccontextmanager
async def process(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.loopback", *arguments, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.communicate()


async def line(started: asyncio.subprocess.Process) -> Any:
    assert started.stdout is not None
    async with asyncio.timeout(20):
        return json.loads(await started.stdout.readline())


class Elsewhere:
    """A venue in another process, as far as a client needs it."""

    def __init__(self, port: int) -> None:
        self.rest, self.stream = f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}"

    def point(self, exchange: Any) -> None:
        binance().addresses(exchange.urls, self.rest, self.stream)


async def test_a_process_serves_obeys_and_says_how_it_went():
    async with process("--venue", "binance", "--seconds", "30") as started:
        venue = Elsewhere((await line(started))["port"])
        async with (
            client(venue, "binanceusdm") as exchange,  # type: ignore[arg-type]
            aiohttp.ClientSession(venue.rest) as session,
        ):
            await exchange.load_markets()
            await session.post("/-/price", json={"instrument": "BTC/USDT", "last": "51000"})
            order = await exchange.create_order(BTC, "market", "buy", 0.1)
            assert order["average"] == 51000.1
            await session.post("/-/fault", json={"shape": "503 unknown", "path": "order$"})
            with pytest.raises(ccxt.ExchangeError, match='"code":-1,'):
                await exchange.create_order(BTC, "market", "buy", 0.1)
            async with session.post("/-/state") as response:
                state = await response.json()
            (held,) = state["accounts"]["demo"]["positions"].values()
            assert Decimal(held) == Decimal("0.2")
            async with session.post("/-/nonsense") as response:
                assert response.status == 404
        started.send_signal(signal.SIGTERM)
        last = await line(started)
        assert (last["accounts"]["demo"]["trades"], last["violations"]) == (2, 0)
        assert await started.wait() == 0


async def test_a_process_ends_by_itself():
    async with process("--venue", "xt", "--seconds", "0.2") as started:
        assert (await line(started))["port"] > 0
        assert (await line(started))["prices"]["BTC/USDT"] == "50000"
        async with asyncio.timeout(20):
            assert await started.wait() == 0


async def test_a_venue_can_come_back_on_its_port_with_its_books():
    dialect = binance()
    async with LoopbackVenue(dialect) as first, client(first, "binanceusdm") as exchange:
        await exchange.load_markets()
        await exchange.create_order(BTC, "market", "buy", 0.1)
        port = first.port
    async with (
        LoopbackVenue(dialect, port=port) as second,
        client(second, "binanceusdm") as exchange,
    ):
        (position,) = await exchange.fetch_positions()
        assert position["contracts"] == 0.1


async def test_a_closed_port_is_a_refused_connection():
    async with LoopbackVenue(binance()) as venue, client(venue, "binanceusdm") as exchange:
        await exchange.load_markets()
        closed = Elsewhere(1)
        closed.point(exchange)
        with pytest.raises(ccxt.ExchangeNotAvailable):
            await exchange.create_order(BTC, "market", "buy", 0.1)
    assert not venue.core.accounts["demo-key"].orders
