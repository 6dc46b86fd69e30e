"""The account reads on the loopback XT: whole contracts told in coins, two books, no rights."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest

from rebalancer.clock import WallClock
from rebalancer.core.contract import Contract
from rebalancer.core.events import Event, FundingPaid, PositionsReported
from rebalancer.core.fund import Account
from rebalancer.core.order import OrderSide, PositionSide
from rebalancer.errors import VenueUnavailable
from rebalancer.exchanges import contract_of
from rebalancer.venues import account_watch, exchange_account, exchange_lists
from rebalancer.venues.account_watch import AccountWatch
from rebalancer.venues.exchange_account import ExchangeAccount
from rebalancer.venues.exchange_venue import facts_of, limiter_of, open_client
from rebalancer.venues.facts_account import ACCOUNTS
from rebalancer.venues.facts_shape import Ask
from tests.loopback import presets
from tests.loopback.accounts import Account as Owner
from tests.loopback.accounts import Margin
from tests.loopback.faults import Fault, Shape
from tests.loopback.orders import Book
from tests.loopback.presets import KEY, SECRET
from tests.loopback.server import LoopbackVenue
from tests.unlimited import unlimited

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
D = Decimal
#: what one contract of each is, in coins
SIZES = {BTC: D("0.0001"), ETH: D("0.01")}
PRICES = {BTC: D(50_000), ETH: D(3_000)}


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_account, "EMPTY_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(account_watch, "LISTED_MS", 0)


@dataclass
class Desk:
    market: LoopbackVenue
    exchange: Any
    book: ExchangeAccount
    contracts: dict[str, Contract]

    @property
    def owner(self) -> Owner:
        return self.market.core.accounts[KEY]

    async def trade(self, symbol: str, contracts: int, book: str) -> None:
        """Trade whole contracts past the desk, in a book."""
        side, far = ("buy", D("1.02")) if contracts > 0 else ("sell", D("0.98"))
        params = {"positionSide": book, "timeInForce": "IOC"}
        price = str(PRICES[symbol] * far)
        await self.exchange.create_order(symbol, "limit", side, abs(contracts), price, params)


@asynccontextmanager
async def account() -> AsyncIterator[Desk]:
    clock, facts = WallClock(), facts_of("xt")
    async with LoopbackVenue(presets.xt()) as market:
        client = open_client(facts, {"apiKey": KEY, "secret": SECRET}, market.rest, unlimited())
        try:
            await client.load_markets(facts.limits.costs[Ask.MARKETS])
            contracts = {name: contract_of(client.markets[name], "xt") for name in SIZES}
            config = Account(name="main", venue="xt", hedge=True)
            book = ExchangeAccount(config, client, facts, contracts, clock)
            yield Desk(market, client._exchange, book, contracts)
        finally:
            await client.close()


async def test_its_contracts_are_read_with_their_sizes():
    async with account() as desk:
        assert {name: each.contract_size for name, each in desk.contracts.items()} == SIZES
        assert {each.lot for each in desk.contracts.values()} == {D(1)}


async def test_both_books_are_told_apart_in_base_coins():
    async with account() as desk:
        await desk.trade(BTC, 300, "LONG")
        await desk.trade(BTC, -100, "SHORT")
        await desk.trade(ETH, -50, "SHORT")
        held = {(each.contract, each.book): each.units for each in await desk.book.positions()}
        assert held == {
            (BTC, PositionSide.LONG): D("0.03"),
            (BTC, PositionSide.SHORT): D("-0.01"),
            (ETH, PositionSide.SHORT): D("-0.5"),
        }


async def test_a_position_is_told_with_its_margin_and_its_distance_to_liquidation():
    async with account() as desk:
        desk.owner.wallet = D(3_000)
        await desk.trade(BTC, 5_000, "LONG")
        desk.market.price("BTC/USDT", "49000")
        (position,) = await desk.book.positions()
        assert (position.units, position.leverage) == (D("0.5"), D(20))
        assert position.margin_mode == "cross"
        assert position.mark_price == 49_000
        assert position.liquidation_price is not None
        assert 44_000 < position.liquidation_price < 49_000
        assert position.liquidation_distance == (49_000 - position.liquidation_price) / 49_000
        assert position.initial_margin is not None
        assert position.initial_margin > 0


async def test_equity_counts_the_profit_of_both_books_exactly():
    async with account() as desk:
        await desk.trade(BTC, 5_000, "LONG")
        await desk.trade(ETH, -100, "SHORT")
        desk.market.price("BTC/USDT", "50123.4")
        desk.market.price("ETH/USDT", "2987.65")
        balance = await desk.book.balance("USDT")
        instruments = desk.market.core.instruments
        profits = [
            each.unrealized(instruments[each.instrument]) for each in desk.owner.positions.values()
        ]
        assert len(profits) == 2
        assert balance.equity == desk.owner.wallet + sum(profits)
        assert balance.equity is not None
        assert D(0) < balance.available < balance.equity


async def test_open_orders_are_told_with_what_is_left_of_them():
    async with account() as desk:
        wish = {"clientOrderId": "foreign-1", "positionSide": "SHORT"}
        await desk.exchange.create_order(BTC, "limit", "sell", 2_000, "54000", wish)
        (order,) = await desk.book.open_orders(BTC)
        assert (order.client_order_id, order.side, order.remaining) == (
            "foreign-1",
            OrderSide.SELL,
            D("0.2"),
        )
        assert await desk.book.open_orders(ETH) == ()


async def test_own_trades_since_an_instant_are_signed_base_coins():
    async with account() as desk:
        before_ms = WallClock().now_ms() - 1_000
        await desk.trade(ETH, -40, "SHORT")
        await desk.trade(ETH, 15, "SHORT")
        trades = await desk.book.trades(ETH, before_ms)
        assert [trade.units for trade in trades] == [D("-0.4"), D("0.15")]
        assert len({trade.trade_id for trade in trades}) == 2
        assert await desk.book.trades(ETH, WallClock().now_ms() + 60_000) == ()
        assert await desk.book.trades(BTC, before_ms) == ()


async def test_a_list_longer_than_a_page_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch):
    told = replace(ACCOUNTS["xt"], trades=replace(ACCOUNTS["xt"].trades, page=3))
    monkeypatch.setattr(exchange_lists, "ACCOUNTS", {"xt": told})
    async with account() as desk:
        for _ in range(7):
            await desk.trade(BTC, 100, "LONG")
            await asyncio.sleep(0.002)
        trades = await desk.book.trades(BTC, WallClock().now_ms() - 60_000)
        assert sum(trade.units for trade in trades) == D("0.07")


async def test_payments_of_funding_are_told_and_handed_on_as_the_venue_booked_them(
    monkeypatch: pytest.MonkeyPatch,
):
    # Nothing is traded between the questions here, so a trade of just now is in their answers.
    monkeypatch.setattr(account_watch, "CLOCK_ERROR_MS", -10_000)
    async with account() as desk:
        await desk.trade(BTC, 1_000, "LONG")
        begin_ms = WallClock().now_ms() - 1_000
        desk.market.fund("BTC/USDT", "0.0003")
        (payment,) = await desk.book.funding(BTC, begin_ms)
        booked = desk.owner.incomes[-1]
        assert (payment.amount, payment.at_ms) == (booked.amount, booked.at_ms)
        assert payment.amount == -D("0.1") * 50_000 * D("0.0003")
        assert await desk.book.funding_rate(BTC, payment.at_ms) == D("0.0003")
        events: list[Event] = []
        watch = AccountWatch("main", desk.book, {BTC: desk.contracts[BTC]}, WallClock())
        watch._since_ms = {BTC: begin_ms}
        await watch.round(events.append)
        held, _worth, paid = events
        assert isinstance(held, PositionsReported)
        assert isinstance(paid, FundingPaid)
        assert (paid.contract, paid.rate, paid.mark) == (BTC, D("0.0003"), D(50_000))


async def test_modes_and_leverage_are_told_by_positions_only_and_rights_not_at_all():
    async with account() as desk:
        assert await desk.book.hedged() is True
        assert await desk.book.margin_modes() == {}
        assert await desk.book.leverages() == {}
        assert await desk.book.key_rights() is None
        for book in Book:
            desk.owner.margins["ETH/USDT", book] = Margin.ISOLATED
            desk.owner.leverages["ETH/USDT", book] = 7
        await desk.trade(BTC, 100, "LONG")
        await desk.trade(ETH, -10, "SHORT")
        assert await desk.book.margin_modes() == {BTC: "cross", ETH: "isolated"}
        assert await desk.book.leverages() == {BTC: {D(20)}, ETH: {D(7)}}


async def test_leverages_of_two_books_are_both_told():
    async with account() as desk:
        desk.owner.leverages["BTC/USDT", Book.SHORT] = 3
        await desk.trade(BTC, 100, "LONG")
        await desk.trade(BTC, -100, "SHORT")
        assert await desk.book.leverages() == {BTC: {D(20), D(3)}}


async def test_books_of_different_margin_modes_are_not_taken_for_one():
    async with account() as desk:
        desk.owner.margins["BTC/USDT", Book.LONG] = Margin.ISOLATED
        await desk.trade(BTC, 100, "LONG")
        await desk.trade(BTC, -100, "SHORT")
        assert await desk.book.margin_modes() == {BTC: "cross and isolated"}


async def test_one_empty_answer_is_not_flat(monkeypatch: pytest.MonkeyPatch):
    async with account() as desk:
        await desk.trade(BTC, 100, "LONG")
        whole = desk.exchange.fetch_positions
        answers: list[list[Any] | None] = [[], None]

        async def sometimes(*arguments: Any) -> Any:
            return await whole(*arguments) if answers.pop(0) is None else []

        monkeypatch.setattr(desk.exchange, "fetch_positions", sometimes)
        (position,) = await desk.book.positions()
        assert position.units == D("0.01")


async def test_a_failed_question_is_never_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("rebalancer.venues.ccxt_client.QUESTION_SECONDS", 0.2)
    async with account() as desk:
        await desk.trade(BTC, 100, "LONG")
        desk.market.faults.plan(Fault(shape=Shape.BAD_GATEWAY, path="position/list", times=50))
        with pytest.raises(VenueUnavailable):
            await desk.book.positions()


async def test_a_break_list_without_a_position_leaves_its_liquidation_untold():
    # ccxt pairs two lists; the one with the liquidation prices may lag behind.
    async with account() as desk:
        await desk.trade(BTC, 100, "LONG")
        desk.market.faults.plan(Fault(shape=Shape.ERROR_IN_200, path="break-list", times=50))
        with pytest.raises(VenueUnavailable):
            await desk.book.positions()


async def test_every_question_takes_as_much_of_the_limits_as_it_is_requests():
    facts = facts_of("xt")
    async with account() as desk:
        client, since_ms = desk.book._client, WallClock().now_ms() - 1_000
        for question in (
            desk.book._positions_once,
            lambda: desk.book.open_orders(BTC),
            lambda: desk.book.trades(BTC, since_ms),
            lambda: desk.book.funding(BTC, since_ms),
            lambda: client.load_markets(facts.limits.costs[Ask.MARKETS]),
        ):
            client._limiter = limiter_of(facts)
            desk.market.calls.clear()
            await question()
            taken = {window.name: used for window, used in client._limiter.used().items()}
            assert taken == dict.fromkeys(taken, len(desk.market.calls))
