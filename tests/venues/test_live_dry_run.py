"""A dry run with live keys reads the account and cannot write to it, proved at the transport."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from rebalancer.clock import WallClock
from rebalancer.core.events import Event, OrderReported, PositionsReported
from rebalancer.core.fund import Account
from rebalancer.core.order import Outcome
from rebalancer.errors import BrokenInvariant, ConfigRefused, VenueUnavailable
from rebalancer.exchanges import open_exchange
from rebalancer.venues.evidence import Evidence
from rebalancer.venues.exchange_checks import Expected
from rebalancer.venues.exchange_venue import facts_of
from rebalancer.venues.facts import FACTS
from rebalancer.venues.facts_account import ACCOUNTS, ReadHedged
from rebalancer.venues.facts_shape import Ask, Call, VenueFacts
from rebalancer.venues.live_dry_run import LiveDryRunVenue, ReadOnlyClient, open_read_only
from rebalancer.venues.read_only import is_read
from rebalancer.venues.transport import Transport
from rebalancer.venues.wire import Reply, SignedRequest
from tests.contracts.test_venue_contract import intent
from tests.loopback.orders import Book
from tests.loopback.presets import KEY, SECRET, binance
from tests.loopback.server import LoopbackVenue
from tests.venues.accounts import BTC, CONTRACTS
from tests.venues.golden.markets import contracts_of, markets_of
from tests.venues.golden.recorder import calls_of

D = Decimal
KEYS = {
    "apiKey": "api-key",
    "secret": "c2VjcmV0",
    "password": "phrase",
    "walletAddress": "0x" + "1" * 40,
    "privateKey": "0x" + "2" * 64,
}
BOOK = {"marginMode": "cross", "positionSide": "LONG", "openType": 2, "positionType": 1}
#: what changes an order, a position, a setting or a wallet; ccxt lacks some at some venues
WRITES: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("create_order", ("SYMBOL", "limit", "buy", 7, 100)),
    ("create_order", ("SYMBOL", "market", "sell", 7, 100, {"reduceOnly": True})),
    ("edit_order", ("4711", "SYMBOL", "limit", "buy", 7, 100)),
    ("cancel_order", ("4711", "SYMBOL")),
    ("cancel_orders", (["4711"], "SYMBOL")),
    ("cancel_all_orders", ("SYMBOL",)),
    ("cancel_all_orders_after", (10_000,)),
    ("close_position", ("SYMBOL", "buy")),
    ("close_all_positions", ()),
    ("set_leverage", (3, "SYMBOL", BOOK)),
    ("set_margin_mode", ("cross", "SYMBOL", {"leverage": 3, "positionSide": "LONG"})),
    ("set_position_mode", (True, "SYMBOL")),
    ("add_margin", ("SYMBOL", 5)),
    ("reduce_margin", ("SYMBOL", 5)),
    ("transfer", ("USDT", 5, "spot", "swap")),
    ("withdraw", ("USDT", 5, "0x" + "3" * 40, None, {"network": "ERC20"})),
)
#: what stands in front of ccxt's names of endpoints at the venues
PREFIXES = (
    *("/", "/fapi/v1/", "/fapi/v3/", "/sapi/v1/", "/api/v5/", "/api/v4/", "/api/v1/", "/api/v2/"),
    *("/api/v3/", "/api/", "/api/v4/futures/", "/api/v1/private/", "/api/v1/contract/"),
    *("/future/user/", "/future/trade/", "/future/market/", "/future/"),
)
#: writes that ccxt builds at every one of the venues, so that refusing them says something
EVERYWHERE = frozenset({"create_order", "cancel_order", "set_leverage"})


@asynccontextmanager
async def dry_run(*, expected: Expected | None = None) -> AsyncIterator[Any]:
    """Yield a dry run over the loopback Binance, what it told, and the loopback."""
    clock, told = WallClock(), list[Event]()
    async with LoopbackVenue(binance()) as market:
        client = open_read_only(facts_of("binanceusdm"), {"apiKey": KEY, "secret": SECRET})
        market.point(client._exchange)
        config = Account(name="main", venue="binanceusdm")
        venue = LiveDryRunVenue(config, client, CONTRACTS, clock, expected or Expected())
        try:
            yield venue, told, market
        finally:
            await venue.close()


async def test_it_begins_with_what_the_account_holds_and_only_writes_orders_down():
    async with dry_run() as (venue, told, market):
        position = market.core.accounts[KEY].position("BTC/USDT", Book.NET)
        position.contracts, position.entry = D("0.25"), D(50000)
        await venue.start(told.append)
        await venue.report_positions()
        order = intent("r1", -3)
        await venue.submit(order)
        await venue.report_positions()
        held = [dict(event.units) for event in told if isinstance(event, PositionsReported)]
        assert held == [{BTC: D("0.25")}, {BTC: D("-2.75")}]
        outcomes = [each.outcome for each in told if isinstance(each, OrderReported)]
        assert outcomes == [Outcome.CLOSED]
        assert venue.would_send == [order]
        assert {call.method for call in market.calls} == {"GET"}
        assert not market.core.accounts[KEY].orders


async def test_an_account_that_differs_from_the_configuration_is_refused_here_too():
    async with dry_run(expected=Expected(leverage=3)) as (venue, told, _market):
        with pytest.raises(ConfigRefused, match="leverage is 3"):
            await venue.start(told.append)


async def test_without_positions_it_does_not_start(monkeypatch: pytest.MonkeyPatch):
    async def silent(*_: Any) -> Any:
        raise VenueUnavailable("binanceusdm could not be reached")

    async with dry_run() as (venue, told, _market):
        monkeypatch.setattr(venue.account, "positions", silent)
        with pytest.raises(VenueUnavailable):
            await venue.start(told.append)


# -- nothing leaves -----------------------------------------------------------------------------


class Wire:
    """Stands where the socket is: keeps what would have left and answers with nothing."""

    def __init__(self) -> None:
        self.left: list[SignedRequest] = []

    def send(self, request: SignedRequest) -> Reply:
        self.left.append(request)
        return Reply(Evidence(left=True, status=200, body="{}"), {})


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    made = Wire()

    async def send(_transport: Transport, request: SignedRequest) -> Reply:
        return made.send(request)

    monkeypatch.setattr(Transport, "send", send)
    return made


@asynccontextmanager
async def client_of(facts: VenueFacts) -> AsyncIterator[ReadOnlyClient]:
    client = open_read_only(facts, KEYS)
    client._exchange.set_markets(markets_of(facts.venue_id))
    try:
        yield client
    finally:
        await client.close()


async def attempt(client: ReadOnlyClient, call: Call, *, write: bool) -> bool:
    """Make a call; return whether it was refused at the transport."""
    refused = client._transport.refused  # type: ignore[attr-defined]
    before = len(refused)

    cost = FACTS[client.venue_id].limits.costs[Ask.ORDER]
    with contextlib.suppress(BrokenInvariant, VenueUnavailable):
        await (client.write(call.carry_out, cost) if write else client.ask(call.carry_out, {}))
    return len(refused) > before


@pytest.mark.parametrize("venue_id", FACTS)
async def test_every_order_and_cancel_of_the_table_is_refused_before_anything_leaves(
    venue_id: str, wire: Wire
):
    facts = FACTS[venue_id]
    async with client_of(facts) as client:
        for what, call in calls_of(facts).items():
            if what.startswith("look up"):
                continue
            for write in (True, False):
                assert await attempt(client, call, write=write), what
    assert wire.left == []


@pytest.mark.parametrize("venue_id", FACTS)
async def test_every_write_of_ccxt_is_refused_before_anything_leaves(venue_id: str, wire: Wire):
    symbol = contracts_of(venue_id)[0].symbol
    refused = set()
    async with client_of(FACTS[venue_id]) as client:
        for method, given in WRITES:
            arguments = tuple(symbol if each == "SYMBOL" else each for each in given)
            if not hasattr(client._exchange, method):
                continue
            if await attempt(client, Call(method, arguments), write=False):
                refused.add(method)
    assert {*EVERYWHERE} <= refused
    assert len(refused) >= 5, refused
    # Some writes ask something first; that may leave, the write may not.
    assert [each.url for each in wire.left if not is_read(venue_id, each.method, each.url)] == []


@pytest.mark.parametrize("venue_id", FACTS)
async def test_every_read_of_the_account_is_let_through(venue_id: str, wire: Wire):
    facts, told = FACTS[venue_id], ACCOUNTS[venue_id]
    symbol = contracts_of(venue_id)[0].symbol
    reads = [
        Call("fetch_time", ()),
        Call("fetch_positions", ([symbol],)),
        Call("fetch_balance", (dict(told.balance_params),)),
        Call("fetch_open_orders", (symbol,)),
        Call("fetch_my_trades", (symbol, 1, 100)),
        Call(facts.funding_query, (symbol, 1, 100)),
        Call("fetch_funding_rate_history", (symbol, 1, 100)),
        Call("fetch_order", ("4711", symbol, {"acknowledged": True})),
        *(call for what, call in calls_of(facts).items() if what.startswith("look up")),
    ]
    reads += [
        Call(read, (symbol,))
        for read in (facts.position_mode.read, facts.margin_mode.read, facts.leverage.read)
        if read
    ]
    reads += [Call(read, ([symbol],)) for read in (told.margin_modes, told.leverages) if read]
    async with client_of(facts) as client:
        for call in reads:
            before = len(wire.left)
            assert not await attempt(client, call, write=False), call
            assert len(wire.left) > before, call
        for question in (told.key_rights, told.hedged and partial(_of, told.hedged, symbol)):
            with contextlib.suppress(VenueUnavailable):
                if question:
                    await client.ask(question, {})
        await attempt(client, Call("fetch_markets", ()), write=False)
        assert client._transport.refused == []  # type: ignore[attr-defined]


async def _of(read: ReadHedged, symbol: str, exchange: Any) -> bool | None:
    return await read(exchange, symbol)


def endpoints(tree: Any) -> Iterator[tuple[str, str]]:
    """Every method and path among ccxt's endpoints of a venue."""
    names = {"get", "post", "put", "delete", "patch"}
    for name, inner in tree.items():
        if name in names:
            yield from ((name.upper(), path.replace("{settle}", "usdt")) for path in inner)
        elif isinstance(inner, dict):
            yield from endpoints(inner)


