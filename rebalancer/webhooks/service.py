"""Webhooks: events for other programs, signed, again for days.

The address of a receiver may carry a secret of its own and is never logged: receivers are called
by their name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx
import tenacity

from rebalancer.core.actions import Alert
from rebalancer.core.instant import DAY_MS
from rebalancer.core.records import Record
from rebalancer.errors import CommandRefused
from rebalancer.ports import Clock, Deliveries, Delivery
from rebalancer.webhooks.outbox import Outbox, Outcome, Pace
from rebalancer.webhooks.signing import headers
from rebalancer.webhooks.words import Told, body_of, of_alert, of_record

#: of silence, and of one post in all: an answer may come byte by byte
TIMEOUT_SECONDS = 10.0
POST_SECONDS = 30.0
#: of an answer; nobody reads it, but once it is over its connection can be used again
ANSWER_BYTES_MAX = 65_536
GIVE_UP_AFTER_MS = 3 * DAY_MS
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


class SignedPost:
    """Carries events to one receiver, each by a signed POST of its own."""

    pace = Pace(
        together=1,
        rest_seconds=0.0,
        pauses_seconds=(5, 60, 300, 1_800, 7_200, 18_000, 36_000),
        give_up_after_ms=GIVE_UP_AFTER_MS,
    )

    def __init__(self, receiver: Receiver, wall: Clock, quick: tenacity.wait.wait_base) -> None:
        self._receiver = receiver
        self._wall = wall
        self._quick = quick
        self._client = httpx.AsyncClient(timeout=TIMEOUT_SECONDS, follow_redirects=False)

    async def close(self) -> None:
        """Give up the connection; may be called twice."""
        await self._client.aclose()

    async def carry(self, deliveries: Sequence[Delivery]) -> Outcome:
        """Post one event, twice where the connection fails."""
        (delivery,) = deliveries
        again = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(QUICK_ATTEMPTS),
            wait=self._quick,
            retry=tenacity.retry_if_exception_type(httpx.TransportError),
            reraise=True,
        )
        try:
            response: httpx.Response = await again(self._post, delivery)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            return Outcome(f"no answer: {type(error).__name__}")
        if response.is_success:
            return Outcome()
        wanted = response.headers.get("retry-after", "")
        return Outcome(
            f"the receiver answers {response.status_code}",
            min(int(wanted), RETRY_AFTER_SECONDS_MAX) if wanted.isdecimal() else None,
            for_good=response.status_code == HTTPStatus.GONE,
        )

    async def _post(self, delivery: Delivery) -> httpx.Response:
        body = delivery.body.encode()
        signed = headers(self._receiver.key, delivery.id, self._wall.now_ms() // 1_000, body)
        known = {"content-type": "application/json", "user-agent": "rebalancer"}
        posted = self._client.stream(
            "POST", self._receiver.url, content=body, headers=known | signed
        )
        async with asyncio.timeout(POST_SECONDS), posted as response:
            length = 0
            async for part in response.aiter_raw():
                length += len(part)
                if length > ANSWER_BYTES_MAX:
                    break  # its status is told already, and it may have no end
        return response


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
        carriers = {name: SignedPost(each, wall, quick) for name, each in receivers.items()}
        self.outbox = Outbox("webhook", carriers, deliveries, wall)

    def publish(self, records: Sequence[Record]) -> None:
        """Take committed records."""
        for record in records:
            told = of_record(record)
            if told is not None:
                self._queue(told, record.at_ms)

    def take(self, alert: Alert) -> None:
        """Take an alert."""
        self._queue(of_alert(alert), alert.at_ms)

    async def replay(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Send a receiver again what an operator asks for: {"name": ..., "length_ms": ...}."""
        try:
            name, length_ms = str(fields["name"]), int(fields["length_ms"])
        except (LookupError, TypeError, ValueError):
            raise CommandRefused("webhook-replay: needs name and length_ms") from None
        return {"count": await self.outbox.replay(name, length_ms)}

    async def start(self) -> None:
        """Send from now on, first what an earlier process left."""
        await self.outbox.start()

    async def close(self) -> None:
        """Stop sending and keep what was not sent; may be called twice."""
        await self.outbox.close()

    def _queue(self, told: Told, at_ms: int) -> None:
        kind = told[0].partition(".")[0]
        for name, receiver in self._receivers.items():
            if kind in receiver.kinds:
                self.outbox.put(name, body_of(told, at_ms))
