"""The inbox: the one door to the engine. Ticks replace older ticks; nothing else is dropped."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from rebalancer.core.events import Event, PricesObserved, PriceTick, Woke
from rebalancer.core.market import Key
from rebalancer.core.records import Record
from rebalancer.errors import CommandRefused

#: commands wait behind events; with more than this the desk says so instead of queueing on
COMMANDS_MAX = 1_000

Reply = asyncio.Future[tuple[Record, ...]]


@dataclass(frozen=True, slots=True)
class Letter:
    """An event and, for a command, whoever waits for what came of it."""

    event: Event
    reply: Reply | None = None


class Inbox:
    """Events in order of arrival; prices are merged into the newest per contract and source."""

    def __init__(self) -> None:
        self._letters: deque[Letter] = deque()
        #: the newest tick of each price, apart for those that need no second opinion
        self._ticks: dict[bool, dict[Key, PriceTick]] = {}
        self._ticks_at_ms = 0
        self._woke: Woke | None = None
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()
        self._taken.set()

    def put(self, event: Event) -> None:
        """Take an event; never blocks."""
        self._taken.clear()
        if isinstance(event, PricesObserved):
            self._merge(event)
            self._ticks_at_ms = max(self._ticks_at_ms, event.at_ms)
        elif isinstance(event, Woke):
            self._woke = event
        else:
            self._letters.append(Letter(event))
        self._arrived.set()

    def command(self, command: Event) -> Reply:
        """Take what was asked for; return a future of the records it led to."""
        if len(self._letters) >= COMMANDS_MAX:
            raise CommandRefused("the desk is too busy to take a command; try again")
        reply: Reply = asyncio.get_running_loop().create_future()
        self._letters.append(Letter(command, reply))
        self._taken.clear()
        self._arrived.set()
        return reply

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._letters and not self._ticks and self._woke is None

    async def emptied(self) -> None:
        """Wait until everything that arrived was taken."""
        await self._taken.wait()

    async def get(self) -> Letter:
        """Wait for the next event: facts and commands first, then prices, then the time."""
        while (letter := self.take_now()) is None:
            self._arrived.clear()
            await self._arrived.wait()
        return letter

    def take_now(self) -> Letter | None:
        """Return the next event, or None where there is none."""
        letter = self._next()
        if self.empty:
            self._taken.set()
        return letter

    def _next(self) -> Letter | None:
        if self._letters:
            return self._letters.popleft()
        if self._ticks:
            return Letter(self._take_ticks())
        if self._woke is not None:
            woke, self._woke = self._woke, None
            return Letter(woke)
        return None

    def _merge(self, event: PricesObserved) -> None:
        if not event.ticks:
            return
        waiting = self._ticks.setdefault(event.confirmed, {})
        for tick in event.ticks:
            key = (tick.contract, tick.source)
            older = waiting.get(key)
            if older is None or tick.at_ms >= older.at_ms:
                waiting[key] = tick

    def _take_ticks(self) -> PricesObserved:
        confirmed = next(iter(self._ticks))
        ticks = tuple(self._ticks.pop(confirmed).values())
        at_ms = self._ticks_at_ms
        if not self._ticks:
            self._ticks_at_ms = 0  # a clock that was set back must not wait for its old time
        return PricesObserved(at_ms, ticks, confirmed=confirmed)
