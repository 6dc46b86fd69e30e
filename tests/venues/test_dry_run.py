"""The dry-run venue: everything is decided and written down, nothing is sent."""

from __future__ import annotations

import socket
from decimal import Decimal

import pytest
from structlog.testing import capture_logs

from rebalancer.clock import VirtualClock
from rebalancer.core.events import FillReported, PositionsReported
from rebalancer.venues.dry_run import DryRunVenue
from tests.contracts.test_venue_contract import intent
from tests.desk.rig import Recorder
from tests.factories import BTC, ETH


@pytest.fixture
def venue() -> DryRunVenue:
    return DryRunVenue("main", {BTC: Decimal(2), ETH: Decimal(0)}, VirtualClock(7))


async def test_every_order_is_written_down(venue: DryRunVenue) -> None:
    with capture_logs() as told:
        await venue.submit(intent("r1", -3))
    assert [order.client_order_id for order in venue.would_send] == ["r1"]
    (line,) = told
    assert (line["event"], line["order"], line["side"], line["contracts"]) == (
        "would_send",
        "r1",
        "sell",
        Decimal(3),
    )


async def test_an_order_counts_as_filled_at_its_mark_and_for_free(venue: DryRunVenue) -> None:
    told = Recorder()
    await venue.start(told)
    await venue.submit(intent("r1", 3))
    filled = told.events[0]
    assert isinstance(filled, FillReported)
    assert [filled.fill.price, filled.fill.fee, filled.fill.contracts] == [100, 0, 3]
    assert filled.at_ms == 7


async def test_it_goes_on_from_what_the_records_say(venue: DryRunVenue) -> None:
    told = Recorder()
    await venue.start(told)
    await venue.report_positions()
    await venue.submit(intent("r1", -5))
    await venue.report_positions()
    held = [event.units for event in told.events if isinstance(event, PositionsReported)]
    assert held == [{BTC: Decimal(2)}, {BTC: Decimal(-3)}]


async def test_an_order_sent_twice_is_written_down_once(venue: DryRunVenue) -> None:
    for _ in range(2):
        await venue.submit(intent("r1", 3))
    assert len(venue.would_send) == 1


async def test_no_connection_is_ever_opened(
    venue: DryRunVenue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a dry run opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    await venue.start(Recorder())
    await venue.submit(intent("r1", 3))
    await venue.query(intent("r1", 3))
    await venue.report_positions()
    await venue.close()
    assert len(venue.would_send) == 1
