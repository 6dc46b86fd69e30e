"""What readers see is saved now and then, and whoever asks learns whether the store writes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal

from rebalancer.clock import VirtualClock
from rebalancer.core.state import DeskState
from rebalancer.desk.publisher import ViewSaver
from rebalancer.desk.service import Heartbeat, ServiceManager
from rebalancer.errors import StoreUnavailable
from rebalancer.ports import NavView
from rebalancer.store.memory import MemoryStore
from tests.factories import desk, fund


class HangingStore(MemoryStore):
    """A store whose disk hangs until it is let go; like the real one it drops views meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.goes = asyncio.Event()
        self._at_it = False

    async def save_views(self, views: Sequence[NavView], prices: Mapping[str, Decimal]) -> None:
        if self._at_it:
            return
        self._at_it = True
        try:
            await self.goes.wait()
            await super().save_views(views, prices)
        finally:
            self._at_it = False


class Told(ServiceManager):
    """A service manager that keeps what it was told."""

    def __init__(self) -> None:
        super().__init__("@nobody")
        self.said: list[str] = []

    def tell(self, *states: str) -> None:
        self.said += states


def saver(store: MemoryStore) -> ViewSaver:
    return ViewSaver(DeskState.fresh(desk(fund())), store, VirtualClock(), 60.0)


async def test_a_beat_is_silent_while_the_save_of_somebody_else_hangs() -> None:
    """Else the watchdog would be told that a store writes which only dropped the question."""
    store = HangingStore()
    views, manager, turns = saver(store), Told(), iter(range(9))
    heart = Heartbeat(manager, {"loop": lambda: next(turns)}, views.save, lambda: "paper")
    other = asyncio.create_task(views.run())
    await asyncio.sleep(0)
    beat = asyncio.create_task(heart.beat())
    await asyncio.sleep(0.01)
    assert manager.said == []
    store.goes.set()
    await beat
    assert manager.said == ["WATCHDOG=1", "STATUS=paper"]
    other.cancel()
    await asyncio.gather(other, return_exceptions=True)


async def test_a_store_that_does_not_answer_is_said_and_not_raised() -> None:
    class Down(MemoryStore):
        async def save_views(self, *_: object) -> None:
            raise StoreUnavailable("the disk is full")

    assert not await saver(Down()).save()
    assert await saver(MemoryStore()).save()
