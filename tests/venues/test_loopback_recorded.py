"""Answers recorded from the exchanges have the fields and types that the loopback venue gives.

A difference is allowed only where it is listed here with its reason.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from typing import Any

import pytest

from tests.loopback.binance.frames import told
from tests.loopback.clients import client
from tests.loopback.orders import Kind, OrderRequest, Side
from tests.loopback.presets import KEY, binance, xt
from tests.loopback.server import LoopbackVenue
from tests.loopback.settling import Move, move_price
from tests.shared_data import FIXTURES, needs

pytestmark = needs(FIXTURES)
BTC = "BTC/USDT:USDT"
#: trailing-stop orders only; the desk sends none
TRAILING = {"activatePrice", "priceRate"}


def kind(value: Any) -> str:
    """Return the JSON type of a scalar; whole and broken numbers are one."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    return "text" if isinstance(value, str) else "number"


def differences(ours: Any, theirs: Any, at: str = "") -> set[str]:
    """Return every field that only one side has, and every one whose type differs."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        found = {f"+{at}.{name}" for name in ours.keys() - theirs.keys()}
        found |= {f"-{at}.{name}" for name in theirs.keys() - ours.keys()}
        for name in ours.keys() & theirs.keys():
            found |= differences(ours[name], theirs[name], f"{at}.{name}")
        return found
    if isinstance(ours, list) and isinstance(theirs, list):
        if not ours or not theirs:
            return set()
        return differences(ours[0], theirs[0], f"{at}[]")
    if isinstance(ours, dict | list) or isinstance(theirs, dict | list):
        return {f"!{at} {type(ours).__name__} for {type(theirs).__name__}"}
    return set() if kind(ours) == kind(theirs) else {f"!{at} {kind(ours)} for {kind(theirs)}"}


def endpoint(exchange: str, method: str, path: str) -> Any:
    entries = json.loads((FIXTURES / "endpoints" / f"{exchange}.json").read_text())["entries"]
    (found,) = [e["response"] for e in entries if (e["method"], e["path"]) == (method, path)]
    return found


def zipped(name: str) -> Any:
    return json.loads(gzip.decompress((FIXTURES / "recorded" / name).read_bytes()))


@pytest.fixture
async def venue() -> AsyncIterator[LoopbackVenue]:
    async with LoopbackVenue(binance()) as running:
        yield running


@pytest.fixture
async def exchange(venue: LoopbackVenue) -> AsyncIterator[Any]:
    """A client of an account that holds, rests and was paid something."""
    async with client(venue, "binanceusdm") as opened:
        await opened.load_markets()
        await opened.create_order(BTC, "market", "buy", 0.1)
        await opened.create_order(BTC, "limit", "buy", 0.01, 49000)
        venue.fund("BTC/USDT", "0.0001")
        yield opened


#: method, path, parameters -> allowed differences
_ORDER_QUERY = {f"-.{name}" for name in TRAILING}
PRIVATE: Mapping[tuple[str, str, tuple[str, ...]], set[str]] = {
    ("GET", "/fapi/v2/account", ()): set(),
    ("GET", "/fapi/v3/account", ()): set(),
    ("GET", "/fapi/v1/accountConfig", ()): set(),
    ("GET", "/fapi/v3/balance", ()): set(),
    ("GET", "/fapi/v2/positionRisk", ()): set(),
    # The sample is v2's; the margins of v3 and the fields it dropped are as ccxt documents them.
    ("GET", "/fapi/v3/positionRisk", ()): {
        *(f"-[].{name}" for name in
          ("leverage", "maxNotionalValue", "marginType", "isAutoAddMargin")),
        *(f"+[].{name}" for name in
          ("marginAsset", "initialMargin", "maintMargin", "positionInitialMargin",
           "openOrderInitialMargin", "adl", "bidNotional", "askNotional")),
    },
    # Samples disagree with each other: ids appear as numbers and as texts.
    ("GET", "/fapi/v1/income", ("symbol",)): {"![].tranId number for text"},
    ("GET", "/fapi/v1/openOrders", ("symbol",)): {f"-[].{name}" for name in TRAILING},
    ("GET", "/fapi/v1/allOrders", ("symbol",)): {f"-[].{name}" for name in TRAILING},
    ("GET", "/fapi/v1/userTrades", ("symbol",)): set(),
    ("GET", "/fapi/v1/commissionRate", ("symbol",)): set(),
    ("GET", "/fapi/v1/rateLimit/order", ()): set(),
    # Appears only where the user's own bracket was adjusted.
    ("GET", "/fapi/v1/leverageBracket", ()): {"-[].notionalCoef"},
    # Answers of the venue that were made public (ccxt/ccxt#24256) have a bool, as its own client
    # demands; the sample is of older documentation.
    ("GET", "/fapi/v1/symbolConfig", ()): {"![].isAutoAddMargin bool for text"},
    ("GET", "/fapi/v1/multiAssetsMargin", ()): set(),
    ("POST", "/fapi/v1/leverage", ("symbol", "leverage")): set(),
    ("POST", "/fapi/v1/listenKey", ()): set(),
}  # fmt: skip


@pytest.mark.parametrize("route", PRIVATE, ids=lambda route: f"{route[0]} {route[1]}")
async def test_private_answers(exchange: Any, route: tuple[str, str, tuple[str, ...]]):
    method, path, names = route
    values = {"symbol": "BTCUSDT", "leverage": 10}
    section = {"v1": "fapiPrivate", "v2": "fapiPrivateV2", "v3": "fapiPrivateV3"}
    version, _, tail = path.removeprefix("/fapi/").partition("/")
    ours = await exchange.request(tail, [section[version], method.lower()], method,
                                  {name: values[name] for name in names})  # fmt: skip
    theirs = endpoint("binance", method, path)
    assert differences(ours, theirs) == PRIVATE[route]


async def test_order_answers(exchange: Any):
    wish = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
            "quantity": "0.01", "price": "49000", "newClientOrderId": "rgolden"}  # fmt: skip
    placed = await exchange.fapiPrivatePostOrder(wish)
    assert differences(placed, endpoint("binance", "POST", "/fapi/v1/order")) == _ORDER_QUERY
    name = {"symbol": "BTCUSDT", "origClientOrderId": "rgolden"}
    found = await exchange.fapiPrivateGetOrder(name)
    assert differences(found, endpoint("binance", "GET", "/fapi/v1/order")) == _ORDER_QUERY
    gone = await exchange.fapiPrivateDeleteOrder(name)
    assert differences(gone, endpoint("binance", "DELETE", "/fapi/v1/order")) == _ORDER_QUERY
    batch = await exchange.fapiPrivatePostBatchOrders({"batchOrders": [wish]})
    allowed = {*(f"-[].{name}" for name in TRAILING), "+[].closePosition"}
    assert differences(batch, endpoint("binance", "POST", "/fapi/v1/batchOrders")) == allowed


PUBLIC = {
    "/fapi/v1/time": set(),
    "/fapi/v1/premiumIndex?symbol=BTCUSDT": set(),
    "/fapi/v1/ticker/bookTicker?symbol=BTCUSDT": set(),
    "/fapi/v2/ticker/price?symbol=BTCUSDT": set(),
    "/fapi/v1/ticker/24hr?symbol=BTCUSDT": set(),
    "/fapi/v1/depth?symbol=BTCUSDT&limit=5": set(),
    "/fapi/v1/klines?symbol=BTCUSDT&interval=1m": set(),
    "/fapi/v1/fundingRate?symbol=BTCUSDT": set(),
    # A field that the newest answers have, see the other recording of the same route.
    "/fapi/v1/fundingInfo": {"+[].updateTime"},
}


@pytest.mark.parametrize("address", PUBLIC)
async def test_public_answers(venue: LoopbackVenue, exchange: Any, address: str):
    path = address.partition("?")[0]
    ours = await exchange.fetch(venue.rest + address)
    assert differences(ours, endpoint("binance", "GET", path)) == PUBLIC[address]


async def test_exchange_info_has_the_fields_of_the_newest_recording(
    venue: LoopbackVenue, exchange: Any
):
    routes = zipped("binance_fapi_gocryptotrader.json.gz")["routes"]
    theirs = routes["/fapi/v1/exchangeInfo"]["GET"][0]["data"]
    ours = await exchange.fapiPublicGetExchangeInfo()
    assert differences(ours, theirs) == set()

    def filters(info: Any) -> dict[str, Any]:
        return {each["filterType"]: each for each in info["symbols"][0]["filters"]}

    assert differences(filters(ours), filters(theirs)) == set()


def loose(document: Any) -> Any:
    """Return a document whose numbers are texts: ccxt's recordings quote every number."""
    if isinstance(document, dict):
        return {name: loose(value) for name, value in document.items()}
    if isinstance(document, list):
        return [loose(value) for value in document]
    return str(document) if kind(document) == "number" else document


