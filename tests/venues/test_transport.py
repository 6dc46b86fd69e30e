"""What the transport says of a request, against a server that misbehaves byte by byte."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from rebalancer.venues.transport import Transport
from rebalancer.venues.wire import Reply, SignedRequest

GOOD = b'{"orderId": 7}'
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


class Server:
    """Counts requests; writes `reply` to each, byte for byte."""

    def __init__(self, reply: bytes | None, *, reset: bool = False) -> None:
        self.requests = 0
        self.reply = reply
        self.reset = reset
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (
                    int(x.split(b":")[1])
                    for x in head.lower().split(b"\r\n")
                    if b"content-length" in x
                ),
                0,
            )
            await reader.readexactly(length)
            self.requests += 1
            if self.reply is None and not self.reset:
                await asyncio.sleep(5)
            if self.reset:
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            elif self.reply:
                writer.write(self.reply)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[Server]:
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    host, port = listener.sockets[0].getsockname()
    server.url = f"http://{host}:{port}/order"
    try:
        yield server
    finally:
        listener.close()


def http(status: str, body: bytes, *extra: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *extra]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


async def post(url: str, timeout_seconds: float = 1.0) -> Reply:
    transport = Transport(timeout_seconds)
    try:
        return await transport.send(SignedRequest("POST", url, {"X-Key": "k"}, "symbol=BTCUSDT"))
    finally:
        await transport.close()


async def test_a_whole_answer_is_evidence_with_its_status_body_and_headers():
    async with serving(Server(http("200 OK", GOOD, "X-Used: 3"))) as server:
        reply = await post(server.url)
    assert reply.evidence.left
    assert reply.evidence.status == 200
    assert reply.evidence.body == GOOD.decode()
    assert reply.headers["x-used"] == "3"


async def test_a_long_answer_is_read_to_its_end():
    long = b'{"symbols": "' + b"x" * 3_000_000 + b'"}'
    async with serving(Server(http("200 OK", long))) as server:
        reply = await post(server.url)
    assert reply.evidence.body == long.decode()


async def test_an_answer_without_end_is_given_up(monkeypatch):
    monkeypatch.setattr("rebalancer.venues.transport.BODY_BYTES_MAX", 1_000)
    async with serving(Server(http("200 OK", b"x" * 2_000))) as server:
        reply = await post(server.url)
    assert reply.evidence.failure == "the answer is too long"


CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + GOOD
CHUNK_CUT = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n" + GOOD
BAD_GZIP = http("200 OK", gzip.compress(GOOD)[:-9] + b"rubbish..", "Content-Encoding: gzip")


@pytest.mark.parametrize(
    "reply",
    [CUT, CHUNK_CUT, BAD_GZIP, b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nConte", b""],
    ids=["cut body", "cut chunk", "bad gzip", "garbage status", "cut headers", "closed"],
)
async def test_an_incomplete_answer_is_no_answer_and_the_request_counts_as_left(reply):
    async with serving(Server(reply)) as server:
        evidence = (await post(server.url)).evidence
    assert evidence.left
    assert evidence.status is None
    assert evidence.body is None
    assert evidence.failure
    assert server.requests == 1


async def test_a_reset_after_the_request_was_read_is_unknown_and_not_sent_again():
    async with serving(Server(None, reset=True)) as server:
        evidence = (await post(server.url)).evidence
    assert evidence.left
    assert evidence.status is None
    assert server.requests == 1


async def test_silence_ends_at_the_time_limit():
    async with serving(Server(None)) as server:
        evidence = (await post(server.url, timeout_seconds=0.2)).evidence
    assert evidence.left
    assert evidence.failure == "no answer in time"


async def test_a_redirect_is_not_followed():
    async with serving(Server(http("307 Go", b"", "Location: /elsewhere"))) as server:
        evidence = (await post(server.url)).evidence
    assert evidence.status == 307
    assert server.requests == 1


async def test_a_refused_connection_proves_that_nothing_left():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    evidence = (await post(f"http://127.0.0.1:{port}/order")).evidence
    assert not evidence.left


async def test_a_name_that_does_not_resolve_proves_that_nothing_left():
    evidence = (await post("http://no-such-venue.invalid/order")).evidence
    assert not evidence.left


async def test_a_failed_handshake_proves_that_nothing_left():
    async with serving(Server(http("200 OK", GOOD))) as server:
        evidence = (await post(server.url.replace("http:", "https:"))).evidence
    assert not evidence.left


async def test_a_kept_connection_that_the_venue_closed_is_not_tried_again():
    keep = http("200 OK", GOOD).replace(b"Connection: close", b"Connection: keep-alive")
    transport = Transport(1.0)
    try:
        async with serving(Server(keep)) as server:
            request = SignedRequest("POST", server.url, {}, "a=b")
            await transport.send(request)
            # The server closes after each answer although it promised to keep the connection.
            second = await transport.send(request)
            assert server.requests <= 2
            assert second.evidence.status == 200 or second.evidence.left
    finally:
        await transport.close()


def test_a_request_never_shows_its_headers_or_body():
    request = SignedRequest("POST", "http://x", {"X-Key": "secret"}, "signature=abc")
    assert "secret" not in repr(request)
    assert "abc" not in repr(request)
