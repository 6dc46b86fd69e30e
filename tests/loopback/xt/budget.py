"""XT's rate limit: 1,000 requests a minute by address, or locked out for ten minutes.

The figure is ccxt's note; it also speaks of 10 a second, which is enforced (without a lock) where
`per_second` asks for it. Requests during a lock-out are violations too and do not prolong it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.loopback.calls import Answer
from tests.loopback.limits import Bans, Window
from tests.loopback.xt.errors import XtError

LIMIT, SPAN_MS = 1000, 60_000
LOCK_MS = 600_000


@dataclass(slots=True)
class Budget:
    """The counters of every address."""

    bans: Bans = field(default_factory=Bans)
    per_second: int | None = None
    _minutes: dict[str, Window] = field(default_factory=dict)
    _seconds: dict[str, Window] = field(default_factory=dict)

    def spend(self, peer: str, now_ms: int) -> Answer | None:
        """Count a call; return the refusal where it is past a limit or its address is locked."""
        if self.bans.left_ms(peer, now_ms):
            self.bans.violated(peer, "a request during a lock-out", now_ms)
            return _too_many()
        minute = self._minutes.setdefault(peer, Window(limit=LIMIT, span_ms=SPAN_MS))
        if not minute.admits(1, now_ms):
            self.bans.violated(peer, "1000 requests a minute", now_ms)
            self.bans.ban(peer, now_ms, LOCK_MS)
            return _too_many()
        minute.add(1, now_ms)
        if self.per_second is None:
            return None
        second = self._seconds.setdefault(peer, Window(limit=self.per_second, span_ms=1000))
        if not second.admits(1, now_ms):
            self.bans.violated(peer, f"{self.per_second} requests a second", now_ms)
            return _too_many()
        second.add(1, now_ms)
        return None


def _too_many() -> Answer:
    text = "The request is too frequent, please control the request rate"
    return XtError("429", text, 429).answer()
