"""When an order may still arrive, and since when it can have traded, whatever the clocks do."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from rebalancer.clock import VirtualClock
from rebalancer.venues.departures import Departures
from rebalancer.venues.venue_clock import VenueClock
from tests.venues.test_exchange_venue import intent

NOW_MS = 1_767_319_800_000


class Bench:
    """Departures on clocks that are moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = VirtualClock(NOW_MS)
        client: Any = SimpleNamespace(offset_ms=0)
        self.client = client
        self.departures = Departures(VenueClock(self.clock, client), 10_000)
        self.order = replace(intent("0.5"), created_ms=NOW_MS)
        self.loop_s = 1_000.0
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self.loop_s)
        self.departures.begin()


async def test_an_order_may_arrive_until_its_request_has_run_out_and_a_margin_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(monkeypatch)
    bench.departures.leaving(bench.order)
    bench.loop_s += 500
    assert bench.departures.may_still_arrive(bench.order), "it is still under way"
    bench.departures.left(bench.order)
    bench.loop_s += 21.9
    assert bench.departures.may_still_arrive(bench.order)
    bench.loop_s += 0.2
    assert not bench.departures.may_still_arrive(bench.order)


async def test_a_clock_set_forward_makes_no_order_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The venue may yet take it: a new order in its place would be the second one."""
    bench = Bench(monkeypatch)
    bench.departures.leaving(bench.order)
    bench.departures.left(bench.order)
    bench.clock.advance(3_600_000)
    assert bench.departures.may_still_arrive(bench.order)


async def test_an_earlier_process_may_have_sent_until_this_one_began(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(monkeypatch)
    bench.loop_s += 21.9
    assert bench.departures.may_still_arrive(bench.order)
    bench.loop_s += 0.2
    assert not bench.departures.may_still_arrive(bench.order)


async def test_trades_are_looked_for_by_the_venues_clock_as_it_was_when_the_order_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a clock 34 s ahead of the venue's, trades seemed to lie before their order."""
    bench = Bench(monkeypatch)
    bench.client.offset_ms = -34_000
    bench.departures.leaving(bench.order)
    bench.clock.advance(-34_000)
    bench.client.offset_ms = 0
    assert bench.departures.since_ms(bench.order) == NOW_MS - 34_000 - 15_000


async def test_for_an_order_of_an_earlier_process_any_clock_that_a_start_allows_is_allowed_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(monkeypatch)
    assert bench.departures.since_ms(bench.order) == NOW_MS - 65_000


async def test_an_order_whose_fate_is_known_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    bench.departures.leaving(bench.order)
    bench.departures.left(bench.order)
    bench.departures.forget(bench.order)
    assert bench.departures.since_ms(bench.order) == NOW_MS - 65_000
