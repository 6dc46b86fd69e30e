"""The venue's time: ours, and how far its clock was ahead when it was last measured."""

from __future__ import annotations

from rebalancer.ports import Clock
from rebalancer.venues.ccxt_client import CcxtClient


class VenueClock:
    """Tells instants of the venue's clock, by which its stamps and the bounds of its lists go."""

    def __init__(self, clock: Clock, client: CcxtClient) -> None:
        self._clock = clock
        self._client = client

    def now_ms(self) -> int:
        """Return the present instant of the venue's clock."""
        return self.at(self._clock.now_ms())

    def at(self, ours_ms: int) -> int:
        """Return what the venue's clock shows at an instant of ours."""
        return ours_ms + self._client.offset_ms
