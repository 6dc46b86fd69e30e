"""Accounts at Bybit, KuCoin Futures and Hyperliquid as others recorded them, read to the digit.

Their lists of markets were not recorded whole: what each file has of them is enough to read by.
"""

from __future__ import annotations

import gzip
import json
import urllib.parse
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from rebalancer.clock import VirtualClock
from rebalancer.core.fund import Account
from rebalancer.core.instant import DAY_MS
from rebalancer.core.order import OrderSide
from rebalancer.exchanges import contract_of
from rebalancer.venues import exchange_account
from rebalancer.venues.ccxt_client import CcxtClient
from rebalancer.venues.evidence import Evidence
from rebalancer.venues.exchange_account import ExchangeAccount
from rebalancer.venues.exchange_venue import open_with_keys
from rebalancer.venues.facts import FACTS
from rebalancer.venues.transport import Transport
from rebalancer.venues.wire import Reply, SignedRequest
from tests.shared_data import FIXTURES, needs
from tests.unlimited import unlimited
from tests.venues.test_spoken_accounts import KEYS

D = Decimal
pytestmark = needs(FIXTURES)


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_account, "EMPTY_AGAIN_SECONDS", 0.01)


class Recorded(Transport):
    """Answers each question with what was recorded for it: its path, or what its body asks for."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        super().__init__(1.0)
        self._answers = answers

    async def send(self, request: SignedRequest) -> Reply:
        """Answer as recorded, or with nothing."""
        path = urllib.parse.urlsplit(request.url).path
        name = json.loads(request.body)["type"] if path == "/info" and request.body else path
        body = json.dumps(self._answers.get(name, {}))
        return Reply(Evidence(left=True, status=200, body=body), {})


@asynccontextmanager
async def account(
    venue_id: str, answers: Mapping[str, Any], now_ms: int = 0
) -> AsyncIterator[ExchangeAccount]:
    """Yield what reads the account at an instant, through the contracts of the recording."""
    facts = FACTS[venue_id]
    exchange = open_with_keys(facts, KEYS)
    client = CcxtClient(exchange, Recorded(answers), unlimited())
    try:
        await client.load_markets({})
        linear = [one for one in client.markets.values() if one["swap"] and one["linear"]]
        contracts = {one["symbol"]: contract_of(one, venue_id) for one in linear}
        config = Account(name="main", venue=venue_id)
        yield ExchangeAccount(config, client, facts, contracts, VirtualClock(now_ms))
    finally:
        await client.close()


def samples(venue_id: str) -> dict[str, Any]:
    """Return the documented answer of each path of reading, the first of several."""
    told = json.loads((FIXTURES / "endpoints" / f"{venue_id}.json").read_text("utf-8"))
    return {
        each["path"]: each["response"]
        for each in reversed(told["entries"])
        if each["method"] == "GET"
    }


def of_bybit() -> dict[str, Any]:
    """What one project keeps of Bybit: a wallet, two positions, two open orders, two trades."""
    files = json.loads((FIXTURES / "recorded" / "nautilus_bybit.json").read_text("utf-8"))["files"]
    trades = files["http_get_executions.json"]
    trades["result"]["nextPageCursor"] = ""
    # Left out of this one file; without it ccxt does not take them for linear.
    files["http_get_instruments_linear.json"]["result"]["category"] = "linear"
    return {
        "/v5/market/instruments-info": files["http_get_instruments_linear.json"],
        "/v5/account/wallet-balance": files["http_get_wallet_balance.json"],
        "/v5/account/info": files["http_get_account_info.json"],
        "/v5/position/list": files["http_get_positions.json"],
        "/v5/order/realtime": files["http_get_orders_realtime.json"],
        "/v5/execution/list": trades,
    }


def of_hyperliquid() -> dict[str, Any]:
    """What the venue's own SDK recorded: an account of twelve positions, orders and payments."""
    with gzip.open(FIXTURES / "recorded" / "hyperliquid_sdk_cassettes.json.gz") as file:
        recorded = json.load(file)["interactions"]
    found = {
        each["request"]["type"]: each["response"]
        for each in (each for several in recorded.values() for each in several)
    }
    # The list of contracts was recorded without its prices.
    prices = [{"markPx": "100.0", "midPx": "100.0"} for _ in found["meta"]["universe"]]
    payments = next(
        each["response"]
        for each in recorded["test_user_funding_history_with_end_time"]
        if each["request"]["type"] == "userFunding"
    )
    return found | {"metaAndAssetCtxs": [found["meta"], prices], "userFunding": payments}


