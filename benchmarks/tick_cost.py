"""What a tick costs that crosses nothing, with ten funds and with five thousand.

The engine and the yardstick take turns, round by round, so that a machine that slows down slows
both. The yardstick is the least a watcher could do: one dictionary look-up and two comparisons.
Times are of the processor, so that whoever else it serves in between is not counted.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from decimal import Decimal

from rebalancer.core import engine
from rebalancer.core.contract import Contract
from rebalancer.core.events import PricesObserved, PriceTick
from rebalancer.core.fund import Account, Fund, PriceSource
from rebalancer.core.methodology import (
    Emergency,
    Fixed,
    Methodology,
    PriceMove,
    default_emergency_ratio,
)
from rebalancer.core.state import Desk, DeskState
from rebalancer.errors import ensure
from rebalancer.feeds.candles import Moment
from rebalancer.sim.replay import Replay

SYMBOL = "BTC/USDT:USDT"
START_MS = 1_767_322_800_000
FUND_COUNTS = (10, 500, 5_000)
TICKS_PER_ROUND = 2_000
ROUNDS = 25
#: not so many that the clock of the ticks reaches an alarm, a minute after the launch
FRAME_ROUNDS = 3


def desk(count: int) -> Desk:
    """Return a desk of `count` funds on one contract, long and short in turn."""
    funds = {}
    for number in range(count):
        target = Decimal((3, -3, 2, -1)[number % 4])
        level = default_emergency_ratio(has_price_rule=True).times(abs(target))
        name = f"F{number}"
        funds[name] = Fund(
            name=name,
            account="main",
            target_leverage=target,
            basket={SYMBOL: Decimal(1)},
            max_age_ms=None,
            methodology=Methodology(
                fixed=Fixed(),
                price_move=PriceMove(threshold=PriceMove.default_threshold(target)),
                emergency=Emergency(level=level),
            ),
        )
    accounts = {"main": Account(name="main")}
    return Desk(funds, accounts, {SYMBOL: Contract(SYMBOL)}, free_launch=True)


def launched(count: int) -> DeskState:
    """Return the state of a desk whose funds hold their targets at a price of 100."""
    replay = Replay(desk(count))
    replay.play(Moment(START_MS, ((SYMBOL, Decimal(100)),), ()))
    return replay.state


def ticks(round_number: int) -> list[PricesObserved]:
    """Return ticks that stay inside every trigger."""
    start_ms = START_MS + round_number * TICKS_PER_ROUND
    return [
        PricesObserved(
            at_ms,
            (PriceTick(SYMBOL, PriceSource.MARK, Decimal(100) + Decimal(at_ms % 7) / 10, at_ms),),
        )
        for at_ms in range(start_ms + 1, start_ms + TICKS_PER_ROUND + 1)
    ]


def engine_seconds(state: DeskState, events: list[PricesObserved]) -> float:
    """Time the engine over `events`, none of which may lead to anything."""
    step, quiet = engine.step, engine.QUIET
    begun = time.thread_time()
    steps = [step(state, event) for event in events]
    elapsed = time.thread_time() - begun
    ensure(all(each is quiet for each in steps), "a tick of the benchmark led to something")
    return elapsed


def yardstick_seconds(events: list[PricesObserved]) -> float:
    """Time one look-up and two decimal comparisons per tick."""
    ranges = {(SYMBOL, PriceSource.MARK): (Decimal(90), Decimal(110))}
    keys = [((tick.contract, tick.source), tick.price) for (tick,) in (e.ticks for e in events)]
    inside = 0
    begun = time.thread_time()
    for key, price in keys:
        low, high = ranges[key]
        if low < price < high:
            inside += 1
    elapsed = time.thread_time() - begun
    ensure(inside == len(events), "a tick of the benchmark left the range")
    return elapsed


def frames(round_number: int) -> list[str]:
    """Return the same ticks as a venue sends them."""
    return [
        json.dumps({"e": "markPriceUpdate", "E": tick.at_ms, "s": "BTCUSDT", "p": str(tick.price)})
        for (tick,) in (event.ticks for event in ticks(round_number))
    ]


def decode_seconds(told: list[str]) -> float:
    """Time what cannot be left out: a frame read, its price made exact."""
    begun = time.thread_time()
    for frame in told:
        read = json.loads(frame, parse_float=str)
        Decimal(read["p"])
    return time.thread_time() - begun


def path_seconds(state: DeskState, told: list[str]) -> float:
    """Time the same, and on to the verdict that nothing fires."""
    step, quiet = engine.step, engine.QUIET
    begun = time.thread_time()
    for frame in told:
        read = json.loads(frame, parse_float=str)
        at_ms = read["E"]
        tick = PriceTick(SYMBOL, PriceSource.MARK, Decimal(read["p"]), at_ms)
        verdict = step(state, PricesObserved(at_ms, (tick,)))
        ensure(verdict is quiet, "a tick of the benchmark led to something")
    return time.thread_time() - begun


def rotated(contenders: Sequence[int], round_number: int) -> list[int]:
    """Return the contenders in an order in which each goes first in turn."""
    first = round_number % len(contenders)
    return [*contenders[first:], *contenders[:first]]


def run(say: Callable[[str], None] = print) -> None:
    """Measure and print the ratios."""
    states = {count: launched(count) for count in FUND_COUNTS}
    per_tick: dict[int, list[float]] = {count: [] for count in FUND_COUNTS}
    ratios: dict[int, list[float]] = {count: [] for count in FUND_COUNTS}
    for round_number in range(ROUNDS):
        events = ticks(round_number)
        yardstick = yardstick_seconds(events)
        for count in rotated(FUND_COUNTS, round_number):
            seconds = engine_seconds(states[count], events)
            per_tick[count].append(seconds / TICKS_PER_ROUND * 1e6)
            ratios[count].append(seconds / yardstick)
    whole: dict[int, list[float]] = {count: [] for count in FUND_COUNTS}
    for round_number in range(ROUNDS, ROUNDS + FRAME_ROUNDS):
        sent = frames(round_number)
        bare = decode_seconds(sent)
        for count in rotated(FUND_COUNTS, round_number):
            whole[count].append(path_seconds(states[count], sent) / bare)
    say(f"A tick that crosses nothing ({ROUNDS} rounds of {TICKS_PER_ROUND} ticks, medians)")
    base = per_tick[FUND_COUNTS[0]]
    for count in FUND_COUNTS:
        paired = statistics.median(
            mine / ten for mine, ten in zip(per_tick[count], base, strict=True)
        )
        say(
            f"  {count:>5} funds: {statistics.median(ratios[count]):5.1f} x a look-up and two "
            f"comparisons, {paired:4.2f} x the cost with {FUND_COUNTS[0]} funds "
            f"({statistics.median(per_tick[count]):.2f} us here)"
        )
    for count in FUND_COUNTS:
        ratio = statistics.median(whole[count])
        say(f"  {count:>5} funds: from the frame to the verdict {ratio:.2f} x a bare decode")
