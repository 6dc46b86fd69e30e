"""How an answer gets onto the wire, honest or spoilt."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.loopback.calls import Answer, Call
from tests.loopback.dialect import Dialect
from tests.loopback.faults import Fault, Shape

PIECES = 10
LANDING = "/moved"
_ALIEN_ID = "7777777"


@dataclass(slots=True)
class Wire:
    """The connection a call came in on, below HTTP."""

    transport: asyncio.Transport
    stopping: asyncio.Event

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        if not self.transport.is_closing():
            self.transport.write(data)

    def close(self) -> None:
        """End the connection in order: what was written still arrives."""
        self.transport.close()

    def reset(self) -> None:
        """End it with RST: what was written may be lost."""
        connection = self.transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    async def wait(self, span_ms: float) -> bool:
        """Wait; return early, and False, when the client leaves or the server stops."""
        loop = asyncio.get_running_loop()
        until = loop.time() + span_ms / 1000
        while (left := until - loop.time()) > 0:
            if self.transport.is_closing() or self.stopping.is_set():
                return False
            await asyncio.sleep(min(left, 0.02))
        return True


async def speak(wire: Wire, fault: Fault, answer: Answer) -> bool:
    """Send `answer` the way the fault wants it; False where HTTP itself can carry it."""
    speaker = _SPEAKERS.get(fault.shape)
    if speaker is None:
        return False
    await speaker(wire, fault, answer)
    return True


async def _silence(wire: Wire, fault: Fault, _answer: Answer) -> None:
    await wire.wait(fault.hold_ms)
    wire.close()


async def _close(wire: Wire, _fault: Fault, _answer: Answer) -> None:
    wire.close()


async def _reset(wire: Wire, _fault: Fault, _answer: Answer) -> None:
    wire.reset()


async def _reset_in_body(wire: Wire, _fault: Fault, answer: Answer) -> None:
    wire.write(answer.head() + _half(answer))
    await wire.wait(50)  # or the kernel drops the half as well
    wire.reset()


async def _cut_body(wire: Wire, _fault: Fault, answer: Answer) -> None:
    wire.write(answer.head() + _half(answer))
    wire.close()


async def _cut_chunk(wire: Wire, _fault: Fault, answer: Answer) -> None:
    half = _half(answer)
    chunked = Answer(
        status=answer.status,
        headers={**answer.headers, "Transfer-Encoding": "chunked", "Content-Length": ""},
    )
    head = chunked.head().replace(b"Content-Length: \r\n", b"")
    wire.write(head + f"{len(half):x}\r\n".encode() + half + b"\r\n")
    wire.close()


async def _garbage_status(wire: Wire, _fault: Fault, answer: Answer) -> None:
    _, _, rest = answer.head().partition(b"\r\n")
    wire.write(b"\x16\x03 not a status line\r\n" + rest + answer.body)
    wire.close()


async def _only_informational(wire: Wire, _fault: Fault, _answer: Answer) -> None:
    wire.write(b"HTTP/1.1 102 Processing\r\n\r\n")
    wire.close()


async def _slow_headers(wire: Wire, fault: Fault, answer: Answer) -> None:
    if await _drip(wire, fault, answer.head()):
        wire.write(answer.body)
    wire.close()


async def _slow_body(wire: Wire, fault: Fault, answer: Answer) -> None:
    wire.write(answer.head())
    await _drip(wire, fault, answer.body)
    wire.close()


async def _wrong_length(wire: Wire, _fault: Fault, answer: Answer) -> None:
    wire.write(answer.head(length=len(answer.body) - 3) + answer.body)
    wire.close()


async def _broken_gzip(wire: Wire, _fault: Fault, answer: Answer) -> None:
    wire.write(answer.with_headers({"Content-Encoding": "gzip"}).head() + answer.body)
    wire.close()


async def _drip(wire: Wire, fault: Fault, data: bytes) -> bool:
    size = -(-len(data) // PIECES)
    for start in range(0, len(data), size):
        wire.write(data[start : start + size])
        if not await wire.wait(fault.hold_ms / PIECES):
            return False
    return True


def _half(answer: Answer) -> bytes:
    return answer.body[: len(answer.body) // 2]


_SPEAKERS: Mapping[Shape, Callable[[Wire, Fault, Answer], Awaitable[None]]] = {
    Shape.SILENCE: _silence,
    Shape.CLOSE: _close,
    Shape.RESET: _reset,
    Shape.RESET_IN_BODY: _reset_in_body,
    Shape.CUT_BODY: _cut_body,
    Shape.CUT_CHUNK: _cut_chunk,
    Shape.GARBAGE_STATUS: _garbage_status,
    Shape.ONLY_INFORMATIONAL: _only_informational,
    Shape.SLOW_HEADERS: _slow_headers,
    Shape.SLOW_BODY: _slow_body,
    Shape.WRONG_LENGTH: _wrong_length,
    Shape.BROKEN_GZIP: _broken_gzip,
}


def spoil(shape: Shape, call: Call, answer: Answer, dialect: Dialect) -> Answer:
    """Return what stands in for the honest answer; shapes below HTTP leave it as it is."""
    if shape in _PHRASES:
        return dialect.phrase(_PHRASES[shape], call.at_ms)
    if shape in _BODIES:
        return Answer(body=_BODIES[shape], headers=answer.headers)
    if shape is Shape.REDIRECT:
        return Answer(status=302, headers={"Location": LANDING})
    if shape is Shape.REDIRECT_REPEATED:
        target = f"{call.path}?{call.query}" if call.query else call.path
        return Answer(status=307, headers={"Location": target})
    return _LIES.get(shape, _honest)(answer, dialect)


_PHRASES: Mapping[Shape, str] = {
    Shape.ERROR_IN_200: "error",
    Shape.UNAUTHORIZED: "unauthorized",
    Shape.TIMEOUT: "timeout",
    Shape.BANNED: "banned",
    Shape.TOO_MANY: "too_many",
    Shape.UNKNOWN: "unknown",
    Shape.BUSY: "busy",
    Shape.NO_MARGIN: "no_margin",
}
_BODIES: Mapping[Shape, bytes] = {
    Shape.EMPTY: b"",
    Shape.NULL: b"null",
    Shape.EMPTY_OBJECT: b"{}",
    Shape.NAN: b"NaN",
}


def _honest(answer: Answer, _dialect: Dialect) -> Answer:
    return answer


def _duplicate_keys(answer: Answer, dialect: Dialect) -> Answer:
    document = json.loads(answer.body)
    if not isinstance(document, dict) or not document:
        return answer  # nothing in it has a key
    name = next((name for name in dialect.id_fields if name in document), next(iter(document)))
    twin = json.dumps({name: _alien(document[name])}).strip("{}").encode()
    body = answer.body.rstrip()[:-1] + b"," + twin + b"}"
    return Answer(status=answer.status, body=body, headers=answer.headers)


def _other_order(answer: Answer, dialect: Dialect) -> Answer:
    """Answer about the order before of the same market and owner; about nobody's where none is."""
    told = {str(each) for each in _values(json.loads(answer.body))}
    owned = next(iter(dialect.core.accounts.values())).orders
    markets = {each.request.instrument.replace("/", "").lower() for each in owned.values()}
    market = {each.replace("_", "").lower() for each in told} & markets
    others = [
        order
        for order in owned.values()
        if not {str(order.order_id), order.request.client_order_id} & told
        and (not market or order.request.instrument.replace("/", "").lower() in market)
    ]
    if not others:
        return _replaced(answer, dict.fromkeys(dialect.id_fields, _alien))
    order_id, client_id = others[-1].order_id, others[-1].request.client_order_id

    def another(value: Any) -> Any:
        return order_id if isinstance(value, int) else str(order_id)

    changes: dict[str, Callable[[Any], Any]] = dict.fromkeys(dialect.id_fields, another)
    return _replaced(answer, changes | {"clientOrderId": lambda _id: client_id})


