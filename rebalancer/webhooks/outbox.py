"""The outbox: what is told to the world outside, kept until it arrives, beside the desk.

Nothing here can slow or stop the desk. What is told waits in memory for a moment, then in the
store; each carrier takes what is due to its own receiver, oldest first, and one that fails is
asked again after ever longer pauses.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from rebalancer.errors import CommandRefused, DeskError
from rebalancer.ports import Clock, Deliveries, Delivery, DeliveryStatus

_log = structlog.get_logger(__name__)
#: what waits for the store at most; with more the newest is counted and left out
WAITING_MAX = 10_000
#: of one receiver that is taken up in one turn
TURN = 20
POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one attempt."""

    #: what went wrong, without a secret; empty: nothing
    problem: str = ""
    #: how long the receiver wants to be left alone
    pause_seconds: float | None = None
    #: the receiver wants it never again
    for_good: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How a receiver is spoken to."""

    #: of what is due, how much goes out in one attempt
    together: int
    #: how long a turn that went well is followed by nothing
    rest_seconds: float
    #: after each failed attempt; the last is repeated until it is given up
    pauses_seconds: Sequence[float]
    #: so old, and once every pause was tried: what a replay asks for again may be older already
    give_up_after_ms: int


class Carrier(Protocol):
    """The way to one receiver."""

    pace: Pace

    async def carry(self, deliveries: Sequence[Delivery]) -> Outcome:
        """Try to deliver them, all or none; raises nothing about the outcome."""

    async def close(self) -> None:
        """Give up every connection; may be called twice."""


class Outbox:
    """The queue of several receivers; their names are what is logged of them."""

    def __init__(
        self, what: str, carriers: Mapping[str, Carrier], deliveries: Deliveries, wall: Clock
    ) -> None:
        """Deliver by `carriers`; `what` names the log lines, `wall` is the real time."""
        self._what = what
        self._carriers = carriers
        self._deliveries = deliveries
        self._wall = wall
        self._fresh: deque[Delivery] = deque()
        self._told = 0
        self._left_out = 0
        self._failing: dict[str, str] = {}
        self._tasks: list[asyncio.Task[None]] = []
        #: a replay saves, too: two at once would take what neither has put away off the queue
        self._saving = asyncio.Lock()

    def put(self, name: str, body: str) -> None:
        """Queue `body` for a receiver; never blocks."""
        if len(self._fresh) >= WAITING_MAX:
            self._left_out += 1
            return
        now_ms = self._wall.now_ms()
        # The queue is sorted by time and id: what was told in one millisecond stays in order.
        self._told += 1
        message_id = f"msg_{now_ms:012x}{self._told & 0xFFFFFF:06x}{secrets.token_hex(6)}"
        self._fresh.append(Delivery(message_id, name, body, created_ms=now_ms, due_ms=now_ms))

    async def replay(self, name: str, length_ms: int) -> int:
        """Send all of the last `length_ms` to a receiver again; return how much that is.

        What is over is kept for a week. Raises CommandRefused for a receiver that there is not.
        """
        if name not in self._carriers:
            known = ", ".join(self._carriers) or "none"
            raise CommandRefused(f"there is no receiver {name}; there are: {known}")
        await self.save()
        now_ms = self._wall.now_ms()
        return await self._deliveries.replay_deliveries(name, now_ms - length_ms, now_ms)

    async def start(self) -> None:
        """Deliver from now on, first what an earlier process left."""
        self._tasks.append(asyncio.create_task(self._write(), name=f"{self._what} queue"))
        for name in self._carriers:
            task = asyncio.create_task(self._work(name), name=f"{self._what} {name}")
            self._tasks.append(task)

    async def close(self) -> None:
        """Stop delivering and put what is new into the store; may be called twice."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        for carrier in self._carriers.values():
            await carrier.close()
        await self.save()

    async def _write(self) -> None:
        while True:
            await self.save()
            await asyncio.sleep(POLL_SECONDS)

    async def save(self) -> None:
        """Put what waits in memory into the store; what it does not take waits on."""
        async with self._saving:
            await self._save()

    async def _save(self) -> None:
        batch = tuple(self._fresh)
        if not batch:
            return
        try:
            await self._deliveries.put_deliveries(batch)
        except DeskError as failure:
            self._say("the queue", str(failure))
            return
        self._well("the queue")
        for _ in batch:
            self._fresh.popleft()
        if self._left_out:
            _log.warning(f"{self._what}_events_left_out", count=self._left_out)
            self._left_out = 0

    async def _work(self, name: str) -> None:
        while True:
            try:
                sent = await self.turn(name)
            except DeskError as failure:
                self._say(name, str(failure))
                sent = 0
            await asyncio.sleep(self._carriers[name].pace.rest_seconds if sent else POLL_SECONDS)

    async def turn(self, name: str) -> int:
        """Deliver what is due to one receiver, oldest first; return how much there was.

        The first failure ends the turn: the others wait for the receiver to come back.
        """
        carrier = self._carriers[name]
        due = await self._deliveries.due_deliveries(name, self._wall.now_ms(), TURN)
        for first in range(0, len(due), carrier.pace.together):
            chosen = due[first : first + carrier.pace.together]
            outcome = await _carried(carrier, chosen)
            if outcome.problem:
                self._say(name, outcome.problem)
                later = [self._later(carrier.pace, delivery, outcome) for delivery in chosen]
                await self._deliveries.put_deliveries(later)
                return 0
            self._well(name)
            done = [replace(each, status=DeliveryStatus.DELIVERED) for each in chosen]
            await self._deliveries.put_deliveries(done)
        return len(due)

    def _later(self, pace: Pace, delivery: Delivery, outcome: Outcome) -> Delivery:
        """Return the delivery with its next time, or given up."""
        now_ms, pauses = self._wall.now_ms(), pace.pauses_seconds
        old = now_ms - delivery.created_ms >= pace.give_up_after_ms
        if outcome.for_good or (old and delivery.attempts + 1 >= len(pauses)):
            return replace(delivery, status=DeliveryStatus.GIVEN_UP)
        usual_s = pauses[min(delivery.attempts, len(pauses) - 1)]
        jittered_s = usual_s * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
        chosen_s = max(jittered_s, outcome.pause_seconds or 0)
        return replace(
            delivery, attempts=delivery.attempts + 1, due_ms=now_ms + int(chosen_s * 1_000)
        )

    def _say(self, name: str, problem: str) -> None:
        """Log a failure once, until it is another or over."""
        if self._failing.get(name) != problem:
            self._failing[name] = problem
            _log.warning(f"{self._what}_failing", receiver=name, reason=problem)

    def _well(self, name: str) -> None:
        if self._failing.pop(name, None) is not None:
            _log.info(f"{self._what}_delivers_again", receiver=name)


async def _carried(carrier: Carrier, deliveries: Sequence[Delivery]) -> Outcome:
    """Carry them; what nobody foresaw is a failure like others, or its receiver hears no more."""
    try:
        return await carrier.carry(deliveries)
    except Exception as error:  # noqa: BLE001 - see above; its text may hold an address
        return Outcome(f"it failed: {type(error).__name__}")
