"""The unmodified ccxt clients, pointed at a loopback venue and closed afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import ccxt.pro

from tests.loopback.presets import KEY, SECRET
from tests.loopback.server import LoopbackVenue

TIMEOUT_MS = 5000


@asynccontextmanager
async def client(
    venue: LoopbackVenue,
    name: str,
    *,
    key: str = KEY,
    secret: str = SECRET,
    timeout_ms: int = TIMEOUT_MS,
) -> AsyncIterator[Any]:
    """Yield the ccxt client called `name`: its own throttle off, no wallet reads at the start."""
    exchange = getattr(ccxt.pro, name)(
        {
            "apiKey": key,
            "secret": secret,
            "enableRateLimit": False,
            "timeout": timeout_ms,
            "options": {"defaultType": "swap", "fetchCurrencies": False},
        }
    )
    exchange.has["fetchCurrencies"] = False
    venue.point(exchange)
    try:
        yield exchange
    finally:
        await exchange.close()
