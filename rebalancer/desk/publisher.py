"""The publisher: saves what readers see of the funds, now and then, beside the records."""

from __future__ import annotations

import asyncio

import structlog

from rebalancer.core.state import DeskState
from rebalancer.desk.views import view_funds, view_prices
from rebalancer.errors import StoreUnavailable
from rebalancer.ports import Clock, Store

_log = structlog.get_logger(__name__)


class ViewSaver:
    """Writes every fund's view to the store each `interval_seconds` of real time."""

    def __init__(
        self, state: DeskState, store: Store, clock: Clock, interval_seconds: float
    ) -> None:
        self._state = state
        self._store = store
        self._clock = clock
        self._interval_seconds = interval_seconds
        self._turn = asyncio.Lock()

    async def run(self) -> None:
        """Save for ever; a store that does not answer is the loop's business, not ours."""
        while True:
            await self.save()
            await asyncio.sleep(self._interval_seconds)

    async def save(self) -> bool:
        """Save once, after a save that is under way; say whether the store took it.

        A store drops what it is shown while it is still at an earlier one: whoever asks here wants
        to know that it writes, so nobody is answered before that one is through.
        """
        try:
            async with self._turn:
                views = view_funds(self._state, self._clock.now_ms())
                await self._store.save_views(views, view_prices(self._state))
        except StoreUnavailable as error:
            _log.warning("views_not_saved", reason=str(error))
            return False
        return True
