"""What every venue does: paper, dry-run, a dry run on a live account, and an exchange.

The exchanges are the loopback Binance (one book) and the loopback XT (always two), behind the
unmodified ccxt clients and our own transport.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from decimal import Decimal
from functools import partial

import pytest

from rebalancer.clock import VirtualClock, WallClock
from rebalancer.core.contract import Contract
from rebalancer.core.events import FillReported, OrderReported, PositionsReported, PricesObserved
from rebalancer.core.fund import Account
from rebalancer.core.order import OrderIntent, OrderSide, Outcome, PositionSide
from rebalancer.core.records import FundLaunched
from rebalancer.ports import Venue
from rebalancer.venues import exchange_account, exchange_venue, live_dry_run
from rebalancer.venues.dry_run import DryRunVenue
from rebalancer.venues.exchange_checks import Expected
from rebalancer.venues.exchange_venue import ExchangeVenue, facts_of, open_client
from rebalancer.venues.live_dry_run import LiveDryRunVenue, open_read_only
from rebalancer.venues.paper import PaperBook
from rebalancer.venues.paper_venue import PaperVenue
from tests.desk.rig import Recorder, tick
from tests.factories import BTC
from tests.loopback.dialect import Dialect
from tests.loopback.instruments import Depth, Instrument
from tests.loopback.presets import KEY, SECRET, binance, xt
from tests.loopback.server import LoopbackVenue
from tests.unlimited import unlimited

NOW = 1_700_000_000_000
#: older than any window in which a request could still be taken
LONG_AGO_MS = 300_000
FINAL = {Outcome.CLOSED, Outcome.REJECTED, Outcome.ABSENT, Outcome.NEVER_SENT}


def intent(name: str, units: int | str, *, age_ms: int = 0, hedge: bool = False) -> OrderIntent:
    """Return an order of this instant by the wall's clock, or of one `age_ms` before.

    In a hedge book it opens on the side it trades to; both books together are what is held.
    """
    size = Decimal(units)
    return OrderIntent(
        client_order_id=name,
        account="main",
        contract=BTC,
        seq=1,
        side=OrderSide.BUY if size > 0 else OrderSide.SELL,
        position_side=PositionSide.of(size, hedge=hedge),
        contracts=abs(size),
        units=size,
        mark=Decimal(100),
        limit_price=Decimal(101) if size > 0 else Decimal(99),
        reduce_only=False,
        wanted={"BTC3L": size},
        created_ms=WallClock().now_ms() - age_ms,
    )


@asynccontextmanager
async def paper() -> AsyncIterator[Venue]:
    venue = PaperVenue(PaperBook(account="main", contracts={BTC: Contract(BTC)}), VirtualClock(NOW))
    venue.publish([FundLaunched(NOW, "BTC3L", "main", Decimal(1), Decimal(1_000_000))])
    seen = tick(100, NOW)
    assert isinstance(seen, PricesObserved)
    venue.observe(seen)
    yield venue


@asynccontextmanager
async def dry_run() -> AsyncIterator[Venue]:
    yield DryRunVenue("main", {}, VirtualClock(NOW))


#: each exchange's account, its contract and what the operator said of it
ACCOUNTS = {
    "binanceusdm": Account(name="main", venue="binanceusdm"),
    "xt": Account(name="main", venue="xt", hedge=True),
}
LOTS = {"binanceusdm": Decimal("0.001"), "xt": Decimal(1)}
SAID = Expected(accept_untold=True)
KEYS = {"apiKey": KEY, "secret": SECRET}


def traded(venue_id: str) -> Contract:
    """Return the one contract; a contract is one coin at both, so that sizes are the same."""
    lot = LOTS[venue_id]
    return Contract(BTC, lot=lot, tick=Decimal("0.1"), min_amount=lot)


def market_at_100(venue_id: str) -> LoopbackVenue:
    """Return an exchange with one contract, deep enough that an order is one trade."""
    bitcoin = Instrument(
        base="BTC",
        last=Decimal(100),
        lot=LOTS[venue_id],
        tick=Decimal("0.1"),
        min_notional=Decimal(5),
        depth=Depth(contracts=Decimal(1_000)),
    )
    dialect: Dialect = xt([bitcoin]) if venue_id == "xt" else binance([bitcoin])
    return LoopbackVenue(dialect)


@asynccontextmanager
async def exchange(venue_id: str) -> AsyncIterator[Venue]:
    clock = WallClock()
    async with market_at_100(venue_id) as market:
        client = open_client(facts_of(venue_id), KEYS, market.rest)
        contracts = {BTC: traded(venue_id)}
        venue = ExchangeVenue(ACCOUNTS[venue_id], client, contracts, clock, SAID)
        try:
            yield venue
        finally:
            await venue.close()


@asynccontextmanager
async def dry_run_on(venue_id: str) -> AsyncIterator[Venue]:
    clock = WallClock()
    async with market_at_100(venue_id) as market:
        client = open_read_only(facts_of(venue_id), KEYS, market.rest)
        contracts = {BTC: traded(venue_id)}
        venue = LiveDryRunVenue(ACCOUNTS[venue_id], client, contracts, clock, SAID)
        try:
            yield venue
        finally:
            await venue.close()


Order = Callable[..., OrderIntent]
Opened = Callable[[], AbstractAsyncContextManager[Venue]]
VENUES: dict[str, Opened] = {
    "paper": paper,
    "dry-run": dry_run,
    "dry-run on a Binance account": partial(dry_run_on, "binanceusdm"),
    "dry-run on an XT account": partial(dry_run_on, "xt"),
    "exchange Binance": partial(exchange, "binanceusdm"),
    "exchange XT": partial(exchange, "xt"),
}
#: venues that keep a long and a short book
HEDGED = {"exchange XT", "dry-run on an XT account"}


@pytest.fixture(params=VENUES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def order(name: str) -> Order:
    """Make orders as the venue's books want them."""
    return partial(intent, hedge=name in HEDGED)