@pytest.mark.parametrize("venue_id", FACTS)
def test_of_all_endpoints_that_ccxt_knows_only_gets_are_reads(venue_id: str):
    found = list(endpoints(open_exchange(venue_id).api))
    reads = {
        (method, path)
        for method, path in found
        for prefix in PREFIXES
        if is_read(venue_id, method, f"https://x{prefix}{path}")
    }
    if venue_id == "hyperliquid":
        assert reads == {("POST", "info")}
    else:
        assert {method for method, _ in reads} == {"GET"}
        assert 5 <= len(reads) <= 40
        assert len(reads) < len(found) / 4


@pytest.mark.parametrize(
    ("venue_id", "path"),
    [
        ("okx", "/api/v5/account/set-auto-repay"),
        ("okx", "/api/v5/account/spot-manual-borrow-repay"),
        ("bitget", "/api/v2/mix/account/switch-union-usdt"),
        ("kucoinfutures", "/api/v1/hf/orders/dead-cancel-all/query"),
        ("binanceusdm", "/fapi/v1/order/test"),
        ("binanceusdm", "/fapi/v1/listenKey"),
        ("binanceusdm", "/sapi/v1/asset/transfer"),
        ("hyperliquid", "/exchange"),
        ("nobody", "/fapi/v1/order"),
    ],
)
def test_a_get_is_no_read_because_it_is_a_get(venue_id: str, path: str):
    assert not is_read(venue_id, "GET", f"https://api.example{path}")


