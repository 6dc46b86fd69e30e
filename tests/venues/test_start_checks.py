"""What differs from the configuration is refused at the start, in one sentence, unchanged."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from rebalancer.clock import VirtualClock, WallClock
from rebalancer.core.fund import Account
from rebalancer.errors import BrokenInvariant, ConfigRefused, VenueUnavailable
from rebalancer.venues.exchange_checks import Expected, StartChecks, measure_clock, read_clock
from rebalancer.venues.exchange_venue import ExchangeVenue, facts_of, open_client
from rebalancer.venues.facts import FACTS
from tests.contracts.test_venue_contract import intent
from tests.loopback.accounts import Account as VenueAccount
from tests.loopback.accounts import Margin
from tests.loopback.calls import Call
from tests.loopback.orders import Book
from tests.loopback.presets import KEY, SECRET, binance
from tests.loopback.server import LoopbackVenue
from tests.venues.accounts import BTC, CONTRACTS, ETH, account, position_of, stubbed


def isolated(each: VenueAccount) -> None:
    each.margins[("ETH/USDT", Book.NET)] = Margin.ISOLATED


def may_withdraw(each: VenueAccount) -> None:
    each.may_withdraw = True


def from_anywhere(each: VenueAccount) -> None:
    each.ip_restricted = False


@pytest.mark.parametrize(
    ("prepare", "expected", "sentence"),
    [
        (
            lambda each: setattr(each, "hedged", True),
            Expected(),
            (
                "accounts.main.hedge is false, the account at Binance USD-M keeps two books (hedge "
                "mode): set it to true, or have `rebalancer set-modes main` set the position mode "
                "to one-way there while nothing is held"
            ),
        ),
        (
            isolated,
            Expected(),
            (
                f"accounts.main: the desk trades cross margin, {ETH} at Binance USD-M is set to "
                "isolated: have `rebalancer set-modes main` set it to cross there while nothing is "
                "held"
            ),
        ),
        (
            lambda each: None,
            Expected(leverage=5),
            (
                f"accounts.main.leverage is 5, {BTC} at Binance USD-M is set to 20: have "
                "`rebalancer set-modes main` set it to 5 there while nothing is held, or change it "
                "in the configuration"
            ),
        ),
        (
            may_withdraw,
            Expected(),
            (
                "accounts.main: the key may withdraw, and a trading key must do neither: change it "
                "in the API management of Binance USD-M, or set accept_key_rights to true"
            ),
        ),
        (
            from_anywhere,
            Expected(),
            (
                "accounts.main: the key works from any address, and a trading key must do neither: "
                "change it in the API management of Binance USD-M, or set accept_key_rights to true"
            ),
        ),
    ],
    ids=["books", "margin", "leverage", "withdrawal", "address"],
)
async def test_what_differs_is_refused_in_one_sentence_and_never_changed(
    prepare: Callable[[VenueAccount], None], expected: Expected, sentence: str
):
    calls: list[Call] = []

    def keep(each: VenueAccount) -> None:
        prepare(each)

    with pytest.raises(ConfigRefused) as refused:
        async with watched(keep, expected, calls):
            pass
    assert str(refused.value) == sentence
    assert {call.method for call in calls} == {"GET"}


@asynccontextmanager
async def watched(
    prepare: Callable[[VenueAccount], None], expected: Expected, calls: list[Call]
) -> AsyncIterator[None]:
    """Start a venue and keep every call that it made, also when it refuses to start."""
    clock = WallClock()
    async with LoopbackVenue(binance()) as market:
        prepare(market.core.accounts[KEY])
        client = open_client(facts_of("binanceusdm"), {"apiKey": KEY, "secret": SECRET})
        market.point(client._exchange)
        venue = ExchangeVenue(
            Account(name="main", venue="binanceusdm"), client, CONTRACTS, clock, expected
        )
        try:
            await venue.start(lambda _event: None)
            yield
        finally:
            calls.extend(market.calls)
            await venue.close()


async def test_a_key_that_may_withdraw_is_taken_only_on_request():
    with capture_logs() as told:
        async with account(prepare=may_withdraw, expected=Expected(accept_key_rights=True)):
            pass
    (line,) = (each for each in told if each["event"] == "check_accepted")
    assert line["check"] == "key rights"
    assert "may withdraw" in line["seen"]


async def test_the_leverage_that_is_set_is_accepted():
    async with account(expected=Expected(leverage=20)) as desk:
        assert desk.events == []


async def check(venue_id: str, expected: Expected, *, hedge: bool = False, **answers: Any) -> None:
    book = stubbed(venue_id, hedge=hedge, **answers)
    config = Account(name="main", venue=venue_id, hedge=hedge)
    await StartChecks(config, FACTS[venue_id], book, expected).refuse_what_differs()


async def test_what_a_venue_does_not_tell_is_accepted_only_on_request():
    with pytest.raises(ConfigRefused, match=r"XT does not tell what the key may do.*accept_untold"):
        await check("xt", Expected(), hedge=True, fetch_positions=[])
    await check("xt", Expected(accept_untold=True), hedge=True, fetch_positions=[])


async def test_a_configuration_that_the_venue_can_never_follow_has_one_remedy():
    with pytest.raises(ConfigRefused) as refused:
        await check("xt", Expected(accept_untold=True), fetch_positions=[])
    assert str(refused.value) == (
        "accounts.main.hedge is false, the account at XT keeps two books (hedge mode): "
        "set it to true"
    )


async def test_isolated_positions_are_refused_where_only_positions_tell():
    rows = [position_of("xt", marginMode="isolated")]
    with pytest.raises(ConfigRefused, match="is set to isolated"):
        await check("xt", Expected(accept_untold=True), hedge=True, fetch_positions=rows)


async def test_an_account_that_was_refused_takes_no_order():
    clock = WallClock()
    async with LoopbackVenue(binance()) as market:
        market.core.accounts[KEY].may_withdraw = True
        client = open_client(facts_of("binanceusdm"), {"apiKey": KEY, "secret": SECRET})
        market.point(client._exchange)
        venue = ExchangeVenue(Account(name="main", venue="binanceusdm"), client, CONTRACTS, clock)
        try:
            with pytest.raises(ConfigRefused):
                await venue.start(lambda _event: None)
            with pytest.raises(BrokenInvariant, match="before the account was checked"):
                await venue.submit(intent("r1", 1))
            assert {call.method for call in market.calls} == {"GET"}
        finally:
            await venue.close()


async def test_an_id_that_was_sent_is_asked_for_and_never_sent_again():
    async with account() as desk:
        order = intent("r1", 1)
        for _ in range(3):
            await desk.venue.submit(order)
        sent = [call for call in desk.market.calls if call.method == "POST"]
        assert len(sent) == 1


async def test_funds_begin_on_an_account_that_is_worth_their_capital():
    enough = Expected(capital={"USDT": Decimal(100_000)})
    async with account(expected=enough):
        pass
    more = Expected(capital={"USDT": Decimal("100000.01")})
    with pytest.raises(ConfigRefused) as refused:
        async with account(expected=more):
            pass
    assert str(refused.value) == (
        "accounts.main: the funds that begin on it have a capital of 100000.01 USDT (initial_nav x "
        "initial_shares), the account at Binance USD-M is worth 100000: pay in the rest, or lower "
        "initial_shares"
    )


async def test_a_venue_that_does_not_tell_its_time_is_an_outage_and_no_end_of_the_desk():
    client: Any = SimpleNamespace(ask=silent)
    with pytest.raises(VenueUnavailable, match="the venue's time: unreadable answer"):
        await read_clock(client, facts_of("binanceusdm"), WallClock())


async def silent(_question: object, _cost: object) -> None:
    """Answer as ccxt does for a page that is no answer: with nothing."""


async def test_a_clock_that_is_minutes_off_is_waited_for_and_no_end_of_the_desk():
    async def two_minutes_ahead(_question: object, _cost: object) -> int:
        return 120_000

    client: Any = SimpleNamespace(ask=two_minutes_ahead)
    with pytest.raises(VenueUnavailable, match="120000 ms off binanceusdm's: synchronise it"):
        await measure_clock(client, facts_of("binanceusdm"), VirtualClock(0))