@pytest.fixture
async def venue(name: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Venue]:
    monkeypatch.setattr(exchange_account, "EMPTY_AGAIN_SECONDS", 0.01)
    for module in (exchange_venue, live_dry_run):
        monkeypatch.setattr(module, "limiter_of", unlimited)
    async with VENUES[name]() as made:
        yield made


@pytest.fixture
async def told(venue: Venue) -> Recorder:
    """Everything the venue reports, from its start."""
    events = Recorder()
    await venue.start(events)
    return events


def fills(told: Recorder) -> list[FillReported]:
    return [event for event in told.events if isinstance(event, FillReported)]


def trades(told: Recorder) -> set[str]:
    return {each.fill.trade_id for each in fills(told)}


def reports(told: Recorder, name: str) -> list[OrderReported]:
    return [
        event
        for event in told.events
        if isinstance(event, OrderReported) and event.client_order_id == name
    ]


async def test_an_order_ends_with_evidence_that_agrees_with_its_fills(
    venue: Venue, order: Order, told: Recorder
) -> None:
    await venue.submit(order("r1", 3))
    last = reports(told, "r1")[-1]
    assert told.events[-1] is last, "the fills come first"
    assert last.outcome in FINAL
    assert sum(each.fill.contracts for each in fills(told)) == last.filled_contracts == 3


@pytest.mark.parametrize("units", [3, -3])
async def test_what_was_traded_is_what_is_held(
    venue: Venue, order: Order, told: Recorder, units: int
) -> None:
    await venue.submit(order("r1", units))
    await venue.submit(order("r2", units))
    await venue.report_positions()
    (positions,) = (event for event in told.events if isinstance(event, PositionsReported))
    assert (positions.account, dict(positions.units)) == ("main", {BTC: Decimal(2 * units)})


async def test_an_id_sent_twice_trades_once(venue: Venue, order: Order, told: Recorder) -> None:
    for _ in range(2):
        await venue.submit(order("r1", 3))
    await venue.report_positions()
    # A venue may tell a trade again when it is asked; the trade stays one.
    assert len(trades(told)) == 1
    held = told.events[-1]
    assert isinstance(held, PositionsReported)
    assert held.units == {BTC: Decimal(3)}


async def test_every_trade_has_an_id_of_its_own(venue: Venue, order: Order, told: Recorder) -> None:
    for number in range(5):
        await venue.submit(order(f"r{number}", 1))
    assert len(trades(told)) == 5


async def test_a_question_about_a_finished_order_trades_nothing(
    venue: Venue, order: Order, told: Recorder
) -> None:
    await venue.submit(order("r1", 3))
    before = trades(told)
    await venue.query(order("r1", 3))
    assert reports(told, "r1")[-1].outcome is Outcome.CLOSED
    assert trades(told) == before


async def test_an_order_that_never_arrived_is_over(
    venue: Venue, order: Order, told: Recorder
) -> None:
    lost = order("r1", 3, age_ms=LONG_AGO_MS)
    if isinstance(venue, ExchangeVenue):
        # It may have left until this process began, so that has to be long ago as well.
        venue._orders.departures.began_s -= LONG_AGO_MS / 1_000
    await venue.query(lost)
    if reports(told, "r1")[-1].outcome is Outcome.UNKNOWN:
        # One look that finds nothing proves nothing.
        await venue.query(lost)
    report = reports(told, "r1")[-1]
    assert report.outcome in FINAL
    assert not report.filled_contracts
    assert fills(told) == []


async def test_nothing_held_is_reported_as_nothing(
    venue: Venue, order: Order, told: Recorder
) -> None:
    await venue.report_positions()
    await venue.submit(order("r1", 3))
    await venue.submit(order("r2", -3))
    await venue.report_positions()
    held = [event.units for event in told.events if isinstance(event, PositionsReported)]
    assert held == [{}, {}]


async def test_before_its_start_a_venue_tells_nobody_and_raises_nothing(
    venue: Venue, order: Order
) -> None:
    await venue.query(order("r1", 3))
    await venue.report_positions()


async def test_it_may_be_closed_twice(venue: Venue, told: Recorder) -> None:
    await venue.close()
    await venue.close()
