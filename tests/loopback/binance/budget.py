"""Binance's rate limits, enforced: request weight by address, orders by account.

2,400 of weight a minute, 300 orders in 10 seconds, 1,200 a minute. A placement has no weight; a
batch of n orders has weight 5, counts n on the short limit and 1 on the long one. What goes past a
limit is answered 429 and is a violation; the third excess of weight within a minute bans the
address for two minutes (418), and every request during a ban is a violation of its own. How many
strikes the venue allows is not documented; three is a choice.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.loopback.binance.errors import BinanceError
from tests.loopback.calls import Answer
from tests.loopback.limits import Bans, Window

MINUTE_MS = 60_000
WEIGHT_LIMIT = 2400
SHORT_LIMIT, SHORT_MS = 300, 10_000
LONG_LIMIT = 1200
STRIKES = 3
BAN_MS = 120_000


def _limit(kind: str, interval: str, number: int, most: int) -> dict[str, str | int]:
    return {
        "rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": most
    }  # fmt: skip


#: what exchangeInfo says of everybody's limits
LIMITS = (
    _limit("REQUEST_WEIGHT", "MINUTE", 1, WEIGHT_LIMIT),
    _limit("ORDERS", "MINUTE", 1, LONG_LIMIT),
    _limit("ORDERS", "SECOND", 10, SHORT_LIMIT),
)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one call counts on each limit."""

    weight: int
    short: int = 0
    long: int = 0


@dataclass(slots=True)
class Budget:
    """The counters of every address and account."""

    bans: Bans = field(default_factory=Bans)
    aligned: bool = False
    weight_limit: int = WEIGHT_LIMIT
    #: orders in 10 seconds and in a minute; an account may have been given more than the usual
    short_limit: int = SHORT_LIMIT
    long_limit: int = LONG_LIMIT
    _weights: dict[str, Window] = field(default_factory=dict)
    _shorts: dict[str, Window] = field(default_factory=dict)
    _longs: dict[str, Window] = field(default_factory=dict)
    _strikes: dict[str, Window] = field(default_factory=dict)

    @property
    def order_limits(self) -> list[dict[str, str | int]]:
        """The limits on orders, as the account can ask for them."""
        return [
            _limit("ORDERS", "SECOND", 10, self.short_limit),
            _limit("ORDERS", "MINUTE", 1, self.long_limit),
        ]

    def spend(self, peer: str, account: str, cost: Cost, now_ms: int) -> Answer | None:
        """Count a call; return the refusal where it is past a limit or its address is banned."""
        if left := self.bans.left_ms(peer, now_ms):
            self.bans.violated(peer, "a request during a ban", now_ms)
            return self.banned(now_ms, left)
        weights = self._window(self._weights, peer, self.weight_limit, MINUTE_MS)
        shorts = self._window(self._shorts, account, self.short_limit, SHORT_MS)
        longs = self._window(self._longs, account, self.long_limit, MINUTE_MS)
        admitted = weights.admits(cost.weight, now_ms)
        weights.add(cost.weight, now_ms)
        if not admitted:
            return self._strike(peer, "request weight", now_ms, weights.free_ms(now_ms))
        if cost.short and not shorts.admits(cost.short, now_ms):
            return self._too_many_orders(
                peer, f"{self.short_limit} orders per 10 SECOND", now_ms, shorts
            )
        if cost.long and not longs.admits(cost.long, now_ms):
            return self._too_many_orders(
                peer, f"{self.long_limit} orders per 1 MINUTE", now_ms, longs
            )
        shorts.add(cost.short, now_ms)
        longs.add(cost.long, now_ms)
        return None

    def headers(self, peer: str, account: str, cost: Cost, now_ms: int) -> dict[str, str]:
        """Return the counters as the venue tells them; orders only to who placed one."""
        weights = self._window(self._weights, peer, self.weight_limit, MINUTE_MS)
        told = {"X-MBX-USED-WEIGHT-1M": str(weights.used(now_ms))}
        if cost.short:
            shorts = self._window(self._shorts, account, self.short_limit, SHORT_MS)
            longs = self._window(self._longs, account, self.long_limit, MINUTE_MS)
            told["X-MBX-ORDER-COUNT-10S"] = str(shorts.used(now_ms))
            told["X-MBX-ORDER-COUNT-1M"] = str(longs.used(now_ms))
        return told

    def banned(self, now_ms: int, left_ms: int) -> Answer:
        """Return the answer to whoever is banned."""
        text = f"Way too many requests; IP banned until {now_ms + left_ms}."
        return BinanceError(-1003, text, 418).answer({"Retry-After": str(-(-left_ms // 1000))})

    def _too_many_orders(self, peer: str, span: str, now_ms: int, window: Window) -> Answer:
        what = f"{window.limit} orders per {span}"
        self.bans.violated(peer, what, now_ms)
        text = f"Too many new orders; current limit is {what}."
        wait = {"Retry-After": str(-(-window.free_ms(now_ms) // 1000))}
        return BinanceError(-1015, text, 429).answer(wait)

    def _strike(self, peer: str, what: str, now_ms: int, free_ms: int) -> Answer:
        self.bans.violated(peer, what, now_ms)
        strikes = self._window(self._strikes, peer, STRIKES - 1, MINUTE_MS)
        last = not strikes.admits(1, now_ms)
        strikes.add(1, now_ms)
        if last:
            self.bans.ban(peer, now_ms, BAN_MS)
            return self.banned(now_ms, BAN_MS)
        what = f"{self.weight_limit} request weight per 1 MINUTE"
        text = f"Too many requests; current limit is {what}."
        wait = {"Retry-After": str(-(-free_ms // 1000))}
        return BinanceError(-1003, text, 429).answer(wait)

    def _window(self, windows: dict[str, Window], who: str, limit: int, span_ms: int) -> Window:
        if who not in windows:
            windows[who] = Window(limit=limit, span_ms=span_ms, aligned=self.aligned)
        return windows[who]
