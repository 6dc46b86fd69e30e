"""Whole lists of markets and answers about accounts that others recorded, read by the real path.

ccxt and our own client, transport and reading are all in it; only the wire is a shelf of answers.
"""

from __future__ import annotations

import gzip
import json
import urllib.parse
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest

from rebalancer.clock import VirtualClock
from rebalancer.core.contract import Contract
from rebalancer.core.fund import Account
from rebalancer.core.order import OrderSide, PositionSide
from rebalancer.exchanges import contract_of
from rebalancer.venues.ccxt_client import CcxtClient
from rebalancer.venues.evidence import Evidence
from rebalancer.venues.exchange_account import ExchangeAccount
from rebalancer.venues.exchange_venue import open_with_keys
from rebalancer.venues.facts import FACTS
from rebalancer.venues.requests import order_request
from rebalancer.venues.transport import Transport
from rebalancer.venues.wire import Reply, SignedRequest
from tests.shared_data import FIXTURES, needs
from tests.unlimited import unlimited
from tests.venues.golden.recorder import Recorder, intent_of

pytestmark = needs(FIXTURES)
#: venue -> its samples, the whole list of markets that was recorded, the path that asks for it, and
#: how many linear perpetuals are in it
LISTS = {
    "binanceusdm": ("binance", "binance_fapi_exchangeInfo_2021-07", "/fapi/v1/exchangeInfo", 120),
    "okx": ("okx", "okx_instruments_SWAP_2022-05", "/api/v5/public/instruments", 126),
    "gate": ("gate", "gate_futures_usdt_contracts_2023-05", "/futures/usdt/contracts", 302),
}
KEYS = {"apiKey": "key-of-nobody", "secret": "secret-of-nobody", "password": "phrase-of-nobody"}
BTC = "BTC/USDT:USDT"
D = Decimal


class Shelf(Transport):
    """Answers each question with what was recorded for its path."""

    def __init__(self, venue_id: str) -> None:
        super().__init__(1.0)
        samples, markets, self._markets_path, _ = LISTS[venue_id]
        entries = json.loads((FIXTURES / "endpoints" / f"{samples}.json").read_text("utf-8"))
        self._answers = {
            (each["method"], each["path"]): each["response"]
            for each in reversed(entries["entries"])
        }
        with gzip.open(FIXTURES / "recorded" / f"{markets}.json.gz") as file:
            self._markets = json.load(file)["response"]

    async def send(self, request: SignedRequest) -> Reply:
        """Answer as recorded, or with nothing."""
        address = urllib.parse.urlsplit(request.url)
        path, query = address.path, dict(urllib.parse.parse_qsl(address.query))
        answer = self._answers.get((request.method, path), {})
        if "instType" in query and path.endswith("/account/positions"):
            # The samples are of futures and margin, which is not what was asked for.
            held = [row for row in answer["data"] if row["instType"] == query["instType"]]
            answer = {**answer, "data": held}
        if path.endswith(self._markets_path):
            answer = self._markets
        return Reply(Evidence(left=True, status=200, body=json.dumps(answer)), {})


@asynccontextmanager
async def reading(venue_id: str) -> AsyncIterator[tuple[CcxtClient, dict[str, Contract]]]:
    """Yield a client that has loaded the recorded markets, and their linear perpetuals."""
    exchange = open_with_keys(FACTS[venue_id], KEYS)
    client = CcxtClient(exchange, Shelf(venue_id), unlimited())
    try:
        await client.load_markets({})
        linear = [one for one in client.markets.values() if one["swap"] and one["linear"]]
        yield client, {one["symbol"]: contract_of(one, venue_id) for one in linear}
    finally:
        await client.close()


def values_in(document: Any) -> Iterator[str]:
    """Every scalar in a document, as text."""
    if isinstance(document, dict | list):
        for inner in document.values() if isinstance(document, dict) else document:
            yield from values_in(inner)
    else:
        yield str(document)


@pytest.mark.parametrize("venue_id", LISTS)
async def test_every_contract_of_a_recorded_list_is_ordered_in_one_request_to_the_digit(
    venue_id: str,
) -> None:
    facts = FACTS[venue_id]
    async with reading(venue_id) as (client, contracts):
        assert len(contracts) == LISTS[venue_id][-1]
        recorder = Recorder(facts)
        recorder.exchange.set_markets(list(client.markets.values()))
        for contract in contracts.values():
            lots = max(D(7), contract.min_amount / contract.lot)
            intent = replace(
                intent_of(contract, OrderSide.BUY, PositionSide.NET, reduce_only=False),
                contracts=contract.lot * lots,
                limit_price=contract.tick * D("12345.6"),
            )
            order = order_request(facts, intent, contract)
            requests = await recorder.record(order.call)
            (request,) = requests[-1:]
            written = {*values_in(request["body"]), *values_in(request["query"])}
            assert D(order.price) == contract.tick * 12_345, contract.symbol
            assert {str(order.amount), order.price} <= written, contract.symbol
            writes = [each for each in requests if each["method"] != "GET"]
            assert len(writes) == 1, contract.symbol
        await recorder.close()


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the samples of one venue say of an account; sizes are of BTC, in base coins."""

    equity: str
    available: str
    held: tuple[str, ...] = ()
    #: (what is still to trade, our id)
    open_orders: tuple[tuple[str, str], ...] = ()
    #: (signed size, price, fee)
    trades: tuple[tuple[str, str, str], ...] = ()
    traded_ms: int = 0


RECORDED = {
    "binanceusdm": Recorded(
        equity="23.72469206",
        available="23.72469206",
        held=("0.001",),
        open_orders=(("0.40", "abc"),),
        trades=(("-0.002", "7819.01", "-0.07819010"),),
        traded_ms=1_569_514_978_020,
    ),
    # Its samples of positions, orders and fills are of other markets than this perpetual.
    "okx": Recorded(equity="4992.890093622894", available="4834.3170936228935"),
    # Contracts of 0.0001: a position of -9440, an order with 6024 left, a trade of 100.
    "gate": Recorded(
        equity="9707.803059628301",
        available="9669.091377934145",
        held=("-0.9440",),
        open_orders=(("0.6024", "my-custom-id"),),
        trades=(("0.01", "100.123", "0.01"),),
        traded_ms=1_514_764_800_123,
    ),
}


@pytest.mark.parametrize("venue_id", RECORDED)
async def test_recorded_answers_about_an_account_are_read_to_the_digit(venue_id: str) -> None:
    told = RECORDED[venue_id]
    async with reading(venue_id) as (client, contracts):
        clock = VirtualClock(told.traded_ms + 60_000)
        account = Account(name="main", venue=venue_id)
        book = ExchangeAccount(account, client, FACTS[venue_id], contracts, clock)
        balance = await book.balance("USDT")
        assert (balance.equity, balance.available) == (D(told.equity), D(told.available))
        assert [(each.contract, each.units) for each in await book.positions()] == [
            (BTC, D(size)) for size in told.held
        ]
        orders = await book.open_orders(BTC)
        assert [(each.remaining, each.client_order_id) for each in orders] == [
            (D(left), ours) for left, ours in told.open_orders
        ]
        trades = await book.trades(BTC, told.traded_ms)
        assert [(each.units, each.price, each.fee) for each in trades] == [
            (D(size), D(price), D(fee)) for size, price, fee in told.trades
        ]
