"""Canaries: keys given at the start, and every signature made of them, are found in no byte."""

from __future__ import annotations

import asyncio
import io
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog

from rebalancer import logs
from rebalancer.clock import WallClock
from rebalancer.core.events import Event, OrderReported
from rebalancer.core.fund import Account
from rebalancer.errors import VenueUnavailable
from rebalancer.venues import exchange_account, exchange_orders, exchange_venue
from rebalancer.venues.exchange_venue import ExchangeVenue, facts_of, open_client
from rebalancer.venues.facts_shape import Ask
from rebalancer.venues.wire import SignedRequest
from tests.loopback.calls import Answer, Call
from tests.loopback.clients import client as bare_client
from tests.loopback.faults import Fault, Shape, Taken
from tests.loopback.presets import binance, demo_account
from tests.loopback.server import LoopbackVenue
from tests.venues.accounts import BTC, CONTRACTS
from tests.venues.test_exchange_venue import intent

KEY = "canarykeycanarykeycanarykey0123456789"
SECRET = "canarysecretcanarysecretcanary9876543210"
#: for one answer: what is held back is late by it, and nothing else on a busy machine
PATIENCE_SECONDS = 0.8
HOLD_MS = 1_200
ASIDE = ("ccxt", "aiohttp.client", "aiohttp.internal", "asyncio")


