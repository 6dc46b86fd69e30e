"""Histories: price and funding files read exactly, and several of them merged in time order.

The layout of the files is the one in the specification of the replay. A file is read
into plain columns: half a million rows must not become half a million objects to collect.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from itertools import groupby, islice
from operator import itemgetter, sub
from pathlib import Path
from typing import Any, NamedTuple, overload

from rebalancer.core.fund import PriceSource
from rebalancer.errors import InputRefused
from rebalancer.feeds.table import (
    EARLIEST_MS,
    LATEST_MS,
    LEAST_PRICE,
    MOST_PRICE,
    ReadTime,
    Table,
    opened,
)

#: what a stream brings to a moment, as its place there
_PRICE, _FUNDING, _APART = range(3)
_BAD_CELL = (IndexError, ValueError, TypeError, OverflowError, InvalidOperation)


class PricePoint(NamedTuple):
    """One price and the instant from which it was known."""

    at_ms: int
    price: Decimal


class FundingPoint(NamedTuple):
    """One settlement: longs pay `rate` x units x price at `at_ms`, shorts receive it."""

    at_ms: int
    rate: Decimal


class Moment(NamedTuple):
    """What became known at one instant: new prices and funding due, each with its contract."""

    at_ms: int
    prices: tuple[tuple[str, Decimal], ...]
    funding: tuple[tuple[str, Decimal], ...]
    #: prices of a source that has a history of its own
    apart: tuple[tuple[str, PriceSource, Decimal], ...] = ()


class PricePoints(Sequence[PricePoint]):
    """Two equally long columns seen as a sequence of points, which are built when asked for."""

    def __init__(self, times_ms: Sequence[int], prices: Sequence[Decimal]) -> None:
        self._times_ms = times_ms
        self._prices = prices

    def __len__(self) -> int:
        return len(self._times_ms)

    @overload
    def __getitem__(self, index: int) -> PricePoint: ...

    @overload
    def __getitem__(self, index: slice) -> PricePoints: ...

    def __getitem__(self, index: int | slice) -> PricePoint | PricePoints:
        if isinstance(index, slice):
            return PricePoints(self._times_ms[index], self._prices[index])
        return PricePoint(self._times_ms[index], self._prices[index])

    def __iter__(self) -> Iterator[PricePoint]:
        return map(PricePoint, self._times_ms, self._prices)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The prices and funding of one contract in time order; `times_ms` says when each was known."""

    contract: str
    times_ms: Sequence[int]
    closes: Sequence[Decimal]
    #: the extremes of each row, for reports; equal to the close where the file has no bars
    highs: Sequence[Decimal]
    lows: Sequence[Decimal]
    funding: Sequence[FundingPoint] = ()
    #: the most frequent spacing (the shorter one of equals); 0 for a single price
    interval_ms: int = 0
    #: how many times the next row came later than one interval
    gaps: int = 0
    #: of sources whose prices are not those above, as the spot's beside a perpetual's marks
    apart: Mapping[PriceSource, History] = field(default_factory=dict)

    @classmethod
    def observed(
        cls, contract: str, points: Iterable[PricePoint], funding: Iterable[FundingPoint] = ()
    ) -> History:
        """Return the history of prices seen at known instants; `points` and `funding` in order."""
        times_ms, closes = [], []
        for at_ms, price in points:
            times_ms.append(at_ms)
            closes.append(price)
        interval_ms, gaps = _spacing(times_ms)
        return cls(
            contract=contract,
            times_ms=times_ms,
            closes=closes,
            highs=closes,
            lows=closes,
            funding=tuple(funding),
            interval_ms=interval_ms,
            gaps=gaps,
        )

    @property
    def rows(self) -> int:
        """How many prices there are."""
        return len(self.times_ms)

    @property
    def whole(self) -> tuple[History, ...]:
        """This history and those of its sources apart."""
        return (self, *self.apart.values())

    @property
    def points(self) -> PricePoints:
        """The prices as points in time."""
        return PricePoints(self.times_ms, self.closes)


def read_history(
    contract: str, path: Path | str, funding_path: Path | str | None = None
) -> History:
    """Read a price file of `contract` and, where given, its funding file.

    Plain text or gzip, whatever the name says. Anything that is not a sound history raises
    InputRefused, which begins with FILE:LINE. Gaps are legal and counted.
    """
    with opened(path) as table:
        columns = _Columns.of(table)
        rows = _read_rows(table, columns)
        interval_ms, gaps = _spacing(rows.times_ms)
        if columns.is_bars and not interval_ms:
            raise table.refusal("one bar alone has no spacing, so its close has no time")
    if funding_path is not None and rows.funding:
        raise InputRefused(
            f"{path}:1: the column funding_rate is filled and {funding_path} is given too: "
            f"funding of {contract} would be charged twice"
        )
    known_later_ms = interval_ms if columns.is_bars else 0
    return History(
        contract=contract,
        times_ms=[at_ms + known_later_ms for at_ms in rows.times_ms],
        closes=rows.closes,
        highs=rows.highs,
        lows=rows.lows,
        funding=tuple(rows.funding) if funding_path is None else read_funding(funding_path),
        interval_ms=interval_ms,
        gaps=gaps,
    )


