"""The paper venue around its book: latency, prices, funding, liquidation, capital."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from rebalancer.clock import FastClock, VirtualClock
from rebalancer.core.contract import Contract
from rebalancer.core.events import (
    FillReported,
    FundingExpected,
    FundingPaid,
    LiquidationReported,
    OrderReported,
    PositionsReported,
)
from rebalancer.core.fund import PriceSource
from rebalancer.core.order import Fill, Outcome, PositionSide
from rebalancer.core.records import FundLaunched, OrderMoved, Traded
from rebalancer.venues.paper import PaperBook, PaperCosts
from rebalancer.venues.paper_venue import PaperVenue
from tests.contracts.test_venue_contract import intent
from tests.desk.rig import Recorder, tick
from tests.factories import BTC, ETH

CASH = FundLaunched(0, "BTC3L", "main", Decimal(1), Decimal(1_000))


def book(**costs: object) -> PaperBook:
    return PaperBook(
        account="main",
        contracts={BTC: Contract(BTC), ETH: Contract(ETH)},
        costs=PaperCosts(**costs),  # type: ignore[arg-type]
    )


class Bench:
    def __init__(self, clock: VirtualClock | FastClock | None = None, **costs: object) -> None:
        self.told = Recorder()
        self.clock = clock or VirtualClock(0)
        self.venue = PaperVenue(book(**costs), self.clock)
        self.venue.publish([CASH])

    async def started(self) -> Bench:
        await self.venue.start(self.told)
        return self

    @property
    def price(self) -> Decimal:
        (fill,) = (event.fill for event in self.told.events if isinstance(event, FillReported))
        return fill.price


@pytest.fixture
async def bench() -> Bench:
    return await Bench().started()


class TestLatency:
    async def test_without_latency_an_order_is_filled_at_once(self, bench: Bench) -> None:
        bench.venue.observe(tick(100))
        await bench.venue.submit(intent("r1", 3))
        assert bench.price == 100

    async def test_an_order_is_filled_at_the_price_of_its_arrival(self) -> None:
        bench = await Bench(latency_ms=500).started()
        bench.venue.observe(tick(100))
        sending = asyncio.create_task(bench.venue.submit(intent("r1", 3)))
        await asyncio.sleep(0.01)
        assert bench.told.events == []
        bench.venue.observe(tick("100.5"))
        assert isinstance(bench.clock, VirtualClock)
        bench.clock.advance(500)
        await asyncio.wait_for(sending, 20)
        assert bench.price == Decimal("100.5")

    async def test_latency_passes_in_the_time_of_the_desk(self) -> None:
        bench = await Bench(FastClock(100_000, 0), latency_ms=60_000).started()
        bench.venue.observe(tick(100))
        await asyncio.wait_for(bench.venue.submit(intent("r1", 3)), 20)
        assert bench.price == 100

    async def test_an_order_cut_off_on_its_way_never_arrived(self) -> None:
        bench = await Bench(latency_ms=500).started()
        bench.venue.observe(tick(100))
        sending = asyncio.create_task(bench.venue.submit(intent("r1", 3)))
        await asyncio.sleep(0.01)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await bench.venue.query(intent("r1", 3))
        (report,) = bench.told.events
        assert isinstance(report, OrderReported)
        assert report.outcome is Outcome.ABSENT


class TestPrices:
    async def test_without_a_price_there_is_no_market(self, bench: Bench) -> None:
        await bench.venue.submit(intent("r1", 3))
        (report,) = bench.told.events
        assert isinstance(report, OrderReported)
        assert (report.outcome, report.reason) == (Outcome.REJECTED, f"no market for {BTC}")

    async def test_only_marks_are_traded_at(self, bench: Bench) -> None:
        bench.venue.observe(tick(100))
        bench.venue.observe(tick(50, source=PriceSource.INDEX))
        bench.venue.observe(tick(50, source=PriceSource.LAST))
        await bench.venue.submit(intent("r1", 3))
        assert bench.price == 100


class TestCapital:
    async def test_what_a_fund_pays_in_can_be_traded_with(self, bench: Bench) -> None:
        assert bench.venue.book.equity() == 1_000

    async def test_capital_of_another_account_is_not_ours(self, bench: Bench) -> None:
        bench.venue.publish([FundLaunched(0, "X", "other", Decimal(1), Decimal(5))])
        assert bench.venue.book.equity() == 1_000

    async def test_without_margin_an_order_is_rejected(self, bench: Bench) -> None:
        bench.venue.observe(tick(100))
        await bench.venue.submit(intent("r1", 1_001))  # 1 % of 100,100 is more than 1,000
        (report,) = bench.told.events
        assert isinstance(report, OrderReported)
        assert report.outcome is Outcome.REJECTED


class TestFunding:
    async def test_it_moves_cash_and_is_reported(self, bench: Bench) -> None:
        bench.venue.observe(tick(100))
        await bench.venue.submit(intent("r1", 3))
        before = bench.venue.book.cash
        bench.venue.settle_funding(BTC, Decimal("0.01"), Decimal(100), 5)
        paid = FundingPaid(5, "main", BTC, Decimal("0.01"), Decimal(100))
        assert bench.told.events[-1] == paid
        assert bench.venue.book.cash == before - 3

    async def test_what_is_expected_is_told_and_moves_nothing(self, bench: Bench) -> None:
        bench.venue.expect_funding(BTC, Decimal("0.01"), 0, 8)
        assert bench.told.events == [FundingExpected(0, "main", BTC, Decimal("0.01"), 0, 8)]
        assert bench.venue.book.cash == 1_000

    async def test_it_can_be_switched_off(self) -> None:
        bench = await Bench(funding=False).started()
        bench.venue.settle_funding(BTC, Decimal("0.01"), Decimal(100), 5)
        bench.venue.expect_funding(BTC, Decimal("0.01"), 0, 8)
        assert bench.told.events == []
        assert bench.venue.book.cash == 1_000


def liquidations(bench: Bench) -> list[LiquidationReported]:
    return [event for event in bench.told.events if isinstance(event, LiquidationReported)]


class TestLiquidation:
    async def test_an_account_without_maintenance_margin_is_closed_once(self, bench: Bench) -> None:
        bench.venue.observe(tick(100))
        await bench.venue.submit(intent("r1", 30))
        bench.venue.observe(tick(68))
        assert liquidations(bench) == []
        bench.venue.observe(tick(66, 7))
        (closed,) = liquidations(bench)
        assert (closed.at_ms, int(closed.units), int(closed.price)) == (7, -30, 66)
        bench.venue.observe(tick(60))
        assert len(liquidations(bench)) == 1
        await bench.venue.report_positions()
        held = bench.told.events[-1]
        assert isinstance(held, PositionsReported)
        assert held.units == {}

    async def test_an_account_just_recovered_is_not_judged_by_half_its_prices(self) -> None:
        """The first price of one contract says nothing of the other one."""
        again = await Bench().started()
        again.venue.book.recover([traded("r1", BTC, 15, 100), traded("r2", ETH, 150, 10)])
        again.venue.observe(tick(100))
        assert again.told.events == []
        again.venue.observe(tick(10, contract=ETH))
        assert again.told.events == []
        assert again.venue.book.equity() == 1_000


def traded(name: str, contract: str, units: int, price: int) -> Traded:
    """Return the record of a purchase."""
    size = Decimal(units)
    fill = Fill(
        trade_id=f"p-{name}",
        client_order_id=name,
        price=Decimal(price),
        contracts=size,
        fee=Decimal(0),
        at_ms=0,
    )
    shares = {"BTC3L": size}
    return Traded(0, "main", contract, PositionSide.NET, fill, size, shares, {}, {})


class TestRecovery:
    async def test_an_accepted_order_whose_fill_was_never_recorded_did_not_fill(
        self, bench: Bench
    ) -> None:
        accepted = OrderMoved(0, "r1", Outcome.ACCEPTED, None, "p-r1", "")
        bench.venue.book.recover([accepted])
        bench.venue.observe(tick(100))
        await bench.venue.submit(intent("r1", 3))
        (report,) = bench.told.events
        assert isinstance(report, OrderReported)
        assert (report.outcome, report.filled_contracts) == (Outcome.CLOSED, None)
        assert bench.venue.book.positions() == {}
