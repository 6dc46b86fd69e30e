"""What every venue does that can be had without a network: paper and dry-run."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest

from rebalancer.clock import VirtualClock
from rebalancer.core.contract import Contract
from rebalancer.core.events import FillReported, OrderReported, PositionsReported, PricesObserved
from rebalancer.core.order import OrderIntent, OrderSide, Outcome, PositionSide
from rebalancer.core.records import FundLaunched
from rebalancer.ports import Venue
from rebalancer.venues.dry_run import DryRunVenue
from rebalancer.venues.paper import PaperBook
from rebalancer.venues.paper_venue import PaperVenue
from tests.desk.rig import Recorder, tick
from tests.factories import BTC

NOW = 1_700_000_000_000
FINAL = {Outcome.CLOSED, Outcome.REJECTED, Outcome.ABSENT, Outcome.NEVER_SENT}


def intent(name: str, units: int | str) -> OrderIntent:
    size = Decimal(units)
    return OrderIntent(
        client_order_id=name,
        account="main",
        contract=BTC,
        seq=1,
        side=OrderSide.BUY if size > 0 else OrderSide.SELL,
        position_side=PositionSide.NET,
        contracts=abs(size),
        units=size,
        mark=Decimal(100),
        limit_price=Decimal(101) if size > 0 else Decimal(99),
        reduce_only=False,
        wanted={"BTC3L": size},
        created_ms=NOW,
    )


def paper() -> Venue:
    venue = PaperVenue(PaperBook(account="main", contracts={BTC: Contract(BTC)}), VirtualClock(NOW))
    venue.publish([FundLaunched(NOW, "BTC3L", "main", Decimal(1), Decimal(1_000_000))])
    seen = tick(100, NOW)
    assert isinstance(seen, PricesObserved)
    venue.observe(seen)
    return venue


def dry_run() -> Venue:
    return DryRunVenue("main", {}, VirtualClock(NOW))


@pytest.fixture(params=[paper, dry_run], ids=["paper", "dry-run"])
def venue(request: pytest.FixtureRequest) -> Venue:
    made: Venue = request.param()
    return made


@pytest.fixture
async def told(venue: Venue) -> Recorder:
    """Everything the venue reports, from its start."""
    events = Recorder()
    await venue.start(events)
    return events


def fills(told: Recorder) -> list[FillReported]:
    return [event for event in told.events if isinstance(event, FillReported)]


def reports(told: Recorder, name: str) -> list[OrderReported]:
    return [
        event
        for event in told.events
        if isinstance(event, OrderReported) and event.client_order_id == name
    ]


async def test_an_order_ends_with_evidence_that_agrees_with_its_fills(
    venue: Venue, told: Recorder
) -> None:
    await venue.submit(intent("r1", 3))
    last = reports(told, "r1")[-1]
    assert told.events[-1] is last, "the fills come first"
    assert last.outcome in FINAL
    assert sum(each.fill.contracts for each in fills(told)) == last.filled_contracts == 3


@pytest.mark.parametrize("units", [3, -3])
async def test_what_was_traded_is_what_is_held(venue: Venue, told: Recorder, units: int) -> None:
    await venue.submit(intent("r1", units))
    await venue.submit(intent("r2", units))
    await venue.report_positions()
    (positions,) = (event for event in told.events if isinstance(event, PositionsReported))
    assert (positions.account, dict(positions.units)) == ("main", {BTC: Decimal(2 * units)})


async def test_an_id_sent_twice_trades_once(venue: Venue, told: Recorder) -> None:
    for _ in range(2):
        await venue.submit(intent("r1", 3))
    await venue.report_positions()
    assert Counter(each.fill.trade_id for each in fills(told)).total() == 1
    held = told.events[-1]
    assert isinstance(held, PositionsReported)
    assert held.units == {BTC: Decimal(3)}


async def test_every_trade_has_an_id_of_its_own(venue: Venue, told: Recorder) -> None:
    for number in range(5):
        await venue.submit(intent(f"r{number}", 1))
    ids = [each.fill.trade_id for each in fills(told)]
    assert len(set(ids)) == 5


async def test_a_question_about_a_finished_order_trades_nothing(
    venue: Venue, told: Recorder
) -> None:
    await venue.submit(intent("r1", 3))
    count = len(fills(told))
    await venue.query(intent("r1", 3))
    assert reports(told, "r1")[-1].outcome is Outcome.CLOSED
    assert len(fills(told)) == count


async def test_an_order_that_never_arrived_is_over(venue: Venue, told: Recorder) -> None:
    await venue.query(intent("r1", 3))
    (report,) = reports(told, "r1")
    assert report.outcome in FINAL
    assert not report.filled_contracts
    assert fills(told) == []


async def test_nothing_held_is_reported_as_nothing(venue: Venue, told: Recorder) -> None:
    await venue.report_positions()
    await venue.submit(intent("r1", 3))
    await venue.submit(intent("r2", -3))
    await venue.report_positions()
    held = [event.units for event in told.events if isinstance(event, PositionsReported)]
    assert held == [{}, {}]


async def test_before_its_start_a_venue_tells_nobody_and_raises_nothing(venue: Venue) -> None:
    await venue.query(intent("r1", 3))
    await venue.report_positions()


async def test_it_may_be_closed_twice(venue: Venue, told: Recorder) -> None:
    await venue.close()
    await venue.close()
