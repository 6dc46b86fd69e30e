"""Accounts of the venues without a loopback, read over HTTP through the real ccxt classes.

The answers are ours, in the venues' documented shapes (`tests/spoken`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from rebalancer.clock import VirtualClock, WallClock
from rebalancer.core.fund import Account
from rebalancer.core.instant import HOUR_MS
from rebalancer.core.order import OrderSide, PositionSide
from rebalancer.errors import VenueUnavailable
from rebalancer.exchanges import contract_of
from rebalancer.feeds.markets import changes_of
from rebalancer.venues import exchange_account
from rebalancer.venues.ccxt_client import CcxtClient
from rebalancer.venues.exchange_account import ExchangeAccount
from rebalancer.venues.exchange_venue import limiter_of, open_with_keys
from rebalancer.venues.facts import FACTS
from rebalancer.venues.facts_account import ACCOUNTS
from rebalancer.venues.facts_shape import Ask
from rebalancer.venues.rates import Limiter
from rebalancer.venues.read_only import ReadOnlyTransport
from rebalancer.venues.statements import FundingPayment
from tests.spoken.scene import ENTRY, LIQUIDATION, Paid, Prices, Scene, Traded
from tests.spoken.server import Spoken, speaking
from tests.spoken.tongues import TONGUES
from tests.unlimited import unlimited

D = Decimal
SHORT = D("-0.002")
KEYS = {
    "apiKey": "key-of-nobody",
    "secret": "c2VjcmV0LW9mLW5vYm9keQ==",
    "password": "phrase-of-nobody",
    "walletAddress": "0x" + "1" * 40,
    "privateKey": "0x" + "2" * 64,
}
NOON_MS = 1_767_268_800_000


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_account, "EMPTY_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr("rebalancer.venues.ccxt_client.QUESTION_SECONDS", 0.2)


@asynccontextmanager
async def account(
    scene: Scene, limiter: Limiter | None = None
) -> AsyncIterator[tuple[ExchangeAccount, Spoken]]:
    """Yield what reads the scene's account, markets loaded; its requests can be no writes."""
    facts = FACTS[scene.venue_id]
    async with speaking(scene, TONGUES[scene.venue_id]) as spoken:
        keys = {name: KEYS[name] for name in ACCOUNTS[scene.venue_id].keys}
        exchange = open_with_keys(facts, keys, spoken.endpoint)
        transport = ReadOnlyTransport(2.0, facts.venue_id)
        client = CcxtClient(exchange, transport, limiter or unlimited())
        try:
            await client.load_markets({})
            contracts = {
                each.symbol: contract_of(client.markets[each.symbol], facts.venue_id)
                for each in scene.contracts.values()
            }
            config = Account(name="main", venue=facts.venue_id, hedge=scene.hedged)
            yield ExchangeAccount(config, client, facts, contracts, WallClock()), spoken
        finally:
            await client.close()


def btc_of(scene: Scene) -> str:
    return scene.contracts["BTC"].symbol


@pytest.mark.parametrize("venue_id", TONGUES)
async def test_equity_has_the_profit_of_what_is_held_and_what_is_free_is_told(
    venue_id: str,
) -> None:
    scene = Scene(venue_id, units=SHORT)
    async with account(scene) as (book, _):
        balance = await book.balance(scene.contracts["BTC"].quote)
        assert (balance.equity, balance.available) == (D(998), D(900))


@pytest.mark.parametrize("venue_id", TONGUES)
async def test_a_position_is_told_in_base_coins_with_all_that_the_venue_says_of_it(
    venue_id: str,
) -> None:
    scene = Scene(venue_id, units=SHORT)
    async with account(scene) as (book, _):
        (held,) = await book.positions()
        assert (held.contract, held.units, held.book) == (btc_of(scene), SHORT, PositionSide.NET)
        assert (held.entry_price, held.liquidation_price) == (ENTRY, LIQUIDATION)
        assert held.initial_margin == scene.margin
        # MEXC tells neither a mark nor a profit of a position.
        told = (None, None) if venue_id == "mexc" else (scene.mark, scene.profit)
        assert (held.mark_price, held.unrealized) == told


@pytest.mark.parametrize("venue_id", sorted(TONGUES.keys() - {"hyperliquid"}))
async def test_a_short_of_a_hedge_book_is_told_as_that_book(venue_id: str) -> None:
    scene = Scene(venue_id, units=SHORT, hedged=True)
    async with account(scene) as (book, _):
        assert await book.hedged() is True
        (held,) = await book.positions()
        assert (held.units, held.book) == (SHORT, PositionSide.SHORT)


