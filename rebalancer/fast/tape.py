"""A tape: the history of one contract as arrays to search, and as the exact numbers behind them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate, starmap
from operator import mul

import numpy as np
import numpy.typing as npt

from rebalancer.core.money import ZERO, total
from rebalancer.fast.scan import BLOCK_BARS, Series
from rebalancer.feeds.candles import History

#: whole numbers up to this can be multiplied with one another in 64 bits
LARGEST_WHOLE = 2**31
_PLACES_MAX = 9

Times = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Tape:
    """What is known of one contract and when; bars are counted from 0."""

    symbol: str
    #: when each close was known, in milliseconds, ascending
    times_ms: Sequence[int]
    closes: Sequence[Decimal]
    #: the most frequent spacing of bars: the oldest price that a fixed run may use
    interval_ms: int
    #: when funding was settled, and the sum of rate x mark before the first and after each of them
    settled_ms: Sequence[int]
    settled: Sequence[Decimal]
    #: the times, and for the search: prices, settled as of each bar, and blocks of bars
    times: Times
    series: Series
    #: the prices as whole multiples of their smallest step; None beyond LARGEST_WHOLE
    ticks: Times | None

    @classmethod
    def of(cls, history: History, *, charged: bool = True) -> Tape:
        """Return the tape of a history, with its funding where that is charged.

        Funding before the first price is nobody's.
        """
        times_ms, closes = history.times_ms, history.closes
        due = history.funding if charged else ()
        points = [point for point in due if point.at_ms >= times_ms[0]]
        settled_ms = [point.at_ms for point in points]
        marks = [closes[bisect_right(times_ms, at_ms) - 1] for at_ms in settled_ms]
        paid = starmap(mul, zip((point.rate for point in points), marks, strict=True))
        settled = list(accumulate(paid, initial=ZERO))
        times = np.fromiter(times_ms, np.int64, len(times_ms))
        prices = np.fromiter(map(float, closes), np.float64, len(closes))
        paid_by = np.searchsorted(np.array(settled_ms, np.int64), times, "right")
        starts = np.arange(0, len(prices), BLOCK_BARS)
        ends = np.minimum(starts + BLOCK_BARS, len(prices)) - 1
        return cls(
            symbol=history.contract,
            times_ms=times_ms,
            closes=closes,
            interval_ms=history.interval_ms,
            settled_ms=settled_ms,
            settled=settled,
            times=times,
            series=(
                prices,
                np.array([float(each) for each in settled])[paid_by],
                np.minimum.reduceat(prices, starts),
                np.maximum.reduceat(prices, starts),
                paid_by[starts] == paid_by[ends],
            ),
            ticks=_whole_ticks(closes, prices),
        )

    def bar_at(self, at_ms: int) -> int:
        """Return the newest bar at an instant; -1 before the first."""
        return bisect_right(self.times_ms, at_ms) - 1

    def settled_by(self, at_ms: int) -> Decimal:
        """Return the sum of rate x mark settled up to and at an instant, per unit held."""
        return self.settled[bisect_right(self.settled_ms, at_ms)]


def _whole_ticks(closes: Sequence[Decimal], prices: npt.NDArray[np.float64]) -> Times | None:
    """Return prices as whole multiples of a power of ten, exactly; None where they are not."""
    for places in range(_PLACES_MAX + 1):
        ticks = np.rint(prices * 10.0**places)
        if ticks.max() > LARGEST_WHOLE:
            return None
        if np.array_equal(ticks / 10.0**places, prices):
            whole = ticks.astype(np.int64)
            # Digits that a float does not show would still be in the exact sum.
            return whole if total(closes).scaleb(places) == int(whole.sum()) else None
    return None


class Tapes:
    """The tapes of several histories, each made once."""

    def __init__(self, histories: Mapping[str, History]) -> None:
        self.histories = histories
        self._made: dict[tuple[str, bool], Tape] = {}

    def of(self, symbol: str, *, charged: bool) -> Tape:
        """Return the tape of a contract, with its funding where that is charged."""
        key = (symbol, charged)
        if key not in self._made:
            self._made[key] = Tape.of(self.histories[symbol], charged=charged)
        return self._made[key]

    @property
    def _whole(self) -> list[History]:
        return [each for history in self.histories.values() for each in history.whole]

    @property
    def end_ms(self) -> int:
        """When the last history ends, with its last price or its last funding."""
        return max(
            at_ms
            for history in self._whole
            for at_ms in (history.times_ms[-1], *(each.at_ms for each in history.funding[-1:]))
        )

    @property
    def bars(self) -> int:
        """How many instants bring a price."""
        first, *others = [history.times_ms for history in self._whole]
        return len(set(first).union(*others)) if others else len(first)
