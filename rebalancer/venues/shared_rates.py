"""What a venue says of its own counts, and public questions that count with an account's.

Most windows are an address's, and some venues count public questions to the account: prices that
are polled, markets and sockets that are opened take of the same as orders and queries do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog

from rebalancer.venues.facts_shape import Ask, VenueFacts
from rebalancer.venues.rates import Limiter

_log = structlog.get_logger(__name__)

#: how long to stay away where no time is named, and at most
SHUT_OUT_SECONDS = 10
SHUT_OUT_SECONDS_MAX = 3 * 86_400


def believe(
    limiter: Limiter, counters: Mapping[str, str], headers: Mapping[str, str], asked_ms: int
) -> None:
    """Take the venue's own counts, which stand in `headers` (lower case) under `counters`.

    `asked_ms`: when the request left that they answer, by the limiter's time.
    """
    for header, window in counters.items():
        used = headers.get(header, "")
        if used.isdecimal():
            limiter.told(window, int(used), asked_ms)


def stay_away(limiter: Limiter, venue_id: str, headers: Mapping[str, str]) -> None:
    """Let nothing through for as long as the venue says: it refused us."""
    wait = headers.get("retry-after", "")
    seconds = int(wait) if wait.isdecimal() else SHUT_OUT_SECONDS
    _log.warning("shut_out", venue=venue_id, seconds=seconds)
    limiter.shut(min(seconds, SHUT_OUT_SECONDS_MAX) * 1_000)


def in_turn(exchange: Any, facts: VenueFacts, limiter: Limiter) -> Any:
    """Return an exchange of ccxt whose every request waits for its turn in `limiter`, and counts.

    Each counts as a question for prices, the dearest of the public ones. Orders go first.
    """
    import ccxt.async_support as ccxt  # noqa: PLC0415 - loaded with the exchange already

    fetch, cost = exchange.fetch, facts.limits.costs[Ask.PRICES]

    async def turn(url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        ticket = await limiter.enter(cost)
        asked_ms = limiter.now_ms()
        try:
            return await fetch(url, method, headers, body)
        except (ccxt.DDoSProtection, ccxt.RateLimitExceeded):
            stay_away(limiter, facts.venue_id, _told(exchange))
            raise
        finally:
            limiter.leave(ticket)
            believe(limiter, facts.limits.counters, _told(exchange), asked_ms)

    exchange.fetch = turn
    return exchange


def _told(exchange: Any) -> dict[str, str]:
    headers = exchange.last_response_headers or {}
    return {name.lower(): str(value) for name, value in headers.items()}
