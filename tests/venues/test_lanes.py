"""Lanes: what goes over the wire is what aiohttp would send, and a lane is never used in doubt."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import itertools
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
import yarl

from rebalancer.venues import lanes
from rebalancer.venues.transport import Transport
from rebalancer.venues.wire import Reply, SignedRequest

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Recorder:
    """A venue that keeps connections, notes every request as it came and answers `reply`."""

    def __init__(self, reply: bytes = OK) -> None:
        self.reply = reply
        self.requests: list[bytes] = []
        self.connections: list[asyncio.StreamWriter] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == LENGTH),
                    0,
                )
                self.requests.append(head + await reader.readexactly(length))
                writer.write(self.reply)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


LENGTH = b"content-length:"


@asynccontextmanager
async def recording(recorder: Recorder) -> AsyncIterator[Recorder]:
    server = await asyncio.start_server(recorder.serve, "127.0.0.1", 0)
    recorder.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield recorder
    finally:
        server.close()
        for connection in recorder.connections:
            connection.close()


def taken_apart(request: bytes) -> tuple[bytes, list[bytes], bytes]:
    """The request line, the headers in order of their names, the body."""
    head, _, body = request.partition(b"\r\n\r\n")
    line, *headers = head.split(b"\r\n")
    return line, sorted(header.lower() for header in headers), body


REQUESTS = [
    ("POST", "/fapi/v1/order", {"X-Key": "k", "User-Agent": "ours"}, "symbol=BTCUSDT&side=BUY"),
    ("POST", "/api/v4/o?a=1&b=%2F%20x", {"Content-Type": "application/json"}, '{"a": "é"}'),
    ("POST", "/no/body?signature=abc", {"accept-encoding": "gzip, deflate"}, None),
    ("GET", "/fapi/v1/order?symbol=BTCUSDT&x=a+b", {"Accept": "application/json"}, None),
    ("DELETE", "/fapi/v1/order?orderId=7", {}, None),
    ("PUT", "/x", {"content-type": "text/plain"}, "b"),
]


@pytest.mark.parametrize(("method", "path", "headers", "body"), REQUESTS)
async def test_a_request_goes_out_as_aiohttp_would_send_it(
    method: str, path: str, headers: dict[str, str], body: str | None
) -> None:
    async with recording(Recorder()) as venue, aiohttp.ClientSession() as session:
        transport = Transport(2.0)
        url = venue.url + path
        await transport.send(SignedRequest(method, url, headers, body))
        async with session.request(
            method, yarl.URL(url, encoded=True), data=body.encode() if body else None,
            headers=headers,
        ) as response:  # fmt: skip
            await response.read()
        await transport.close()
    ours, theirs = venue.requests
    assert taken_apart(ours) == taken_apart(theirs)


@asynccontextmanager
async def sending(recorder: Recorder) -> AsyncIterator[tuple[Recorder, Transport]]:
    transport = Transport(2.0)
    async with recording(recorder):
        yield recorder, transport
        await transport.close()


async def post(transport: Transport, venue: Recorder) -> Reply:
    return await transport.send(SignedRequest("POST", f"{venue.url}/order", {}, "a=1"))


async def test_requests_one_after_another_share_a_connection() -> None:
    async with sending(Recorder()) as (venue, transport):
        for _ in range(3):
            assert (await post(transport, venue)).evidence.status == 200
        assert (len(venue.requests), len(venue.connections)) == (3, 1)


async def test_requests_side_by_side_have_a_connection_each_and_no_more_than_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lanes, "LANES_MAX", 3)
    async with sending(Recorder()) as (venue, transport):
        replies = await asyncio.gather(*(post(transport, venue) for _ in range(9)))
        assert {reply.evidence.status for reply in replies} == {200}
        assert (len(venue.requests), len(venue.connections)) == (9, 3)


async def test_a_connection_on_which_something_came_unasked_is_not_used_again() -> None:
    # Whatever it is, the next order would be judged by it.
    async with sending(Recorder()) as (venue, transport):
        await post(transport, venue)
        venue.connections[0].write(OK.replace(b"200 OK", b"403 No"))
        await asyncio.sleep(0.05)
        assert (await post(transport, venue)).evidence.status == 200
        assert len(venue.connections) == 2


async def test_an_answer_with_something_behind_it_ends_its_connection() -> None:
    async with sending(Recorder(OK + b"rubbish")) as (venue, transport):
        first = await post(transport, venue)
        await asyncio.sleep(0.05)
        second = await post(transport, venue)
    assert first.evidence.left
    assert second.evidence.left
    assert len(venue.requests) == len(venue.connections) == 2


async def test_a_connection_that_the_venue_closed_meanwhile_is_replaced_before_the_send() -> None:
    async with sending(Recorder()) as (venue, transport):
        await post(transport, venue)
        venue.connections[0].close()
        await asyncio.sleep(0.05)
        assert (await post(transport, venue)).evidence.status == 200
        assert (len(venue.requests), len(venue.connections)) == (2, 2)


async def test_a_connection_that_was_idle_for_long_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lanes, "IDLE_SECONDS_MAX", 0.0)
    async with sending(Recorder()) as (venue, transport):
        await post(transport, venue)
        await post(transport, venue)
        assert len(venue.connections) == 2


async def test_what_comes_before_the_answer_is_passed_over() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    async with sending(Recorder(hints + OK)) as (venue, transport):
        assert (await post(transport, venue)).evidence.status == 200


async def test_a_cancel_gives_the_place_back_and_not_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lanes, "LANES_MAX", 1)
    async with sending(Recorder(b"")) as (venue, transport):
        waiting = asyncio.create_task(post(transport, venue))
        await asyncio.sleep(0.05)
        waiting.cancel()
        await asyncio.wait({waiting})
        venue.reply = OK
        assert (await post(transport, venue)).evidence.status == 200
        assert len(venue.connections) == 2


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("/order", {"X-Key": "a\r\nHost: elsewhere"}),
        ("/order?a=1\r\n", {}),
        ("/order?a=1\n", {}),
    ],
)
async def test_a_line_break_inside_a_line_is_refused_before_anything_leaves(
    url: str, headers: dict[str, str]
) -> None:
    async with sending(Recorder()) as (venue, transport):
        reply = await transport.send(SignedRequest("POST", venue.url + url, headers, "a=1"))
    assert not reply.evidence.left
    assert reply.evidence.failure
    assert not venue.requests


async def test_an_address_that_is_none_is_refused_before_anything_leaves() -> None:
    reply = await Transport(1.0).send(SignedRequest("POST", "ftp://venue/x", {}, "a=1"))
    assert not reply.evidence.left


async def test_of_a_request_that_was_given_up_nothing_is_sent_any_more() -> None:
    """The system would go on sending it, and an order arrive that the desk had given up."""
    ends: list[str] = []

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"a=1")
        try:
            ends.append("the rest is sent, then the end" if await reader.read() == b"" else "more")
        except ConnectionResetError:
            ends.append("reset: what is on its way is forgotten")
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/order"
    reply = await Transport(0.1).send(SignedRequest("POST", url, {}, "a=1"))
    assert reply.evidence.failure == "no answer in time"
    await asyncio.sleep(0.05)
    assert ends == ["reset: what is on its way is forgotten"]
    server.close()


@pytest.mark.filterwarnings("error::ResourceWarning")
@pytest.mark.parametrize("address", ["127.0.0.1", "localhost"])
async def test_a_send_that_is_given_up_while_it_connects_leaves_no_socket_open(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given up at every turn of the event loop until a connection stands."""
    left: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda raised: left.append(str(raised.exc_value)))
    async with recording(Recorder()) as venue:
        origin = dataclasses.replace(lanes.place_of(venue.url)[0], host=address)
        for turns in itertools.count():
            opening = asyncio.create_task(lanes._open(origin))
            for _ in range(turns):
                await asyncio.sleep(0)
            opening.cancel()
            await asyncio.wait([opening])
            if not opening.cancelled():
                opening.result().protocol.close()
                break
        del opening
        gc.collect()
    assert left == []


def test_what_is_known_of_addresses_does_not_grow_with_the_orders_that_they_name() -> None:
    """Gate, KuCoin and MEXC have the id of an order in the path: a desk runs for years."""
    for number in range(2 * lanes.PLACES_KEPT):
        lanes.place_of(f"https://fx-api.gateio.ws/api/v4/futures/usdt/orders/{number}")
    assert lanes.place_of.cache_info().currsize <= lanes.PLACES_KEPT
