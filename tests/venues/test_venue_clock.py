"""The venue's time, told in one place."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from rebalancer.clock import VirtualClock
from rebalancer.venues.venue_clock import VenueClock

NOW_MS = 1_767_319_800_000


def test_it_follows_our_clock_and_what_was_last_measured_of_the_venues() -> None:
    ours = VirtualClock(NOW_MS)
    client: Any = SimpleNamespace(offset_ms=-250)
    venue_clock = VenueClock(ours, client)
    assert (venue_clock.now_ms(), venue_clock.at(NOW_MS - 1_000)) == (NOW_MS - 250, NOW_MS - 1_250)
    ours.advance(60_000)
    client.offset_ms = 40
    assert venue_clock.now_ms() == NOW_MS + 60_040