@pytest.mark.parametrize("venue_id", TONGUES)
async def test_books_margin_and_leverage_are_told_as_they_are_set(venue_id: str) -> None:
    scene = Scene(venue_id, units=SHORT)
    async with account(scene) as (book, _):
        assert await book.hedged() is False
        assert (await book.margin_modes())[btc_of(scene)] == "cross"
        assert (await book.leverages())[btc_of(scene)] == {D(5)}
        # Half a turn is told, too: ccxt's own answer leaves it out.
        scene.leverage, scene.isolated = D("5.5"), True
        assert (await book.leverages())[btc_of(scene)] == {D("5.5")}
        if venue_id != "okx" or (await book.positions())[0].margin_mode:
            assert (await book.margin_modes())[btc_of(scene)] == "isolated"


@pytest.mark.parametrize("venue_id", TONGUES)
async def test_an_order_of_somebody_else_is_told_with_what_is_left_of_it(venue_id: str) -> None:
    scene = Scene(venue_id, foreign="4711")
    async with account(scene) as (book, _):
        btc, eth = (each.symbol for each in scene.contracts.values())
        (order,) = await book.open_orders(btc)
        assert (order.order_id, order.side, order.remaining) == ("4711", OrderSide.BUY, D("0.3"))
        assert await book.open_orders(eth) == ()


@pytest.mark.parametrize("venue_id", TONGUES)
async def test_keys_that_are_not_taken_are_an_outage_and_never_an_empty_account(
    venue_id: str,
) -> None:
    scene = Scene(venue_id, units=SHORT, takes_keys=False)
    async with account(scene) as (book, _):
        for question in (book.positions(), book.balance(scene.contracts["BTC"].quote)):
            with pytest.raises(VenueUnavailable, match=venue_id):
                await question


@pytest.mark.parametrize("venue_id", TONGUES)
async def test_contracts_are_those_that_orders_are_written_for(venue_id: str) -> None:
    scene = Scene(venue_id, open_for_orders=False)
    async with account(scene) as (book, _):
        btc, eth = scene.contracts.values()
        markets = book._client.markets
        assert changes_of(btc, markets[btc.symbol]) == []
        assert [each.what for each in changes_of(eth, markets[eth.symbol])] == ["status"]


@pytest.mark.parametrize(
    ("venue_id", "window", "weight"),
    [
        ("bybit", "address-5s", 1),
        ("okx", "public-2s", 1),
        ("bitget", "address-1m", 1),
        ("bitget", "public-1s", 1),
        ("mexc", "reads-2s", 1),
        ("hyperliquid", "weight-1m", 20),
    ],
)
async def test_loading_the_markets_takes_as_many_requests_as_the_table_says(
    venue_id: str, window: str, weight: int
) -> None:
    async with account(Scene(venue_id)) as (_, spoken):
        cost = FACTS[venue_id].limits.costs[Ask.MARKETS]
        assert cost[window] == len(spoken.asked) * weight


async def test_a_tick_of_hyperliquid_does_not_move_with_the_price() -> None:
    """Of a contract in steps of 0.00001 coins a price has one decimal, whatever it stands at."""
    scene = Scene("hyperliquid")
    btc = scene.contracts["BTC"]
    assert btc.tick == D("0.1")
    for mark in ("9999.9", "123456"):
        scene.prices["BTC"] = Prices(mark, mark, mark, mark, mark)
        async with account(scene) as (book, _):
            assert changes_of(btc, book._client.markets[btc.symbol]) == []


# -- own trades and payments of funding: as the venue pages them, over several of its windows -----

#: ids of a trade and its order, units, price, fee, and when
Told = tuple[str, str, Decimal, Decimal, Decimal, int]
#: more of each contract than any venue shows of them at once, in eight days and a half
MANY = 204
BEGIN_MS = NOON_MS + 600


def paid(count: int, every_ms: int = HOUR_MS) -> list[Paid]:
    """Payments of both contracts at the same instants, the newest first."""
    return [
        Paid(base, 1_000 + 10 * number + place, D(number - 7) / 1_000, BEGIN_MS + every_ms * number)
        for number in reversed(range(count))
        for place, base in enumerate(("ETH", "BTC"))
    ]


