"""A whole desk in one process: how it starts, trades, stops, and what ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal

import pytest

from rebalancer.core.events import PositionsReported, PricesObserved
from rebalancer.core.folding import fold
from rebalancer.core.order import OrderStatus
from rebalancer.core.records import (
    CommandTaken,
    DeskStarted,
    FundingPosted,
    FundLaunched,
    IntentCreated,
    OrderMoved,
    Record,
    ScopeChanged,
    Traded,
)
from rebalancer.desk.daemon import STOP_WITHIN_SECONDS, Daemon
from rebalancer.errors import BrokenInvariant, StoreUnavailable, VenueUnavailable
from rebalancer.store.memory import MemoryStore
from rebalancer.venues.paper import PaperCosts
from tests.desk.rig import DyingStore, Moment, World, done, observed, of, until
from tests.factories import BTC, NOON, contract, desk, fund

MINUTE = 60_000


def world(**costs: object) -> World:
    built = World(
        desk(fund(), fund("BTC1S", -1), contracts=[contract(lot="0.001")]),
        costs=PaperCosts(**costs),  # type: ignore[arg-type]
    )
    built.clock.set(NOON)
    return built


def at(minute: int, price: int | str) -> Moment:
    return NOON + minute * MINUTE, {BTC: Decimal(price)}


class TestTrading:
    async def test_a_fund_is_launched_and_brought_back_to_target(self) -> None:
        here, store = world(), MemoryStore()
        state = await here.live(store, [at(0, 100), at(1, 84), at(2, 84)])
        assert [record.fund for record in of(store.records, FundLaunched)] == ["BTC3L", "BTC1S"]
        assert len(done(store.records, "BTC3L")) == 2
        assert state.funds["BTC3L"].run is None
        assert here.positions(store.records)[BTC] == state.accounts["main"].position(BTC)

    async def test_the_paper_venue_sees_a_price_before_the_engine_does(self) -> None:
        here, store = world(), MemoryStore()
        await here.live(store, [at(0, 100), at(1, 84), at(2, 84)])
        moved = of(store.records, Traded)[-1]
        assert moved.fill.price == 84

    async def test_capital_paid_in_reaches_the_venue_before_the_first_order(self) -> None:
        here, store = world(), MemoryStore()
        await here.live(store, [at(0, 100), at(1, 100)])
        outcomes = [str(record.outcome) for record in of(store.records, OrderMoved)]
        assert "rejected" not in outcomes

    async def test_the_views_of_the_end_are_saved(self) -> None:
        here, store = world(), MemoryStore()
        await here.live(store, [at(0, 100), at(1, 101)])
        assert [view.fund for view in store.views] == ["BTC3L", "BTC1S"]
        assert store.prices == {BTC: Decimal(101)}


class TestStopping:
    async def test_a_stop_ends_the_desk_in_good_order(self) -> None:
        here, store = world(), MemoryStore()
        daemon = await here.wake(store)
        daemon.watcher._feed = Endless(daemon)
        stop = asyncio.Event()
        running = asyncio.create_task(daemon.run(stop))
        await until(lambda: of(store.records, FundLaunched), "the funds are launched")
        stop.set()
        await asyncio.wait_for(running, 10)
        with pytest.raises(StoreUnavailable):
            await store.load()

    async def test_an_order_on_its_way_is_waited_for_and_recorded(self) -> None:
        here, store = world(), MemoryStore()
        daemon = await here.wake(store)
        daemon.watcher._feed = Endless(daemon)
        venue = daemon.venues["main"]
        held, let_go = asyncio.Event(), asyncio.Event()
        submit = venue.submit

        async def slowly(intent: object) -> None:
            held.set()
            await let_go.wait()
            await submit(intent)  # type: ignore[arg-type]

        venue.submit = slowly  # type: ignore[method-assign]
        stop = asyncio.Event()
        running = asyncio.create_task(daemon.run(stop))
        await asyncio.wait_for(held.wait(), 10)
        stop.set()
        await asyncio.sleep(0.01)
        assert not running.done()
        let_go.set()
        await asyncio.wait_for(running, 10)
        first = of(store.records, IntentCreated)[0].intent.client_order_id
        assert [trade.fill.client_order_id for trade in of(store.records, Traded)] == [first]

    async def test_what_the_last_fills_lead_to_is_recorded_and_not_sent(self) -> None:
        here, store = world(fill_ratio=Decimal("0.5")), MemoryStore()
        daemon = await here.wake(store)
        daemon.watcher._feed = Endless(daemon)
        stop = asyncio.Event()
        running = asyncio.create_task(daemon.run(stop))
        await until(lambda: here.sent, "an order leaves")
        stop.set()
        await asyncio.wait_for(running, 10)
        unsent = {record.intent.client_order_id for record in of(store.records, IntentCreated)}
        unsent -= {intent.client_order_id for intent in here.sent}
        state = fold(here.desk, store.records)
        assert {state.orders[name].status for name in unsent} <= {OrderStatus.PREPARED}

    async def test_a_commit_that_fails_while_stopping_is_the_end(self) -> None:
        """Nothing may be built on a state that is ahead of the store."""
        here, store = world(), Stuck()
        daemon = await here.wake(store)
        daemon.watcher._feed = Endless(daemon)
        stop = asyncio.Event()
        store.stuck = True
        running = asyncio.create_task(daemon.run(stop))
        await until(lambda: store.waiting, "a commit is stuck")
        stop.set()
        await asyncio.sleep(0.01)
        store.let_fail.set()
        with pytest.raises(StoreUnavailable):
            await asyncio.wait_for(running, 10)
        assert not of(store.records, FundLaunched)
        assert here.sent == []


class TestFailing:
    @pytest.mark.parametrize("keeps", [False, True], ids=["lost", "kept"])
    async def test_a_store_that_fails_ends_the_desk_and_no_order_leaves(self, keeps: bool) -> None:
        here = world()
        store = DyingStore(dies_at=2, keeps=keeps)  # the first commit is the start itself
        with pytest.raises(StoreUnavailable, match="the disk is gone"):
            await here.live(store, [at(0, 100), at(1, 100)])
        assert here.sent == []

    async def test_a_venue_that_answers_nothing_at_the_start_ends_the_desk(self) -> None:
        here, store = world(), MemoryStore()
        daemon = await here.wake(store)

        async def silence() -> None:
            raise VenueUnavailable("no answer")

        daemon.venues["main"].report_positions = silence  # type: ignore[method-assign]
        with pytest.raises(VenueUnavailable):
            await daemon.run(asyncio.Event())

    async def test_a_feed_that_fails_for_good_ends_the_desk(self) -> None:
        here, store = world(), MemoryStore()
        daemon = await here.wake(store)
        daemon.watcher._feed = Broken()
        with pytest.raises(ValueError, match="no such thing"):
            await asyncio.wait_for(daemon.run(asyncio.Event()), 10)

    async def test_no_order_that_queues_leaves_after_a_failure(self) -> None:
        here, store = world(), MemoryStore()
        daemon = await here.wake(store)
        stop, asked = daemon.executor.stop, list[float]()

        async def seen(within_seconds: float) -> int:
            asked.append(within_seconds)
            return await stop(within_seconds)

        async def broken() -> None:
            raise BrokenInvariant("it makes no sense")

        daemon.executor.stop = seen  # type: ignore[method-assign]
        daemon.companions = {"account main": broken}
        daemon.watcher._feed = Endless(daemon)
        with pytest.raises(BrokenInvariant, match="makes no sense"):
            await asyncio.wait_for(daemon.run(asyncio.Event()), 10)
        assert asked == [STOP_WITHIN_SECONDS]

    async def test_a_part_that_is_cancelled_by_itself_is_no_stop_in_good_order(self) -> None:
        """Nobody starts a desk again that ended in good order."""
        here, store = world(), MemoryStore()
        daemon = await here.wake(store)
        daemon.watcher._feed = Endless(daemon)

        async def cancelled() -> None:
            raise asyncio.CancelledError

        daemon.companions = {"account main": cancelled}
        with pytest.raises(BrokenInvariant, match="ended by itself: account main"):
            await asyncio.wait_for(daemon.run(asyncio.Event()), 10)

    async def test_the_store_is_closed_even_where_the_feed_cannot_be(self) -> None:
        here, store = world(), MemoryStore()
        daemon = await here.wake(store, [at(0, 100)])

        async def stuck() -> None:
            raise OSError("broken pipe")

        daemon.watcher.close = stuck  # type: ignore[method-assign]
        with pytest.raises(OSError, match="broken pipe"):
            await daemon.run(asyncio.Event())
        with pytest.raises(StoreUnavailable):
            await store.load()


class TestReconciling:
    async def test_a_position_the_records_do_not_know_halts_the_account(self) -> None:
        here, store = world(), MemoryStore()
        await here.live(store, [at(0, 100), at(1, 100)])
        again = MemoryStore(store.records)
        daemon = await here.wake(again, [at(2, 100), at(3, 84)])
        held = daemon.state.accounts["main"].position(BTC)
        venue, sent = daemon.venues["main"], len(here.sent)

        async def more_than_booked() -> None:
            daemon.emit(PositionsReported(here.clock.now_ms(), "main", {BTC: held + 1}))

        venue.report_positions = more_than_booked  # type: ignore[method-assign]
        await daemon.run(asyncio.Event())
        (halted,) = of(again.records, ScopeChanged)
        assert (halted.scope, halted.name, halted.state) == ("account", "main", "halted")
        assert "the records say" in halted.reason
        assert {"break_position", "account_halted"} <= {alert.name for alert in here.alerts}
        assert len(here.sent) == sent

    async def test_a_position_that_is_missing_halts_the_account(self) -> None:
        here, store = world(), MemoryStore()
        await here.live(store, [at(0, 100), at(1, 93), at(2, 84), at(3, 84)])
        again = MemoryStore(store.records)
        daemon = await here.wake(again, [])
        assert daemon.state.accounts["main"].position(BTC) != 0

        async def nothing() -> None:
            daemon.emit(PositionsReported(here.clock.now_ms(), "main", {}))

        daemon.venues["main"].report_positions = nothing  # type: ignore[method-assign]
        await daemon.run(asyncio.Event())
        assert len(of(again.records, ScopeChanged)) == 1

    async def test_a_quiet_desk_finds_nothing_wrong_with_itself(self) -> None:
        here, store = world(), MemoryStore()
        await here.live(store, [at(0, 100), at(1, 84), at(2, 84)])
        again = MemoryStore(store.records)
        await here.live(again, [])
        assert of(again.records, ScopeChanged) == []


async def test_funding_is_booked_to_the_funds_that_hold_the_contract() -> None:
    here, store = world(), MemoryStore()
    daemon = await here.wake(store, [at(0, 100), at(1, 100)])
    venue = daemon.venues["main"]
    settled: list[Record] = []

    class Funding:
        def publish(self, records: Sequence[Record]) -> None:
            if of(records, Traded) and not settled:
                settled.extend(records)
                venue.settle_funding(  # type: ignore[attr-defined]
                    BTC, Decimal("0.01"), Decimal(100), here.clock.now_ms()
                )

    daemon.publishers.append(Funding())
    await daemon.run(asyncio.Event())
    (posted,) = of(store.records, FundingPosted)
    assert sum(posted.paid.values()) == daemon.state.accounts["main"].position(BTC)


async def test_no_command_is_recorded_that_nobody_gave() -> None:
    here, store = world(), MemoryStore()
    await here.live(store, [at(0, 100)])
    assert of(store.records, CommandTaken) == []
    assert len(of(store.records, DeskStarted)) == 1


class Endless:
    """A feed that repeats one price until it is closed."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    async def prices(self) -> AsyncIterator[PricesObserved]:
        while True:
            now_ms = self._daemon.clock.now_ms()
            yield observed(now_ms, {BTC: Decimal(100)})
            await asyncio.sleep(0.005)

    async def close(self) -> None:
        """Nothing to give up."""


class Broken:
    """A feed that cannot work."""

    async def prices(self) -> AsyncIterator[PricesObserved]:
        for number in range(2):
            if number:
                raise ValueError("no such thing")
            yield observed(NOON, {BTC: Decimal(100)})

    async def close(self) -> None:
        """Nothing to give up."""


class Stuck(MemoryStore):
    """A store whose commits, once it is stuck, wait and then fail."""

    def __init__(self) -> None:
        super().__init__()
        self.stuck = False
        self.waiting = 0
        self.let_fail = asyncio.Event()

    async def commit(
        self, records: Sequence[Record], meanwhile: Callable[[], None] | None = None
    ) -> None:
        if self.stuck and of(records, FundLaunched):
            self.waiting += 1
            await self.let_fail.wait()
            raise StoreUnavailable("the disk is gone")
        await super().commit(records, meanwhile)
