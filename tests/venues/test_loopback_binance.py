"""The unmodified ccxt client trades on the loopback venue's Binance protocol."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
import ccxt
import pytest

from tests.loopback.clients import client
from tests.loopback.instruments import Depth
from tests.loopback.presets import KEY, SECRET, binance, demo_account
from tests.loopback.server import LoopbackVenue

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
D = Decimal


@pytest.fixture
async def venue() -> AsyncIterator[LoopbackVenue]:
    async with LoopbackVenue(binance()) as running:
        yield running


@pytest.fixture
async def exchange(venue: LoopbackVenue) -> AsyncIterator[Any]:
    async with client(venue, "binanceusdm") as opened:
        await opened.load_markets()
        yield opened


async def ioc(exchange: Any, side: str, amount: float, price: float, **params: Any) -> Any:
    return await exchange.create_order(
        BTC, "limit", side, amount, price, {"timeInForce": "IOC", **params}
    )


async def test_markets_carry_the_steps_of_the_instruments(venue: LoopbackVenue, exchange: Any):
    market = exchange.market(BTC)
    assert (market["active"], market["swap"], market["linear"]) == (True, True, True)
    assert market["contractSize"] == 1.0
    assert market["precision"] == {
        "amount": 0.001,
        "price": 0.1,
        "base": 1e-8,
        "quote": 1e-8,
    }
    assert market["limits"]["cost"]["min"] == 100.0
    assert [call.path for call in venue.calls] == ["/fapi/v1/exchangeInfo"]


def leaves(tree: Any) -> list[str]:
    return (
        [each for branch in tree.values() for each in leaves(branch)]
        if isinstance(tree, dict)
        else [tree]
    )


async def test_every_address_is_on_this_machine(venue: LoopbackVenue, exchange: Any):
    addresses = leaves(exchange.urls["api"])
    assert len(addresses) > 20
    here = tuple(f"{scheme}://127.0.0.1:{venue.port}/" for scheme in ("http", "ws"))
    assert [each for each in addresses if not each.startswith(here)] == []
    async with aiohttp.ClientSession() as session:
        for address in sorted({each for each in addresses if each.endswith("/closed")}):
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect(address)


async def test_limit_ioc_is_one_request_and_answered_with_its_end(
    venue: LoopbackVenue, exchange: Any
):
    before = len(venue.calls)
    order = await ioc(exchange, "buy", 0.5, 50010, clientOrderId="rone")
    assert len(venue.calls) == before + 1
    assert (order["clientOrderId"], order["status"], order["filled"]) == ("rone", "closed", 0.5)
    assert order["average"] == 50000.1
    found = await exchange.fetch_order(None, BTC, {"clientOrderId": "rone"})
    assert (found["id"], found["status"]) == (order["id"], "closed")
    by_id = await exchange.fetch_order(order["id"], BTC)
    assert by_id["clientOrderId"] == "rone"


async def test_partial_ioc_expires_with_what_it_got(venue: LoopbackVenue, exchange: Any):
    venue.core.instruments["BTC/USDT"].depth = Depth(contracts=D("0.1"), levels=3)
    order = await ioc(exchange, "buy", 0.5, 50000.2)
    assert (order["status"], order["filled"], order["remaining"]) == ("expired", 0.2, 0.3)


async def test_market_order_and_reduce_only(exchange: Any):
    await exchange.create_order(BTC, "market", "buy", 0.2)
    closing = await exchange.create_order(BTC, "market", "sell", 0.2, None, {"reduceOnly": True})
    assert (closing["status"], closing["reduceOnly"]) == ("closed", True)
    assert await exchange.fetch_positions() == []
    with pytest.raises(ccxt.ExchangeError, match="-2022"):
        await exchange.create_order(BTC, "market", "sell", 0.2, None, {"reduceOnly": True})


async def test_resting_order_is_listed_cancelled_and_gone(exchange: Any):
    order = await exchange.create_order(BTC, "limit", "buy", 0.01, 49000, {"clientOrderId": "rtwo"})
    assert order["status"] == "open"
    assert [each["id"] for each in await exchange.fetch_open_orders(BTC)] == [order["id"]]
    with pytest.raises(ccxt.ExchangeError, match="-4116"):
        await ioc(exchange, "buy", 0.01, 50010, clientOrderId="rtwo")
    cancelled = await exchange.cancel_order(None, BTC, {"clientOrderId": "rtwo"})
    assert cancelled["status"] == "canceled"
    assert await exchange.fetch_open_orders(BTC) == []
    closed = await exchange.fetch_orders(BTC)
    assert [each["status"] for each in closed] == ["canceled"]
    with pytest.raises(ccxt.ExchangeError, match="-2011"):
        await exchange.cancel_order(order["id"], BTC)
    with pytest.raises(ccxt.ExchangeError, match="-2013"):
        await exchange.fetch_order(None, BTC, {"clientOrderId": "nobody"})


async def test_a_filled_orders_id_can_be_used_again(venue: LoopbackVenue, exchange: Any):
    await ioc(exchange, "buy", 0.01, 50010, clientOrderId="rsame")
    await ioc(exchange, "buy", 0.01, 50010, clientOrderId="rsame")
    assert len(venue.core.accounts[KEY].trades) == 2, "the id alone does not protect a resend"


async def test_trades_positions_and_balance_agree(exchange: Any):
    await ioc(exchange, "buy", 0.3, 50010)
    trades = await exchange.fetch_my_trades(BTC)
    assert [(t["side"], t["amount"], t["price"]) for t in trades] == [("buy", 0.3, 50000.1)]
    fee = trades[0]["fee"]
    assert fee["currency"] == "USDT"
    assert fee["cost"] == pytest.approx(0.3 * 50000.1 * 0.0005)
    (position,) = await exchange.fetch_positions()
    assert (position["symbol"], position["side"], position["contracts"]) == (BTC, "long", 0.3)
    assert (position["entryPrice"], position["markPrice"]) == (50000.1, 50000.0)
    balance = await exchange.fetch_balance()
    assert balance["USDT"]["total"] == pytest.approx(100_000 - fee["cost"])
    assert balance["USDT"]["used"] == pytest.approx(0.3 * 50000 / 20)
    raw = await exchange.fapiPrivateV2GetPositionRisk()
    held = next(each for each in raw if each["symbol"] == "BTCUSDT")
    assert (held["marginType"], held["leverage"]) == ("cross", "20")
    assert len(raw) == 4, "v2 also tells what is not held"


async def test_batch_stands_and_falls_order_by_order(exchange: Any):
    def one(amount: float, client_id: str) -> dict[str, Any]:
        params = {"timeInForce": "IOC", "clientOrderId": client_id}
        return {"symbol": BTC, "type": "limit", "side": "buy", "amount": amount, "price": 50010,
                "params": params}  # fmt: skip

    orders = await exchange.create_orders([one(0.01, "ra"), one(900, "rb"), one(0.02, "rc")])
    # ccxt sorts what it parsed by time: the refused one moves to the front, its place is lost
    assert [order["clientOrderId"] for order in orders] == [None, "ra", "rc"]
    assert orders[0]["info"]["code"] == -2019
    with pytest.raises(ccxt.ExchangeError, match="-4082"):
        await exchange.create_orders([one(0.01, f"rd{n}") for n in range(6)])


async def test_a_list_of_orders_shows_the_newest_or_those_from_a_named_one_on(exchange: Any):
    sent = [await exchange.create_order(BTC, "limit", "buy", 0.01, 50_010) for _ in range(3)]
    first, middle, last = (order["id"] for order in sent)
    listed = await exchange.fetch_orders(BTC, sent[0]["timestamp"], 2)
    assert [order["id"] for order in listed] == [middle, last]
    listed = await exchange.fetch_orders(BTC, None, 2, {"orderId": first})
    assert [order["id"] for order in listed] == [first, middle]


async def test_batch_cancel(exchange: Any):
    ids = [
        (await exchange.create_order(BTC, "limit", "buy", 0.01, 49000 + n))["id"] for n in range(3)
    ]
    cancelled = await exchange.cancel_orders(ids[:2], BTC)
    assert [each["status"] for each in cancelled] == ["canceled", "canceled"]
    await exchange.cancel_all_orders(BTC)
    assert await exchange.fetch_open_orders(BTC) == []


async def test_modes_are_told_and_changed(exchange: Any):
    assert (await exchange.fetch_position_mode(BTC))["hedged"] is False
    await exchange.set_leverage(7, BTC)
    assert (await exchange.fetch_leverage(BTC))["longLeverage"] == 7
    await exchange.set_margin_mode("isolated", BTC)
    assert (await exchange.fetch_margin_mode(BTC))["marginMode"] == "isolated"
    with pytest.raises(ccxt.MarginModeAlreadySet):
        await exchange.set_margin_mode("isolated", BTC)
    with pytest.raises(ccxt.ExchangeError, match="-4028"):
        await exchange.fapiPrivatePostLeverage({"symbol": "BTCUSDT", "leverage": 200})
    with pytest.raises(ccxt.ExchangeError, match="-4059"):
        await exchange.set_position_mode(False, BTC)
    await exchange.set_position_mode(True, BTC)
    assert (await exchange.fetch_position_mode(BTC))["hedged"] is True


async def test_hedge_books(venue: LoopbackVenue, exchange: Any):
    venue.core.accounts[KEY].hedged = True
    with pytest.raises(ccxt.ExchangeError, match="-4061"):
        await ioc(exchange, "buy", 0.1, 50010)
    await ioc(exchange, "buy", 0.2, 50010, hedged=True)
    await ioc(exchange, "sell", 0.1, 49990, hedged=True)
    sides = {each["side"]: each["contracts"] for each in await exchange.fetch_positions()}
    assert sides == {"long": 0.2, "short": 0.1}
    closing = await ioc(exchange, "sell", 0.2, 49990, hedged=True, reduceOnly=True)
    assert closing["info"]["positionSide"] == "LONG"
    assert [each["side"] for each in await exchange.fetch_positions()] == ["short"]


async def test_funding_history_and_rates(venue: LoopbackVenue, exchange: Any):
    await ioc(exchange, "buy", 0.2, 50010)
    venue.fund("BTC/USDT", "0.0003")
    venue.fund("ETH/USDT", "0.0003")
    (paid,) = await exchange.fetch_funding_history(BTC)
    assert paid["amount"] == pytest.approx(-0.2 * 50000 * 0.0003)
    (settled,) = await exchange.fetch_funding_rate_history(BTC)
    assert settled["fundingRate"] == 0.0003
    rate = await exchange.fetch_funding_rate(BTC)
    assert (rate["fundingRate"], rate["markPrice"]) == (0.0003, 50000.0)


async def test_prices_by_every_route(venue: LoopbackVenue, exchange: Any):
    venue.price("BTC/USDT", "51000", mark="51001.5", index="51002")
    mark = await exchange.fetch_mark_price(BTC)
    assert (mark["markPrice"], mark["indexPrice"]) == (51001.5, 51002.0)
    assert set(await exchange.fetch_mark_prices()) == set(exchange.symbols)
    quotes = await exchange.fetch_bids_asks([BTC, ETH])
    assert (quotes[BTC]["bid"], quotes[BTC]["ask"]) == (50999.9, 51000.1)
    assert (await exchange.fetch_ticker(BTC))["last"] == 51000.0
    assert (await exchange.fetch_last_prices([BTC]))[BTC]["price"] == 51000.0
    book = await exchange.fetch_order_book(BTC, 5)
    assert (len(book["bids"]), book["asks"][0][0]) == (5, 51000.1)
    assert {candle[4] for candle in await exchange.fetch_ohlcv(BTC, "1m", None, 3)} == {51000.0}


async def test_fees_brackets_limits_and_rights(exchange: Any):
    fee = await exchange.fetch_trading_fee(BTC)
    assert (fee["maker"], fee["taker"]) == (0.0002, 0.0005)
    tiers = await exchange.fetch_leverage_tiers([BTC])
    assert tiers[BTC][0]["maxLeverage"] == 125.0
    limits = await exchange.fapiPrivateGetRateLimitOrder()
    assert {(each["interval"], each["limit"]) for each in limits} == {
        ("MINUTE", 1200),
        ("SECOND", 300),
    }
    rights = await exchange.sapiGetAccountApiRestrictions()
    assert (rights["enableWithdrawals"], rights["ipRestrict"]) == (False, True)


async def test_clock_and_skew(venue: LoopbackVenue, exchange: Any):
    venue.skew_ms = 3_000_000
    assert await exchange.load_time_difference() == pytest.approx(-3_000_000, abs=500)
    await exchange.fetch_balance()  # ccxt now stamps with the venue's clock
    venue.skew_ms = 0
    with pytest.raises(ccxt.InvalidNonce, match="-1021"):
        await exchange.fetch_balance()


async def test_a_wrong_secret_or_key_is_refused(venue: LoopbackVenue):
    async with client(venue, "binanceusdm", secret="wrong") as exchange:
        with pytest.raises(ccxt.ExchangeError, match="-1022"):
            await exchange.fetch_balance()
    async with client(venue, "binanceusdm", key="wrong") as exchange:
        with pytest.raises(ccxt.AuthenticationError, match="-2015"):
            await exchange.fetch_balance()


async def test_signature_is_over_query_and_body_together(venue: LoopbackVenue):
    query = f"symbol=BTCUSDT&side=BUY&type=MARKET&timestamp={venue.now_ms()}"
    body = "quantity=0.1"
    digest = hmac.new(SECRET.encode(), (query + body).encode(), hashlib.sha256).hexdigest()
    async with aiohttp.ClientSession() as session:
        for sent in (body + f"&signature={digest}", body + "0" + f"&signature={digest}"):
            async with session.post(
                f"{venue.rest}/fapi/v1/order?{query}",
                data=sent,
                headers={
                    "X-MBX-APIKEY": KEY,
                    "Content-Type": "application/x-www-form-urlencoded",
                },
            ) as response:
                document = await response.json()
                assert ("orderId" in document) == (sent.startswith(body + "&"))


async def test_redirected_addresses_change_the_error_class(exchange: Any):
    """ccxt finds InsufficientFunds by the venue's address; here the code has to be read."""
    with pytest.raises(ccxt.ExchangeError) as caught:
        await ioc(exchange, "buy", 900, 50010)
    assert type(caught.value) is ccxt.ExchangeError
    assert '"code":-2019' in str(caught.value)


async def test_two_accounts_do_not_see_each_other(venue: LoopbackVenue, exchange: Any):
    venue.core.accounts["other"] = demo_account("other", "other", "secret")
    await ioc(exchange, "buy", 0.1, 50010)
    async with client(venue, "binanceusdm", key="other", secret="secret") as other:
        await other.load_markets()
        assert await other.fetch_positions() == []
        assert await other.fetch_my_trades(BTC) == []


async def test_liquidation_is_visible_in_orders_trades_and_income(
    venue: LoopbackVenue, exchange: Any
):
    venue.core.accounts[KEY].wallet = D(3000)
    await ioc(exchange, "buy", 1, 50010)
    venue.price("BTC/USDT", "47000")
    assert await exchange.fetch_positions() == []
    closing = (await exchange.fetch_orders(BTC))[-1]
    assert closing["clientOrderId"].startswith("autoclose-")
    assert (closing["side"], closing["status"]) == ("sell", "closed")
