"""How far a venue's clock is ahead of ours: the median of five readings, half a round trip off."""

from __future__ import annotations

import statistics
from typing import Any, NamedTuple

from rebalancer.feeds.live import PRICES_WITHIN_S, read
from rebalancer.ports import Clock

SAMPLES = 5


class Offset(NamedTuple):
    """An estimate and how far it may be wrong."""

    ahead_ms: int
    uncertain_ms: int


async def venue_offset(exchange: Any, venue_id: str, clock: Clock) -> Offset:
    """Ask the venue for its time; VenueUnavailable when it does not tell."""

    async def sample() -> Offset:
        asked_ms = clock.now_ms()
        told_ms: int = await exchange.fetch_time()
        half_trip_ms = (clock.now_ms() - asked_ms) // 2
        return Offset(told_ms - asked_ms - half_trip_ms, half_trip_ms)

    samples = [await read(sample, venue_id, PRICES_WITHIN_S) for _ in range(SAMPLES)]
    # At least a millisecond: that is how finely both clocks are read.
    return Offset(
        statistics.median_low(each.ahead_ms for each in samples),
        max(1, statistics.median_high(each.uncertain_ms for each in samples)),
    )
