"""Tells people of funds whose prices have stopped: until they come again no rule can act."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NoReturn

from rebalancer.core.actions import Alert, Severity
from rebalancer.core.delisting import what_frees
from rebalancer.core.instant import iso
from rebalancer.core.records import TradingState
from rebalancer.core.state import DeskState
from rebalancer.desk.views import oldest_price
from rebalancer.ports import Clock

LOOK_SECONDS = 5.0
#: of real time; a stream that is built anew, and the questions until then, take less
STOPPED_SECONDS = 60.0


async def watch_prices(state: DeskState, clock: Clock, tell: Callable[[Alert], None]) -> NoReturn:
    """Tell of each launched fund whose price has been too old for a minute, until cancelled."""
    now_s = asyncio.get_running_loop().time
    since_s: dict[str, float] = {}
    while True:
        for fund in state.funds.values():
            now_ms = clock.now_ms()
            price_at_ms, stale = oldest_price(state, fund, now_ms)
            ended = fund.launched_ms is None or fund.trading is TradingState.WIPED
            if ended or not stale:
                since_s.pop(fund.name, None)
            elif now_s() - since_s.setdefault(fund.name, now_s()) >= STOPPED_SECONDS:
                newest = "none came" if price_at_ms is None else iso(price_at_ms)
                old = f"its newest price is old ({newest})"
                text = f"no rule of {fund.name} can act: {what_frees(state, fund) or old}"
                tell(Alert(now_ms, Severity.CRITICAL, "prices_stopped", fund.name, text))
        await asyncio.sleep(LOOK_SECONDS)
