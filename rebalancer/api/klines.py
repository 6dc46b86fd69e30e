"""NAV klines of every length, each kept as the NAVs are published: a reader costs no arithmetic.

They live in memory and begin with the process; a day's candle comes from the strikes in the store.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
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
#: candles kept of each fund, by length: a day and an hour, of hours a week
KEPT = {MINUTE_MS: 1_500, 5 * MINUTE_MS: 300, 15 * MINUTE_MS: 100, HOUR_MS: 170}


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
    #: price of the token on its secondary market at the last update; None where it was not known
    market: Decimal | None = None
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
            market=other.market,
            last_ms=other.last_ms,
            updates=self.updates + other.updates,
        )

    def rescaled(self, factor: Decimal) -> Kline:
        """Return it with every amount per share multiplied."""
        return replace(
            self,
            open=self.open * factor,
            high=self.high * factor,
            low=self.low * factor,
            close=self.close * factor,
            formula=None if self.formula is None else self.formula * factor,
            market=None if self.market is None else self.market * factor,
        )


def one_update(
    at_ms: int,
    nav: Decimal,
    leverage: Decimal | None,
    formula: Decimal | None,
    market: Decimal | None,
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
        market=market,
        first_ms=at_ms,
        last_ms=at_ms,
        updates=1,
    )


class NavKlines:
    """The latest candles of one fund, oldest first; the last of each length is still open."""

    def __init__(self) -> None:
        self._kept = {length: deque[Kline](maxlen=count) for length, count in KEPT.items()}

    def add(
        self,
        at_ms: int,
        nav: Decimal,
        leverage: Decimal | None,
        formula: Decimal | None = None,
        market: Decimal | None = None,
    ) -> tuple[Kline, Kline | None]:
        """Take a NAV; return the open minute, and the one before where this NAV closed it."""
        update = one_update(at_ms, nav, leverage, formula, market)
        for length_ms in KEPT:
            if length_ms != MINUTE_MS:
                self._take(length_ms, update)
        return self._take(MINUTE_MS, update)

    def _take(self, length_ms: int, update: Kline) -> tuple[Kline, Kline | None]:
        kept = self._kept[length_ms]
        last = kept[-1] if kept else None
        open_ms = update.open_ms // length_ms * length_ms
        if last is not None and open_ms <= last.open_ms:
            # A clock that was set back adds to the candle that is open.
            kept[-1] = last.with_next(update)
            return kept[-1], None
        kept.append(replace(update, open_ms=open_ms, close_ms=open_ms + length_ms - 1))
        return kept[-1], last

    def rescale(self, factor: Decimal) -> None:
        """Tell everything kept in other shares: after a merge of 10:1 with a factor of 10."""
        for kept in self._kept.values():
            for place, kline in enumerate(kept):
                kept[place] = kline.rescaled(factor)

    def of_length(self, length_ms: int) -> Sequence[Kline]:
        """Return the candles of a length in `KEPT`, oldest first."""
        return self._kept[length_ms]
