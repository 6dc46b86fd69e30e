"""Where the time of one tick goes on its way to an order: posts that note when it passed them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rebalancer.core.records import Record
from rebalancer.ports import Store
from rebalancer.venues.transport import Transport
from rebalancer.venues.wire import Reply, SignedRequest

POSTS = ("tick", "decided", "committed", "submitted", "signed")
SHARES = (
    "inbox and decision",
    "commit",
    "hand-over to the venue's task",
    "request building and signature",
    "POST until it is at the venue",
)


class Laps:
    """When one tick passed each post on its way, in nanoseconds."""

    def __init__(self) -> None:
        self.at_ns: dict[str, int] = {}

    def note(self, post: str) -> None:
        """Note the first passage since the last `begin`."""
        self.at_ns.setdefault(post, time.monotonic_ns())

    def begin(self) -> None:
        """Forget the last tick."""
        self.at_ns.clear()
        self.note("tick")

    def shares_us(self, arrived_ns: int) -> dict[str, float]:
        """Return what lies between each post and the next."""
        posts = [*(self.at_ns[post] for post in POSTS), arrived_ns]
        spans = zip(SHARES, posts, posts[1:], strict=False)
        return {share: (after - before) / 1_000 for share, before, after in spans}


class TimedTransport(Transport):
    """Notes when a signed request is handed to it."""

    def __init__(self, timeout_seconds: float, laps: Laps) -> None:
        super().__init__(timeout_seconds)
        self._laps = laps

    async def send(self, request: SignedRequest) -> Reply:
        """Send as the transport does."""
        self._laps.note("signed")
        return await super().send(request)


class TimedStore:
    """Notes when a commit is asked for and when it is answered."""

    def __init__(self, store: Store, laps: Laps) -> None:
        self._store = store
        self._laps = laps
        self.load, self.save_views, self.close = store.load, store.save_views, store.close
        self.put_deliveries, self.due_deliveries = store.put_deliveries, store.due_deliveries
        self.replay_deliveries = store.replay_deliveries

    async def commit(
        self, records: Sequence[Record], meanwhile: Callable[[], None] | None = None
    ) -> None:
        """Commit as the store does."""
        self._laps.note("decided")
        await self._store.commit(records, meanwhile)
        self._laps.note("committed")
