"""What a durable commit costs as the loop awaits it, against the disk and against bare sqlite3.

In every round, in turn: one append of a page with `fdatasync`; one row by sqlite3 in the event
loop's own thread (WAL, synchronous FULL, the same settings as the store's); and the record of one
real intent through the store. Each is done twice: first after a moment of calm, in which the disk
and the writer's thread rested, and again straight after it. Then one intent and the records of a
plan of 500 orders in one commit, in a store of their own, which has brought its tables up to date
meanwhile. Rounds are short and paired, so that a disk that others use slows all of them.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from rebalancer import logs
from rebalancer.clock import WallClock
from rebalancer.core.order import OrderIntent, OrderSide, PositionSide, client_order_id
from rebalancer.core.records import DeskOpened, IntentCreated
from rebalancer.store.sql import SqlStore, open_store

ROUNDS = 60
WARM_UP = 5
PLAN = 500
#: in which the stores bring their tables up to date
CALM_SECONDS = 0.25
WHEN = ("after a calm moment", "straight after")
PAGE = bytes(4096)
#: an intent of one fund as the journal writes it has about so many
ROW_BYTES = 600


def intents(first: int, count: int) -> tuple[IntentCreated, ...]:
    """Return the records of so many orders, numbered from `first`."""
    now_ms = WallClock().now_ms()
    made = []
    for seq in range(first, first + count):
        symbol = f"C{seq % PLAN}/USDT:USDT"
        one = Decimal("1.234")
        intent = OrderIntent(
            client_order_id=client_order_id("commit", "main", symbol, seq),
            account="main",
            contract=symbol,
            seq=seq,
            side=OrderSide.BUY,
            position_side=PositionSide.NET,
            contracts=one,
            units=one,
            mark=Decimal("60123.4"),
            limit_price=Decimal("60724.6"),
            reduce_only=False,
            wanted={"BTC3L": one},
            created_ms=now_ms,
        )
        made.append(IntentCreated(now_ms, intent))
    return tuple(made)


class Bare:
    """One row by sqlite3, with nothing around it."""

    def __init__(self, path: Path, row: str) -> None:
        self._row = row
        self._base = sqlite3.connect(path, isolation_level=None)
        self._base.execute("pragma journal_mode=wal")
        self._base.execute("pragma synchronous=full")
        self._base.execute("create table rows (seq integer primary key, body text)")

    def commit(self) -> None:
        """Insert a row of the size of an intent and make it durable."""
        self._base.execute("begin")
        self._base.execute("insert into rows (body) values (?)", (self._row,))
        self._base.execute("commit")

    def close(self) -> None:
        """Close the file."""
        self._base.close()


def timed_us(act: Callable[[], object]) -> float:
    """Return how long `act` takes, in microseconds."""
    begun = time.perf_counter_ns()
    act()
    return (time.perf_counter_ns() - begun) / 1_000


def append(file: int) -> None:
    """Append a page and make it durable."""
    os.write(file, PAGE)
    os.fdatasync(file)


async def commit_us(store: SqlStore, records: tuple[IntentCreated, ...]) -> float:
    """Return how long a commit takes as whoever awaits it sees it."""
    begun = time.perf_counter_ns()
    await store.commit(records)
    return (time.perf_counter_ns() - begun) / 1_000


async def measure(folder: Path) -> list[dict[str, float]]:
    """Return the times of every round in microseconds."""
    bare = Bare(folder / "bare.db", "x" * ROW_BYTES)
    file = os.open(folder / "append", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    single, planned = [await _opened(folder / name) for name in ("single.db", "planned.db")]
    rounds, seq = [], 1
    try:
        for _ in range(WARM_UP + ROUNDS):
            told = {}
            for when in WHEN:
                told[f"flush {when}"] = timed_us(lambda: append(file))
                told[f"sqlite3 {when}"] = timed_us(bare.commit)
                told[f"one {when}"] = await commit_us(single, intents(seq, 1))
                seq += 1
            told["before"] = await commit_us(planned, intents(seq, 1))
            told["plan"] = await commit_us(planned, intents(seq + 1, PLAN))
            seq += 1 + PLAN
            rounds.append(told)
            await asyncio.sleep(CALM_SECONDS)
    finally:
        os.close(file)
        bare.close()
        for store in (single, planned):
            await store.close()
    return rounds[WARM_UP:]


async def _opened(path: Path) -> SqlStore:
    store = open_store(f"sqlite:///{path}")
    await store.load()
    await store.commit((DeskOpened(0, "commit", "1"),))
    return store


def run(say: Callable[[str], None] = print) -> None:
    """Measure and print the ratios."""
    logs.configure(level="error")
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        rounds = asyncio.run(measure(Path(folder)))
    say(f"A durable commit ({ROUNDS} rounds in turn, medians)")

    def told(name: str, what: str, over: str, than: str) -> None:
        taken = statistics.median(each[name] for each in rounds)
        ratio = statistics.median(each[name] / each[over] for each in rounds)
        say(f"  {what:<48} {taken:>8,.0f} us, {ratio:5.2f} x {than}")

    for when in WHEN:
        say(f" {when}:")
        told(f"flush {when}", "one page and its fdatasync", f"flush {when}", "itself")
        told(f"sqlite3 {when}", "one row by bare sqlite3", f"flush {when}", "the fdatasync")
        goal = "the fdatasync (goal 2.5 x)"
        told(f"one {when}", "one real intent, as the loop awaits it", f"flush {when}", goal)
    told("plan", f"a plan of {PLAN} orders in one commit", "before", "one intent (goal 8 x)")