def test_the_method_counts_as_well_as_the_path():
    url = "https://fapi.example/fapi/v1/order?symbol=BTCUSDT"
    assert is_read("binanceusdm", "GET", url)
    for method in ("POST", "DELETE", "PUT", "get"):
        assert not is_read("binanceusdm", method, url)
    assert is_read("hyperliquid", "POST", "https://api.example/info")
    assert not is_read("hyperliquid", "POST", "https://api.example/exchange")
    assert not is_read("binanceusdm", "GET", "https://x/fapi/v1/order/../listenKey")


async def test_on_the_wire_a_write_never_arrives():
    async with dry_run() as (venue, told, market):
        await venue.start(told.append)
        market.calls.clear()
        exchange = venue._client._exchange
        for write in (
            exchange.create_order(BTC, "limit", "buy", "0.1", "50000"),
            exchange.cancel_all_orders(BTC),
            exchange.set_leverage(3, BTC),
            exchange.fapiPrivatePostListenKey(),
            exchange.fapiPrivateDeleteOrder({"symbol": "BTCUSDT", "orderId": 1}),
        ):
            with pytest.raises(BrokenInvariant, match="a dry run reads"):
                await write
        assert list(market.calls) == []
        assert exchange.session is None, "ccxt opened a way out of its own"