async def test_an_account_at_bybit_is_read_to_the_digit() -> None:
    async with account("bybit", of_bybit(), now_ms=1_672_282_900_000) as book:
        balance = await book.balance("USDT")
        # A wallet of 1000.50, and two positions that won 250 each.
        assert (balance.equity, balance.available) == (D("1500.50"), D("1000.50"))
        held = {each.contract: each for each in await book.positions()}
        assert {name: each.units for name, each in held.items()} == {
            "BTC/USDT:USDT": D("0.5"),
            "ETH/USDT:USDT": D("-5.0"),
        }
        assert held["ETH/USDT:USDT"].liquidation_distance == (3500 - D(2950)) / 2950
        assert (await book.margin_modes())["BTC/USDT:USDT"] == "cross"
        orders = await book.open_orders("ETH/USDT:USDT")
        assert [(each.client_order_id, each.side, each.remaining) for each in orders] == [
            ("client-open-1", OrderSide.BUY, D("0.010")),
            ("client-open-2", OrderSide.SELL, D("0.010")),
        ]
        trades = await book.trades("ETH/USDT:USDT", 1_672_282_800_000)
        assert {(each.units, each.price, each.fee) for each in trades} == {
            (D("-0.500"), D("3000.00"), D("0.9000"))
        }


async def test_an_account_at_kucoinfutures_is_read_to_the_digit() -> None:
    recorded = samples("kucoinfutures")
    # What ccxt asks besides where there are keys, of which there is no sample.
    for path in (
        "/api/v3/margin/symbols",
        "/api/v1/isolated/symbols",
        "/api/v1/hf/accounts/opened",
    ):
        recorded[path] = {"code": "200000", "data": {}}
    async with account("kucoinfutures", recorded) as book:
        # The sample is of a wallet in bitcoin.
        balance = await book.balance("BTC")
        assert (balance.equity, balance.available) == (D("99.8999305281"), D("99.8999305281"))
        (held,) = await book.positions()
        assert (held.contract, held.units) == ("BTC/USDT:USDT", D("0.001"))
        assert (held.entry_price, held.mark_price) == (D("40008.0"), D("40014.93"))
        assert (held.initial_margin, held.unrealized) == (D("8.0016"), D("0.00693"))
        assert (held.margin_mode, held.leverage) == ("isolated", D("5.0"))


async def test_an_account_at_hyperliquid_is_read_to_the_digit() -> None:
    recorded = of_hyperliquid()
    paid = [each for each in recorded["userFunding"] if each["delta"]["coin"] == "APE"]
    since_ms = min(each["time"] for each in paid)
    async with account("hyperliquid", recorded, now_ms=since_ms + DAY_MS) as book:
        balance = await book.balance("USDC")
        assert (balance.equity, balance.available) == (D("1182.312496"), D("1010.57173"))
        held = {each.contract: each for each in await book.positions()}
        rows = [row["position"] for row in recorded["clearinghouseState"]["assetPositions"]]
        assert {name: each.units for name, each in held.items()} == {
            f"{row['coin']}/USDC:USDC": D(row["szi"]) for row in rows
        }
        btc, eth = held["BTC/USDC:USDC"], held["ETH/USDC:USDC"]
        assert (btc.liquidation_price, btc.unrealized) == (D("173198.69592357"), D("-0.08007"))
        # A mark is what the position is worth through its size.
        assert btc.mark_price == D("26961.2")
        assert (eth.liquidation_price, eth.leverage, eth.margin_mode) == (None, D(20), "cross")
        orders = await book.open_orders("INJ/USDC:USDC")
        assert {(each.order_id, each.side, each.remaining) for each in orders} == {
            ("3184595905", OrderSide.BUY, D("12.5")),
            ("3184595906", OrderSide.SELL, D("12.5")),
            ("3184595907", OrderSide.SELL, D("12.5")),
        }
        assert {
            (each.at_ms, each.amount) for each in await book.funding("APE/USDC:USDC", since_ms)
        } == {(each["time"], D(each["delta"]["usdc"])) for each in paid}
