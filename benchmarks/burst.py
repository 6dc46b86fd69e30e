"""How long 300 orders at once take until the last is at the venue, against ccxt's own ways.

Ours is the real path from committed actions on: executor, batches, limits, evidence. ccxt's batches
are as fast as it can: throttle off, all at once. Its sequential orders wait for its throttle, its
default; of these only a part is sent and the time scaled, because the whole takes a minute.

The times are taken at the stamping venue, a process that does nothing else. Whether the limits were
kept is for the loopback Binance to say, which enforces them, a fresh process each time; how long it
takes to carry a burst out is its own affair, whoever sends it.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from benchmarks.send_path import stamping_venue
from rebalancer import logs
from rebalancer.clock import WallClock
from rebalancer.core.actions import SubmitOrder
from rebalancer.core.contract import Contract
from rebalancer.core.events import Event, OrderReported
from rebalancer.core.order import OrderIntent, OrderSide, Outcome, PositionSide, client_order_id
from rebalancer.desk.executor import Executor
from rebalancer.errors import ensure
from rebalancer.exchanges import open_exchange
from rebalancer.ports import Emit, Submission
from rebalancer.venues.ccxt_client import CcxtClient
from rebalancer.venues.exchange_orders import ExchangeOrders
from rebalancer.venues.exchange_venue import facts_of, open_client
from tests.loopback.presets import KEY, SECRET, binance, many_instruments

COUNT = 300
BATCH = 5
SEQUENTIAL = 20
ROUNDS = 9
KEYS = {"apiKey": KEY, "secret": SECRET}
#: how many contracts there are to choose from
MOST = 500
LISTED = many_instruments(MOST)
SYMBOLS = [f"{each.base}/USDT:USDT" for each in LISTED]
FACTS_ROW = facts_of("binanceusdm")
CONTRACTS = {
    symbol: Contract(symbol, Decimal(1), each.lot, each.tick, each.lot, each.min_notional)
    for symbol, each in zip(SYMBOLS, LISTED, strict=True)
}


def point(exchange: Any, address: str) -> None:
    """Send the requests of a ccxt exchange to `address`, and let it know the contracts."""
    binance([]).addresses(exchange.urls, address, address.replace("http", "ws"))
    exchange.set_markets([_market(symbol) for symbol in SYMBOLS])


def told(address: str, method: str = "GET") -> Any:
    """Return what a venue's process says of itself."""
    data = b"{}" if method == "POST" else None
    request = urllib.request.Request(address, method=method, data=data)  # noqa: S310 - our process
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
        return json.load(answer)


def _market(symbol: str) -> dict[str, Any]:
    base = symbol.partition("/")[0]
    return {
        "id": f"{base}USDT", "symbol": symbol, "base": base, "quote": "USDT", "settle": "USDT",
        "type": "swap", "swap": True, "spot": False, "contract": True, "linear": True,
        "inverse": False, "active": True, "contractSize": "1", "settleId": "USDT",
        "precision": {"amount": str(LISTED[0].lot), "price": str(LISTED[0].tick)},
        "limits": {"amount": {}, "price": {}, "cost": {}}, "info": {"orderTypes": ["LIMIT"]},
    }  # fmt: skip