def _values(node: Any) -> Iterator[Any]:
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for each in inner:
        if isinstance(each, (dict, list)):
            yield from _values(each)
        else:
            yield each


def _wrong_symbol(answer: Answer, dialect: Dialect) -> Answer:
    return _replaced(answer, {dialect.symbol_field: lambda _symbol: dialect.other_symbol})


def _partial_batch(answer: Answer, _dialect: Dialect) -> Answer:
    rows = json.loads(answer.body)
    shown = rows[: len(rows) // 2] if isinstance(rows, list) else rows
    return Answer.of(shown, answer.status, answer.headers)


_LIES: Mapping[Shape, Callable[[Answer, Dialect], Answer]] = {
    Shape.HTML: lambda _answer, _dialect: Answer.page("Welcome"),
    Shape.NO_CONTENT: lambda _answer, _dialect: Answer(status=204),
    Shape.FORBIDDEN: lambda _answer, _dialect: Answer.page("403 Forbidden", 403),
    Shape.BAD_GATEWAY: lambda _answer, _dialect: Answer.page("502 Bad Gateway", 502),
    Shape.GATEWAY_TIMEOUT: lambda _answer, _dialect: Answer.page("504 Gateway Time-out", 504),
    Shape.DUPLICATE_KEYS: _duplicate_keys,
    Shape.OTHER_ORDER: _other_order,
    Shape.WRONG_SYMBOL: _wrong_symbol,
    Shape.PARTIAL_BATCH: _partial_batch,
}


def _alien(value: Any) -> Any:
    """Return an id of the same type that belongs to nobody's order."""
    return int(_ALIEN_ID) if isinstance(value, int) else _ALIEN_ID


def _replaced(answer: Answer, changes: Mapping[str, Callable[[Any], Any]]) -> Answer:
    def walk(node: Any) -> Any:
        if isinstance(node, list):
            return [walk(each) for each in node]
        if isinstance(node, dict):
            return {
                name: changes[name](value)
                if name in changes and isinstance(value, str | int)
                else walk(value)
                for name, value in node.items()
            }
        return node

    return Answer.of(walk(json.loads(answer.body)), answer.status, answer.headers)
