"""One array of 500 mark prices: read, evaluated and decided, against ccxt.pro's reading alone.

ccxt.pro's reading begins with `json.loads`, as its client does, and ends with its own tickers. Ours
is what a desk does: bytes to fields, fields to exact prices that are news, through the inbox into
the engine, where 500 funds on 500 contracts find that nothing fires. Both take the same message,
in turn, round by round. Times are of the processor.

Beside them the floor: the steps that nobody who decides by exact prices can leave out, each in its
fewest operations and none of what makes a desk of them (no event, no inbox, no refusal, no fund).
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import Any, NamedTuple

import ccxt.pro

from benchmarks import tick_cost
from rebalancer.clock import VirtualClock
from rebalancer.core import engine
from rebalancer.core.contract import Contract
from rebalancer.core.events import PricesObserved
from rebalancer.core.fund import Account, PriceSource
from rebalancer.core.state import Desk, DeskState
from rebalancer.desk.inbox import Inbox
from rebalancer.errors import ensure
from rebalancer.feeds import binance_marks
from rebalancer.feeds.candles import Moment
from rebalancer.feeds.live import CcxtFeed
from rebalancer.feeds.stream_socket import IN_ONE_TURN
from rebalancer.sim.replay import Replay

COUNT = 500
ROUNDS = 40
WARM_UP = 5
START_MS = 1_760_000_000_000
SYMBOLS = [f"C{number}/USDT:USDT" for number in range(COUNT)]
IDS = {f"C{number}USDT": symbol for number, symbol in enumerate(SYMBOLS)}
WANTED = dict.fromkeys(SYMBOLS, (PriceSource.MARK,))


def message(round_number: int) -> str:
    """Return an array as Binance sends it, all prices inside every trigger and not the last."""
    at_ms = START_MS + round_number * 1_000
    rows = [
        {
            "e": "markPriceUpdate",
            "E": at_ms,
            "s": name,
            "p": f"100.{(number * 7 + round_number) % 40:02}123456",
            "i": f"100.{number % 40:02}654321",
            "P": "100.00000000",
            "r": "0.00010000",
            "T": at_ms + 3_600_000,
        }
        for number, name in enumerate(IDS)
    ]
    return json.dumps(rows, separators=(",", ":"))


def launched() -> DeskState:
    """Return the state of a desk with a fund on each contract, all at their targets."""
    pattern = next(iter(tick_cost.desk(1).funds.values()))
    funds = {
        f"F{number}": replace(pattern, name=f"F{number}", basket={symbol: Decimal(1)})
        for number, symbol in enumerate(SYMBOLS)
    }
    known = {symbol: Contract(symbol) for symbol in SYMBOLS}
    replay = Replay(Desk(funds, {"main": Account(name="main")}, known, free_launch=True))
    first = tuple((symbol, Decimal("100.2")) for symbol in SYMBOLS)
    replay.play(Moment(START_MS - 1_000, first, ()))
    return replay.state


def market(name: str, symbol: str) -> dict[str, Any]:
    """Return a contract as ccxt knows it."""
    base = symbol.partition("/")[0]
    return {
        "id": name, "symbol": symbol, "base": base, "quote": "USDT", "settle": "USDT",
        "type": "swap", "swap": True, "spot": False, "contract": True, "linear": True,
        "inverse": False, "active": True, "precision": {}, "limits": {}, "info": {},
    }  # fmt: skip


class Socket:
    """What a client of ccxt.pro needs of its socket, with nobody waiting."""

    url = "wss://fstream.binance.com/ws"

    def __init__(self) -> None:
        self.subscriptions: dict[str, Any] = {}
        self.futures: dict[str, Any] = {}

    def resolve(self, *_: Any) -> None:
        """Tell nobody."""


class Ours:
    """The desk's way of an array, in the turns of the event loop that it takes."""

    def __init__(self) -> None:
        self.clock = VirtualClock(START_MS)
        self.feed = CcxtFeed("binanceusdm", WANTED, self.clock, 1_000)
        self.inbox = Inbox()
        self.state = launched()

    def turns_us(self, text: str) -> tuple[float, list[float]]:
        """Return what reading takes, and each turn after it: fifty contracts, read to decided."""
        begun = time.thread_time_ns()
        told = binance_marks.decode(binance_marks.loads(text), IDS)
        read = (time.thread_time_ns() - begun) / 1_000
        self.clock.set(next(iter(told.values()))["E"])
        turns = []
        for first in range(0, COUNT, IN_ONE_TURN):
            some = SYMBOLS[first : first + IN_ONE_TURN]
            begun = time.thread_time_ns()
            self.decide({symbol: told[symbol] for symbol in some})
            turns.append((time.thread_time_ns() - begun) / 1_000)
        return read, turns

    def decide(self, told: Mapping[str, Any]) -> None:
        """Take what was told up to the verdict that nothing fires."""
        now_ms = self.clock.now_ms()
        rows = {symbol: binance_marks.as_sent(row) for symbol, row in told.items()}
        wanted = {symbol: WANTED[symbol] for symbol in rows}
        ticks = self.feed.news(rows, wanted, now_ms, binance_marks.NAMES, streamed=True)
        ensure(len(ticks) == len(told), "a price of the benchmark was no news")
        self.inbox.put(PricesObserved(now_ms, tuple(ticks)))
        letter = self.inbox.take_now()
        ensure(
            letter is not None and engine.react(self.state, letter.event) is engine.QUIET,
            "a price of the benchmark led to something",
        )


