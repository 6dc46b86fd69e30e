"""What a venue says of its own counts, and public questions that count with an account's.

Most windows are an address's, and some venues count public questions to the account: prices that
are polled, markets and sockets that are opened take of the same as orders and queries do.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from weakref import WeakKeyDictionary

import structlog

from rebalancer.venues.facts_shape import VenueFacts
from rebalancer.venues.rates import Budget, Limiter, Pace, Window

_log = structlog.get_logger(__name__)

#: how long to stay away where no time is named, and at most
SHUT_OUT_SECONDS = 10
SHUT_OUT_SECONDS_MAX = 3 * 86_400
#: what polls take of a window beside the part kept for orders. The half that is an account's is not
#: touched, and what lies between takes up what a start asks at once and answers on their way
POLLED_SHARE = 0.45


#: by event loop, then by venue
_LIMITERS: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Limiter]] = WeakKeyDictionary()


def shared_limiter(facts: VenueFacts) -> Limiter:
    """Return the running loop's limiter of a venue.

    What begins anew stays away as well from a venue that shut out what was before: each further
    request makes a ban longer.
    """
    known = _LIMITERS.setdefault(asyncio.get_running_loop(), {})
    if facts.venue_id not in known:
        known[facts.venue_id] = Limiter(Budget(facts.limits.rate_windows))
    return known[facts.venue_id]


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


def pace_of(windows: Sequence[Window]) -> Pace:
    """Return how what is polled is spread out: over its share of what is not kept for orders."""
    return Pace(
        unit_ms={
            each.name: each.length_ms / (POLLED_SHARE * (each.limit - each.reserve))
            for each in windows
        },
        length_ms={each.name: each.length_ms for each in windows},
    )


def in_turn(exchange: Any, facts: VenueFacts, limiter: Limiter) -> Any:
    """Return an exchange of ccxt whose every request waits for its turn in `limiter`, and counts.

    It counts by what is asked, as the table weighs it. Orders go first. ccxt's own throttle of
    requests, which weighs some for less than the venue does, is off; that of its sockets stays.
    """
    import ccxt.async_support as ccxt  # noqa: PLC0415 - loaded with the exchange already

    fetch, pace = exchange.fetch, pace_of(facts.limits.rate_windows)
    exchange.throttle = _at_once

    async def turn(url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        cost = facts.limits.public_cost(method, *_asked(url, body))
        if wait_ms := pace.take(cost, limiter.now_ms()):
            await asyncio.sleep(wait_ms / 1_000)
        ticket = await limiter.enter(cost, polled=True)
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


async def _at_once(_cost: object = None) -> None:
    """Stand in for ccxt's throttle."""


def _asked(url: str, body: str | None) -> tuple[str, Mapping[str, Any]]:
    """Return the path of a request and its parameters, of the address and of a document."""
    parts = urlsplit(url)
    params: dict[str, Any] = dict(parse_qsl(parts.query))
    if body and body.startswith("{"):
        params |= json.loads(body)
    return parts.path, params


def _told(exchange: Any) -> dict[str, str]:
    headers = exchange.last_response_headers or {}
    return {name.lower(): str(value) for name, value in headers.items()}
