"""A whole desk in one test: a clock moved by a script, a paper venue, a store that can die."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

from rebalancer.clock import VirtualClock
from rebalancer.core.actions import Alert
from rebalancer.core.events import Event, PricesObserved, PriceTick
from rebalancer.core.fund import PriceSource
from rebalancer.core.order import OrderIntent
from rebalancer.core.records import Record, RunMoved
from rebalancer.core.run import RunStatus
from rebalancer.core.state import Desk, DeskState
from rebalancer.desk.control import ControlServer
from rebalancer.desk.daemon import Daemon
from rebalancer.desk.inbox import Inbox
from rebalancer.desk.kill_switch import KillSwitch
from rebalancer.desk.recovery import Start, recover
from rebalancer.desk.watcher import Watcher
from rebalancer.errors import StoreUnavailable
from rebalancer.ports import Emit, Publisher
from rebalancer.store.memory import MemoryStore
from rebalancer.venues.paper import PaperBook, PaperCosts
from rebalancer.venues.paper_venue import PaperVenue
from tests.factories import BTC

Prices = Mapping[str, Decimal]
Moment = tuple[int, Prices]
AnyRecord = TypeVar("AnyRecord", bound=Record)


def observed(at_ms: int, prices: Prices, *, confirmed: bool = True) -> PricesObserved:
    """Return marks that became known now."""
    ticks = (PriceTick(name, PriceSource.MARK, price, at_ms) for name, price in prices.items())
    return PricesObserved(at_ms, tuple(ticks), confirmed=confirmed)


def tick(
    price: int | str,
    at_ms: int = 0,
    *,
    contract: str = BTC,
    source: PriceSource = PriceSource.MARK,
    confirmed: bool = False,
    received_ms: int | None = None,
) -> PricesObserved:
    """Return one price."""
    one = PriceTick(contract, source, Decimal(price), at_ms)
    received = at_ms if received_ms is None else received_ms
    return PricesObserved(received, (one,), confirmed=confirmed)


async def until(holds: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    """Wait until `holds`, or fail with `what`."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not holds():  # noqa: ASYNC110 - what a test waits for has no event
                await asyncio.sleep(0.002)
            return
    raise AssertionError(f"waited {seconds} s in vain: {what}")


class DyingStore(MemoryStore):
    """Fails at its n-th commit, before or after the records are kept."""

    def __init__(
        self, records: Sequence[Record] = (), *, dies_at: int | None = None, keeps: bool = False
    ) -> None:
        super().__init__(records)
        self.commits = 0
        self._dies_at = dies_at
        self._keeps = keeps

    async def commit(
        self, records: Sequence[Record], meanwhile: Callable[[], None] | None = None
    ) -> None:
        """Append, unless it is time to die."""
        self.commits += 1
        if self.commits == self._dies_at:
            if self._keeps:
                await super().commit(records, meanwhile)
            raise StoreUnavailable("the disk is gone")
        await super().commit(records, meanwhile)


class WatchedVenue(PaperVenue):
    """A paper venue that remembers in `sent` what reached it, over every life of the desk."""

    def __init__(self, book: PaperBook, clock: VirtualClock, sent: list[OrderIntent]) -> None:
        super().__init__(book, clock)
        self._sent = sent

    async def submit(self, intent: OrderIntent) -> None:
        """Take an order."""
        self._sent.append(intent)
        await super().submit(intent)


class ScriptedFeed:
    """Moves the clock to each moment and yields its prices, once the desk is quiet again."""

    def __init__(self, clock: VirtualClock, moments: Iterable[Moment]) -> None:
        self._clock = clock
        self._moments = moments
        self.desk: Daemon | None = None

    async def prices(self) -> AsyncIterator[PricesObserved]:
        """Yield every moment."""
        for at_ms, prices in self._moments:
            self._clock.set(max(at_ms, self._clock.now_ms()))
            yield observed(self._clock.now_ms(), prices)
            await self.quiet()

    async def close(self) -> None:
        """Nothing to give up."""

    async def quiet(self) -> None:
        """Wait until nothing is on its way any more."""
        desk = self.desk
        assert desk is not None
        calm = 0
        while calm < 5:
            await asyncio.sleep(0)
            idle = desk.inbox.empty and not desk.executor.busy
            calm = calm + 1 if idle else 0


@dataclass
class World:
    """What outlives a desk: its configuration, its clock and what ever reached the venue."""

    desk: Desk
    clock: VirtualClock = field(default_factory=VirtualClock)
    costs: PaperCosts = field(default_factory=PaperCosts)
    sent: list[OrderIntent] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)

    async def wake(
        self,
        store: MemoryStore,
        moments: Iterable[Moment] = (),
        *,
        publishers: Sequence[Publisher] = (),
        control: Path | None = None,
        kill_switch: KillSwitch | None = None,
    ) -> Daemon:
        """Recover the desk from `store` and wire it, as bootstrap does."""
        history = await store.load()
        start = Start(self.clock.now_ms(), "paper", "digest", "test-desk")
        recovered = await recover(store, history, self.desk, start)
        venues = {}
        for name in self.desk.accounts:
            book = PaperBook(account=name, contracts=self.desk.contracts, costs=self.costs)
            book.recover(history)
            venues[name] = WatchedVenue(book, self.clock, self.sent)
        inbox, feed = Inbox(), ScriptedFeed(self.clock, moments)
        server = ControlServer(control, inbox, self.clock, kill_switch) if control else None
        feed.desk = Daemon(
            state=recovered.state,
            store=store,
            clock=self.clock,
            inbox=inbox,
            venues=venues,
            watcher=Watcher(feed, *(venue.observe for venue in venues.values()), inbox.put),
            open_orders=recovered.open_orders,
            control=server,
            on_alert=self.alerts.append,
            publishers=[*venues.values(), *publishers],
            kill_switch=kill_switch,
        )
        return feed.desk

    async def live(self, store: MemoryStore, moments: Iterable[Moment]) -> DeskState:
        """Run a desk on `store` over `moments` to their end, and return what it knew last."""
        daemon = await self.wake(store, moments)
        await daemon.run(asyncio.Event())
        return daemon.state

    def positions(self, records: Sequence[Record], account: str = "main") -> dict[str, Decimal]:
        """Return what a venue that remembers `records` holds."""
        book = PaperBook(account=account, contracts=self.desk.contracts, costs=self.costs)
        book.recover(records)
        return book.positions()


def of(records: Iterable[Record], kind: type[AnyRecord]) -> list[AnyRecord]:
    """Return every record of one kind."""
    return [record for record in records if isinstance(record, kind)]


def done(records: Iterable[Record], fund: str) -> list[RunMoved]:
    """Return how the fund's runs that reached their target ended."""
    return [
        record
        for record in of(records, RunMoved)
        if record.fund == fund and record.status is RunStatus.DONE
    ]


class Recorder:
    """Keeps every event that it is told."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        """Take an event."""
        self.events.append(event)

    @property
    def emit(self) -> Emit:
        """The door for a venue."""
        return self