class Floor:
    """The least that exact decisions take: parse, find the contract, price, compare, keep."""

    STEPS = ("JSON parsed", "contracts found", "prices made exact", "compared and kept")

    def __init__(self) -> None:
        low, high = Decimal("99.5"), Decimal("100.9")
        #: by contract: the price, its stamp, and the range in which nothing fires
        self._kept: dict[str, list[Any]] = {symbol: [low, 0, low, high] for symbol in SYMBOLS}

    def steps_us(self, text: str) -> tuple[float, ...]:
        """Return what each of the steps takes."""
        at_ns = [time.thread_time_ns()]
        rows = binance_marks.loads(text)
        at_ns.append(time.thread_time_ns())
        found = [(IDS[row["s"]], row["p"], row["E"]) for row in rows]
        at_ns.append(time.thread_time_ns())
        prices = [Decimal(price) for _, price, _ in found]
        at_ns.append(time.thread_time_ns())
        quiet = 0
        for (symbol, _, stamp), price in zip(found, prices, strict=True):
            kept = self._kept[symbol]
            if stamp > kept[1] and kept[2] < price < kept[3]:
                kept[0], kept[1] = price, stamp
                quiet += 1
        at_ns.append(time.thread_time_ns())
        ensure(quiet == COUNT, "a price of the floor was out of its range")
        return tuple((after - before) / 1_000 for before, after in pairwise(at_ns))


class Round(NamedTuple):
    """What one message took, in microseconds of the processor."""

    theirs: float
    #: our reading, and our turns after it
    read: float
    turns: list[float]
    floor: tuple[float, ...]

    @property
    def ours(self) -> float:
        """Read, evaluated and decided."""
        return self.read + sum(self.turns)


async def measure() -> list[Round]:
    """Return every round."""
    exchange = ccxt.pro.binanceusdm()
    exchange.set_markets([market(name, symbol) for name, symbol in IDS.items()])
    ours, floor, socket = Ours(), Floor(), Socket()
    rounds: list[Round] = []
    try:
        for round_number in range(WARM_UP + ROUNDS):
            text = message(round_number)
            begun = time.thread_time_ns()
            exchange.handle_message(socket, json.loads(text))
            theirs = (time.thread_time_ns() - begun) / 1_000
            rounds.append(Round(theirs, *ours.turns_us(text), floor.steps_us(text)))
    finally:
        await exchange.close()
    return rounds[WARM_UP:]


def run(say: Callable[[str], None] = print) -> None:
    """Measure and print the ratios."""
    rounds = asyncio.run(measure())
    middle = statistics.median
    say(f"An array of {COUNT} mark prices ({ROUNDS} rounds in turn, medians)")
    say(f"  ccxt.pro's reading alone {middle(each.theirs for each in rounds):,.0f} us")
    read = middle(each.read for each in rounds)
    say(f"  ours, read {read:,.0f} us: {middle(r.theirs / r.read for r in rounds):.1f} x faster")
    whole = middle(each.ours for each in rounds)
    ratio = middle(each.theirs / each.ours for each in rounds)
    say(f"  ours, read, evaluated and decided {whole:,.0f} us: {ratio:.1f} x faster (goal 20 x)")
    turn = middle(max(each.read, *each.turns) for each in rounds)
    say(f"  the longest of its turns of the event loop {turn:,.0f} us (goal 500)")
    for number, step in enumerate(Floor.STEPS):
        say(f"  floor, {step} {middle(each.floor[number] for each in rounds):,.0f} us")
    least = middle(sum(each.floor) for each in rounds)
    ratio = middle(each.theirs / sum(each.floor) for each in rounds)
    say(f"  the floor's steps together {least:,.0f} us: {ratio:.1f} x faster")
