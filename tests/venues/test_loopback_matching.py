"""The matching core of the loopback venue, without any protocol."""

from __future__ import annotations

import copy
from dataclasses import replace
from decimal import Decimal

import pytest

from tests.loopback import figures
from tests.loopback.accounts import Account, IncomeKind, Margin
from tests.loopback.happenings import Execution, OrderMoved, WalletMoved
from tests.loopback.instruments import Depth, Instrument, Listing
from tests.loopback.matching import Core
from tests.loopback.orders import Book, Force, Kind, OrderRequest, Refusal, Refused, Side, Status
from tests.loopback.settling import (
    Move,
    Script,
    move_price,
    set_hedged,
    set_leverage,
    set_margin,
    settle_funding,
)

D = Decimal
NOW = 1_700_000_000_000


def world(
    *, hedged: bool = False, unique: bool = True, wallet: str = "10000"
) -> tuple[Core, Account]:
    instrument = Instrument(
        base="BTC",
        last=D(1000),
        tick=D(1),
        lot=D("0.1"),
        depth=Depth(contracts=D(2), levels=5),
        taker_rate=D("0.001"),
        maker_rate=D(0),
    )
    account = Account(name="a", key="k", secret="s", wallet=D(wallet), hedged=hedged)
    core = Core(
        instruments={"BTC/USDT": instrument}, accounts={"k": account}, unique_open_ids=unique
    )
    return core, account


def order(side: str, contracts: str, price: str | None = None, **more: object) -> OrderRequest:
    request = OrderRequest(
        instrument="BTC/USDT",
        side=Side(side),
        contracts=D(contracts),
        kind=Kind.MARKET if price is None else Kind.LIMIT,
        price=None if price is None else D(price),
        force=Force.IOC,
        client_order_id="c1",
    )
    return replace(request, **more)  # type: ignore[arg-type]


def refusal(core: Core, account: Account, request: OrderRequest) -> Refusal:
    before = copy.deepcopy(core)
    with pytest.raises(Refused) as caught:
        core.place(account, request, NOW)
    assert core == before, "a refusal changes nothing"
    return caught.value.refusal


def test_ioc_fills_level_by_level_up_to_its_limit_and_expires():
    core, account = world()
    done = core.place(account, order("BUY", "5", "1002"), NOW)
    assert done.status is Status.EXPIRED
    assert [(t.price, t.contracts) for t in done.trades] == [(D(1001), D(2)), (D(1002), D(2))]
    assert done.average == D("1001.5")
    assert account.contracts("BTC/USDT", Book.NET) == D(4)
    fees = D("0.001") * (2 * 1001 + 2 * 1002)
    assert account.wallet == D(10000) - fees


def test_happenings_come_in_the_order_in_which_they_happened():
    core, account = world()
    core.place(account, order("BUY", "3", "1001"), NOW)
    told = core.take_outbox()
    assert [type(each) for each in told] == [OrderMoved, WalletMoved, OrderMoved, OrderMoved]
    moves = [each for each in told if isinstance(each, OrderMoved)]
    assert [m.execution for m in moves] == [Execution.NEW, Execution.TRADE, Execution.EXPIRED]
    assert [m.order.filled for m in moves] == [D(0), D(2), D(2)], "each is a picture of its moment"
    assert core.take_outbox() == []


def test_market_order_takes_every_level():
    core, account = world()
    done = core.place(account, order("SELL", "12"), NOW)
    assert (done.status, done.filled) == (Status.EXPIRED, D(10))
    assert core.place(account, order("BUY", "2"), NOW).status is Status.FILLED


def test_gtc_rests_and_is_filled_as_maker_when_the_price_comes():
    core, account = world()
    resting = core.place(account, order("BUY", "3", "990", force=Force.GTC), NOW)
    seen = [(resting.status, resting.filled)]
    for later, price in enumerate((989, 985), start=1):
        move_price(core, Move(at_ms=NOW + later, instrument="BTC/USDT", last=D(price)))
        seen.append((resting.status, resting.filled))
    assert seen == [
        (Status.NEW, D(0)),
        (Status.PARTIALLY_FILLED, D(2)),
        (Status.FILLED, D(3)),
    ]
    assert {(t.price, t.maker) for t in resting.trades} == {(D(990), True)}
    assert account.wallet == D(10000), "makers pay nothing here"


