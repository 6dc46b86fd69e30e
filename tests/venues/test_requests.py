"""Requests: one of our orders is exactly one HTTP request, the same in every run."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalancer.core.order import OrderSide, PositionSide
from rebalancer.errors import BrokenInvariant
from rebalancer.exchanges import open_exchange
from rebalancer.venues.facts import FACTS
from rebalancer.venues.requests import limit_price, named, order_request
from tests.venues.golden.markets import contracts_of, markets_of
from tests.venues.golden.recorder import Recorder, as_text, file_of, intent_of, requests_of

D = Decimal
BUY, SELL = OrderSide.BUY, OrderSide.SELL
NET, LONG, SHORT = PositionSide.NET, PositionSide.LONG, PositionSide.SHORT


@pytest.mark.parametrize("venue_id", FACTS)
def test_every_call_is_one_request_and_the_golden_one(venue_id: str) -> None:
    requests = asyncio.run(requests_of(venue_id))
    assert {what: len(written) for what, written in requests.items()} == dict.fromkeys(requests, 1)
    golden = file_of(venue_id).read_text(encoding="utf-8")
    assert as_text(requests) == golden, "python -m tests.venues.golden --write, then read the diff"


def body_of(venue_id: str, what: str) -> Any:
    return json.loads(file_of(venue_id).read_text(encoding="utf-8"))[what]["body"]


@pytest.mark.parametrize(
    ("venue_id", "what", "fields"),
    [
        # A long book is closed by a sell that names it; a plain sell would open a short one.
        ("xt", "close long, long book", {"orderSide": "SELL", "positionSide": "LONG"}),
        ("xt", "close short, short book", {"orderSide": "BUY", "positionSide": "SHORT"}),
        ("xt", "open short, short book", {"orderSide": "SELL", "positionSide": "SHORT"}),
        ("xt", "open long, long book", {"origQty": "7", "timeInForce": "IOC"}),
        # 1 open long, 2 close short, 3 open short, 4 close long; type 3 is IOC.
        ("mexc", "open long, long book", {"side": 1, "type": 3, "positionMode": 1}),
        ("mexc", "close short, short book", {"side": 2, "type": 3, "positionMode": 1}),
        ("mexc", "open short, short book", {"side": 3, "type": 3, "openType": 2}),
        ("mexc", "close long, long book", {"side": 4, "type": 3, "openType": 2}),
        ("gate", "close long, net book", {"size": -7, "reduce_only": True, "tif": "ioc"}),
        ("gate", "close short, net book", {"size": 7, "reduce_only": True, "tif": "ioc"}),
        ("gate", "open long, net book", {"text": "t-r7yh6dr5r0w2pwz0x7l239t9c1"}),
        ("kucoinfutures", "open long, net book", {"marginMode": "CROSS", "leverage": 5, "size": 7}),
        ("bitget", "close long, long book", {"side": "buy", "tradeSide": "Close"}),
        ("bitget", "open short, short book", {"side": "sell", "tradeSide": "Open"}),
        ("bitget", "close long, net book", {"side": "sell", "reduceOnly": "YES"}),
        ("bybit", "close short, short book", {"positionIdx": 2, "reduceOnly": True}),
        ("binanceusdm", "close long, net book", {"reduceOnly": "true", "timeInForce": "IOC"}),
        ("binanceusdm", "close long, long book", {"positionSide": "LONG", "side": "SELL"}),
    ],
)
def test_what_must_be_right_in_a_request(venue_id: str, what: str, fields: dict[str, Any]) -> None:
    body = body_of(venue_id, what)
    assert {name: body[name] for name in fields} == fields


def test_okx_takes_one_order_as_a_batch_with_letters_and_digits_for_an_id() -> None:
    golden = json.loads(file_of("okx").read_text(encoding="utf-8"))["close short, net book"]
    (order,) = golden["body"]
    assert golden["path"] == "/api/v5/trade/batch-orders"
    assert order["clOrdId"].isalnum()
    assert (order["ordType"], order["tdMode"], order["reduceOnly"]) == ("ioc", "cross", True)


def test_hyperliquid_takes_hex_and_no_builder() -> None:
    action = body_of("hyperliquid", "open long, net book")["action"]
    assert "builder" not in action
    (order,) = action["orders"]
    assert order["c"].startswith("0x")
    assert order["t"] == {"limit": {"tif": "Ioc"}}


def test_binance_sends_no_reduce_only_into_a_hedge_book() -> None:
    assert "reduceOnly" not in body_of("binanceusdm", "close long, long book")
    assert "reduceOnly" not in body_of("okx", "close long, long book")[0]


@pytest.mark.parametrize("venue_id", ["bybit", "gate", "bitget", "kucoinfutures", "hyperliquid"])
async def test_without_the_presets_ccxt_asks_or_writes_something_first(venue_id: str) -> None:
    facts = FACTS[venue_id]
    contract, _ = contracts_of(venue_id)
    request = order_request(facts, intent_of(contract, BUY, NET, reduce_only=False), contract)
    bare = dataclasses.replace(facts, presets={}, silenced=())
    recorder = Recorder(bare)
    try:
        assert len(await recorder.record(request.call)) > 1
    finally:
        await recorder.close()


@pytest.mark.parametrize("venue_id", FACTS)
@given(
    limit=st.decimals("0.5", "200000", places=7, allow_nan=False),
    side=st.sampled_from(OrderSide),
    which=st.sampled_from([0, 1]),
)
def test_a_limit_is_never_beyond_the_collar_and_ccxt_leaves_it_alone(
    venue_id: str, limit: Decimal, side: OrderSide, which: int
) -> None:
    contract = contracts_of(venue_id)[which]
    book = NET if NET in FACTS[venue_id].spelling.books else LONG
    intent = dataclasses.replace(
        intent_of(contract, side, book, reduce_only=book is LONG and side is SELL),
        limit_price=limit,
    )
    if side is BUY and limit < contract.tick:
        with pytest.raises(BrokenInvariant, match="under one tick"):
            order_request(FACTS[venue_id], intent, contract)
        return
    price = D(order_request(FACTS[venue_id], intent, contract).price)
    assert price <= limit if side is BUY else price >= limit
    assert abs(price - limit) < max(contract.tick, limit / 10_000)
    assert D(EXCHANGES[venue_id].price_to_precision(contract.symbol, format(price, "f"))) == price


def _exchange(venue_id: str) -> Any:
    exchange = open_exchange(venue_id)
    exchange.set_markets(markets_of(venue_id))
    return exchange


EXCHANGES = {venue_id: _exchange(venue_id) for venue_id in FACTS}


@pytest.mark.parametrize(
    ("limit", "side", "price"),
    [
        ("87654.37", BUY, "87654"),
        ("87654.37", SELL, "87655"),
        ("123456", BUY, "123456"),
        ("1234.56", BUY, "1234.5"),
        ("1234.56", SELL, "1234.6"),
        ("0.00123456", BUY, "0.001234"),
        ("99999.5", SELL, "100000"),
    ],
)
def test_hyperliquid_prices_have_five_digits_or_are_whole(
    limit: str, side: OrderSide, price: str
) -> None:
    contract = dataclasses.replace(contracts_of("hyperliquid")[0], tick=D("0.000001"))
    intent = intent_of(contract, side, NET, reduce_only=False)
    intent = dataclasses.replace(intent, limit_price=D(limit))
    assert limit_price(FACTS["hyperliquid"].spelling, intent, contract) == D(price)


@pytest.mark.parametrize(
    ("venue_id", "side", "book", "reduce_only", "reason"),
    [
        ("xt", BUY, NET, False, "xt has no net book"),
        ("hyperliquid", BUY, LONG, False, "hyperliquid has no long book"),
        ("binanceusdm", SELL, LONG, False, "sell on the long book with reduce_only=False"),
        ("binanceusdm", BUY, LONG, True, "buy on the long book with reduce_only=True"),
        ("okx", BUY, SHORT, False, "buy on the short book with reduce_only=False"),
    ],
)
def test_an_intent_that_does_not_fit_the_books_is_refused(
    venue_id: str, side: OrderSide, book: PositionSide, reduce_only: bool, reason: str
) -> None:
    contract, _ = contracts_of(venue_id)
    intent = intent_of(contract, side, book, reduce_only=reduce_only)
    with pytest.raises(BrokenInvariant, match=reason):
        order_request(FACTS[venue_id], intent, contract)


def test_an_intent_that_does_not_fit_the_contract_is_refused() -> None:
    facts = FACTS["kucoinfutures"]
    contract, other = contracts_of("kucoinfutures")
    intent = intent_of(contract, BUY, NET, reduce_only=False)
    with pytest.raises(BrokenInvariant, match="two symbols"):
        order_request(facts, intent, other)
    for contracts, reason in (("0", "order of 0"), ("1.5", "no whole lot")):
        odd = dataclasses.replace(intent, contracts=D(contracts))
        with pytest.raises(BrokenInvariant, match=reason):
            order_request(facts, odd, contract)
    finer = dataclasses.replace(contract, lot=D("0.5"))
    with pytest.raises(BrokenInvariant, match="no whole contract"):
        order_request(facts, dataclasses.replace(intent, contracts=D("1.5")), finer)


def test_leverage_goes_only_where_an_order_carries_it() -> None:
    for venue_id, facts in FACTS.items():
        contract, _ = contracts_of(venue_id)
        book = NET if NET in facts.spelling.books else LONG
        intent = intent_of(contract, BUY, book, reduce_only=False)
        params = order_request(facts, intent, contract, leverage=3).params
        assert ("leverage" in params) == (venue_id == "kucoinfutures")
        assert "leverage" not in order_request(facts, intent, contract).params


def test_xt_cannot_be_told_to_cancel_an_order_whose_id_is_not_known() -> None:
    facts = FACTS["xt"]
    ours = "r7yh6dr5r0w2pwz0x7l239t9c1"
    order = named(facts, "BTC/USDT:USDT", "btc_usdt", ours)
    assert facts.cancel(order) is None
    known = facts.cancel(dataclasses.replace(order, order_id="9"))
    assert known is not None
    assert known.arguments == ("9", "BTC/USDT:USDT")
