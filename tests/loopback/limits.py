"""Rate limits, counted window-exactly, and what became of those who passed them.

The windows slide: whatever falls into any span of the window's length counts. That is the strictest
reading of a limit; a client that keeps it also keeps one whose windows start on the minute, which
`aligned` gives where a test wants it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Window:
    """At most `limit` in any `span_ms` milliseconds."""

    limit: int
    span_ms: int
    aligned: bool = False
    _entries: deque[tuple[int, int]] = field(default_factory=deque)
    _sum: int = 0

    def used(self, now_ms: int) -> int:
        """Return what counts against the limit at `now_ms`."""
        since = now_ms - now_ms % self.span_ms - 1 if self.aligned else now_ms - self.span_ms
        while self._entries and self._entries[0][0] <= since:
            self._sum -= self._entries.popleft()[1]
        return self._sum

    def admits(self, weight: int, now_ms: int) -> bool:
        """Whether `weight` more stays within the limit."""
        return self.used(now_ms) + weight <= self.limit

    def add(self, weight: int, now_ms: int) -> None:
        """Count `weight`, within the limit or not."""
        if weight:
            self._entries.append((now_ms, weight))
            self._sum += weight

    def free_ms(self, now_ms: int) -> int:
        """Return how long it takes until the window holds less than it does now."""
        if not self.used(now_ms):
            return 0
        if self.aligned:
            return self.span_ms - now_ms % self.span_ms
        return self._entries[0][0] + self.span_ms - now_ms


@dataclass(frozen=True, slots=True)
class Violation:
    """A client went past a limit, or went on while it was locked out."""

    at_ms: int
    who: str
    what: str


@dataclass(slots=True)
class Bans:
    """Who is locked out until when, and every violation so far."""

    until: dict[str, int] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)

    def left_ms(self, who: str, now_ms: int) -> int:
        """Return how long `who` is still locked out; 0 for not at all."""
        return max(self.until.get(who, 0) - now_ms, 0)

    def ban(self, who: str, now_ms: int, span_ms: int) -> None:
        """Lock `who` out for `span_ms`."""
        self.until[who] = now_ms + span_ms

    def violated(self, who: str, what: str, now_ms: int) -> None:
        """Write a violation down."""
        self.violations.append(Violation(now_ms, who, what))