def test_position_arithmetic_closes_before_it_opens():
    core, account = world()
    core.place(account, order("BUY", "4"), NOW)  # 2 at 1001, 2 at 1002
    core.place(account, order("SELL", "6"), NOW)  # 2 at 999, 998, 997
    position = account.position("BTC/USDT", Book.NET)
    assert position.contracts == D(-2)
    assert position.entry == D(997)
    assert position.realized == 2 * (999 - D("1001.5")) + 2 * (998 - D("1001.5"))


def test_reduce_only_is_cut_to_the_position_and_refused_without_one():
    core, account = world()
    assert refusal(core, account, order("SELL", "1", reduce_only=True)) is Refusal.NOT_REDUCING
    core.place(account, order("BUY", "1"), NOW)
    assert refusal(core, account, order("BUY", "1", reduce_only=True)) is Refusal.NOT_REDUCING
    done = core.place(account, order("SELL", "3", reduce_only=True), NOW)
    assert (done.status, done.filled) == (Status.EXPIRED, D(1))
    assert not list(account.held())


def test_hedge_books_stand_side_by_side():
    core, account = world(hedged=True)
    assert refusal(core, account, order("BUY", "1")) is Refusal.WRONG_BOOK
    core.place(account, order("BUY", "2", book=Book.LONG), NOW)
    core.place(account, order("SELL", "1", book=Book.SHORT), NOW)
    assert account.contracts("BTC/USDT", Book.LONG) == D(2)
    assert account.contracts("BTC/USDT", Book.SHORT) == D(-1)
    too_much = order("SELL", "3", book=Book.LONG)
    assert refusal(core, account, too_much) is Refusal.NOT_REDUCING
    core.place(account, order("SELL", "2", book=Book.LONG), NOW)
    core.place(account, order("BUY", "1", book=Book.SHORT), NOW)
    assert not list(account.held())


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (order("BUY", "0"), Refusal.BAD_QUANTITY),
        (order("BUY", "0.15"), Refusal.OFF_LOT),
        (order("BUY", "1000001"), Refusal.TOO_LARGE),
        (order("BUY", "1", "-1"), Refusal.BAD_PRICE),
        (order("BUY", "1", "1000.5"), Refusal.OFF_TICK),
        (order("BUY", "1", "1101"), Refusal.TOO_HIGH),
        (order("SELL", "1", "899"), Refusal.TOO_LOW),
        (order("BUY", "900", "1000"), Refusal.NO_MARGIN),
        (order("BUY", "1", "1001", force=Force.GTX), Refusal.WOULD_TAKE),
        (order("BUY", "11", "1005", force=Force.FOK), Refusal.CANNOT_FILL),
        (replace(order("BUY", "1"), instrument="DOGE/USDT"), Refusal.UNKNOWN_INSTRUMENT),
    ],
    ids=lambda value: value.name if isinstance(value, Refusal) else "",
)
def test_refusals_change_nothing(request_: OrderRequest, expected: Refusal):
    core, account = world()
    assert refusal(core, account, request_) is expected


def test_minimum_notional_holds_for_openings_only():
    core, account = world()
    core.place(account, order("BUY", "0.1"), NOW)
    core.instruments["BTC/USDT"].min_notional = D(500)
    assert refusal(core, account, order("BUY", "0.1")) is Refusal.MIN_NOTIONAL
    assert core.place(account, order("SELL", "0.1", reduce_only=True), NOW).filled == D("0.1")


def test_listing_status_closes_the_door_for_openings_or_for_all():
    core, account = world()
    core.place(account, order("BUY", "1"), NOW)
    core.instruments["BTC/USDT"].listing = Listing.DELISTING
    assert refusal(core, account, order("BUY", "1")) is Refusal.REDUCE_ONLY_MARKET
    core.place(account, order("SELL", "0.5", reduce_only=True), NOW)
    core.instruments["BTC/USDT"].listing = Listing.HALTED
    assert refusal(core, account, order("SELL", "0.5", reduce_only=True)) is Refusal.NOT_TRADING


def test_client_ids_are_unique_among_open_orders_only_where_the_venue_says_so():
    core, account = world()
    first = core.place(account, order("BUY", "1", "990", force=Force.GTC), NOW)
    assert refusal(core, account, order("BUY", "1")) is Refusal.DUPLICATE_ID
    core.cancel(account, first, NOW)
    second = core.place(account, order("BUY", "1"), NOW)
    third = core.place(account, order("BUY", "1"), NOW)
    assert core.find(account, client_order_id="c1") is third is not second
    core, account = world(unique=False)
    core.place(account, order("BUY", "1", "990", force=Force.GTC), NOW)
    core.place(account, order("BUY", "1", "990", force=Force.GTC), NOW)
    assert len(account.open_ids) == 2


