"""The desk that the pictures show: simulated markets, a token's own market among them."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

from rebalancer import logs
from rebalancer.api.service import ApiService
from rebalancer.bootstrap import open_daemon
from rebalancer.core.events import TokenQuoted
from rebalancer.desk.daemon import Daemon
from rebalancer.desk.views import view_fund
from rebalancer.settings import parse
from rebalancer.store.sql import open_store

CONFIG = Path(__file__).with_name("showcase.toml")
WATCHED = "BTC3L"
QUOTE_SECONDS = 0.05
#: of the token's own market: its step of price, and how far bid and ask are from their middle
TICK = Decimal("0.0001")
SIDES = (Decimal("0.9995"), Decimal("1.0005"))
#: until there are charts worth looking at
WARM_SECONDS = 75
#: when the token is bought beyond reason, and for how long, in seconds since the start
EXCURSION = (30.0, 6.0)


@contextlib.asynccontextmanager
async def showcase(folder: Path) -> AsyncIterator[str]:
    """Run the desk on a store in `folder`; yield the address of its page once it has a past."""
    logs.configure(level="error")
    over = {
        "store": {"url": f"sqlite:///{folder}/desk.db"},
        "desk": {"control_socket": f"{folder}/desk.sock"},
    }
    config = parse(CONFIG.read_text(encoding="utf-8"), CONFIG.name, {}, over)
    daemon = await open_daemon(config, open_store(config.store_url))
    (service,) = (each for each in daemon.services if isinstance(each, ApiService))
    stop = asyncio.Event()
    running = asyncio.create_task(daemon.run(stop))
    quoting = asyncio.create_task(quote(daemon))
    try:
        await asyncio.wait({running}, timeout=WARM_SECONDS)
        yield "http://127.0.0.1:{1}/".format(*service.addresses[0])
    finally:
        quoting.cancel()
        stop.set()
        await running


async def quote(daemon: Daemon) -> None:
    """Quote the token around its NAV, and once far over it."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    while True:
        now_ms = daemon.clock.now_ms()
        nav = view_fund(daemon.state, daemon.state.funds[WATCHED], now_ms).nav
        if nav is not None:
            middle = nav * (1 + Decimal(str(round(premium_at(loop.time() - began_s), 5))))
            bid, ask = ((middle * side).quantize(TICK) for side in SIDES)
            daemon.inbox.put(TokenQuoted(now_ms, WATCHED, bid, ask))
        await asyncio.sleep(QUOTE_SECONDS)


def premium_at(seconds: float) -> float:
    """Return a premium that wanders by 2 %, and rises to a quarter once."""
    middle, length = EXCURSION
    wander = 0.012 * math.sin(seconds / 2.7) + 0.008 * math.sin(seconds / 0.9)
    return wander + 0.24 * math.exp(-(((seconds - middle) / length) ** 2))
