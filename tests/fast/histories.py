"""Random histories of one contract: walks with jumps, and crash upon crash."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from random import Random

from rebalancer.core.instant import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from rebalancer.feeds.candles import FundingPoint, History, PricePoint
from tests.factories import NOON, D

E = 2.718281828


def walk(dice: Random, symbol: str, interval_ms: int, *, simple: bool) -> History:
    """A walk with jumps, gaps and round prices that meet edges exactly; none of it if `simple`."""
    at_ms, bars = _start_ms(dice), dice.randint(20, 250)
    step, digits = dice.choice((0.001, 0.01, 0.04)), 4 if simple else dice.choice((0, 1, 1, 4))
    price, points = float(dice.choice((100, 200, 30_000))), []
    if simple:
        price *= dice.uniform(0.9, 1.1)
    for _ in range(bars):
        points.append(PricePoint(at_ms, _close(price, digits)))
        jumps = not simple and dice.random() < 0.01
        jump = dice.choice((0.85, 1.15, 0.9, 1.1, 0.6, 1.4)) if jumps else 1.0
        price *= jump * E ** dice.gauss(0, step)
        gap = dice.randint(2, 40) if not simple and dice.random() < 0.01 else 1
        at_ms += gap * interval_ms
    return History.observed(symbol, points, _funding(dice, points))


def crashes(
    dice: Random, symbol: str, interval_ms: int, first: Iterable[Decimal], *, simple: bool
) -> History:
    """Crashes and recoveries after some `first` closes, now and then with gaps.

    Prices are round where not `simple`. Half of the histories have their bars at whole intervals.
    """
    at_ms, bars = _start_ms(dice), dice.randint(20, 120)
    if dice.random() < 0.5:
        at_ms -= at_ms % interval_ms
    start = float(dice.choice((100, 30_000))) * dice.uniform(0.9, 1.1)
    gaps, points, known = dice.random() < 0.2, [], list(first)
    start = float(known[-1]) if known else start
    known += _legs(dice, start, bars, 4 if simple else dice.choice((0, 1, 4)))
    for close in known:
        points.append(PricePoint(at_ms, close))
        at_ms += interval_ms * (dice.randint(2, 40) if gaps and dice.random() < 0.03 else 1)
    return History.observed(symbol, points, _funding(dice, points))


def _legs(dice: Random, start: float, bars: int, digits: int) -> list[Decimal]:
    """Return closes: legs of one to eight bars down or up, and quiet ones between them."""
    price, steps = start, [0.0]
    while len(steps) < bars:
        length = dice.randint(1, 8)
        leg = dice.choice((-0.12, -0.06, -0.03, -0.015, 0.015, 0.03, 0.06, 0.12))
        steps += [leg / length + dice.gauss(0, 0.002) for _ in range(length)]
        steps += [dice.gauss(0, 0.0005) for _ in range(dice.choice((0, 0, 3, 10)))]
    found = []
    for step in steps[:bars]:
        price *= E**step
        found.append(_close(price, digits))
    return found


def _start_ms(dice: Random) -> int:
    return NOON + dice.randrange(0, DAY_MS, MINUTE_MS) + dice.choice((0, 0, 17 * SECOND_MS))


def _close(price: float, digits: int) -> Decimal:
    return max(D(f"{price:.{digits}f}"), D(1).scaleb(-digits))


def _funding(dice: Random, points: list[PricePoint]) -> list[FundingPoint]:
    if dice.random() < 0.3:
        return []
    first_ms, last_ms = points[0].at_ms, points[-1].at_ms
    every_ms = dice.choice((HOUR_MS, 8 * HOUR_MS, 8 * HOUR_MS))
    # Funding after the last price goes on to an end at which fixed runs have no fresh price.
    after_ms = dice.choice((1, 1, 2 * every_ms))
    times_ms = range(first_ms // every_ms * every_ms, last_ms + after_ms, every_ms)
    return [FundingPoint(at, D(f"{dice.gauss(0.0001, 0.0005):.8f}")) for at in times_ms]
