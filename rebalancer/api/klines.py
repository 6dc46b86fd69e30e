"""NAV klines: one minute each from the NAVs as they are published, longer ones from those.

They live in memory and begin with the process; a day's candle comes from the strikes in the store.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from rebalancer.core.instant import DAY_MS, HOUR_MS, MINUTE_MS

#: every interval that can be asked for; `1d` is made of strikes
INTERVALS_MS = {
    "1m": MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "1h": HOUR_MS,
    "1d": DAY_MS,
}
#: minutes kept of each fund: a day and an hour
MINUTES_KEPT = 1_500


@dataclass(frozen=True, slots=True, kw_only=True)
class Kline:
    """One candle; times in milliseconds, the close is its last millisecond."""

    open_ms: int
    close_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    #: signed, at the last update; None where equity was not above zero
    leverage: Decimal | None
    #: formula NAV at the last update; None where it was not known
    formula: Decimal | None
    #: when the first and the last NAV in it were taken, and how many there were
    first_ms: int
    last_ms: int
    updates: int

    def with_next(self, other: Kline) -> Kline:
        """Return both as one; `other` is the later one."""
        return replace(
            self,
            high=max(self.high, other.high),
            low=min(self.low, other.low),
            close=other.close,
            leverage=other.leverage,
            formula=other.formula,
            last_ms=other.last_ms,
            updates=self.updates + other.updates,
        )


def one_update(
    at_ms: int, nav: Decimal, leverage: Decimal | None, formula: Decimal | None
) -> Kline:
    """Return the candle of one minute that knows a single NAV."""
    open_ms = at_ms // MINUTE_MS * MINUTE_MS
    return Kline(
        open_ms=open_ms,
        close_ms=open_ms + MINUTE_MS - 1,
        open=nav,
        high=nav,
        low=nav,
        close=nav,
        leverage=leverage,
        formula=formula,
        first_ms=at_ms,
        last_ms=at_ms,
        updates=1,
    )


class MinuteKlines:
    """The latest minutes of one fund, oldest first; the last one is still open."""

    def __init__(self) -> None:
        self._kept: deque[Kline] = deque(maxlen=MINUTES_KEPT)

    def add(
        self,
        at_ms: int,
        nav: Decimal,
        leverage: Decimal | None,
        formula: Decimal | None = None,
    ) -> tuple[Kline, Kline | None]:
        """Take a NAV; return the open candle, and the one before where this NAV closed it."""
        update = one_update(at_ms, nav, leverage, formula)
        last = self._kept[-1] if self._kept else None
        if last is not None and update.open_ms <= last.open_ms:
            # A clock that was set back adds to the minute that is open.
            self._kept[-1] = last.with_next(update)
            return self._kept[-1], None
        self._kept.append(update)
        return update, last

    def latest(self) -> Kline | None:
        """Return the open candle."""
        return self._kept[-1] if self._kept else None

    def of_length(self, length_ms: int) -> Iterator[Kline]:
        """Yield candles of a multiple of a minute, oldest first."""
        return merged(self._kept, length_ms)


def merged(klines: Iterable[Kline], length_ms: int) -> Iterator[Kline]:
    """Yield the candles of `length_ms` that shorter ones, oldest first, add up to."""
    made: Kline | None = None
    for kline in klines:
        open_ms = kline.open_ms // length_ms * length_ms
        if made is not None and made.open_ms == open_ms:
            made = made.with_next(kline)
            continue
        if made is not None:
            yield made
        made = replace(kline, open_ms=open_ms, close_ms=open_ms + length_ms - 1)
    if made is not None:
        yield made
