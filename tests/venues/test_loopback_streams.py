"""The loopback venue's Binance streams, watched by the unmodified ccxt.pro client."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
import ccxt
import pytest

from tests.loopback.clients import client
from tests.loopback.presets import KEY, binance
from tests.loopback.server import LoopbackVenue
from tests.loopback.settling import Move

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
SOON_S = 20


@pytest.fixture
async def venue() -> AsyncIterator[LoopbackVenue]:
    async with LoopbackVenue(binance(), beat_ms=50) as running:
        yield running


@pytest.fixture
async def exchange(venue: LoopbackVenue) -> AsyncIterator[Any]:
    async with client(venue, "binanceusdm") as opened:
        await opened.load_markets()
        yield opened


async def soon(work: Any) -> Any:
    async with asyncio.timeout(SOON_S):
        return await work


async def connected(venue: LoopbackVenue, topic: str, count: int = 1) -> None:
    for _ in range(100 * SOON_S):
        if sum(topic in stream.topics for stream in venue.hub.streams) >= count:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"nobody subscribed to {topic}")


async def test_mark_of_one_and_of_all(venue: LoopbackVenue, exchange: Any):
    ticker = await soon(exchange.watch_mark_price(BTC))
    assert (ticker["markPrice"], ticker["indexPrice"]) == (50000.0, 50000.0)
    venue.price("BTC/USDT", "51000", mark="51001", index="51002")
    async with asyncio.timeout(SOON_S):
        while ticker["markPrice"] != 51001.0:
            ticker = await exchange.watch_mark_price(BTC)
    assert ticker["indexPrice"] == 51002.0
    every = await soon(exchange.watch_mark_prices())
    assert set(every) == set(exchange.symbols)


async def test_best_bid_and_ask_and_ticker(exchange: Any):
    quotes = await soon(exchange.watch_bids_asks([BTC]))
    assert (quotes[BTC]["bid"], quotes[BTC]["ask"]) == (49999.9, 50000.1)
    assert quotes[BTC]["askVolume"] > 0
    assert (await soon(exchange.watch_ticker(BTC)))["last"] == 50000.0


async def test_orders_trades_positions_and_balance_arrive(venue: LoopbackVenue, exchange: Any):
    watching = {
        "orders": asyncio.create_task(exchange.watch_orders()),
        "trades": asyncio.create_task(exchange.watch_my_trades()),
    }
    await connected(venue, "account:demo")
    placed = await exchange.create_order(BTC, "market", "buy", 0.2, None, {"clientOrderId": "rws"})
    (order,) = await soon(watching["orders"])
    assert (order["id"], order["clientOrderId"]) == (placed["id"], "rws")
    (trade,) = await soon(watching["trades"])
    assert (trade["order"], trade["amount"], trade["price"]) == (placed["id"], 0.2, 50000.1)
    assert trade["fee"]["currency"] == "USDT"
    positions = asyncio.create_task(exchange.watch_positions([BTC]))
    balance = asyncio.create_task(exchange.watch_balance())
    await asyncio.sleep(0.1)
    await exchange.create_order(BTC, "market", "buy", 0.1)
    (position,) = await soon(positions)
    assert (position["symbol"], position["side"]) == (BTC, "long")
    assert position["contracts"] == pytest.approx(0.3)
    assert (await soon(balance))["USDT"]["total"] < 100_000


async def test_each_step_of_an_order_is_told_once_or_as_often_as_wanted(venue: LoopbackVenue):
    async with client(venue, "binanceusdm") as exchange, aiohttp.ClientSession() as session:
        await exchange.load_markets()
        key = (await exchange.fapiPrivatePostListenKey())["listenKey"]
        async with session.ws_connect(f"{venue.stream}/private/ws?listenKey={key}") as stream:
            for copies in (1, 2):
                venue.hub.copies = copies
                await exchange.create_order(BTC, "market", "buy", 0.1)
                heard = [await soon(stream.receive_json()) for _ in range(3 * copies)]
                assert [frame["e"] for frame in heard[::copies]] == [
                    "ORDER_TRADE_UPDATE",
                    "ACCOUNT_UPDATE",
                    "ORDER_TRADE_UPDATE",
                ]
                trades = [frame["o"]["t"] for frame in heard if frame.get("o", {}).get("t")]
                assert len(trades) == copies
                assert len(set(trades)) == 1, "a duplicate names the same trade"


async def test_subscribe_frames(venue: LoopbackVenue):
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{venue.stream}/market/ws/0") as stream,
    ):
        await stream.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@markPrice"], "id": 7})
        assert await soon(stream.receive_json()) == {"result": None, "id": 7}
        assert (await soon(stream.receive_json()))["s"] == "BTCUSDT"
        await stream.send_json({"method": "UNSUBSCRIBE", "params": ["btcusdt@markPrice"], "id": 8})
        async with asyncio.timeout(SOON_S):
            while (await stream.receive_json()).get("id") != 8:
                pass
        with pytest.raises(TimeoutError):
            await stream.receive_json(timeout=0.3)
        await stream.send_json({"method": "SUBSCRIBE", "params": ["account:demo"], "id": 9})
        await soon(stream.receive_json())
        assert not any("account:" in topic for topic in venue.hub.streams[0].topics)
        await stream.send_str("not json")
        assert (await soon(stream.receive_json()))["error"]["code"] == 3


async def test_a_private_stream_needs_a_valid_key(venue: LoopbackVenue):
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError, match="400"):
            await session.ws_connect(f"{venue.stream}/private/ws?listenKey=nobody")
    async with client(venue, "binanceusdm") as exchange:
        await exchange.fapiPrivatePostListenKey()
        await exchange.fapiPrivatePutListenKey()
        venue.core.accounts[KEY].listening_until_ms = 0
        with pytest.raises(ccxt.ExchangeError, match="-1125"):
            await exchange.fapiPrivatePutListenKey()


async def test_a_dropped_stream_is_an_error_and_comes_back(venue: LoopbackVenue, exchange: Any):
    await soon(exchange.watch_mark_price(BTC))
    waiting = asyncio.create_task(exchange.watch_mark_price(ETH))
    await soon(waiting)
    venue.hub.muted = True
    waiting = asyncio.create_task(exchange.watch_mark_price(ETH))
    await asyncio.sleep(0.1)
    await venue.hub.drop()
    with pytest.raises(ccxt.NetworkError):
        await soon(waiting)
    venue.hub.muted = False
    assert (await soon(exchange.watch_mark_price(ETH)))["markPrice"] == 3000.0


async def test_a_mute_stream_is_no_error_at_all(venue: LoopbackVenue, exchange: Any):
    """The socket answers pings and says nothing; ccxt waits for ever."""
    await soon(exchange.watch_mark_price(BTC))
    venue.hub.muted = True
    await asyncio.sleep(0.2)
    waiting = asyncio.create_task(exchange.watch_mark_price(BTC))
    await asyncio.sleep(0.5)
    assert not waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


async def test_a_client_that_leaves_during_the_greeting_is_no_error(
    venue: LoopbackVenue, caplog: pytest.LogCaptureFixture
):
    greeting = "GET /ws/btcusdt@markPrice HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\n"
    greeting += "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    greeting += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", venue.port)) as leaving:
            leaving.sendall(greeting.encode())
            # It goes without a good-bye.
            leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await asyncio.sleep(0.01)
    assert [record for record in caplog.records if record.name == "aiohttp.server"] == []


async def test_prices_follow_their_script(venue: LoopbackVenue, exchange: Any):
    start = venue.now_ms()
    venue.script.add(
        Move(at_ms=start + 100 * step, instrument="BTC/USDT", last=Decimal(50000 + step))
        for step in (1, 2, 3)
    )
    seen = set()
    async with asyncio.timeout(SOON_S):
        while 50003.0 not in seen:
            seen.add((await exchange.watch_mark_price(BTC))["markPrice"])
    assert {50001.0, 50002.0, 50003.0} <= seen
