"""Who must be looked at when: price ranges and alarms, kept so that a quiet tick costs nothing.

Every fund leaves, for each price that matters to it, an open range in which none of its rules can
fire. A tick is compared with the tightest range of its contract only: two comparisons, whether ten
funds hold the contract or five thousand.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from rebalancer.core.market import Key

Range = tuple[Decimal | None, Decimal | None]
"""(low, high): quiet while low < price < high; None is no edge on that side."""

_LOWEST = Decimal("-Infinity")
_HIGHEST = Decimal("Infinity")


@dataclass(slots=True)
class _Edges:
    """All edges of one key, sorted, and the tightest pair."""

    lows: list[tuple[Decimal, str]] = field(default_factory=list)
    highs: list[tuple[Decimal, str]] = field(default_factory=list)
    low: Decimal = _LOWEST
    high: Decimal = _HIGHEST

    def tighten(self) -> None:
        self.low = self.lows[-1][0] if self.lows else _LOWEST
        self.high = self.highs[0][0] if self.highs else _HIGHEST


@dataclass(slots=True)
class WatchIndex:
    """The ranges of all funds, by contract and price source."""

    _edges: dict[Key, _Edges] = field(default_factory=dict)
    _armed: dict[str, Mapping[Key, Range]] = field(default_factory=dict)

    def quiet(self, key: Key, price: Decimal) -> bool:
        """Whether no fund needs to be looked at for this price."""
        edges = self._edges.get(key)
        return edges is None or edges.low < price < edges.high

    def crossed(self, key: Key, price: Decimal) -> set[str]:
        """Return the funds whose range does not contain `price`."""
        edges = self._edges.get(key)
        if edges is None:
            return set()
        first_low = bisect_left(edges.lows, (price, ""))
        last_high = bisect_right(edges.highs, (price, "\uffff"))
        below = {name for _, name in edges.lows[first_low:]}
        return below | {name for _, name in edges.highs[:last_high]}

    def arm(self, fund: str, ranges: Mapping[Key, Range]) -> None:
        """Replace the ranges of `fund`."""
        before = self._armed.get(fund)
        if before == ranges:
            return
        self._disarm(fund)
        self._armed[fund] = ranges
        for key, (low, high) in ranges.items():
            edges = self._edges.setdefault(key, _Edges())
            if low is not None:
                insort(edges.lows, (low, fund))
            if high is not None:
                insort(edges.highs, (high, fund))
            edges.tighten()

    def ranges(self, fund: str) -> Mapping[Key, Range]:
        """Return the armed ranges of `fund`."""
        return self._armed.get(fund, {})

    def _disarm(self, fund: str) -> None:
        for key, (low, high) in self._armed.pop(fund, {}).items():
            edges = self._edges[key]
            if low is not None:
                del edges.lows[bisect_left(edges.lows, (low, fund))]
            if high is not None:
                del edges.highs[bisect_left(edges.highs, (high, fund))]
            edges.tighten()


@dataclass(slots=True)
class AlarmClock:
    """The next time at which each fund must be looked at even if no price moves."""

    #: the earliest alarm: kept, because every tick asks for it and few things change it
    next_ms: int | None = None
    _heap: list[tuple[int, str]] = field(default_factory=list)
    _at_ms: dict[str, int] = field(default_factory=dict)

    def set_for(self, fund: str, at_ms: int | None) -> None:
        """Replace the alarm of `fund`; None takes it away."""
        if at_ms is None:
            self._at_ms.pop(fund, None)
        elif self._at_ms.get(fund) != at_ms:
            self._at_ms[fund] = at_ms
            heapq.heappush(self._heap, (at_ms, fund))
        self._find_next()

    def due(self, now_ms: int) -> set[str]:
        """Take away and return every alarm at or before `now_ms`."""
        names: set[str] = set()
        while self.next_ms is not None and self.next_ms <= now_ms:
            _, fund = heapq.heappop(self._heap)
            del self._at_ms[fund]
            names.add(fund)
            self._find_next()
        return names

    def _find_next(self) -> None:
        heap = self._heap
        while heap and self._at_ms.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)  # replaced or taken away
        self.next_ms = heap[0][0] if heap else None