def nulls(found: set[str]) -> set[str]:
    """Leave out fields that are null on one side: their type is not known."""
    return {each for each in found if "null" not in each}


@pytest.fixture
async def xt_client() -> AsyncIterator[Any]:
    """A client of an XT account that holds, rests and was paid something."""
    async with LoopbackVenue(xt()) as running, client(running, "xt") as opened:
        await opened.load_markets()
        await opened.create_order(BTC, "market", "buy", 100)
        await opened.create_order(BTC, "limit", "buy", 100, 49000)
        running.fund("BTC/USDT", "0.0001")
        yield opened


def xt_static(method: str) -> Any:
    document = json.loads((FIXTURES / "recorded" / "xt_ccxt_static.json").read_text())
    return document["methods"][method][0]["httpResponse"]


async def test_xt_symbols_orders_and_trades(xt_client: Any):
    static = json.loads((FIXTURES / "recorded" / "xt_ccxt_static.json").read_text())
    listed = await xt_client.publicLinearGetFutureMarketV1PublicSymbolList()
    theirs = loose(static["symbol_list_result"])
    assert nulls(differences(loose(listed["result"]), theirs)) == set()
    asked = {"symbol": "btc_usdt", "state": "UNFINISHED"}
    found = await xt_client.privateLinearGetFutureTradeV1OrderList(asked)
    theirs = xt_static("fetchOpenOrders")
    # The pages of open orders carry no page number.
    assert nulls(differences(loose(found), theirs)) == set()
    found = await xt_client.privateLinearGetFutureTradeV1OrderTradeList({"symbol": "btc_usdt"})
    assert nulls(differences(loose(found), xt_static("fetchMyTrades"))) == set()
    wish = {"symbol": "btc_usdt", "orderSide": "BUY", "positionSide": "LONG",
            "orderType": "MARKET", "origQty": "100"}  # fmt: skip
    placed = await xt_client.privateLinearPostFutureTradeV1OrderCreate(wish)
    assert differences(loose(placed), xt_static("createOrder")) == set()