@dataclass
class Scene:
    """A venue with canaries for keys, and every byte that it gave away."""

    venue: ExchangeVenue
    market: LoopbackVenue
    stream: io.StringIO
    events: list[Event] = field(default_factory=list)
    given: list[object] = field(default_factory=list)
    raised: list[BaseException] = field(default_factory=list)

    async def do(self, *deeds: Callable[[], Awaitable[object]]) -> None:
        """Do each; keep its answer or what it raised, logged as a careless hand would."""
        for deed in deeds:
            try:
                async with asyncio.timeout(3 * PATIENCE_SECONDS):
                    self.given.append(await deed())
            except Exception as error:
                self.raised.append(error)
                structlog.get_logger("careless").exception("failed", error=error, text=repr(error))
                logging.getLogger("careless").exception("failed %s", [error])  # noqa: TRY401

    def bytes(self) -> str:
        """Everything that was written, raised, told or can be printed."""
        printed = [repr(each) for each in (*self.events, *self.given, *vars(self.venue).values())]
        printed += [event.reason for event in self.events if isinstance(event, OrderReported)]
        for error in self.raised:
            printed += traceback.format_exception(error)
            printed += [f"{each!s} {each!r} {each.args!r}" for each in chain(error)]
        return "\n".join([self.stream.getvalue(), repr(self.venue), *printed])

    def canaries(self) -> set[str]:
        """The keys, and every signature that the venue was sent."""
        made = {call.params.get("signature", "") for call in self.market.calls} - {""}
        return {KEY, SECRET, *made}

    def leaks(self) -> list[str]:
        text = self.bytes()
        return [each for each in sorted(self.canaries()) if each in text]


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error and all that hangs behind it, suppressed or not."""
    waiting, seen = [error], set[int]()
    while waiting:
        each = waiting.pop()
        if id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += [behind for behind in (each.__cause__, each.__context__) if behind]


@asynccontextmanager
async def scene(*, secret: str = SECRET, key: str = KEY) -> AsyncIterator[Scene]:
    """Log all in both styles at DEBUG, ccxt and aiohttp too; give out a venue with canaries."""
    stream, clock = io.StringIO(), WallClock()
    handlers = []
    for style in ("json", "console"):
        logs.configure(level="debug", style=style, stream=stream)
        handlers += logging.getLogger().handlers
    logging.getLogger().handlers[:] = handlers
    for name in ASIDE:
        logging.getLogger(name).setLevel(logging.DEBUG)
    async with LoopbackVenue(binance(accounts=[demo_account("demo", KEY, SECRET)])) as market:
        client = open_client(facts_of("binanceusdm"), {"apiKey": key, "secret": secret})
        market.point(client._exchange)
        account = Account(name="main", venue="binanceusdm")
        venue = ExchangeVenue(account, client, CONTRACTS, clock)
        try:
            yield Scene(venue, market, stream)
        finally:
            await venue.close()


@pytest.fixture(autouse=True)
def _quick_and_quiet_after(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(exchange_orders, "SETTLE_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(exchange_account, "EMPTY_AGAIN_SECONDS", 0.001)
    monkeypatch.setattr(exchange_venue, "REQUEST_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr("rebalancer.venues.ccxt_client.QUESTION_SECONDS", 0.1)
    monkeypatch.setattr("rebalancer.exchanges.LONGEST_PAUSE_SECONDS", 0.01)
    # What a ban does is tested elsewhere; here every question is to get its answer.
    monkeypatch.setattr("rebalancer.venues.shared_rates.SHUT_OUT_SECONDS_MAX", 0)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in ASIDE:
        logging.getLogger(name).setLevel(logging.NOTSET)
    structlog.reset_defaults()


@pytest.mark.parametrize("shape", Shape, ids=str)
async def test_no_key_leaks_from_a_send_whatever_comes_back(shape: Shape):
    async with scene() as seen:
        await seen.venue.start(seen.events.append)
        seen.market.faults.plan(
            Fault(shape=shape, taken=Taken.FIRST, method="POST", hold_ms=HOLD_MS)
        )
        order = intent("0.5")
        await seen.do(lambda: seen.venue.submit(order), lambda: seen.venue.query(order))
        assert seen.events
        assert len(seen.canaries()) > 2
        assert seen.leaks() == []


@pytest.mark.parametrize("shape", Shape, ids=str)
async def test_no_key_leaks_from_a_question_whatever_comes_back(shape: Shape):
    async with scene() as seen:
        await seen.venue.start(seen.events.append)
        path = "positionRisk|/account|income|userTrades"
        seen.market.faults.plan(
            *(Fault(shape=shape, path=each, times=9, hold_ms=HOLD_MS) for each in path.split("|"))
        )
        book = seen.venue.account
        await seen.do(
            seen.venue.report_positions,
            book.positions,
            lambda: book.balance("USDT"),
            lambda: book.trades(BTC, WallClock().now_ms()),
        )
        assert seen.leaks() == []


@pytest.mark.parametrize("wrong", [{"secret": "x" + SECRET}, {"key": "x" + KEY}], ids=repr)
async def test_no_key_leaks_when_the_venue_refuses_the_key(wrong: dict[str, str]):
    order = intent("0.5")
    async with scene(**wrong) as seen:
        await seen.do(
            lambda: seen.venue.start(seen.events.append),
            seen.venue.account.positions,
            # Past the refusal to trade an unchecked account: what if the key is refused later?
            lambda: seen.venue._orders.submit(order, seen.events.append),
        )
        assert seen.events
        assert seen.raised
        assert isinstance(seen.raised[0], VenueUnavailable)
        assert seen.leaks() == []


async def test_a_venue_that_quotes_the_key_back_is_not_quoted():
    async with scene() as seen:
        await seen.venue.start(seen.events.append)
        honest = seen.market.dialect.act

        def act(core: Any, call: Call) -> Answer:
            if "order" not in call.path and "positionRisk" not in call.path:
                return honest(core, call)
            sent = call.query + call.body.decode()
            told = {"code": -2015, "msg": f"Invalid key {KEY} or secret {SECRET} in {sent}"}
            return Answer.of(told, 401)

        seen.market.dialect.act = act  # type: ignore[method-assign]
        order = intent("0.5")
        await seen.do(
            lambda: seen.venue.submit(order),
            lambda: seen.venue.query(order),
            seen.venue.account.positions,
        )
        assert seen.events
        assert seen.leaks() == []


async def test_what_our_objects_print_names_no_key_and_no_signature():
    async with scene() as seen:
        await seen.venue.start(seen.events.append)
        client = seen.venue._client
        request = await client.sign(lambda exchange: exchange.fetch_open_orders(BTC))
        assert isinstance(request, SignedRequest)
        assert "signature=" in request.url
        printed = repr([request, client, *vars(client).values(), *vars(seen.venue).values()])
        signature = request.url.partition("signature=")[2].partition("&")[0]
        for canary in (KEY, SECRET, signature):
            assert canary not in printed
        assert "GET /fapi/v1/openOrders" in printed, "a request still says where it went"


async def test_nothing_hangs_behind_an_error_that_gets_out():
    async with scene(secret="x" + SECRET) as seen:
        cost = facts_of("binanceusdm").limits.costs[Ask.BALANCE]
        await seen.do(
            lambda: seen.venue._client.ask(lambda exchange: exchange.fetch_balance(), cost)
        )
        (error,) = seen.raised
        assert [type(each) for each in chain(error)] == [VenueUnavailable]


async def test_ccxt_by_itself_gives_the_keys_away_so_the_canaries_can_sing():
    stream = io.StringIO()
    logs.configure(level="debug", style="console", stream=stream)
    logging.getLogger("ccxt").setLevel(logging.DEBUG)
    logging.getLogger().handlers[0].setFormatter(logging.Formatter())
    async with (
        LoopbackVenue(binance(accounts=[demo_account("demo", KEY, SECRET)])) as market,
        bare_client(market, "binanceusdm", key=KEY, secret=SECRET) as exchange,
    ):
        await exchange.load_markets()
        market.faults.plan(Fault(shape=Shape.BAD_GATEWAY, path="account"))
        with pytest.raises(Exception, match="signature=") as caught:
            await exchange.fetch_balance()
        assert KEY in stream.getvalue()
        made = {call.params.get("signature", "") for call in market.calls} - {""}
        assert any(each in str(caught.value) for each in made)
