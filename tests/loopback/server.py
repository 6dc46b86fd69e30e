"""The loopback venue: one protocol on a free port of this machine, from enter to exit."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import time
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Self

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from tests.loopback.calls import Answer, Call
from tests.loopback.control import command
from tests.loopback.dialect import CLOSED, Dialect
from tests.loopback.faults import Fault, Faults, Taken
from tests.loopback.limits import Violation
from tests.loopback.matching import Core
from tests.loopback.settling import Move, Script, move_price, settle_funding
from tests.loopback.streams import Hub, Stream
from tests.loopback.wire import LANDING, Wire, speak, spoil

HOST = "127.0.0.1"
MOST_CALLS = 20_000
LARGEST_BODY = 2**20


def wall_ms() -> int:
    """Return the wall's time."""
    return time.time_ns() // 1_000_000


class LoopbackVenue:
    """A venue that answers on 127.0.0.1 as long as it is entered.

    `clock` tells the time in milliseconds (the wall's unless given); `skew_ms` makes the venue's
    own clock differ from it. Prices of subscribed streams are repeated every `beat_ms`, and a
    price script is followed at the same pace. `calls` are the newest requests, oldest first.
    Without a `port` it takes a free one, known once it is entered; the same one again plays a
    restart.
    """

    def __init__(
        self,
        dialect: Dialect,
        *,
        clock: Callable[[], int] = wall_ms,
        beat_ms: int = 1000,
        port: int = 0,
    ) -> None:
        self.dialect = dialect
        self.clock = clock
        self.beat_ms = beat_ms
        self.skew_ms = 0
        #: answers everything with the venue's maintenance answer
        self.maintenance = False
        self.faults = Faults()
        self.script = Script()
        self.hub = Hub(dialect)
        self.calls: deque[Call] = deque(maxlen=MOST_CALLS)
        self.port = port
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._runner: web.ServerRunner | None = None

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(
            web.Server(self._handle, access_log=None), shutdown_timeout=0.5
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self._spawn(self._beat())
        return self

    async def __aexit__(self, *_exception: object) -> None:
        self._stopping.set()
        await self.hub.drop()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def core(self) -> Core:
        """The market and its accounts."""
        return self.dialect.core

    @property
    def violations(self) -> list[Violation]:
        """Every time a client passed a limit."""
        return self.dialect.bans.violations

    @property
    def rest(self) -> str:
        """Where its HTTP interface begins."""
        return f"http://{HOST}:{self.port}"

    @property
    def stream(self) -> str:
        """Where its streams begin."""
        return f"ws://{HOST}:{self.port}"

    def point(self, exchange: Any) -> None:
        """Send every request and stream of a ccxt exchange here instead of to the venue."""
        self.dialect.addresses(exchange.urls, self.rest, self.stream)

    def now_ms(self) -> int:
        """Return the time by the venue's clock."""
        return self.clock() + self.skew_ms

    def price(
        self,
        instrument: str,
        last: Decimal | str,
        *,
        mark: Decimal | str | None = None,
        index: Decimal | str | None = None,
    ) -> None:
        """Set prices now and tell the streams."""
        move_price(
            self.core,
            Move(
                at_ms=self.now_ms(),
                instrument=instrument,
                last=Decimal(last),
                mark=None if mark is None else Decimal(mark),
                index=None if index is None else Decimal(index),
            ),
        )
        self.publish()

    def fund(self, instrument: str, rate: Decimal | str | None = None) -> None:
        """Settle funding now and tell the streams."""
        paid = None if rate is None else Decimal(rate)
        settle_funding(self.core, instrument, self.now_ms(), paid)
        self.publish()

    def ban(self, span_ms: int) -> None:
        """Lock this machine's address out."""
        self.dialect.bans.ban(HOST, self.now_ms(), span_ms)

    def publish(self) -> None:
        """Tell the streams what happened in the core."""
        self.hub.publish(self.core.take_outbox(), self.now_ms())

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._serve(request, path)
        if path.startswith(LANDING):
            return _response(Answer.page("This page has moved"))
        call = Call(
            method=request.method,
            path=path,
            query=query,
            body=await request.read(),
            headers={name.lower(): value for name, value in request.headers.items()},
            peer=request.remote or HOST,
            at_ms=self.now_ms(),
        )
        if path.startswith("/-/"):
            return _response(command(self, call))
        self.calls.append(call)
        return await self._respond(request, call)

    async def _respond(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        if self.maintenance:
            return _response(self.dialect.phrase("maintenance", self.now_ms()))
        refusal = self.dialect.admit(call)
        if refusal is not None:
            return _response(self.dialect.stamp(call, refusal))
        fault = self.faults.take(call)
        if fault is None:
            return _response(self.dialect.stamp(call, self._act(call)))
        answer = spoil(fault.shape, call, self._taken(fault, call), self.dialect)
        answer = self.dialect.stamp(call, answer)
        transport = request.transport
        if not isinstance(transport, asyncio.Transport):
            return _Spoken()
        if await speak(Wire(transport, self._stopping), fault, answer):
            return _Spoken()
        return _response(answer)

    def _act(self, call: Call) -> Answer:
        answer = self.dialect.act(self.core, call)
        self.publish()
        return answer

    def _taken(self, fault: Fault, call: Call) -> Answer:
        if fault.taken is Taken.FIRST:
            return self._act(call)
        if fault.taken is Taken.LATER:
            self._spawn(self._act_later(fault.late_ms, call))
        return self.dialect.act(copy.deepcopy(self.core), call)

    async def _act_later(self, late_ms: int, call: Call) -> None:
        await asyncio.sleep(late_ms / 1000)
        self._act(dataclasses.replace(call, late_ms=self.now_ms() - call.at_ms))

    async def _serve(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        if self.maintenance or self.hub.refusing:
            return _response(self.dialect.phrase("maintenance", self.now_ms()))
        socket = web.WebSocketResponse(max_msg_size=LARGEST_BODY)
        stream = Stream(socket, path, dict(request.query))
        if path.startswith(CLOSED) or not self.dialect.opened(stream, self.now_ms()):
            return _response(Answer.page("400 Bad Request", 400))
        try:
            await socket.prepare(request)
        except ConnectionResetError:
            return _Spoken()  # the client left during the greeting
        await self.hub.serve(stream, self.now_ms)
        return socket

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self.beat_ms / 1000)
            for move in self.script.due(self.now_ms()):
                move_price(self.core, move)
            self.publish()
            self.hub.beat(self.now_ms())

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Spoken(web.StreamResponse):
    """Stands for an answer that was already put on the wire; aiohttp must add nothing."""

    async def prepare(self, _request: web.BaseRequest) -> AbstractStreamWriter | None:
        raise ConnectionResetError


def _response(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, body=answer.body, headers=dict(answer.headers))