_EXTRA_OF_ORDERS = {
    f"+.result.items[].{name}"
    for name in (
        "contractSize", "positionType", "remark", "sourceType", "leverage", "openPrice",
        "updatedTime", "welfareAccount", "triggerPriceType", "profitDelegateOrderType",
        "profitDelegateTimeInForce", "profitDelegatePrice", "stopDelegateOrderType",
        "stopDelegateTimeInForce", "stopDelegatePrice", "markPrice", "profit",
    )
}  # fmt: skip
#: path, parameters, allowed differences: the samples are documentation, older than the recordings
XT_SAMPLES: Mapping[str, tuple[dict[str, str], set[str]]] = {
    "/future/user/v1/balance/list": ({}, set()),
    "/future/user/v1/balance/funding-rate-list": ({"symbol": "btc_usdt"}, set()),
    "/future/user/v1/account/info": ({}, set()),
    "/future/user/v1/position/list": (
        {},
        {"+.result[].contractType", "+.result[].openOrderSize", "+.result[].markPrice"},
    ),
    "/future/user/v1/position/break-list": ({}, set()),
    "/future/trade/v1/order/list-history": ({}, _EXTRA_OF_ORDERS),
    "/future/market/v1/public/q/ticker": ({"symbol": "btc_usdt"}, set()),
    "/future/market/v1/public/q/agg-ticker": ({"symbol": "btc_usdt"}, set()),
    "/future/market/v1/public/q/ticker/book": ({"symbol": "btc_usdt"}, set()),
    "/future/market/v1/public/q/index-price": ({}, set()),
    "/future/market/v1/public/q/kline": ({"symbol": "btc_usdt", "interval": "1m"}, set()),
    "/future/market/v1/public/q/funding-rate": ({"symbol": "btc_usdt"}, set()),
    "/future/market/v1/public/q/funding-rate-record": ({"symbol": "btc_usdt"}, set()),
    "/future/market/v1/public/leverage/bracket/detail": ({"symbol": "btc_usdt"}, set()),
}


