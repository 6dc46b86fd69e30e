"""Reference rates over HTTP: read now and then, bounded, and told to the desk as events.

What cannot be read or is out of bounds changes nothing: the desk keeps the last answer and says so
when a period begins on one that is too old.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx
import structlog
import tenacity

from rebalancer.core.events import RateObserved
from rebalancer.core.money import number
from rebalancer.errors import InputRefused, Unavailable
from rebalancer.ports import Clock, Emit

_log = structlog.get_logger(__name__)
TIMEOUT_SECONDS = 10.0
ANSWER_BYTES_MAX = 1_000_000
ATTEMPTS = 4
PATIENCE = tenacity.wait_exponential_jitter(initial=1, max=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateSource:
    """Where one rate is read, and what it may be, in shares per year."""

    url: str
    #: path to the number in the JSON answer, its parts joined by dots
    field: str
    #: what the number is multiplied with
    scale: Decimal
    interval_ms: int
    lowest: Decimal
    highest: Decimal


class RateWatch:
    """Reads each of `sources` every interval of real time."""

    def __init__(
        self,
        sources: Mapping[str, RateSource],
        clock: Clock,
        emit: Emit,
        wait: tenacity.wait.wait_base = PATIENCE,
    ) -> None:
        self._sources = sources
        self._clock = clock
        self._emit = emit
        self._wait = wait

    async def run(self) -> None:
        """Read for ever."""
        async with (
            httpx.AsyncClient(timeout=TIMEOUT_SECONDS) as client,
            asyncio.TaskGroup() as all_,
        ):
            for name in self._sources:
                all_.create_task(self._repeat(client, name), name=f"rate {name}")

    async def _repeat(self, client: httpx.AsyncClient, name: str) -> None:
        while True:
            await self.read(client, name)
            await asyncio.sleep(self._sources[name].interval_ms / 1_000)

    async def read(self, client: httpx.AsyncClient, name: str) -> None:
        """Read one rate and tell the desk; warn where there is none."""
        source = self._sources[name]
        try:
            rate = rate_in(await self._asked(client, source.url), source)
        except (InputRefused, Unavailable) as error:
            _log.warning("rate_not_read", rate=name, reason=str(error))
            return
        now_ms = self._clock.now_ms()
        self._emit(RateObserved(now_ms, name, rate, now_ms))

    async def _asked(self, client: httpx.AsyncClient, url: str) -> bytes:
        """Return the answer, asking again while the source is busy or out of reach."""
        again = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=self._wait,
            retry=tenacity.retry_if_exception_type(Unavailable),
            reraise=True,
        )
        async for attempt in again:
            with attempt:
                return await _answer(client, url)
        raise Unavailable(f"{url} was not asked")


async def _answer(client: httpx.AsyncClient, url: str) -> bytes:
    content = bytearray()
    try:
        async with client.stream("GET", url) as response:
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > ANSWER_BYTES_MAX:
                    raise InputRefused(f"the answer is longer than {ANSWER_BYTES_MAX} bytes")
    except httpx.InvalidURL:  # which is none of the errors below
        raise InputRefused("the url is none") from None
    except httpx.HTTPError as error:
        raise Unavailable(f"no answer: {type(error).__name__}") from None
    if response.status_code == 429 or response.status_code >= 500:
        raise Unavailable(f"the source answers {response.status_code}")
    if response.status_code != 200:
        raise InputRefused(f"the source answers {response.status_code}")
    return bytes(content)


def rate_in(content: bytes, source: RateSource) -> Decimal:
    """Return the rate in an answer, a share per year; raises InputRefused."""
    try:
        found: Any = json.loads(content, parse_float=Decimal, parse_int=Decimal)
    except (ValueError, ArithmeticError, RecursionError):  # an exponent may be beyond decimals
        raise InputRefused("the answer is not JSON") from None
    for part in source.field.split("."):
        found = _below(found, part, source.field)
    try:
        rate = number(found, source.field) * source.scale
    except ArithmeticError:  # its exponent has seven digits
        raise InputRefused(f"{source.field}: no rate has as many digits") from None
    if not source.lowest <= rate <= source.highest:
        raise InputRefused(
            f"{source.field}: {rate:f} a year is not between {source.lowest:f} and "
            f"{source.highest:f}"
        )
    return rate


def _below(found: Any, part: str, path: str) -> Any:
    if isinstance(found, Mapping) and part in found:
        return found[part]
    if isinstance(found, Sequence) and part.lstrip("-").isdecimal():
        place = int(part)
        if -len(found) <= place < len(found):
            return found[place]
    raise InputRefused(f"the answer has no {path}: {part!r} is missing")
