"""How long a tick takes until its order is at the venue, against ccxt's own `create_order`.

All contenders send to the same stamping venue, a process of its own, in turn, round by round. Ours
is the real path: inbox, engine, commit, executor, limits, ccxt's signature, our transport. ccxt is
called directly, with its throttle (its default) and without, and keeps no journal at all. One write
of two pages with its `fdatasync` is timed in every round as well: no durable path can be faster.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.laps import SHARES, Laps, TimedStore, TimedTransport
from rebalancer import logs
from rebalancer.clock import WallClock
from rebalancer.core.contract import Contract
from rebalancer.core.events import FillReported, OrderReported, PricesObserved, PriceTick
from rebalancer.core.fund import Account, Fund, PriceSource
from rebalancer.core.methodology import Methodology, PriceMove, Side
from rebalancer.core.money import ZERO
from rebalancer.core.order import Fill, OrderIntent, Outcome
from rebalancer.core.state import Desk
from rebalancer.desk.executor import Executor
from rebalancer.desk.inbox import Inbox
from rebalancer.desk.loop import DeskLoop
from rebalancer.desk.recovery import Start, recover
from rebalancer.errors import ensure
from rebalancer.exchanges import open_exchange
from rebalancer.ports import Emit, Store, Submission
from rebalancer.store.memory import MemoryStore
from rebalancer.store.sql import SqlStore, open_store
from rebalancer.venues.ccxt_client import CcxtClient
from rebalancer.venues.departures import Departures
from rebalancer.venues.exchange_sends import OrderSends, Send
from rebalancer.venues.facts import FACTS
from rebalancer.venues.rates import Budget, Limiter
from rebalancer.venues.venue_clock import VenueClock

SYMBOL = "BTC/USDT:USDT"
CONTRACT = Contract(SYMBOL, Decimal(1), Decimal("0.001"), Decimal("0.1"))
ROUNDS = 150
THROTTLED_ROUNDS = 8
WARM_UP_ROUNDS = 10
#: by what is measured: the goal as a multiple of the first
CONTENDERS = {
    "ccxt, throttle off, no journal": "",
    "ours, journal off": "1.2",
    "ours, intent durable first": "2.0",
}
FACTS_ROW = FACTS["binanceusdm"]
KEYS = {"apiKey": "bench", "secret": "bench"}


@contextmanager
def stamping_venue() -> Any:
    """Run the venue's process and give its address."""
    command = [sys.executable, "-m", "benchmarks.stamping_venue"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603 - our own module
        ensure(process.stdout is not None, "the venue has no output")
        line = process.stdout.readline() if process.stdout else b""
        try:
            yield f"http://127.0.0.1:{int(line)}"
        finally:
            if process.stdin is not None:
                process.stdin.close()
            process.wait(5)


def exchange_at(address: str) -> Any:
    """Return ccxt's Binance USD-M with its orders pointed at `address`."""
    exchange = open_exchange("binanceusdm")
    exchange.apiKey, exchange.secret = KEYS["apiKey"], KEYS["secret"]
    for name in exchange.urls["api"]:
        exchange.urls["api"][name] = f"{address}/fapi/v1"
    market = {
        "id": "BTCUSDT", "symbol": SYMBOL, "base": "BTC", "quote": "USDT", "settle": "USDT",
        "type": "swap", "swap": True, "spot": False, "contract": True, "linear": True,
        "inverse": False, "active": True, "contractSize": "1", "settleId": "USDT",
        "precision": {"amount": "0.001", "price": "0.1"},
        "limits": {"amount": {}, "price": {}, "cost": {}}, "info": {"orderTypes": ["LIMIT"]},
    }  # fmt: skip
    exchange.set_markets([market])
    exchange.options.update(FACTS_ROW.presets)
    return exchange


class TickVenue:
    """Our send path to the stamping venue; fills are taken as given so that runs go on."""

    def __init__(self, client: CcxtClient, clock: WallClock, laps: Laps) -> None:
        self.arrived_ns = 0
        self.arrived = asyncio.Event()
        self._laps = laps
        self._client = client
        self._clock = clock
        self._sends = OrderSends(client, FACTS_ROW, {SYMBOL: CONTRACT})
        self._departures = Departures(VenueClock(clock, client), FACTS_ROW.valid_ms)
        self._emit: Emit | None = None

    async def start(self, emit: Emit) -> None:
        """Report to `emit`."""
        self._emit = emit

    def prepare(self, intents: Sequence[OrderIntent]) -> None:
        """Make ready as the exchange venue does."""
        self._sends.prepare(intents)

    async def submit(self, intent: OrderIntent) -> None:
        """Send alone."""
        await self._submit(intent, self._sends.send(intent))

    async def _submit(self, intent: OrderIntent, send: Send) -> None:
        """Send as the exchange venue does; report a full fill."""
        self._laps.note("submitted")
        self._departures.leaving(intent)
        finding = await send
        self._departures.left(intent)
        ensure(finding.outcome is Outcome.ACCEPTED, f"not accepted: {finding.reason}")
        self._departures.forget(intent)
        self.arrived_ns = int(finding.order_id)  # the stamping venue numbers orders by the clock
        now_ms, order_id = self._clock.now_ms(), intent.client_order_id
        fill = Fill(
            trade_id=order_id,
            client_order_id=order_id,
            price=intent.mark,
            contracts=intent.contracts,
            fee=ZERO,
            at_ms=now_ms,
        )
        if self._emit is not None:
            self._emit(FillReported(now_ms, fill))
            self._emit(OrderReported(now_ms, order_id, Outcome.CLOSED, intent.contracts))
        self.arrived.set()

    def submit_all(self, intents: Sequence[OrderIntent]) -> Sequence[Submission]:
        """Send side by side."""
        sends = self._sends.send_all(intents)
        return [self._submit(intent, send) for intent, send in zip(intents, sends, strict=True)]

    async def query(self, intent: OrderIntent) -> None:
        """Nothing is ever unknown here."""

    async def report_positions(self) -> None:
        """Nobody asks here."""

    async def close(self) -> None:
        """Give up the connections."""
        await self._client.close()


def desk() -> Desk:
    """Return a desk with one fund that rebalances at every tick that moves at all."""
    rule = PriceMove(threshold=Decimal("0.01"), side=Side.BOTH, cooldown_ms=0, confirm_ticks=1)
    fund = Fund(
        name="BTC3L",
        account="main",
        target_leverage=Decimal(3),
        basket={SYMBOL: Decimal(1)},
        methodology=Methodology(price_move=rule),
    )
    fund = replace(fund, execution=replace(fund.execution, interval_ms=0))
    return Desk({"BTC3L": fund}, {"main": Account(name="main")}, {SYMBOL: CONTRACT})


class OurPath:
    """A running desk whose ticks become orders at the stamping venue."""

    def __init__(self, loop: DeskLoop, inbox: Inbox, venue: TickVenue, laps: Laps) -> None:
        self.shares: list[dict[str, float]] = []
        self._laps = laps
        self._clock = WallClock()
        self._loop = loop
        self._inbox = inbox
        self._venue = venue
        self._price = Decimal(100)
        self._running = asyncio.create_task(loop.run())  # a task of its own, as in the daemon

    @classmethod
    async def open(cls, address: str, store: Store) -> OurPath:
        """Recover a fresh desk on `store` and bring its fund to its target."""
        clock, inbox, laps = WallClock(), Inbox(), Laps()
        store = TimedStore(store, laps)
        limiter = Limiter(Budget(()))
        client = CcxtClient(exchange_at(address), TimedTransport(5.0, laps), limiter)
        venue = TickVenue(client, clock, laps)
        await venue.start(inbox.put)
        start = Start(clock.now_ms(), "bench", "", "bench")
        recovered = await recover(store, await store.load(), desk(), start)
        executor = Executor({"main": venue}, inbox.put, clock, lambda _alert: None)
        loop = DeskLoop(
            recovered.state,
            inbox,
            store,
            prepare=executor.prepare,
            act=executor.carry_out,
            wake_at=lambda _at_ms: None,
        )
        path = cls(loop, inbox, venue, laps)
        await path.order()
        return path

    async def order(self) -> float:
        """Move the price by 2 % and return the microseconds until its order arrived."""
        self._price *= Decimal("1.02") if self._price <= 100 else Decimal("0.98")
        now_ms = self._clock.now_ms()
        ticks = tuple(
            PriceTick(SYMBOL, source, self._price, now_ms)
            for source in (PriceSource.MARK, PriceSource.INDEX)
        )
        self._venue.arrived.clear()
        self._laps.begin()
        begun_ns = self._laps.at_ns["tick"]
        self._inbox.put(PricesObserved(now_ms, ticks))
        await self._venue.arrived.wait()
        elapsed_us = (self._venue.arrived_ns - begun_ns) / 1_000
        self.shares.append(self._laps.shares_us(self._venue.arrived_ns))
        await self._inbox.emptied()
        await asyncio.sleep(0.002)
        return elapsed_us

    async def close(self) -> None:
        """End the desk and give up the connections."""
        self._loop.end(self._clock.now_ms())
        await self._running
        await self._venue.close()


async def ccxt_order(exchange: Any) -> float:
    """Send one order with ccxt's own call; return the microseconds until it arrived."""
    begun_ns = time.monotonic_ns()
    order = await exchange.create_order(
        SYMBOL, "limit", "buy", "1", "101", {"timeInForce": "IOC", "clientOrderId": "rbench"}
    )
    elapsed_us = (order["info"]["updateTime"] - begun_ns) / 1_000
    await asyncio.sleep(0.002)
    return float(elapsed_us)


def flush_us(file: int) -> float:
    """Write two pages over what is there, flush them, and return the microseconds."""
    begun_ns = time.monotonic_ns()
    os.pwrite(file, b"1" * 8_192, 0)
    os.fdatasync(file)
    return (time.monotonic_ns() - begun_ns) / 1_000


def decode_us() -> float:
    """Return the microseconds from one mark price message to its ticks."""
    message = (
        b'{"e":"markPriceUpdate","E":1767322800000,"s":"BTCUSDT","p":"98.88124751",'
        b'"i":"98.88001","P":"98.1","r":"0.0001","T":1767340800000}'
    )
    begun_ns = time.monotonic_ns()
    told = json.loads(message)
    for source, name in ((PriceSource.MARK, "p"), (PriceSource.INDEX, "i")):
        PriceTick(SYMBOL, source, Decimal(told[name]), told["E"])
    return (time.monotonic_ns() - begun_ns) / 1_000


async def hop_us(store: SqlStore) -> float:
    """Return the microseconds of a way to the writer's thread and back, for nothing."""
    await store.journal(limit=0)  # whatever waits to be folded is, before the clock starts
    begun_ns = time.monotonic_ns()
    await store.journal(limit=0)
    return (time.monotonic_ns() - begun_ns) / 1_000


async def measure(address: str, folder: Path, say: Callable[[str], None]) -> None:
    """Let the contenders take turns; print medians, paired ratios and where the time goes."""
    bare, throttled = exchange_at(address), exchange_at(address)
    bare.enableRateLimit = False
    throttled.enableRateLimit = True
    memory = MemoryStore()
    durable = open_store(f"sqlite:///{folder / 'bench.db'}")
    ours, safe = await OurPath.open(address, memory), await OurPath.open(address, durable)
    file = os.open(folder / "flushed", os.O_RDWR | os.O_CREAT)
    flush_us(file)
    floors: dict[str, list[float]] = {"decode": [], "thread hop": [], "flush": []}
    try:
        for _ in range(WARM_UP_ROUNDS):
            for warm_up in (ccxt_order(bare), ours.order(), safe.order()):
                await warm_up
        slow = [await ccxt_order(throttled) for _ in range(THROTTLED_ROUNDS)]
        rounds = []
        for _ in range(ROUNDS):
            rounds.append((await ccxt_order(bare), await ours.order(), await safe.order()))
            floors["decode"].append(decode_us())
            floors["thread hop"].append(await hop_us(durable))
            floors["flush"].append(flush_us(file))
    finally:
        await asyncio.gather(bare.close(), throttled.close(), ours.close(), safe.close())
        await asyncio.gather(memory.close(), durable.close())
        os.close(file)
    say_ratios(slow, rounds, say)
    say_shares(ours, safe, floors, say)
    say_the_rest(rounds, floors, say)


def say_ratios(
    slow: Sequence[float], rounds: Sequence[tuple[float, ...]], say: Callable[[str], None]
) -> None:
    """Say how long each contender takes, and the goals."""
    say(f"Tick to order at the venue ({ROUNDS} rounds in turn, medians and 99th percentiles)")
    say(f"  {'ccxt, throttle on (its default)':<32} {median(slow):>10,.0f} us")
    for place, (name, goal) in enumerate(CONTENDERS.items()):
        taken = sorted(each[place] for each in rounds)
        ratio = median([each[place] / each[0] for each in rounds])
        say(
            f"  {name:<32} {median(taken):>10,.0f} us, p99 {taken[int(len(taken) * 0.99)]:,.0f} us,"
            f" {ratio:.2f} x ccxt without journal{f' (goal {goal} x)' if goal else ''}"
        )
    times = median(slow) / median([each[2] for each in rounds])
    say(f"  ccxt at its default takes {times:.0f} x as long as ours, durable (goal 80 x)")


def say_shares(
    ours: OurPath,
    safe: OurPath,
    floors: Mapping[str, Sequence[float]],
    say: Callable[[str], None],
) -> None:
    """Say where our time goes, with the journal off and on."""
    say("  where the time goes (medians in us)      journal off    durable")
    for share in SHARES:
        both = [median([lap[share] for lap in path.shares[-ROUNDS:]]) for path in (ours, safe)]
        say(f"    {share:<38} {both[0]:>10,.0f} {both[1]:>10,.0f}")
    say(
        f"  beside it: decoding a price message {median(floors['decode']):,.0f} us (not in the"
        f" above), a way to the writer's thread, an empty question and back"
        f" {median(floors['thread hop']):,.0f} us, two pages and fdatasync"
        f" {median(floors['flush']):,.0f} us"
    )


def say_the_rest(
    rounds: Sequence[tuple[float, ...]],
    floors: Mapping[str, Sequence[float]],
    say: Callable[[str], None],
) -> None:
    """Say what durable at 1.1 x ccxt would take."""
    bare, ours, safe = (median([each[place] for each in rounds]) for place in range(3))
    flush = median(floors["flush"])
    ideals = [each[0] + floor for each, floor in zip(rounds, floors["flush"], strict=True)]
    ideal = median([each / one[0] for each, one in zip(ideals, rounds, strict=True)])
    times = median([one[2] / each for each, one in zip(ideals, rounds, strict=True)])
    say(
        f"  ccxt's own call behind one flush, and nothing else at all, would be"
        f" {median(ideals):,.0f} us, {ideal:.2f} x ccxt without journal (goal 2.0 x); ours,"
        f" durable, takes {times:.2f} x that"
    )
    say(
        f"  durable at 1.1 x would be {1.1 * bare:,.0f} us, {safe - 1.1 * bare:,.0f} us less than"
        f" now; the flush alone is {flush:,.0f} us, so that all the rest of the way, now"
        f" {safe - flush:,.0f} us (journal off: {ours:,.0f} us), would have"
        f" {1.1 * bare - flush:,.0f} us"
    )


def run(say: Callable[[str], None] = print) -> None:
    """Measure and print."""
    logs.configure(level="error")
    with stamping_venue() as address, tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(address, Path(folder), say))