@pytest.mark.parametrize("path", XT_SAMPLES)
async def test_xt_answers(xt_client: Any, path: str):
    params, allowed = XT_SAMPLES[path]
    access = "public" if "/public/" in path else "private"
    ours = await xt_client.request(path.lstrip("/"), [access, "linear"], "GET", params)
    theirs = endpoint("xt", "GET", path)
    theirs["error"] = None
    assert nulls(differences(loose(ours), loose(theirs))) == allowed


def nautilus(name: str) -> Any:
    files = json.loads((FIXTURES / "recorded" / "nautilus_binance.json").read_text())["files"]
    return files[name]


class Listener:
    """A stream, as far as the protocol looks at it."""

    def __init__(self, *topics: str) -> None:
        self.path = "/ws"
        self.query: Mapping[str, str] = {}
        self.topics = set(topics)


def test_market_frames():
    core = binance().core
    listener = Listener("btcusdt@markPrice", "btcusdt@bookTicker", "btcusdt@ticker")
    move_price(core, Move(at_ms=1, instrument="BTC/USDT", last=core.instruments["BTC/USDT"].last))
    (priced,) = core.take_outbox()
    frames = {frame["e"]: frame for frame in told(core, listener, priced, 1)}
    recordings = {
        "markPriceUpdate": ("mark_price_stream", {"-.st"}),
        "bookTicker": ("book_ticker_stream", {"-.st", "-.ps"}),
        "24hrTicker": ("ticker_stream", {"-.st"}),
    }  # `st` and `ps` are newer than ccxt's reading of these frames
    for event, (name, allowed) in recordings.items():
        theirs = nautilus(f"market_data_json/{name}.json")
        assert differences(frames[event], theirs) == allowed


def test_private_frames():
    core = binance().core
    account = core.accounts[KEY]
    wish = OrderRequest(
        instrument="BTC/USDT", side=Side.BUY, contracts=Decimal("0.1"), kind=Kind.MARKET
    )
    core.place(account, wish, 1)
    listener = Listener("account:demo")
    frames = [frame for each in core.take_outbox() for frame in told(core, listener, each, 1)]
    assert [frame["e"] for frame in frames] == [
        "ORDER_TRADE_UPDATE",
        "ACCOUNT_UPDATE",
        "ORDER_TRADE_UPDATE",
    ]
    theirs = nautilus("user_data_json/order_update_trade.json")
    # only with a trailing stop; newer than the recording
    allowed = {"-.o.AP", "-.o.cr", "+.o.pm", "+.o.gtd"}
    assert differences(frames[2], theirs) == allowed
    theirs = nautilus("user_data_json/account_update.json")
    assert differences(frames[1], theirs) == set()