@contextmanager
def guarded_venue(count: int = COUNT) -> Iterator[str]:
    """Run a fresh loopback Binance in a process of its own, and give its address."""
    arguments = ["--venue", "binance", "--contracts", str(count), "--seconds", "120"]
    command = [sys.executable, "-m", "tests.loopback", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # noqa: S603 - our own module
        ensure(process.stdout is not None, "the venue has no output")
        line = process.stdout.readline() if process.stdout else b""
        try:
            yield f"http://127.0.0.1:{json.loads(line)['port']}"
        finally:
            process.terminate()
            process.communicate()


def intents(count: int = COUNT) -> list[OrderIntent]:
    """Return an order for each of so many contracts, all of one step."""
    now_ms = WallClock().now_ms()
    one = Decimal(1)
    return [
        OrderIntent(
            client_order_id=client_order_id("burst", "main", symbol, seq),
            account="main",
            contract=symbol,
            seq=seq,
            side=OrderSide.BUY,
            position_side=PositionSide.NET,
            contracts=one,
            units=one,
            mark=Decimal(100),
            limit_price=Decimal(101),
            reduce_only=False,
            wanted={"F": one},
            created_ms=now_ms,
        )
        for seq, symbol in enumerate(SYMBOLS[:count], 1)
    ]


class OrdersVenue:
    """The order side of the exchange venue, without the checks that an account would answer."""

    def __init__(self, client: CcxtClient, clock: WallClock) -> None:
        self._client = client
        self._orders = ExchangeOrders(client, FACTS_ROW, CONTRACTS, clock)
        self._emit: Emit = lambda _event: None

    async def start(self, emit: Emit) -> None:
        """Report to `emit`."""
        self._emit = emit

    def prepare(self, intents: Sequence[OrderIntent]) -> None:
        """Make ready what can be."""
        self._orders.prepare(intents)

    async def submit(self, intent: OrderIntent) -> None:
        """Send one."""
        await self._orders.submit(intent, self._emit)

    def submit_all(self, intents: Sequence[OrderIntent]) -> Sequence[Submission]:
        """Send together."""
        return self._orders.submit_all(intents, self._emit)

    async def query(self, intent: OrderIntent) -> None:
        """Nobody asks here."""

    async def report_positions(self) -> None:
        """Nobody asks here."""

    async def close(self) -> None:
        """Give up the connections."""
        await self._client.close()


async def ours(address: str, count: int = COUNT) -> int:
    """Send the orders as the desk does, until all are accepted; return when it began, in ns."""
    clock = WallClock()
    client = open_client(FACTS_ROW, KEYS)
    point(client._exchange, address)  # noqa: SLF001 - there is no other way to another address
    venue = OrdersVenue(client, clock)
    accepted: set[str] = set()
    all_accepted = asyncio.Event()

    def note(event: Event) -> None:
        if isinstance(event, OrderReported) and event.outcome is Outcome.ACCEPTED:
            accepted.add(event.client_order_id)
            if len(accepted) == count:
                all_accepted.set()

    await venue.start(note)
    executor = Executor({"main": venue}, note, clock, lambda _alert: None)
    actions = [SubmitOrder(intent) for intent in intents(count)]
    begun_ns = time.monotonic_ns()
    try:
        executor.carry_out(actions)
        async with asyncio.timeout(60):
            await all_accepted.wait()
    finally:
        await executor.stop(0)
        await venue.close()
    return begun_ns


def as_ccxt_has_it(intent: OrderIntent) -> dict[str, Any]:
    """Return an order as a user of ccxt writes it."""
    params = {"timeInForce": "IOC", "clientOrderId": intent.client_order_id}
    return {
        "symbol": intent.contract,
        "type": "limit",
        "side": "buy",
        "amount": "1",
        "price": "101",
        "params": params,
    }


async def with_ccxt(address: str, send: Callable[[Any], Awaitable[object]]) -> int:
    """Let `send` trade with ccxt; return when it began, in ns."""
    exchange = open_exchange("binanceusdm")
    exchange.apiKey, exchange.secret = KEYS["apiKey"], KEYS["secret"]
    exchange.options.update(FACTS_ROW.presets)
    exchange.enableRateLimit = False
    point(exchange, address)
    try:
        begun_ns = time.monotonic_ns()
        await send(exchange)
    finally:
        await exchange.close()
    return begun_ns


async def batches(exchange: Any) -> None:
    """Send all orders in ccxt's own batches, at once."""
    orders = [as_ccxt_has_it(intent) for intent in intents()]
    await asyncio.gather(
        *(exchange.create_orders(orders[at : at + BATCH]) for at in range(0, COUNT, BATCH))
    )


async def singles(exchange: Any) -> None:
    """Send all orders one by one, at once."""
    orders = [as_ccxt_has_it(intent) for intent in intents()]
    await asyncio.gather(*(exchange.create_order(*order.values()) for order in orders))


async def throttled_batches(exchange: Any, count: int) -> None:
    """Send so many orders in batches, one after another, as slowly as ccxt's throttle has it."""
    exchange.enableRateLimit = True
    orders = [as_ccxt_has_it(intent) for intent in intents(count)]
    for at in range(0, count, BATCH):
        await exchange.create_orders(orders[at : at + BATCH])


async def sequential(exchange: Any) -> None:
    """Send the first orders one after another, as slowly as ccxt's throttle has it."""
    exchange.enableRateLimit = True
    for intent in intents()[:SEQUENTIAL]:
        await exchange.create_order(*as_ccxt_has_it(intent).values())


Contender = Callable[[str], Coroutine[Any, Any, int]]
CONTENDERS: Mapping[str, Contender] = {
    "ours": ours,
    "ccxt, batches of 5 at once": lambda address: with_ccxt(address, batches),
    "ccxt, single orders at once": lambda address: with_ccxt(address, singles),
}


def timed(contend: Contender, address: str) -> float:
    """Return the milliseconds until the last order was at the stamping venue."""
    begun_ns = asyncio.run(contend(address))
    return float(told(f"{address}/fapi/v1/time")["newest_ns"] - begun_ns) / 1e6


def guarded(contend: Contender) -> tuple[int, int]:
    """Return how many orders the limit-enforcing venue took and how many violations it saw."""
    with guarded_venue() as address:
        asyncio.run(contend(address))
        state = told(f"{address}/-/state", "POST")
        return state["accounts"]["demo"]["orders"], state["violations"]


def run(say: Callable[[str], None] = print) -> None:
    """Measure and print."""
    logs.configure(level="error")
    with stamping_venue() as address:
        rounds = [
            {name: timed(contend, address) for name, contend in CONTENDERS.items()}
            for _ in range(ROUNDS)
        ]
        slow_ms = timed(lambda there: with_ccxt(there, sequential), address) * COUNT / SEQUENTIAL
    say(f"{COUNT} orders at once until the last is at the venue ({ROUNDS} rounds in turn, medians)")
    for name, contend in CONTENDERS.items():
        taken_ms = statistics.median(each[name] for each in rounds)
        ratio = statistics.median(each[name] / each["ours"] for each in rounds)
        took, violations = guarded(contend)
        say(
            f"  {name:<32} {taken_ms:>8,.0f} ms, {ratio:.2f} x ours; with limits enforced "
            f"{took} taken, {violations} violations"
        )
    ratio = statistics.median(slow_ms / each["ours"] for each in rounds)
    say(
        f"  {'ccxt, one by one, its throttle on':<32} {slow_ms:>8,.0f} ms, {ratio:,.0f} x ours "
        f"(scaled from {SEQUENTIAL} orders)"
    )