def read_funding(path: Path | str) -> tuple[FundingPoint, ...]:
    """Read a funding file: `funding_time_ms` or `timestamp`, and `funding_rate`.

    Refuses what read_history refuses. Where the rate is empty nothing was settled.
    """
    points: list[FundingPoint] = []
    last_ms = EARLIEST_MS - 1
    with opened(path) as table:
        time_at = table.column("funding_time_ms", "timestamp")
        rate_at = table.column("funding_rate")
        to_ms, rows = table.rows(time_at)
        for row in filter(None, rows):
            table.refuse_ragged(row)
            last_ms = table.time(row[time_at], to_ms, last_ms)
            if cell := row[rate_at].strip():
                points.append(FundingPoint(last_ms, table.rate(cell)))
    return tuple(points)


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where the cells of a price file stand; without bars all four prices are the close."""

    time: int
    open: int
    high: int
    low: int
    close: int
    funding: int | None
    is_bars: bool

    @classmethod
    def of(cls, table: Table) -> _Columns:
        time_at = table.column("timestamp", "open_time_ms")
        close_at = table.column("close")
        bar = {name: table.optional(name) for name in ("open", "high", "low")}
        found = {name: at for name, at in bar.items() if at is not None}
        if found and len(found) < len(bar):
            raise table.refusal(
                f"a bar has the columns open, high and low; here is only {' and '.join(found)}"
            )
        return cls(
            time=time_at,
            open=found.get("open", close_at),
            high=found.get("high", close_at),
            low=found.get("low", close_at),
            close=close_at,
            funding=table.optional("funding_rate"),
            is_bars=bool(found),
        )


class _Rows:
    """The rows of a price file, as columns."""

    def __init__(self) -> None:
        self.times_ms: list[int] = []
        self.closes: list[Decimal] = []
        self.highs: list[Decimal] = []
        self.lows: list[Decimal] = []
        self.funding: list[FundingPoint] = []


def _read_rows(table: Table, columns: _Columns) -> _Rows:
    # The whole cost of a replay's start is in this loop: names are local, every check of a sound
    # row is one expression, and what is wrong with another row is found out afterwards.
    result = _Rows()
    times_ms, closes, highs, lows = result.times_ms, result.closes, result.highs, result.lows
    time_at, open_at, high_at = columns.time, columns.open, columns.high
    low_at, close_at, funding_at = columns.low, columns.close, columns.funding
    width = len(table.header)
    last_ms = EARLIEST_MS - 1
    to_ms, rows = table.rows(time_at)
    for row in rows:
        try:
            at_ms = to_ms(row[time_at])
            opening, close = Decimal(row[open_at]), Decimal(row[close_at])
            high, low = Decimal(row[high_at]), Decimal(row[low_at])
            is_sound = (
                len(row) == width
                and last_ms < at_ms <= LATEST_MS
                and LEAST_PRICE <= low <= opening <= high <= MOST_PRICE
                and low <= close <= high
            )
        except _BAD_CELL:
            is_sound = False
        if not is_sound:
            if row:
                raise _what_is_wrong(table, columns, row, (to_ms, last_ms))
            continue
        last_ms = at_ms
        times_ms.append(at_ms)
        closes.append(close)
        highs.append(high)
        lows.append(low)
        if funding_at is not None and (cell := row[funding_at].strip()):
            result.funding.append(FundingPoint(at_ms, table.rate(cell)))
    return result


def _what_is_wrong(
    table: Table, columns: _Columns, row: list[str], clock: tuple[ReadTime, int]
) -> InputRefused:
    """Return the refusal of an unsound row, or raise it."""
    to_ms, last_ms = clock
    table.refuse_ragged(row)
    table.time(row[columns.time], to_ms, last_ms)
    close = table.price(row[columns.close], "close")
    opening = table.price(row[columns.open], "open")
    high = table.price(row[columns.high], "high")
    low = table.price(row[columns.low], "low")
    return table.refusal(
        f"the bar from {low} to {high} excludes its open {opening} or its close {close}"
    )


def merge(histories: Iterable[History]) -> Iterator[Moment]:
    """Yield one Moment per distinct time over all `histories`, in time order.

    Within a moment contracts stand in the order of `histories`. A moment holds only what became
    known then; two histories of one contract raise InputRefused at once.
    """
    listed = tuple(histories)
    names = [history.contract for history in listed]
    for name, count in Counter(names).items():
        if count > 1:
            raise InputRefused(f"{name}: {count} price files are given for one contract")
    return _moments(listed)


def _moments(histories: Sequence[History]) -> Iterator[Moment]:
    # The position comes third in each item, so that two decimals are never compared for order.
    streams: list[Iterator[tuple[int, int, int, Any]]] = []
    for position, history in enumerate(histories):
        name = history.contract
        streams.append(_stream(_PRICE, position, (name,), history.points))
        streams.append(_stream(_FUNDING, position, (name,), history.funding))
        for source, other in history.apart.items():
            streams.append(_stream(_APART, position, (name, source), other.points))
    for at_ms, items in groupby(heapq.merge(*streams), key=itemgetter(0)):
        told: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
        for _, kind, _, entry in items:
            told[kind].append(entry)
        yield Moment(at_ms, *map(tuple, told))


def _stream(
    kind: int, position: int, whose: tuple[str, ...], points: Iterable[tuple[int, Decimal]]
) -> Iterator[tuple[int, int, int, Any]]:
    for at_ms, value in points:
        yield at_ms, kind, position, (*whose, value)


def _spacing(times_ms: Sequence[int]) -> tuple[int, int]:
    """Return the most frequent spacing and how many spacings are longer than it."""
    spacings = Counter(map(sub, islice(times_ms, 1, None), times_ms))
    if not spacings:
        return 0, 0
    interval_ms = min(spacings, key=lambda spacing: (-spacings[spacing], spacing))
    return interval_ms, sum(count for spacing, count in spacings.items() if spacing > interval_ms)
