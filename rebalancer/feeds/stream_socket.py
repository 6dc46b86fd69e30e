"""One price stream of a venue: a client of its own, watched, torn down and built again.

A client is never mended: whatever goes wrong, it is closed once, and after a pause a new one takes
its place. ccxt's errors end here and are told in our own words.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, NoReturn

import structlog

from rebalancer.core.instant import SECOND_MS
from rebalancer.exchanges import UNREADABLE, in_our_words
from rebalancer.feeds import binance_marks

Key = tuple[str, str]
"""A contract and what is told of it: a price source, or bid and ask."""
Take = Callable[[Mapping[str, Any]], Collection[Key]]
"""Takes new tickers by contract and returns what in them was news."""

#: from here on a pause does not grow any more
_MOST_DOUBLINGS = 10
#: contracts whose prices are read in one turn of the event loop: a quarter of a millisecond
IN_ONE_TURN = 50

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPace:
    """How patient a feed is."""

    #: a contract of which a stream has told nothing for so long is polled
    deadline_ms: int = 5 * SECOND_MS
    #: how often prices without a living stream are polled
    poll_ms: int = 2 * SECOND_MS
    #: how often the venue's clock is read
    clock_ms: int = 600 * SECOND_MS
    #: the pause before the first new client, doubled each time, and its bound
    first_pause_s: float = 0.5
    longest_pause_s: float = 30.0

    @property
    def deadline_s(self) -> float:
        """The deadline in seconds."""
        return self.deadline_ms / SECOND_MS

    def pause_s(self, failures: int) -> float:
        """Return how long to wait after so many failures in a row, with jitter."""
        doubled = self.first_pause_s * 2 ** min(failures - 1, _MOST_DOUBLINGS)
        longest = min(self.longest_pause_s, doubled)
        return random.uniform(longest / 2, longest)  # noqa: S311 - spreads reconnects, no secret


class _Lost(Exception):
    """Why a client has to go, in our own words."""


class Stream:
    """What one streaming method of ccxt.pro tells of some contracts.

    The socket alone proves nothing: it answers pings when no data comes any more. So a stream that
    tells no news of any contract within the deadline is built anew. Where only some contracts are
    silent the venue may have nothing to tell: they are `silent()`, and whoever polls them decides
    by what it finds whether to `rebuild()`.
    """

    def __init__(
        self,
        venue_id: str,
        method: str,
        keys: Collection[Key],
        opened: Callable[[], Any],
        take: Take,
        pace: StreamPace,
    ) -> None:
        """Connect to nothing yet. `opened` returns a new client that has the venue's markets."""
        self._method = method
        self._is_quick = binance_marks.reads(venue_id, method)
        self._log = _log.bind(venue=venue_id, stream=method)
        self._symbols = sorted({symbol for symbol, _ in keys})
        self._opened = opened
        self._take = take
        self._pace = pace
        #: when there was news last, by the loop's clock; a stream has until its deadline to begin
        self._heard = dict.fromkeys(keys, asyncio.get_running_loop().time())
        self._reported: set[Key] = set()
        self._opened_at = 0.0
        self._distrusted = False
        self._was_up = False
        self._closing: set[asyncio.Task[None]] = set()

    async def run(self, on_reconnect: Callable[[], None]) -> None:
        """Watch until cancelled; tells when news comes again from a new client."""
        try:
            await self._run(on_reconnect)
        finally:
            if self._closing:
                await asyncio.wait(self._closing)

    async def _run(self, on_reconnect: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            began = loop.time()
            reason = await self._live(on_reconnect)
            stood = loop.time() - began > self._pace.longest_pause_s + self._pace.deadline_s
            failures = 1 if stood else failures + 1
            pause_s = self._pace.pause_s(failures)
            self._log.warning(
                "stream_rebuilt",
                reason=reason,
                attempt=failures,
                pause_ms=round(pause_s * SECOND_MS),
            )
            await asyncio.sleep(pause_s)

    def silent(self) -> set[Key]:
        """Return what was not told within the deadline; warns once of each silence."""
        late = asyncio.get_running_loop().time() - self._pace.deadline_s
        silent = {key for key, heard in self._heard.items() if heard < late}
        fresh = silent - self._reported
        if fresh:
            self._log.warning("stream_silent", contracts=sorted({symbol for symbol, _ in fresh}))
        self._reported = silent
        return silent

    def rebuild(self) -> None:
        """Give up the present client, unless it is too young to have missed the deadline itself."""
        age_s = asyncio.get_running_loop().time() - self._opened_at
        self._distrusted = age_s > self._pace.deadline_s

    async def _live(self, on_reconnect: Callable[[], None]) -> str:
        """Watch one client to its end and return why it ended."""
        client = self._opened()
        _read_exactly(client)
        if self._is_quick:
            binance_marks.quicken(client)
        self._distrusted = False
        try:
            await self._watch(client, on_reconnect)
        except _Lost as lost:
            return str(lost)
        finally:
            # A dead peer holds up a close for ten seconds; the next client does not wait for it.
            closing = asyncio.create_task(client.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _watch(self, client: Any, on_reconnect: Callable[[], None]) -> NoReturn:
        loop = asyncio.get_running_loop()
        watch = getattr(client, self._method)
        seen: dict[str, Any] = {}
        newest = self._opened_at = loop.time()
        up = False
        while True:
            answer = await self._next(watch, newest + self._pace.deadline_s)
            told = await self._taken(self._fresh(client, answer, seen))
            if told:
                newest = loop.time()
                self._heard.update(dict.fromkeys(told, newest))
                if not up and self._was_up:
                    self._opened_at = newest
                    on_reconnect()
                up = self._was_up = True
            if self._distrusted:
                raise _Lost("does not tell every price")
            if loop.time() > newest + self._pace.deadline_s:
                raise _Lost("told nothing new")

    async def _taken(self, fresh: Mapping[str, Any]) -> set[Key]:
        """Hand on what is fresh, a few contracts in each turn of the event loop."""
        told: set[Key] = set()
        tickers = iter(fresh.items())
        while some := dict(islice(tickers, IN_ONE_TURN)):
            if told:
                await asyncio.sleep(0)
            told.update(self._take(some))
        return told

    async def _next(self, watch: Any, until: float) -> Any:
        """Return the next answer; any failure of the venue or of ccxt raises _Lost."""
        import ccxt.async_support as ccxt  # noqa: PLC0415 - half a second that only streams cost

        try:
            async with asyncio.timeout_at(until):
                # A stream of each contract, or where they are many one of all.
                of_all = self._is_quick and len(self._symbols) >= binance_marks.ALL_FROM
                return await watch(None if of_all else self._symbols)
        except TimeoutError:
            raise _Lost("told nothing") from None
        except asyncio.CancelledError:
            # ccxt cancels what waits for a socket that it closes by itself; that is not our end.
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise _Lost("closed the stream") from None
        except (ccxt.BaseError, *UNREADABLE) as error:
            raise _Lost(in_our_words(error)) from None

    def _fresh(self, client: Any, answer: Any, seen: dict[str, Any]) -> dict[str, Any]:
        """Return the tickers that came since the last time.

        The answer has only one of several that came together; the client keeps the newest of each.
        """
        kept = client.bidsasks if self._method == "watch_bids_asks" else client.tickers
        told = answer if isinstance(answer, Mapping) else {}
        fresh = {}
        for symbol in self._symbols:
            ticker = told.get(symbol) or kept.get(symbol)
            # Some venues' answers hold every contract again: each update is an object of its own.
            if ticker is not None and ticker is not seen.get(symbol):
                seen[symbol] = fresh[symbol] = ticker
        return fresh


def _read_exactly(client: Any) -> None:
    """Let numbers in frames stay text, and let a frame that cannot be read end its socket.

    ccxt reads frames in a callback of the event loop: what is raised there stops the reading for
    good, reaches nobody who waits, and is logged by asyncio with all that ccxt says.
    """
    import ccxt.async_support as ccxt  # noqa: PLC0415 - loaded with the client already

    connect = client.client

    def connected(url: str) -> Any:
        socket = connect(url)
        if getattr(socket, "reads_exactly", False):
            return socket
        socket.reads_exactly = True
        handle, handle_data = socket.handle_message, socket.handle_text_or_binary_message

        def read_data(data: str | bytes) -> None:
            if isinstance(data, bytes) and socket.decompressBinary:
                data = data.decode()
            if isinstance(data, str) and data.startswith(("{", "[")):
                if data.startswith(binance_marks.ARRAY_BEGIN):
                    socket.on_message_callback(socket, binance_marks.loads(data))
                else:
                    socket.on_message_callback(socket, json.loads(data, parse_float=str))
            else:
                handle_data(data)

        def read(message: Any) -> None:
            try:
                handle(message)
            except (ccxt.BaseError, *UNREADABLE):
                socket.on_error(ValueError("a frame cannot be read"))

        socket.handle_text_or_binary_message = read_data
        socket.handle_message = read
        return socket

    client.client = connected
