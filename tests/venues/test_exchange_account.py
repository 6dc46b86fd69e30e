"""An account is read exactly, by each venue's units and fields; one empty answer is not flat."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from rebalancer.clock import WallClock
from rebalancer.core.events import PositionsReported
from rebalancer.core.instant import DAY_MS
from rebalancer.core.order import OrderSide, PositionSide
from rebalancer.errors import VenueUnavailable
from rebalancer.exchanges import open_exchange
from rebalancer.venues import account_watch, exchange_account, exchange_lists
from rebalancer.venues.exchange_lists import own_trades, payments
from rebalancer.venues.facts import FACTS
from rebalancer.venues.facts_account import ACCOUNTS, KeyRights, ListFacts
from tests.loopback.accounts import Margin
from tests.loopback.faults import Fault, Shape
from tests.loopback.orders import Book
from tests.loopback.presets import KEY
from tests.venues.accounts import BTC, ETH, D, account, position_of, stubbed
from tests.venues.golden.markets import contracts_of
from tests.venues.golden.recorder import Recorder


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_account, "EMPTY_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(account_watch, "LISTED_MS", 0)


async def test_a_position_is_told_with_its_margin_and_its_distance_to_liquidation():
    async with account() as desk:
        desk.market.core.accounts[KEY].wallet = D(3000)
        await desk.buy(BTC, "0.5")
        (position,) = await desk.book.positions()
        assert (position.contract, position.book, position.units) == (
            BTC,
            PositionSide.NET,
            D("0.5"),
        )
        assert position.mark_price == 50000
        assert position.initial_margin is not None
        assert position.initial_margin > 0
        assert position.maintenance_margin is not None
        assert position.liquidation_price is not None
        assert 44_000 < position.liquidation_price < 50_000
        assert position.liquidation_distance == (50000 - position.liquidation_price) / 50000


async def test_a_short_is_below_zero_and_books_of_a_hedge_account_stay_apart():
    async with account(hedge=True, prepare=lambda each: setattr(each, "hedged", True)) as desk:
        await desk.buy(BTC, "0.3", positionSide="LONG")
        await desk.buy(BTC, "-0.1", positionSide="SHORT")
        held = {each.book: each.units for each in await desk.book.positions()}
        assert held == {PositionSide.LONG: D("0.3"), PositionSide.SHORT: D("-0.1")}
        await desk.venue.report_positions()
        assert desk.told(PositionsReported)[-1].units == {BTC: D("0.2")}


async def test_equity_counts_the_profit_of_open_positions_exactly():
    async with account() as desk:
        await desk.buy(BTC, "0.5")
        desk.market.price("BTC/USDT", "50123.4")
        balance = await desk.book.balance("USDT")
        owner = desk.market.core.accounts[KEY]
        (position,) = owner.held()
        profit = position.unrealized(desk.market.core.instrument("BTC/USDT"))
        assert balance.equity == owner.wallet + profit
        assert D(0) < balance.available < balance.equity


async def test_open_orders_and_own_trades_are_told_in_base_coins():
    async with account() as desk:
        await desk.exchange.create_order(
            BTC, "limit", "sell", "0.2", "60000", {"clientOrderId": "foreign-1"}
        )
        (order,) = await desk.book.open_orders(BTC)
        assert (order.client_order_id, order.side, order.remaining) == (
            "foreign-1",
            OrderSide.SELL,
            D("0.2"),
        )
        since_ms = WallClock().now_ms() - 1_000
        await desk.buy(ETH, "-0.4")
        trades = await desk.book.trades(ETH, since_ms)
        assert sum(trade.units for trade in trades) == D("-0.4")
        assert len({trade.trade_id for trade in trades}) == len(trades)
        assert await desk.book.trades(ETH, WallClock().now_ms() + 60_000) == ()


def pages_of(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    told = replace(ACCOUNTS["binanceusdm"], trades=ListFacts(page=size))
    monkeypatch.setattr(exchange_lists, "ACCOUNTS", {"binanceusdm": told})


async def test_a_list_longer_than_a_page_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch):
    pages_of(monkeypatch, 3)
    async with account() as desk:
        for _ in range(8):
            await desk.buy(BTC, "0.01")
            await asyncio.sleep(0.002)
        trades = await desk.book.trades(BTC, WallClock().now_ms() - 60_000)
        assert sum(trade.units for trade in trades) == D("0.08")


async def test_a_list_that_never_ends_is_refused_and_not_cut_short(
    monkeypatch: pytest.MonkeyPatch,
):
    pages_of(monkeypatch, 2)
    monkeypatch.setattr(exchange_lists, "PAGES_MAX", 2)
    async with account() as desk:
        for _ in range(8):
            await desk.buy(BTC, "0.01")
            await asyncio.sleep(0.002)
        with pytest.raises(VenueUnavailable, match="does not end within 2 pages"):
            await desk.book.trades(BTC, WallClock().now_ms() - 60_000)


async def test_a_list_of_several_weeks_is_asked_for_week_by_week():
    async with account() as desk:
        await desk.buy(BTC, "0.01")
        desk.market.calls.clear()
        trades = await desk.book.trades(BTC, WallClock().now_ms() - 15 * DAY_MS)
        assert sum(trade.units for trade in trades) == D("0.01")
        assert sum(call.path.endswith("userTrades") for call in desk.market.calls) == 3


async def test_modes_leverages_and_rights_are_told():
    async with account() as desk:
        desk.market.core.accounts[KEY].margins[("ETH/USDT", Book.NET)] = Margin.ISOLATED
        desk.market.core.accounts[KEY].leverages[("ETH/USDT", Book.NET)] = 7
        assert await desk.book.hedged() is False
        assert await desk.book.margin_modes() == {BTC: "cross", ETH: "isolated"}
        assert await desk.book.leverages() == {BTC: {D(20)}, ETH: {D(7)}}
        assert await desk.book.key_rights() == KeyRights(may_withdraw=False, bound_to_address=True)


async def test_an_answer_in_which_a_key_stands_twice_is_not_read():
    async with account() as desk:
        await desk.buy(BTC, "0.5")
        for path, question in (
            ("apiRestrictions", desk.book.key_rights),
            ("positionSide/dual", desk.book.hedged),
        ):
            desk.market.faults.plan(Fault(shape=Shape.DUPLICATE_KEYS, path=path))
            with pytest.raises(VenueUnavailable):
                await question()
            assert await question() is not None


@pytest.mark.parametrize("told", ["", "yes", 4711, None])
async def test_a_right_that_is_neither_given_nor_withheld_is_not_told(told: Any):
    honest = {"enableWithdrawals": False, "ipRestrict": True}
    for name in honest:
        book = stubbed("binanceusdm", sapiGetAccountApiRestrictions=honest | {name: told})
        with pytest.raises(TypeError):
            await book.key_rights()


async def test_a_setting_that_is_not_told_is_not_the_one_that_is_wanted():
    async with account() as desk:
        for what, question in (
            ({}, desk.book.hedged),
            ([], desk.book.margin_modes),
            ([], desk.book.leverages),
            ([{"symbol": "BTCUSDT", "marginType": "CROSSED"}], desk.book.margin_modes),
        ):
            path = "positionSide/dual" if what == {} else "symbolConfig"
            desk.answers_once(path, what)
            with pytest.raises(VenueUnavailable):
                await question()


# -- one empty answer is not flat ---------------------------------------------------------------


async def test_one_empty_answer_is_not_flat():
    async with account() as desk:
        await desk.buy(BTC, "0.5")
        desk.answers_once("positionRisk", [])
        await desk.venue.report_positions()
        (report,) = desk.told(PositionsReported)
        assert report.units == {BTC: D("0.5")}


async def test_an_answer_that_leaves_out_one_position_is_not_flat_in_it():
    async with account() as desk:
        await desk.buy(BTC, "0.5")
        await desk.buy(ETH, "1")
        await desk.venue.report_positions()
        whole = await desk.exchange.fapiPrivateV3GetPositionRisk()
        desk.answers_once("positionRisk", [row for row in whole if row["symbol"] == "BTCUSDT"])
        await desk.venue.report_positions()
        assert desk.told(PositionsReported)[-1].units == {BTC: D("0.5"), ETH: D(1)}


async def test_two_empty_answers_are_flat():
    async with account() as desk:
        await desk.buy(BTC, "0.5")
        await desk.venue.report_positions()
        await desk.buy(BTC, "-0.5", reduceOnly=True)
        desk.market.calls.clear()
        await desk.venue.report_positions()
        assert desk.told(PositionsReported)[-1].units == {}
        assert sum(call.path.endswith("positionRisk") for call in desk.market.calls) == 2


async def test_a_failed_question_reports_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("rebalancer.venues.ccxt_client.QUESTION_SECONDS", 0.2)
    async with account() as desk:
        desk.market.faults.plan(Fault(shape=Shape.BAD_GATEWAY, path="positionRisk", times=50))
        with capture_logs() as told:
            await desk.venue.report_positions()
        assert desk.events == []
        assert [line["event"] for line in told] == ["positions_unavailable"]


async def test_a_position_that_cannot_be_read_is_a_failed_question():
    async with account() as desk:
        await desk.buy(BTC, "0.5")
        (row,) = await desk.exchange.fapiPrivateV3GetPositionRisk()
        desk.answers_once("positionRisk", [row | {"positionAmt": "half"}])
        with pytest.raises(VenueUnavailable, match=r"positions|read"):
            await desk.book.positions()


# -- other venues, by answers in ccxt's unified shape ---


@pytest.mark.parametrize("venue_id", FACTS)
async def test_a_position_is_in_base_coins_at_every_venue(venue_id: str):
    contract, _ = contracts_of(venue_id)
    book = stubbed(venue_id, fetch_positions=[position_of(venue_id, side="short")])
    (position,) = await book.positions()
    assert position.units == -20 * contract.contract_size
    assert position.liquidation_distance is None


async def test_two_books_of_xt_are_told_apart():
    rows = [position_of("xt"), position_of("xt", side="short", contracts="5")]
    held = await stubbed("xt", hedge=True, fetch_positions=rows).positions()
    assert [(each.book, each.units) for each in held] == [
        (PositionSide.LONG, D("0.0020")),
        (PositionSide.SHORT, D("-0.0005")),
    ]


@pytest.mark.parametrize("venue_id", ["bybit", "gate", "xt"])
async def test_where_the_total_is_the_wallet_the_profit_of_positions_is_added(venue_id: str):
    contract, _ = contracts_of(venue_id)
    book = stubbed(
        venue_id,
        fetch_balance={"USDT": {"total": "1000", "free": "900"}},
        fetch_positions=[position_of(venue_id, entryPrice="100", markPrice="110")],
    )
    balance = await book.balance("USDT")
    assert balance.equity == 1000 + 20 * contract.contract_size * 10
    assert balance.available == 900


async def test_an_equity_that_is_not_told_is_not_made_up():
    book = stubbed(
        "xt",
        fetch_balance={"USDT": {"total": "1000", "free": "900"}},
        fetch_positions=[position_of("xt", entryPrice="100")],
    )
    assert (await book.balance("USDT")).equity is None


async def test_mexc_tells_equity_in_its_own_field():
    balance = {
        "USDT": {"total": "5", "free": "4"},
        "info": {"data": [{"currency": "USDT", "equity": "7"}]},
    }
    assert (await stubbed("mexc", fetch_balance=balance).balance("USDT")).equity == 7


@pytest.mark.parametrize(
    ("venue_id", "answers", "hedged"),
    [
        ("xt", {}, True),
        ("hyperliquid", {}, False),
        ("okx", {"fetch_position_mode": {"hedged": True}}, True),
        ("kucoinfutures", {"fetch_position_mode": {"hedged": False}}, False),
        ("bybit", {"fetch_positions": [{"hedged": True}, {"hedged": True}]}, True),
        ("bybit", {"fetch_positions": [{"hedged": False}]}, False),
        ("bybit", {"fetch_positions": []}, None),
        ("gate", {"privateFuturesGetSettleAccounts": {"in_dual_mode": "true"}}, True),
        ("gate", {"privateFuturesGetSettleAccounts": {}}, None),
        ("bitget", {"fetch_margin_mode": {"info": {"posMode": "one_way_mode"}}}, False),
        ("bitget", {"fetch_margin_mode": {"info": {}}}, None),
    ],
)
async def test_the_books_are_read_where_each_venue_tells_them(
    venue_id: str, answers: dict[str, Any], hedged: bool | None
):
    assert await stubbed(venue_id, **answers).hedged() is hedged


@pytest.mark.parametrize(
    ("result", "rights"),
    [
        (
            {"permissions": {"Wallet": ["AccountTransfer"]}, "ips": ["203.0.113.9"]},
            KeyRights(may_withdraw=False, bound_to_address=True),
        ),
        (
            {"permissions": {"Wallet": ["Withdraw"]}, "ips": ["*"]},
            KeyRights(may_withdraw=True, bound_to_address=False),
        ),
        ({}, KeyRights(may_withdraw=False, bound_to_address=False)),
    ],
)
async def test_bybit_tells_the_rights_of_a_key(result: Any, rights: KeyRights):
    book = stubbed("bybit", privateGetV5UserQueryApi={"result": result})
    assert await book.key_rights() == rights


@pytest.mark.parametrize("venue_id", FACTS)
def test_every_venue_has_its_ways_of_telling_and_ccxt_knows_each(venue_id: str):
    exchange, told, facts = open_exchange(venue_id), ACCOUNTS[venue_id], FACTS[venue_id]
    methods = {"fetch_balance", "fetch_positions", "fetch_open_orders", "fetch_my_trades"}
    methods |= {"fetch_funding_rate_history", facts.funding_query, facts.position_mode.read}
    methods |= {facts.margin_mode.read, facts.leverage.read, told.margin_modes, told.leverages}
    assert [name for name in methods - {""} if not hasattr(exchange, name)] == []
    assert told.hedged or facts.position_mode.read or facts.book in {"hedge", "one-way"}


@pytest.mark.parametrize("venue_id", FACTS)
async def test_the_bounds_of_a_list_reach_every_venue_by_its_own_name(venue_id: str):
    facts, symbol = FACTS[venue_id], contracts_of(venue_id)[0].symbol
    since_ms, until_ms = 1_795_000_063_000, 1_795_000_123_000
    recorder = Recorder(facts)
    try:
        for listing in (own_trades(facts), payments(facts)):
            bounds = listing.told.bounds(until_ms)
            (written,) = await recorder.record(listing.call(symbol, since_ms, bounds))
            sent = written["query"] | (written["body"] or {})
            assert "until" not in sent, "ccxt passed its own word on, which no venue knows"
            told = {int(each) for each in sent.values() if str(each).isdecimal()}
            if bounds:
                assert {until_ms, until_ms // 1_000} & told
                assert {since_ms, since_ms // 1_000} & told
    finally:
        await recorder.close()


async def test_a_list_that_cannot_be_bounded_is_refused_where_it_is_full(
    monkeypatch: pytest.MonkeyPatch,
):
    told = ListFacts(page=2, until=None)
    monkeypatch.setattr(
        exchange_lists, "ACCOUNTS", {"mexc": replace(ACCOUNTS["mexc"], funding=told)}
    )
    symbol, now_ms = contracts_of("mexc")[0].symbol, WallClock().now_ms()
    rows = [
        {"id": str(number), "timestamp": now_ms + number, "amount": "1", "symbol": symbol}
        for number in range(2)
    ]
    book = stubbed("mexc", fetch_funding_history=rows)
    with pytest.raises(VenueUnavailable, match="does not end"):
        await book.funding(symbol, now_ms - 1_000)


@pytest.mark.parametrize(
    ("venue_id", "trade", "order"),
    [
        ("binanceusdm", {}, {"clientOrderId": "adl_autoclose"}),
        ("binanceusdm", {}, {"clientOrderId": "autoclose-1"}),
        ("okx", {}, {"info": {"category": "partial_liquidation"}}),
        ("xt", {}, {"info": {"forceClose": True}}),
        ("bybit", {"execType": "BustTrade"}, {}),
        ("kucoinfutures", {"tradeType": "liquid"}, {}),
        ("gate", {}, {"info": {"text": "liq-12345"}}),
        ("gate", {}, {"info": {"text": "auto_deleveraging"}}),
        ("bitget", {"tradeSide": "burst_close_long"}, {}),
        ("bitget", {"tradeSide": "dte_sys_adl_sell_in_single_side_mode"}, {}),
        ("mexc", {"category": 2}, {}),
        ("mexc", {"category": 4}, {}),
        ("hyperliquid", {"dir": "Liquidated Isolated Long"}, {}),
        ("hyperliquid", {"dir": "Auto-Deleveraging"}, {}),
        ("hyperliquid", {"dir": "Close Long", "liquidation": {"markPx": "1"}, "crossed": True}, {}),
    ],
)
async def test_a_trade_that_the_venue_made_by_itself_is_told_from_an_ordinary_one(
    venue_id: str, trade: dict[str, Any], order: dict[str, Any]
):
    symbol = contracts_of(venue_id)[0].symbol
    row = {"id": "1", "order": "2", "side": "sell", "amount": "1", "price": "100", "timestamp": 1}
    # what each venue writes there of an order of somebody's own
    ordinary = {"execType": "Trade", "tradeType": "trade", "tradeSide": "close", "category": 3}
    ordinary |= {"dir": "Close Long", "crossed": True}
    own = {"clientOrderId": "x", "info": {"text": "t-liq-1", "category": "normal"}}
    for made, named in ((True, order), (False, own)):
        info = trade if made else ordinary
        book = stubbed(venue_id, fetch_order=named)
        told = book._trade(symbol, row | {"symbol": symbol, "info": info}, {})
        assert await book.made_by_venue(told) is made


async def test_who_took_nothing_in_a_liquidation_at_hyperliquid_was_not_liquidated():
    symbol = contracts_of("hyperliquid")[0].symbol
    row = {"id": "1", "order": "2", "side": "buy", "amount": "1", "price": "100", "timestamp": 1}
    info = {"dir": "Close Short", "liquidation": {"markPx": "1"}, "crossed": False}
    book = stubbed("hyperliquid")
    told = book._trade(symbol, row | {"symbol": symbol, "info": info}, {})
    assert not await book.made_by_venue(told)
