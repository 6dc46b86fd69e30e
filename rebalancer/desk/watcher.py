"""The watcher: carries prices from a feed into the inbox, and waits out its outages."""

from __future__ import annotations

from collections.abc import Callable

import structlog
import tenacity

from rebalancer.core.events import PricesObserved
from rebalancer.errors import VenueUnavailable
from rebalancer.ports import PriceFeed

_log = structlog.get_logger(__name__)
#: reconnects wait 0.5 s at first and 30 s at most, with jitter
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0


class Watcher:
    """Hands every observation to its takers in order: the paper venue before the inbox."""

    def __init__(self, feed: PriceFeed, *takers: Callable[[PricesObserved], None]) -> None:
        self._feed = feed
        self._takers = takers

    async def run(self) -> None:
        """Carry prices until the feed has no more; an outage is waited out."""
        async for attempt in tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(VenueUnavailable),
            wait=tenacity.wait_random_exponential(
                multiplier=FIRST_PAUSE_SECONDS, max=LONGEST_PAUSE_SECONDS
            ),
            before_sleep=self._report,
            reraise=True,
        ):
            with attempt:
                async for observed in self._feed.prices():
                    # This outage is over: the next one begins with a short pause again.
                    attempt.retry_state.attempt_number = 1
                    for take in self._takers:
                        take(observed)

    async def close(self) -> None:
        """Close the feed."""
        await self._feed.close()

    def _report(self, retry: tenacity.RetryCallState) -> None:
        reason = str(retry.outcome.exception()) if retry.outcome else ""
        _log.warning("prices_unavailable", attempt=retry.attempt_number, reason=reason)
