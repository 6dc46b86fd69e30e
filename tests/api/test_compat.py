"""The unmodified ccxt client of each exchange, pointed at our server, reads a fund."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import ccxt.async_support as ccxt
import pytest

from tests.api.rig import Published, published
from tests.factories import NOON, desk, fund, only

VENUES = ("binance", "bybit", "gate")
#: which addresses of a client to change, and what follows our own there; None: under "spot"
ADDRESSES: dict[str, dict[str, str | None]] = {
    "binance": {"sapi": "/sapi/v1", "fapiPublic": "/fapi/v1"},
    "bybit": {"public": ""},
    "gate": {"public": None},
}


def resting() -> Any:
    """Return a 3L without any rule, which holds 3 coins a share from a price of 100 on."""
    return desk(fund("BTC3L", 3, methodology=only(), initial_shares=Decimal(1)), free_launch=True)


@asynccontextmanager
async def pointed_at(desk_at_work: Published, venue: str) -> AsyncIterator[Any]:
    """Give the client of a venue whose addresses are ours."""
    client = getattr(ccxt, venue)({"apiKey": "none", "secret": "none"})
    base = f"http://127.0.0.1:{desk_at_work.port}/compat/{venue}"
    client.urls["api"] |= {
        name: {"spot": base} if path is None else base + path
        for name, path in ADDRESSES[venue].items()
    }
    try:
        yield client
    finally:
        await client.close()


async def test_the_client_of_binance_reads_token_and_candles(tmp_path: Path) -> None:
    async with published(tmp_path, resting(), compat=VENUES) as desk_at_work:
        await desk_at_work.price(105)
        async with pointed_at(desk_at_work, "binance") as client:
            (token,) = await client.sapiGetBlvtTokenInfo({"tokenName": "BTC3L"})
            every = await client.sapiGetBlvtTokenInfo()
            rows = await client.fapiPublicGetLvtKlines({"symbol": "BTC3L", "interval": "1m"})
            with pytest.raises(ccxt.BadSymbol):
                await client.sapiGetBlvtTokenInfo({"tokenName": "BTC9L"})
            with pytest.raises(ccxt.BadSymbol):
                await client.fapiPublicGetLvtKlines({"symbol": "BTC9L", "interval": "1m"})
    assert [one["tokenName"] for one in every] == ["BTC3L"]
    assert (token["nav"], token["realLeverage"]) == ("115", "2.739130434782608696")
    assert (token["underlying"], token["basket"]) == ("BTCUSDT", "3 BTCUSDT")
    assert token["currentBaskets"] == [{"symbol": "BTCUSDT", "amount": "3", "notionalValue": "315"}]
    assert [row[4] for row in rows] == ["115"]


async def test_the_client_of_bybit_reads_a_token(tmp_path: Path) -> None:
    async with published(tmp_path, resting(), compat=VENUES) as desk_at_work:
        await desk_at_work.price(105)
        async with pointed_at(desk_at_work, "bybit") as client:
            call = client.publicGetV5SpotLeverTokenReference
            told = (await call({"ltCoin": "BTC3L"}))["result"]
            with pytest.raises(ccxt.ExchangeError):
                await call({"ltCoin": "BTC9L"})
    assert (told["nav"], told["circulation"], told["basket"]) == ("115", "1", "3 BTCUSDT")
    assert told["navTime"] == str(NOON + 2_000)


async def test_the_client_of_gate_reads_a_token(tmp_path: Path) -> None:
    async with published(tmp_path, resting(), compat=VENUES) as desk_at_work:
        await desk_at_work.price(105)
        async with pointed_at(desk_at_work, "gate") as client:
            (ticker,) = await client.publicSpotGetTickers({"currency_pair": "BTC3L_USDT"})
            every = await client.publicSpotGetTickers()
            with pytest.raises(ccxt.ExchangeError):
                await client.publicSpotGetTickers({"currency_pair": "BTC9L_USDT"})
    assert every == [ticker]
    assert (ticker["etf_net_value"], ticker["etf_pre_net_value"]) == ("115", "100")
    assert int(ticker["etf_pre_timestamp"]) == (NOON + 1_000) // 1_000
    assert ticker["etf_leverage"] == "2.739130434782608696"


async def test_an_old_price_is_told_in_the_words_of_each_and_draws_no_candle(
    tmp_path: Path,
) -> None:
    async with published(tmp_path, resting(), compat=VENUES) as desk_at_work:
        await desk_at_work.price(105)
        read = desk_at_work.private.get
        paths = (
            "/compat/binance/sapi/v1/blvt/tokenInfo?tokenName=BTC3L",
            "/compat/bybit/v5/spot-lever-token/reference?ltCoin=BTC3L",
            "/compat/gate/spot/tickers?currency_pair=BTC3L_USDT",
        )
        candles = "/compat/binance/fapi/v1/lvtKlines?symbol=BTC3L&interval=1m"
        before = (await read(candles)).json()
        told = []
        for wait_ms in (0, 120_000):
            desk_at_work.clock.advance(wait_ms)
            await desk_at_work.quiet()
            blvt, bybit, gate = [(await read(path)).json() for path in paths]
            states = (blvt[0]["navState"], bybit["result"]["navState"], gate[0]["nav_state"])
            told.append(states)
        assert len((await read(candles)).json()) == len(before) == 1
    assert told == [("LIVE",) * 3, ("STALE",) * 3]


async def test_they_are_off_by_default_and_hide_positions_from_the_public(tmp_path: Path) -> None:
    path = "/compat/binance/sapi/v1/blvt/tokenInfo"
    off, on = tmp_path / "off", tmp_path / "on"
    off.mkdir()
    on.mkdir()
    async with published(off) as desk_at_work:
        assert (await desk_at_work.private.get(path)).status_code == 404
    async with published(on, compat=("binance",)) as desk_at_work:
        (token, _) = (await desk_at_work.public.get(path)).json()
        bybit = "/compat/bybit/v5/spot-lever-token/reference?ltCoin=BTC3L"
        assert (await desk_at_work.private.get(bybit)).status_code == 404
    assert (token["nav"], token["basket"], token["currentBaskets"]) == ("100", "", [])
