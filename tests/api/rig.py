"""A whole desk that publishes: a clock moved by hand, prices told by hand, real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

from rebalancer.api.service import ApiService
from rebalancer.api.tokens import TokenScope, create
from rebalancer.clock import VirtualClock, WallClock
from rebalancer.core.events import PricesObserved
from rebalancer.core.state import Desk
from rebalancer.desk.daemon import Daemon
from rebalancer.desk.inbox import Inbox
from rebalancer.desk.recovery import Start, recover
from rebalancer.desk.watcher import Watcher
from rebalancer.settings import Address, ApiSettings
from rebalancer.store.reader import open_reader
from rebalancer.store.sql import open_store
from rebalancer.venues.paper import PaperBook, PaperCosts
from rebalancer.venues.paper_venue import PaperVenue
from tests.desk.rig import observed, until
from tests.factories import BTC, NOON, desk, fund

LOOPBACK = Address("127.0.0.1", 0)


def settings(folder: Path, **over: Any) -> ApiSettings:
    """Return an interface on free ports, publishing often."""
    fields: dict[str, Any] = {
        "listen": LOOPBACK,
        "public_listen": LOOPBACK,
        "tls_certificate": None,
        "tls_key": None,
        "tokens_file": folder / "desk.tokens",
        "allowed_hosts": (),
        "publish_interval_ms": 20,
    } | over
    return ApiSettings(**fields)


class HandFeed:
    """Yields what a test puts in."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[PricesObserved] = asyncio.Queue()

    async def prices(self) -> AsyncIterator[PricesObserved]:
        """Yield for ever."""
        while True:
            yield await self.queue.get()

    async def close(self) -> None:
        """Nothing to give up."""


@dataclass
class Published:
    """A running desk, and clients of its two listeners."""

    daemon: Daemon
    service: ApiService
    clock: VirtualClock
    feed: HandFeed
    folder: Path
    private: httpx.AsyncClient
    public: httpx.AsyncClient
    tokens: dict[TokenScope, str] = field(default_factory=dict)

    async def price(self, price: int | str, after_ms: int = 1_000) -> None:
        """Let a price be known a second later, and wait until all it led to is published."""
        self.clock.advance(after_ms)
        steps = self.daemon.loop.steps
        self.feed.queue.put_nowait(observed(self.clock.now_ms(), {BTC: Decimal(price)}))
        await until(lambda: self.daemon.loop.steps > steps, "the price was taken")
        await self.quiet()

    async def quiet(self) -> None:
        """Wait until nothing is on its way and two publications have shown it."""
        await until(
            lambda: (
                self.daemon.inbox.empty
                and not self.daemon.executor.busy
                and self.daemon.loop.settled
            ),
            "the desk is quiet",
        )
        seen = self.service.board.publications
        await until(lambda: self.service.board.publications >= seen + 2, "it was published")

    def bearer(self, scope: TokenScope) -> dict[str, str]:
        """Return the header of a token of this scope."""
        if scope not in self.tokens:
            path = self.folder / "desk.tokens"
            name = f"tester-{scope}"
            self.tokens[scope] = create(path, name, scope, WallClock().now_ms(), 3_600_000)
        return {"authorization": f"Bearer {self.tokens[scope]}"}

    @property
    def port(self) -> int:
        """The port of the operators' listener."""
        return self.service.addresses[0][1]


def two_funds() -> Desk:
    """Return a 3L and a 3S on bitcoin."""
    return desk(fund("BTC3L", 3), fund("BTC3S", -3))


@contextlib.asynccontextmanager
async def published(
    folder: Path, known: Desk | None = None, **over: Any
) -> AsyncIterator[Published]:
    """Run a desk on a SQLite store in `folder`, launched at a price of 100."""
    url = f"sqlite:///{folder}/desk.db"
    store = open_store(url)
    clock, inbox, feed = VirtualClock(NOON), Inbox(), HandFeed()
    chosen = two_funds() if known is None else known
    start = Start(NOON, "paper", "digest", "test-desk")
    recovered = await recover(store, await store.load(), chosen, start)
    book = PaperBook(account="main", contracts=chosen.contracts, costs=PaperCosts())
    venue = PaperVenue(book, clock)
    daemon = Daemon(
        state=recovered.state,
        store=store,
        clock=clock,
        inbox=inbox,
        venues={"main": venue},
        watcher=Watcher(feed, venue.observe, inbox.put),
        publishers=[venue],
        on_alert=lambda alert: service.take(alert),  # noqa: PLW0108 - it is made below
    )
    service = ApiService(settings(folder, **over), daemon, open_reader(url))
    daemon.services.append(service)
    daemon.publishers.append(service)
    stop = asyncio.Event()
    running = asyncio.create_task(daemon.run(stop))
    await until(lambda: daemon.ready or running.done(), "the desk is ready")
    ports = [port for _, port in service.addresses]
    async with contextlib.AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False)
            )
            for port in (ports[0], ports[-1])
        ]
        private, public = clients
        made = Published(daemon, service, clock, feed, folder, private, public)
        try:
            await made.price(100)
            yield made
        finally:
            stop.set()
            await asyncio.wait_for(running, 10)