def test_cancelling_twice_is_an_unknown_order():
    core, account = world()
    resting = core.place(account, order("BUY", "1", "990", force=Force.GTC), NOW)
    assert core.cancel(account, resting, NOW).status is Status.CANCELED
    with pytest.raises(Refused) as caught:
        core.cancel(account, resting, NOW)
    assert caught.value.refusal is Refusal.UNKNOWN_ORDER


def test_funding_moves_wallets_by_the_mark():
    core, account = world()
    core.place(account, order("BUY", "2", "1001"), NOW)
    before = account.wallet
    settle_funding(core, "BTC/USDT", NOW, D("0.001"))
    assert account.wallet == before - 2 * 1000 * D("0.001")
    assert account.incomes[-1].kind is IncomeKind.FUNDING_FEE
    assert core.fundings[-1].rate == D("0.001")
    settle_funding(core, "BTC/USDT", NOW, D("-0.001"))
    assert account.wallet == before


def test_liquidation_closes_everything_and_the_venue_covers_the_rest():
    core, account = world(wallet="1000")
    core.place(account, order("BUY", "8", "1004"), NOW)
    limit = figures.liquidation_price(
        account, account.position("BTC/USDT", Book.NET), core.instruments
    )
    core.take_outbox()
    move_price(core, Move(at_ms=NOW, instrument="BTC/USDT", last=D(int(limit) + 2)))
    assert list(account.held()), "just above the liquidation price nothing happens"
    move_price(core, Move(at_ms=NOW, instrument="BTC/USDT", last=D(500)))
    assert not list(account.held())
    assert account.wallet == 0
    assert account.incomes[-1].kind is IncomeKind.LIQUIDATION_FEE
    executions = [each.execution for each in core.take_outbox() if isinstance(each, OrderMoved)]
    assert executions == [Execution.LIQUIDATED]


def test_wallet_is_the_sum_of_its_history():
    core, account = world()
    for number in range(20):
        core.place(account, order("BUY" if number % 3 else "SELL", "1.5"), NOW)
        move_price(core, Move(at_ms=NOW, instrument="BTC/USDT", last=D(1000 + number)))
        settle_funding(core, "BTC/USDT", NOW, D("0.0001"))
    assert account.wallet == D(10000) + sum(entry.amount for entry in account.incomes)
    assert account.contracts("BTC/USDT", Book.NET) == sum(
        trade.contracts * trade.side.sign for trade in account.trades
    )


def test_free_margin_is_equity_less_what_is_bound():
    core, account = world()
    core.place(account, order("BUY", "3"), NOW)
    core.place(account, order("BUY", "1", "990", force=Force.GTC), NOW)
    move_price(core, Move(at_ms=NOW, instrument="BTC/USDT", last=D(1100)))
    bound = figures.position_margins(account, core.instruments) + figures.order_margins(
        account, core.instruments
    )
    assert bound > 0
    assert figures.available(account, core.instruments) == (
        figures.equity(account, core.instruments) - bound
    )


def test_modes_change_only_where_nothing_is_open():
    core, account = world()
    with pytest.raises(Refused, match="nothing would change"):
        set_hedged(account, hedged=False)
    with pytest.raises(Refused, match="leverage is out of range"):
        set_leverage(core, account, "BTC/USDT", 126, NOW)
    set_leverage(core, account, "BTC/USDT", 50, NOW)
    assert account.leverage("BTC/USDT", Book.NET) == 50
    resting = core.place(account, order("BUY", "1", "990", force=Force.GTC), NOW)
    with pytest.raises(Refused, match="open orders"):
        set_hedged(account, hedged=True)
    core.cancel(account, resting, NOW)
    core.place(account, order("BUY", "1"), NOW)
    with pytest.raises(Refused, match="open positions"):
        set_margin(core, account, "BTC/USDT", Margin.ISOLATED)


def test_script_gives_what_is_due_in_order():
    moves = [Move(at_ms=at, instrument="BTC/USDT", last=D(at)) for at in (30, 10, 20)]
    script = Script()
    script.add(moves)
    assert [move.at_ms for move in script.due(20)] == [10, 20]
    assert [move.at_ms for move in script.due(99)] == [30]


def test_a_copy_answers_like_the_original():
    core, account = world()
    core.place(account, order("BUY", "1"), NOW)
    twin = copy.deepcopy(core)
    ours = core.place(account, order("SELL", "3"), NOW)
    theirs = twin.place(twin.accounts["k"], order("SELL", "3"), NOW)
    assert ours == theirs
    assert core == twin
