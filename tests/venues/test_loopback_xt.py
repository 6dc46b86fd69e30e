"""The unmodified ccxt client trades on the loopback venue's XT protocol."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
import ccxt
import pytest

from tests.loopback.clients import client
from tests.loopback.faults import Fault, Shape, Taken
from tests.loopback.instruments import Depth, Listing
from tests.loopback.presets import KEY, xt
from tests.loopback.server import LoopbackVenue
from tests.loopback.xt.budget import LOCK_MS, Budget

BTC, LTC = "BTC/USDT:USDT", "LTC/USDT:USDT"
D = Decimal
SOON_S = 20


@pytest.fixture
async def venue() -> AsyncIterator[LoopbackVenue]:
    async with LoopbackVenue(xt(), beat_ms=50) as running:
        yield running


@pytest.fixture
async def exchange(venue: LoopbackVenue) -> AsyncIterator[Any]:
    async with client(venue, "xt") as opened:
        await opened.load_markets()
        yield opened


async def ioc(exchange: Any, side: str, contracts: int, price: float, **params: Any) -> Any:
    return await exchange.create_order(
        BTC, "limit", side, contracts, price, {"timeInForce": "IOC", **params}
    )


async def soon(work: Any) -> Any:
    async with asyncio.timeout(SOON_S):
        return await work


async def test_markets_are_counted_in_contracts(venue: LoopbackVenue, exchange: Any):
    assert exchange.symbols == ["ADA/USDT:USDT", BTC, "ETH/USDT:USDT", LTC]
    market = exchange.market(BTC)
    assert (market["contractSize"], market["precision"]["amount"]) == (0.0001, 1.0)
    assert (market["active"], market["linear"]) == (True, True)
    assert sorted(call.path for call in venue.calls) == [
        "/dapi/future/market/v1/public/symbol/list",
        "/fapi/future/market/v1/public/symbol/list",
        "/sapi/v4/public/symbol",
    ]


async def test_an_order_is_one_request_answered_with_an_id_alone(
    venue: LoopbackVenue, exchange: Any
):
    before = len(venue.calls)
    order = await ioc(exchange, "buy", 20, 50010, clientOrderId="rone")
    assert len(venue.calls) == before + 1
    assert (order["id"], order["status"], order["filled"]) == (order["id"], None, None)
    sent = venue.calls[-1].document
    assert (sent["origQty"], sent["positionSide"], sent["clientOrderId"]) == ("20", "LONG", "rone")
    found = await exchange.fetch_order(order["id"], BTC)
    assert (found["status"], found["clientOrderId"]) == ("closed", "rone")
    assert found["filled"] == pytest.approx(20 * 0.0001), "ccxt: base coins, we sent contracts"
    assert found["info"]["executedQty"] == "20"


async def test_a_client_id_is_found_only_by_sweeping_the_states(exchange: Any):
    await ioc(exchange, "buy", 20, 50010, clientOrderId="rone")
    listed = exchange.privateLinearGetFutureTradeV1OrderList
    unsaid = await listed({"clientOrderId": "rone"})
    assert unsaid["result"]["items"] == [], "without a state only new orders are looked at"
    (found,) = (await listed({"clientOrderId": "rone", "state": "FILLED"}))["result"]["items"]
    assert found["clientOrderId"] == "rone"
    history = await listed({"clientOrderId": "rone", "state": "HISTORY"})
    assert history["result"]["total"] == 1


async def test_a_client_id_protects_nothing(venue: LoopbackVenue, exchange: Any):
    for _ in range(2):
        await exchange.create_order(BTC, "limit", "buy", 20, 49000, {"clientOrderId": "rtwice"})
    assert len(venue.core.accounts[KEY].open_ids) == 2


async def test_a_plain_sell_opens_a_short_beside_the_long(exchange: Any):
    await ioc(exchange, "buy", 20, 50010)
    await ioc(exchange, "sell", 5, 49990)
    sizes = {each["side"]: each["contracts"] for each in await exchange.fetch_positions()}
    assert sizes == {"long": 20.0, "short": 5.0}
    await ioc(exchange, "sell", 20, 49990, reduceOnly=True)
    sizes = {each["side"]: each["contracts"] for each in await exchange.fetch_positions()}
    assert sizes == {"long": 0.0, "short": 5.0}, "an empty book is still listed"
    with pytest.raises(ccxt.ExchangeError, match="position_not_enough"):
        await ioc(exchange, "sell", 1, 49990, reduceOnly=True)


async def test_partial_ioc(venue: LoopbackVenue, exchange: Any):
    venue.core.instruments["BTC/USDT"].depth = Depth(contracts=D(7), levels=2)
    order = await ioc(exchange, "buy", 20, 50010)
    found = await exchange.fetch_order(order["id"], BTC)
    assert (found["info"]["state"], found["info"]["executedQty"]) == ("PARTIALLY_CANCELED", "14")
    empty = await ioc(exchange, "buy", 20, 49000)
    assert (await exchange.fetch_order(empty["id"], BTC))["info"]["state"] == "EXPIRED"


async def test_lists_of_orders_and_trades(exchange: Any):
    resting = await exchange.create_order(LTC, "limit", "buy", 3, 85)
    await exchange.create_order(LTC, "market", "buy", 2)
    assert [each["id"] for each in await exchange.fetch_open_orders(LTC)] == [resting["id"]]
    (closed,) = await exchange.fetch_closed_orders(LTC)
    assert closed["amount"] == pytest.approx(0.2)
    (trade,) = await exchange.fetch_my_trades(LTC)
    assert (trade["amount"], trade["side"], trade["takerOrMaker"]) == (0.2, None, "taker")
    assert trade["fee"]["cost"] == pytest.approx(0.2 * 90.01 * 0.0006)
    await exchange.cancel_order(resting["id"], LTC)
    (gone,) = await exchange.fetch_canceled_orders(LTC)
    assert gone["id"] == resting["id"]
    with pytest.raises(ccxt.ExchangeError, match="order_not_exist"):
        await exchange.cancel_order(resting["id"], LTC)
    with pytest.raises(ccxt.ExchangeError, match="order_not_exist"):
        await exchange.fetch_order("123", LTC)
    await exchange.create_order(LTC, "limit", "buy", 3, 85)
    await exchange.cancel_all_orders(LTC)
    assert await exchange.fetch_open_orders(LTC) == []


async def test_balance_positions_and_funding(venue: LoopbackVenue, exchange: Any):
    await ioc(exchange, "buy", 1000, 50010)
    balance = await exchange.fetch_balance()
    fee = 0.1 * 50000.1 * 0.0006
    assert balance["USDT"]["total"] == pytest.approx(100_000 - fee)
    assert balance["USDT"]["used"] == pytest.approx(0.1 * 50000 / 20)
    (position,) = await exchange.fetch_positions()
    assert (position["contracts"], position["contractSize"]) == (1000.0, 0.0001)
    assert (position["entryPrice"], position["markPrice"]) == (50000.1, 50000.0)
    venue.fund("BTC/USDT", "0.0002")
    (paid,) = await exchange.fetch_funding_history(BTC)
    assert paid["amount"] == pytest.approx(-0.1 * 50000 * 0.0002)
    (settled,) = await exchange.fetch_funding_rate_history(BTC)
    assert settled["fundingRate"] == 0.0002
    assert (await exchange.fetch_funding_rate(BTC))["fundingRate"] == 0.0002


async def test_leverage_and_margin_belong_to_a_book(exchange: Any):
    await exchange.set_leverage(7, BTC, {"positionSide": "LONG"})
    await exchange.set_margin_mode("isolated", BTC, {"positionSide": "LONG"})
    await ioc(exchange, "buy", 20, 50010)
    await ioc(exchange, "sell", 20, 49990)
    modes = {
        each["side"]: (each["leverage"], each["marginMode"])
        for each in await exchange.fetch_positions()
    }
    assert modes == {"long": (7, "isolated"), "short": (20, "cross")}
    with pytest.raises(ccxt.ExchangeError, match="exist_positions"):
        await exchange.set_margin_mode("cross", BTC, {"positionSide": "LONG"})


async def test_prices_by_every_route(venue: LoopbackVenue, exchange: Any):
    venue.price("BTC/USDT", "51000", mark="51001.5", index="51002")
    ticker = await exchange.fetch_ticker(BTC)
    assert (ticker["last"], ticker["bid"], ticker["ask"]) == (51000.0, 50999.9, 51000.1)
    assert (ticker["info"]["m"], ticker["info"]["i"]) == ("51001.5", "51002")
    assert set(await exchange.fetch_tickers()) == set(exchange.symbols)
    assert (await exchange.fetch_bids_asks())[BTC]["ask"] == 51000.1
    book = await exchange.fetch_order_book(BTC, 5)
    assert (len(book["bids"]), book["asks"][0][0]) == (5, 51000.1)
    assert {candle[4] for candle in await exchange.fetch_ohlcv(BTC, "1m", None, 3)} == {51000.0}
    marks = await exchange.publicLinearGetFutureMarketV1PublicQMarkPrice()
    assert marks["result"][0]["p"] == "51001.5"


async def test_fees_tiers_and_clock(venue: LoopbackVenue, exchange: Any):
    assert (await exchange.fetch_trading_fee(BTC))["taker"] == 0.0006
    assert (await exchange.fetch_market_leverage_tiers(BTC))[0]["maxLeverage"] == 125.0
    assert set(await exchange.fetch_leverage_tiers()) == set(exchange.symbols)
    venue.skew_ms = -3_000_000
    assert await exchange.load_time_difference() == pytest.approx(3_000_000, abs=500)
    await exchange.fetch_balance()
    venue.skew_ms = 0
    with pytest.raises(ccxt.AuthenticationError, match="AUTH_105"):
        await exchange.fetch_balance()


async def test_refusals_that_the_client_lets_through(exchange: Any):
    with pytest.raises(ccxt.InsufficientFunds, match="insufficient_balance"):
        await ioc(exchange, "buy", 1_000_000, 50010)
    with pytest.raises(ccxt.ExchangeError, match="invalid_price_range"):
        await ioc(exchange, "buy", 20, 60000)


async def test_refusals_of_the_venue_itself(venue: LoopbackVenue, exchange: Any):
    wish = {"symbol": "btc_usdt", "orderSide": "BUY", "positionSide": "LONG",
            "orderType": "LIMIT", "price": "50010"}  # fmt: skip
    create = exchange.privateLinearPostFutureTradeV1OrderCreate
    with pytest.raises(ccxt.ExchangeError, match="invalid_quantity_scale"):
        await create({**wish, "origQty": "1.5"})
    with pytest.raises(ccxt.InvalidOrder, match="open_order_min_nominal_value_limit"):
        await create({**wish, "origQty": "1", "price": "49000", "symbol": "btc_usdt"})
    with pytest.raises(ccxt.ExchangeError, match="invalid_position_side"):
        await create({**wish, "origQty": "20", "positionSide": "BOTH"})
    venue.core.instruments["BTC/USDT"].listing = Listing.HALTED
    with pytest.raises(ccxt.BadSymbol, match="symbol_not_support_trading_via_api"):
        await create({**wish, "origQty": "20"})
    markets = {each["symbol"]: each["active"] for each in await exchange.fetch_markets()}
    assert (markets[BTC], markets[LTC]) == (False, True)


async def test_signature(venue: LoopbackVenue):
    async with client(venue, "xt", secret="wrong") as exchange:
        with pytest.raises(ccxt.ExchangeError, match="invalid signature"):
            await exchange.privateLinearGetFutureUserV1BalanceList()
        with pytest.raises(ccxt.ExchangeError, match="invalid signature"):
            await exchange.privateLinearPostFutureTradeV1OrderCancelAll({"symbol": "btc_usdt"})
    async with client(venue, "xt", key="wrong") as exchange:
        with pytest.raises(ccxt.AuthenticationError, match="AUTH_101"):
            await exchange.privateLinearGetFutureUserV1BalanceList()


async def test_streams_of_prices(venue: LoopbackVenue, exchange: Any):
    assert (await soon(exchange.watch_ticker(BTC)))["last"] == 50000.0
    # As a parameter ccxt would send {"method": "agg_ticker"} instead of subscribing.
    exchange.options["watchTicker"] = {"method": "agg_ticker"}
    aggregate = await soon(exchange.watch_ticker(BTC))
    assert (aggregate["bid"], aggregate["info"]["m"]) == (49999.9, "50000")
    assert BTC in await soon(exchange.watch_tickers())
    assert (await soon(exchange.watch_funding_rate(BTC)))["fundingRate"] == 0.0001


async def test_streams_of_the_account_say_go_and_ask(venue: LoopbackVenue, exchange: Any):
    tasks = {
        name: asyncio.create_task(getattr(exchange, f"watch_{name}")())
        for name in ("orders", "my_trades", "balance")
    }
    for _ in range(100 * SOON_S):
        if sum(len(stream.topics) for stream in venue.hub.streams) == len(tasks):
            break
        await asyncio.sleep(0.01)
    placed = await ioc(exchange, "buy", 20, 50010, clientOrderId="rws")
    (order,) = await soon(tasks["orders"])
    assert (order["id"], order["amount"]) == (placed["id"], 20.0)
    assert order["status"] == "state", "ccxt's bug: the status is the name of a field"
    (trade,) = await soon(tasks["my_trades"])
    assert trade["info"]["quantity"] == "20"
    assert (await soon(tasks["balance"]))["USDT"]["total"] < 100_000
    positions = await soon(exchange.watch_positions())
    assert [each["contracts"] for each in positions] == [20.0]


async def test_stream_frames(venue: LoopbackVenue):
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{venue.stream}/ws/user") as stream,
    ):
        await stream.send_str("ping")
        assert await soon(stream.receive_str()) == "pong"
        await stream.send_json({"method": "SUBSCRIBE", "params": ["order@nobody"], "id": "1"})
        assert (await soon(stream.receive_json()))["msg"] == "invalid_listen_key"


def test_the_lock_out_lasts_ten_minutes():
    budget = Budget()
    for number in range(1000):
        assert budget.spend("ip", number) is None
    refused = budget.spend("ip", 59_999)
    assert refused is not None
    assert (refused.status, json.loads(refused.body)["error"]["code"]) == (429, "429")
    assert budget.spend("ip", 59_999 + LOCK_MS - 1) is not None
    assert budget.spend("ip", 59_999 + LOCK_MS) is None
    assert len(budget.bans.violations) == 2
    assert budget.spend("other", 60_000) is None


def test_ten_a_second_where_wanted():
    budget = Budget(per_second=10)
    answers = [budget.spend("ip", 0) for _ in range(11)]
    assert [answer is None for answer in answers] == [True] * 10 + [False]
    assert budget.spend("ip", 1000) is None
    assert len(budget.bans.violations) == 1


async def test_a_locked_out_client_sees_rate_limit_exceeded(venue: LoopbackVenue, exchange: Any):
    venue.ban(LOCK_MS)
    with pytest.raises(ccxt.RateLimitExceeded):
        await exchange.fetch_balance()
    assert [violation.what for violation in venue.violations] == ["a request during a lock-out"]


#: what the unmodified client makes of a fault: a class, or an order with this id
MADE_OF: dict[Shape, type[Exception] | None] = {
    Shape.CUT_BODY: ccxt.ExchangeError,
    Shape.CLOSE: ccxt.ExchangeNotAvailable,
    Shape.RESET: ccxt.ExchangeNotAvailable,
    Shape.HTML: None,
    Shape.EMPTY: None,
    Shape.NULL: None,
    Shape.EMPTY_OBJECT: None,
    Shape.ERROR_IN_200: ccxt.ExchangeError,
    Shape.UNKNOWN: ccxt.ExchangeError,
    Shape.TOO_MANY: ccxt.RateLimitExceeded,
    Shape.GATEWAY_TIMEOUT: ccxt.RequestTimeout,
}


@pytest.mark.parametrize("when", [Taken.NEVER, Taken.FIRST])
@pytest.mark.parametrize("shape", MADE_OF)
async def test_faults(venue: LoopbackVenue, exchange: Any, shape: Shape, when: Taken):
    venue.faults.plan(Fault(shape=shape, taken=when, path="order/create"))
    expected = MADE_OF[shape]
    if expected is None:
        assert (await ioc(exchange, "buy", 20, 50010))["id"] is None
    else:
        with pytest.raises(ccxt.BaseError) as caught:
            await ioc(exchange, "buy", 20, 50010)
        assert type(caught.value) is expected
    assert len(venue.core.accounts[KEY].orders) == (1 if when is Taken.FIRST else 0)


async def test_answers_about_another_order(venue: LoopbackVenue, exchange: Any):
    venue.faults.plan(Fault(shape=Shape.OTHER_ORDER, path="order/create"))
    order = await ioc(exchange, "buy", 20, 50010)
    assert order["id"] not in {str(each) for each in venue.core.accounts[KEY].orders}
    venue.faults.plan(Fault(shape=Shape.WRONG_SYMBOL, path="order/list"))
    found = await exchange.privateLinearGetFutureTradeV1OrderList({"state": "FILLED"})
    assert found["result"]["items"][0]["symbol"] == "doge_usdt"
    venue.faults.plan(Fault(shape=Shape.DUPLICATE_KEYS, path="order/create"))
    assert (await ioc(exchange, "buy", 20, 50010))["id"] == "7777777"


async def test_maintenance(venue: LoopbackVenue, exchange: Any):
    venue.maintenance = True
    with pytest.raises(ccxt.OnMaintenance):
        await exchange.fetch_balance()
