"""The streams: server-sent events for pages, WebSockets for programs. Plain ASGI, no framework."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, unquote

from rebalancer.api.access import SECURITY_HEADERS, AsgiScope, Receive, Send, refuse
from rebalancer.api.hub import FAREWELL_SECONDS, TOO_SLOW, Form, Hub, Reader
from rebalancer.api.messages import ALL_NAVS, EVENTS, Dropped, Heartbeat, Hello, streams_of
from rebalancer.api.problems import ApiProblem
from rebalancer.ports import Clock

SSE_PATH = "/api/v1/events"
RAW_PREFIX = "/ws/"
COMBINED_PATH = "/stream"
HEARTBEAT_SECONDS = 15.0
#: of a close that says "you did not keep up" (RFC 6455, 7.4.1: policy violation), and of an end
POLICY_VIOLATION, GOING_AWAY = 1008, 1001
#: streams that one connection may ask for
STREAMS_MAX = 200
#: what a page gets that names no stream
DEFAULT_STREAMS = (ALL_NAVS, EVENTS)


class Streams:
    """Answers what is a stream; everything else goes to `app`."""

    def __init__(self, app: Any, hub: Hub, clock: Clock, tokens: Iterable[str]) -> None:
        self._app = app
        self._hub = hub
        self._clock = clock
        self._known = frozenset(streams_of(tokens))
        hub.greeting = self._hello

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        path = str(scope["path"])
        try:
            if scope["type"] == "websocket":
                await self._websocket(path, scope, receive, send)
            elif path == SSE_PATH and scope["method"] == "GET":
                await self._sse(scope, receive, send)
            else:
                await self._app(scope, receive, send)
        except ApiProblem as problem:
            await refuse(scope, receive, send, problem)

    def heartbeat(self) -> bytes:
        """Return a sign of life as a server-sent event."""
        beat = Heartbeat(E=self._clock.now_ms(), u=self._hub.seq)
        return f"event: heartbeat\ndata: {beat.model_dump_json()}\n\n".encode()

    def _hello(self, resumed: bool) -> bytes:
        hello = Hello(
            E=self._clock.now_ms(),
            u=self._hub.seq,
            resumed=resumed,
            heartbeatMs=int(HEARTBEAT_SECONDS * 1_000),
        )
        return f"retry: 2000\nevent: hello\ndata: {hello.model_dump_json()}\n\n".encode()

    async def _sse(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        wanted = self._wanted(_asked(scope, "streams") or "/".join(DEFAULT_STREAMS))
        headers = dict(scope["headers"])
        last_id = headers.get(b"last-event-id", b"").decode("latin-1") or _asked(scope, "lastId")
        last_seq = _sequence(last_id)
        self._refuse_if_full()
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [
                    (b"content-type", b"text/event-stream; charset=utf-8"),
                    (b"cache-control", b"no-store"),
                    (b"x-accel-buffering", b"no"),
                    *SECURITY_HEADERS,
                ],
            }
        )
        reader = self._hub.join(send, Form.SSE, wanted, last_seq)
        await self._until_gone(reader, receive, "http.disconnect")
        body = f"event: dropped\ndata: {Dropped(r=reader.reason).model_dump_json()}\n\n".encode()
        await self._say_farewell(
            reader, send, {"type": "http.response.body", "body": body, "more_body": False}
        )

    async def _websocket(self, path: str, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if path.startswith(RAW_PREFIX):
            form, names = Form.RAW, unquote(path.removeprefix(RAW_PREFIX))
        elif path == COMBINED_PATH:
            form, names = Form.COMBINED, _asked(scope, "streams")
        else:
            raise ApiProblem(HTTPStatus.NOT_FOUND, f"streams are at {RAW_PREFIX}NAME")
        wanted = self._wanted(names)
        last_seq = _sequence(_asked(scope, "lastId"))
        self._refuse_if_full()
        await receive()
        await send({"type": "websocket.accept"})
        reader = self._hub.join(send, form, wanted, last_seq)
        await self._until_gone(reader, receive, "websocket.disconnect")
        code = POLICY_VIOLATION if reader.reason.startswith(TOO_SLOW) else GOING_AWAY
        await self._say_farewell(
            reader, send, {"type": "websocket.close", "code": code, "reason": reader.reason[:120]}
        )

    def _wanted(self, written: str) -> frozenset[str]:
        names = [name for name in written.split("/") if name]
        if not 0 < len(names) <= STREAMS_MAX:
            raise ApiProblem(
                HTTPStatus.BAD_REQUEST,
                f"name 1 to {STREAMS_MAX} streams: BTC3L@tokenNav/events, or {ALL_NAVS}",
            )
        for name in names:
            if name not in self._known:
                raise ApiProblem(
                    HTTPStatus.NOT_FOUND,
                    f"there is no stream {name[:80]!r}; there are {ALL_NAVS}, {EVENTS}, "
                    "TOKEN@tokenNav and TOKEN@nav_kline_1m",
                )
        return frozenset(names)

    def _refuse_if_full(self) -> None:
        if self._hub.full():
            raise ApiProblem(
                HTTPStatus.SERVICE_UNAVAILABLE, "too many readers", {"retry-after": "10"}
            )

    async def _until_gone(self, reader: Reader, receive: Receive, ending: str) -> None:
        """Wait until the reader leaves or has to; what it says meanwhile is not listened to."""

        async def left() -> None:
            while (await receive())["type"] != ending:
                pass

        leaving = asyncio.create_task(left())
        told = asyncio.create_task(reader.gone.wait())
        try:
            await asyncio.wait({leaving, told}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            told.cancel()
            self._hub.leave(reader)

    async def _say_farewell(self, reader: Reader, send: Send, last: dict[str, Any]) -> None:
        """Tell the reader why it is let go; cut the line where it does not even read that."""
        if not reader.reason or reader.reason.startswith("disconnected"):
            return
        try:
            async with asyncio.timeout(FAREWELL_SECONDS):
                await send(last)
        except TimeoutError:
            # What is in the server's buffer would stay there for as long as the peer lives.
            transport = getattr(getattr(send, "__self__", None), "transport", None)
            if transport is not None:
                transport.abort()


def _asked(scope: AsgiScope, name: str) -> str:
    """Return a parameter of the query; empty where there is none."""
    try:
        query = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=20)
    except ValueError:
        raise ApiProblem(HTTPStatus.BAD_REQUEST, "the query has too many fields") from None
    return str(query.get(name, [""])[0])


def _sequence(written: str) -> int | None:
    if not written:
        return None
    if not (written.isascii() and written.isdecimal() and len(written) <= 18):
        raise ApiProblem(HTTPStatus.BAD_REQUEST, "the last id is the number of a message")
    return int(written)