def traded(count: int, every_ms: int = HOUR_MS, together: int = 1) -> list[Traded]:
    """Trades of both contracts, the newest first, some at one instant; every third sells."""
    return [
        Traded(
            base,
            1_000 + 10 * number + place,
            units=D("-0.5") if number % 3 == 0 else D("0.25"),
            price=D(50_000 + number) + D("0.5"),
            fee=D(number - 3) / 1_000,
            at_ms=BEGIN_MS + every_ms * (number // together),
        )
        for number in reversed(range(count))
        for place, base in enumerate(("ETH", "BTC"))
    ]


async def payments(scene: Scene, since_ms: int) -> list[FundingPayment]:
    async with account(scene) as (book, _):
        book.venue_clock._clock = VirtualClock(BEGIN_MS + 400 * HOUR_MS)
        return list(await book.funding(btc_of(scene), since_ms))


@pytest.mark.parametrize("venue_id", TONGUES)
async def test_every_payment_of_a_contract_is_told_once_below_zero_where_it_was_paid(
    venue_id: str,
) -> None:
    scene = Scene(venue_id, paid=paid(MANY))
    listed = await payments(scene, BEGIN_MS + HOUR_MS)
    expected = [each for each in reversed(scene.paid) if each.base == "BTC"][1:]
    assert [(each.amount, each.at_ms) for each in listed] == [
        (each.amount, each.at_ms) for each in expected
    ]
    # Gate gives payments no id, Hyperliquid the same to all.
    same = {"gate": "", "hyperliquid": f"0x{0:064x}"}
    ids = {same.get(venue_id, str(each.number)) for each in expected}
    assert {each.payment_id for each in listed} == ids


@pytest.mark.parametrize("venue_id", TONGUES)
async def test_every_own_trade_of_a_contract_is_told_once_in_base_coins(venue_id: str) -> None:
    scene = Scene(venue_id, traded=traded(MANY))
    listed, asked = await trades(scene, BEGIN_MS + HOUR_MS)
    assert listed == told_of(scene)[1:]
    assert asked > 1, "none shows more than a week at once"


@pytest.mark.parametrize("venue_id", TONGUES)
async def test_trades_of_one_instant_are_all_told_where_a_page_ends_among_them(
    venue_id: str,
) -> None:
    """Seven fills at a time share a stamp; no page is a multiple of seven."""
    page = ACCOUNTS[venue_id].trades.page
    scene = Scene(venue_id, traded=traded(page + 30, every_ms=1_000, together=7))
    listed, asked = await trades(scene, BEGIN_MS + 1_000)
    assert sorted(listed) == sorted(told_of(scene)[7:])
    assert asked > 1, "a page does not hold as many"


async def trades(scene: Scene, since_ms: int) -> tuple[list[Told], int]:
    """Return all of own trades of BTC, and how many requests that took."""
    async with account(scene) as (book, spoken):
        book.venue_clock._clock = VirtualClock(BEGIN_MS + 400 * HOUR_MS)
        spoken.asked.clear()
        listed = [
            (each.trade_id, each.order_id, each.units, each.price, each.fee, each.at_ms)
            for each in await book.trades(btc_of(scene), since_ms)
        ]
        return listed, len(spoken.asked)


def told_of(scene: Scene) -> list[Told]:
    """Return what the venue has of own trades of BTC."""
    return [
        (str(each.number), str(each.number + 1), each.units, each.price, each.fee, each.at_ms)
        for each in reversed(scene.traded)
        if each.base == "BTC"
    ]


async def test_a_list_of_which_hyperliquid_keeps_no_more_is_refused() -> None:
    scene = Scene("hyperliquid", traded=traded(5_010, every_ms=1_000))
    with pytest.raises(VenueUnavailable, match="older ones may be gone"):
        await trades(scene, BEGIN_MS)
    listed, _ = await trades(scene, BEGIN_MS + 100_000)
    assert listed == told_of(scene)[100:]


async def test_a_long_answer_of_hyperliquid_takes_as_much_more_as_it_has_rows() -> None:
    scene = Scene("hyperliquid", traded=traded(1_050, every_ms=1_000))
    limiter = limiter_of(FACTS["hyperliquid"])
    async with account(scene, limiter) as (book, spoken):
        book.venue_clock._clock = VirtualClock(BEGIN_MS + HOUR_MS)
        spoken.asked.clear()
        await book.trades(btc_of(scene), BEGIN_MS)
        (used,) = limiter.used().values()
        # Two thousand rows, the oldest instant again, and the last hundred and two.
        assert used == 20 * len(spoken.asked) + 2_000 // 20 + 1 + 6


@pytest.mark.parametrize(
    ("number", "side"),
    [(1, OrderSide.BUY), (2, OrderSide.BUY), (3, OrderSide.SELL), (4, OrderSide.SELL)],
)
async def test_mexc_counts_the_sides_of_an_order_that_opens_or_closes(
    number: int, side: OrderSide
) -> None:
    scene = Scene("mexc", foreign="4711", foreign_side=number)
    async with account(scene) as (book, _):
        (order,) = await book.open_orders(btc_of(scene))
    assert order.side is side


async def test_mexc_payments_before_the_instant_are_not_told_again() -> None:
    """MEXC pages by number, newest first, and heeds no instant."""
    listed = await payments(Scene("mexc", paid=paid(3)), BEGIN_MS + HOUR_MS)
    assert [(each.payment_id, each.at_ms) for each in listed] == [
        ("1011", BEGIN_MS + HOUR_MS),
        ("1021", BEGIN_MS + 2 * HOUR_MS),
    ]


async def test_mexc_payments_are_read_page_by_page_as_far_back_as_they_are_wanted() -> None:
    scene = Scene("mexc", paid=paid(350))
    assert len(await payments(scene, BEGIN_MS)) == 350
    async with account(scene) as (book, spoken):
        spoken.asked.clear()
        listed = await book.funding(btc_of(scene), BEGIN_MS + 200 * HOUR_MS)
        assert len(listed) == 150
        assert [asked.query["page_num"] for asked in spoken.asked] == ["1", "2"]
