"""An account is set as configured by a command of its operator, and never under a position."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from rebalancer.clock import WallClock
from rebalancer.core.contract import Contract
from rebalancer.core.fund import Account
from rebalancer.errors import CommandRefused, ConfigRefused, VenueUnavailable
from rebalancer.exchanges import contract_of
from rebalancer.venues import exchange_account
from rebalancer.venues.exchange_account import ExchangeAccount
from rebalancer.venues.exchange_checks import Expected, StartChecks
from rebalancer.venues.exchange_settings import (
    leverage_changes,
    margin_mode_changes,
    position_mode_changes,
)
from rebalancer.venues.exchange_venue import facts_of, open_client
from rebalancer.venues.facts import FACTS
from rebalancer.venues.facts_shape import Ask
from rebalancer.venues.setting_modes import Carried, ModeSetter, Seen
from tests.loopback import presets
from tests.loopback.accounts import Account as Owner
from tests.loopback.accounts import Margin
from tests.loopback.calls import Answer, Call
from tests.loopback.faults import Fault, Shape, Taken
from tests.loopback.orders import Book
from tests.loopback.presets import KEY, SECRET
from tests.loopback.server import LoopbackVenue
from tests.unlimited import unlimited
from tests.venues.accounts import BTC, ETH, D, position_of, stubbed
from tests.venues.golden.markets import contracts_of

MARKETS: dict[str, Callable[[], Any]] = {"binanceusdm": presets.binance, "xt": presets.xt}


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_account, "EMPTY_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr("rebalancer.venues.ccxt_client.QUESTION_SECONDS", 0.2)


@dataclass
class Desk:
    """One account at a loopback exchange, and what would set it."""

    market: LoopbackVenue
    setter: ModeSetter
    checks: StartChecks
    owner: Owner

    def writes(self) -> list[Call]:
        return [call for call in self.market.calls if call.method == "POST"]

    def hold(self, name: str, book: Book = Book.NET) -> None:
        position = self.owner.position(name, book)
        position.contracts, position.entry = D(6), D(3000)

    async def set(self) -> list[Carried]:
        wanted = (await self.setter.look()).changes
        return [each async for each in self.setter.carry_out(wanted)]


@asynccontextmanager
async def desk(
    venue_id: str = "binanceusdm",
    *,
    leverage: int | None = 5,
    prepare: Callable[[Owner], None] = lambda _: None,
    barred: str | None = None,
) -> AsyncIterator[Desk]:
    facts = facts_of(venue_id)
    async with LoopbackVenue(MARKETS[venue_id](), beat_ms=50) as market:
        owner = market.core.accounts[KEY]
        prepare(owner)
        client = open_client(facts, {"apiKey": KEY, "secret": SECRET}, limiter=unlimited(facts))
        market.point(client._exchange)
        client.barred = lambda: barred
        await client.load_markets(facts.limits.costs[Ask.MARKETS])
        contracts: dict[str, Contract] = {
            symbol: contract_of(client.markets[symbol], venue_id) for symbol in (BTC, ETH)
        }
        config = Account(name="main", venue=venue_id, hedge=venue_id == "xt")
        book = ExchangeAccount(config, client, facts, contracts, WallClock())
        expected = Expected(leverage=leverage, accept_untold=True)
        checks = StartChecks(config, facts, book, expected)
        market.calls.clear()
        try:
            yield Desk(market, ModeSetter(client, facts, book, checks), checks, owner)
        finally:
            await client.close()


def otherwise(owner: Owner) -> None:
    """Two books, one contract isolated, and a leverage that nobody asked for."""
    owner.hedged = True
    for book in Book:
        owner.margins["ETH/USDT", book] = Margin.ISOLATED


async def test_what_differs_is_set_by_one_request_each_and_then_the_desk_would_start():
    async with desk(prepare=otherwise) as each:
        with pytest.raises(ConfigRefused, match="have `rebalancer set-modes main` set"):
            await each.checks.refuse_what_differs()
        wanted = (await each.setter.look()).changes
        assert [(one.setting, one.contract, one.value) for one in wanted] == [
            ("position mode", "", "one book (one-way mode)"),
            ("margin mode", ETH, "cross"),
            ("leverage", BTC, "5"),
            ("leverage", ETH, "5"),
        ]
        assert each.writes() == []
        assert [carried.refusal for carried in await each.set()] == ["", "", "", ""]
        assert len(each.writes()) == 4
        assert await each.setter.look() == Seen((), ())
        await each.checks.refuse_what_differs()
        assert not each.owner.hedged
        assert each.owner.margin("ETH/USDT", Book.NET) is Margin.CROSS
        assert each.owner.leverage("BTC/USDT", Book.NET) == 5


async def test_what_xt_does_not_tell_before_a_position_is_set_in_both_books():
    async with desk("xt", prepare=otherwise) as each:
        carried = await each.set()
        settings = [(one.change.setting, one.change.contract) for one in carried]
        assert settings == [
            ("margin mode", BTC), ("margin mode", ETH), ("leverage", BTC), ("leverage", ETH)
        ]  # fmt: skip
        assert len(each.writes()) == 8
        for book in (Book.LONG, Book.SHORT):
            assert each.owner.margin("ETH/USDT", book) is Margin.CROSS
            assert each.owner.leverage("ETH/USDT", book) == 5


@pytest.mark.parametrize("venue_id", MARKETS)
async def test_nothing_is_changed_under_a_position_of_whatever_contract(venue_id: str):
    async with desk(venue_id, prepare=otherwise) as each:
        foreign = [name for name in each.market.core.instruments if name[:3] not in ("BTC", "ETH")]
        each.hold(foreign[0], Book.LONG)
        with pytest.raises(CommandRefused, match=r"1 contract held at .* nothing was changed"):
            await each.set()
        assert each.writes() == []


async def test_an_empty_answer_is_not_flat():
    async with desk(prepare=otherwise) as each:
        wanted = (await each.setter.look()).changes
        each.hold("ETH/USDT", Book.LONG)
        honest, waiting = each.market.dialect.act, [True]

        def act(core: Any, call: Call) -> Answer:
            if waiting and call.path.endswith("positionRisk"):
                waiting.pop()
                return Answer.of([])
            return honest(core, call)

        each.market.dialect.act = act  # type: ignore[method-assign]
        with pytest.raises(CommandRefused, match="1 contract held"):
            [one async for one in each.setter.carry_out(wanted)]
        assert each.writes() == []


async def test_nothing_is_changed_under_an_open_order():
    async with desk(prepare=otherwise) as each:
        params = {"positionSide": "LONG"}
        await each.setter._client._exchange.create_order(BTC, "limit", "buy", 1, 40_000, params)
        each.market.calls.clear()
        with pytest.raises(CommandRefused, match=f"1 order of {BTC} open at Binance USD-M"):
            await each.set()
        assert each.writes() == []


async def test_a_refusal_is_told_in_the_venues_words_and_stops_no_other_change():
    async with desk(prepare=otherwise) as each:
        refused = Fault(shape=Shape.BUSY, taken=Taken.NEVER, path="marginType")
        each.market.faults.plan(refused)
        carried = await each.set()
        assert [bool(one.refusal) for one in carried] == [False, True, False, False]
        assert len([call for call in each.writes() if "marginType" in call.path]) == 1
        (seen,) = (await each.setter.look()).differing
        assert f"{ETH} at Binance USD-M is set to isolated" in seen


async def test_a_setting_that_stands_already_is_no_refusal():
    async with desk(prepare=otherwise) as each:
        wanted = (await each.setter.look()).changes
        for book in Book:
            each.owner.margins["ETH/USDT", book] = Margin.CROSS
        carried = [one async for one in each.setter.carry_out(wanted)]
        assert [one.refusal for one in carried] == ["", "", "", ""]


async def test_nothing_leaves_under_the_kill_switch():
    async with desk(prepare=otherwise, barred="killed") as each:
        assert {one.refusal for one in await each.set()} == {"killed"}
        assert each.writes() == []


async def test_positions_that_are_not_told_are_not_none():
    async with desk(prepare=otherwise) as each:
        wanted = (await each.setter.look()).changes
        each.market.faults.plan(Fault(shape=Shape.BUSY, path="positionRisk", times=99))
        with pytest.raises(VenueUnavailable):
            [one async for one in each.setter.carry_out(wanted)]
        assert each.writes() == []


async def test_what_differs_and_cannot_be_set_is_told_all_the_same():
    """Gate sets cross margin with a leverage, and none is configured."""
    isolated = position_of("gate", marginMode="isolated", entryPrice="1", markPrice="1", info={})
    book = stubbed(
        "gate",
        fetch_positions=[isolated],
        privateFuturesGetSettleAccounts={"in_dual_mode": False},
    )
    config, facts = Account(name="main", venue="gate"), FACTS["gate"]
    nobody: Any = None
    setter = ModeSetter(nobody, facts, book, StartChecks(config, facts, book, Expected()))
    seen = await setter.look()
    assert seen.changes == ()
    (sentence,) = seen.differing
    assert "is set to isolated: set its margin mode there to cross" in sentence


def test_what_a_venue_cannot_be_told_has_no_call():
    """XT keeps two books and Hyperliquid one, OKX and MEXC are told the mode by each order."""
    for venue_id, facts in FACTS.items():
        known = {each.symbol: each for each in contracts_of(venue_id)}
        books = position_mode_changes(facts, known, hedge=True)
        assert bool(books) == (venue_id not in ("xt", "hyperliquid"))
        margin = margin_mode_changes(facts, known, None)
        assert bool(margin) == (venue_id not in ("okx", "gate", "mexc", "hyperliquid"))
        assert len(leverage_changes(facts, known, 5)) == len(known)
        if facts.margin_mode.with_leverage:
            assert margin_mode_changes(facts, known, 5) == leverage_changes(facts, known, 5)
