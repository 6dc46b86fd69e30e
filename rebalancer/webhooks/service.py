"""Sends events to other programs: signed, from a durable queue, again for days, beside the desk.

Nothing here can slow or stop the desk. Events wait in memory for a moment, then in the store; a
receiver that fails is asked again after ever longer pauses. The address of a receiver may carry a
secret of its own and is never logged: receivers are called by their name.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import httpx
import structlog
import tenacity

from rebalancer.core.actions import Alert
from rebalancer.core.records import Record
from rebalancer.errors import Unavailable
from rebalancer.ports import Clock, Deliveries, Delivery, DeliveryStatus
from rebalancer.webhooks.signing import headers
from rebalancer.webhooks.words import Told, body_of, of_alert, of_record

_log = structlog.get_logger(__name__)
TIMEOUT_SECONDS = 10.0
#: events that wait for the store at most; with more the newest are counted and left out
WAITING_MAX = 10_000
#: of one receiver that are sent in one turn
TURN = 20
POLL_SECONDS = 0.5
#: after each failed turn; the last is repeated until the event is given up
PAUSES_S = (5, 60, 300, 1_800, 7_200, 18_000, 36_000)
GIVE_UP_AFTER_MS = 3 * 86_400_000
RETRY_AFTER_SECONDS_MAX = 86_400
#: quick repetitions where the connection failed, before the next turn
QUICK = tenacity.wait_exponential_jitter(multiplier=0.2, max=2)
QUICK_ATTEMPTS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """One program that is told."""

    url: str
    key: bytes
    #: kinds of events, see `words.KINDS`
    kinds: frozenset[str]

    def __repr__(self) -> str:
        return "Receiver(...)"


class WebhookService:
    """A service of the daemon and one of its publishers; takes its alerts, too."""

    def __init__(
        self,
        receivers: Mapping[str, Receiver],
        deliveries: Deliveries,
        wall: Clock,
        quick: tenacity.wait.wait_base = QUICK,
    ) -> None:
        """Send to `receivers`, by name; `wall` is the real time, which signatures carry."""
        self._receivers = receivers
        self._deliveries = deliveries
        self._wall = wall
        self._quick = quick
        self._fresh: deque[Delivery] = deque()
        self._left_out = 0
        self._failing: dict[str, str] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def publish(self, records: Sequence[Record]) -> None:
        """Take committed records."""
        for record in records:
            told = of_record(record)
            if told is not None:
                self._queue(told, record.at_ms)

    def take(self, alert: Alert) -> None:
        """Take an alert."""
        self._queue(of_alert(alert), alert.at_ms)

    async def start(self) -> None:
        """Send from now on, first what an earlier process left."""
        self._tasks.append(asyncio.create_task(self._write(), name="webhook queue"))
        for name in self._receivers:
            task = asyncio.create_task(self._send(name), name=f"webhook {name}")
            self._tasks.append(task)

    async def close(self) -> None:
        """Stop sending and put what is new into the store; may be called twice."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self.save()

    def _queue(self, told: Told, at_ms: int) -> None:
        kind = told[0].partition(".")[0]
        for name, receiver in self._receivers.items():
            if kind not in receiver.kinds:
                continue
            if len(self._fresh) >= WAITING_MAX:
                self._left_out += 1
                continue
            now_ms = self._wall.now_ms()
            message_id = f"msg_{secrets.token_hex(12)}"
            body = body_of(told, at_ms)
            self._fresh.append(Delivery(message_id, name, body, created_ms=now_ms, due_ms=now_ms))

    async def _write(self) -> None:
        while True:
            await self.save()
            await asyncio.sleep(POLL_SECONDS)

    async def save(self) -> None:
        """Put what waits in memory into the store; what it does not take waits on."""
        batch = tuple(self._fresh)
        if not batch:
            return
        try:
            await self._deliveries.put_deliveries(batch)
        except Unavailable as outage:
            self._say("the queue", str(outage))
            return
        self._well("the queue")
        for _ in batch:
            self._fresh.popleft()
        if self._left_out:
            _log.warning("webhook_events_left_out", count=self._left_out)
            self._left_out = 0

    async def _send(self, name: str) -> None:
        async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, follow_redirects=False) as client:
            while True:
                try:
                    sent = await self.turn(client, name)
                except Unavailable as outage:
                    self._say(name, str(outage))
                    sent = 0
                if not sent:
                    await asyncio.sleep(POLL_SECONDS)

    async def turn(self, client: httpx.AsyncClient, name: str) -> int:
        """Send what is due to one receiver, oldest first; return how much there was.

        The first failure ends the turn: the others wait for the receiver to come back.
        """
        due = await self._deliveries.due_deliveries(name, self._wall.now_ms(), TURN)
        for delivery in due:
            problem, pause_s = await self._attempt(client, delivery)
            if not problem:
                self._well(name)
                done = replace(delivery, status=DeliveryStatus.DELIVERED)
                await self._deliveries.put_deliveries([done])
                continue
            self._say(name, problem)
            await self._deliveries.put_deliveries([self._later(delivery, pause_s)])
            return 0
        return len(due)

    def _later(self, delivery: Delivery, pause_s: float | None) -> Delivery:
        """Return the delivery with its next time, or given up."""
        now_ms = self._wall.now_ms()
        if now_ms - delivery.created_ms >= GIVE_UP_AFTER_MS:
            return replace(delivery, status=DeliveryStatus.GIVEN_UP)
        usual_s = PAUSES_S[min(delivery.attempts, len(PAUSES_S) - 1)]
        chosen_s = max(usual_s * random.uniform(0.8, 1.2), pause_s or 0)  # noqa: S311 - jitter
        return replace(
            delivery, attempts=delivery.attempts + 1, due_ms=now_ms + int(chosen_s * 1_000)
        )

    async def _attempt(
        self, client: httpx.AsyncClient, delivery: Delivery
    ) -> tuple[str, float | None]:
        """Return what went wrong (empty: nothing), and how long the receiver wants to be left."""
        receiver, body = self._receivers[delivery.receiver], delivery.body.encode()
        again = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(QUICK_ATTEMPTS),
            wait=self._quick,
            retry=tenacity.retry_if_exception_type(httpx.TransportError),
            reraise=True,
        )

        async def post() -> httpx.Response:
            signed = headers(receiver.key, delivery.id, self._wall.now_ms() // 1_000, body)
            known = {"content-type": "application/json", "user-agent": "rebalancer"}
            return await client.post(receiver.url, content=body, headers=known | signed)

        try:
            response: httpx.Response = await again(post)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return f"no answer: {type(error).__name__}", None
        if response.is_success:
            return "", None
        wanted = response.headers.get("retry-after", "")
        pause_s = min(int(wanted), RETRY_AFTER_SECONDS_MAX) if wanted.isdecimal() else None
        return f"the receiver answers {response.status_code}", pause_s

    def _say(self, name: str, problem: str) -> None:
        """Log a failure once, until it is another or over."""
        if self._failing.get(name) != problem:
            self._failing[name] = problem
            _log.warning("webhook_failing", receiver=name, reason=problem)

    def _well(self, name: str) -> None:
        if self._failing.pop(name, None) is not None:
            _log.info("webhook_delivers_again", receiver=name)
