"""The streams over real sockets: snapshot, order, resuming, and the end of slow readers."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from rebalancer.api import streams
from rebalancer.api.messages import DeskEvent, Hello, KlineBody, Message, NavKline, TokenNav
from rebalancer.api.tokens import TokenScope
from tests.api.rig import Published, published
from tests.desk.rig import until


async def told(
    desk_at_work: Published, query: str = "", **headers: str
) -> AsyncIterator[tuple[str, str, Any]]:
    """Yield server-sent events as (id, event, document)."""
    path = f"/api/v1/events{query}"
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with desk_at_work.private.stream("GET", path, headers=sent, timeout=10) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        fields: dict[str, str] = {}
        async for line in answer.aiter_lines():
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            else:
                yield fields.get("id", ""), fields["event"], json.loads(fields["data"])
                fields = {}


async def first(events: AsyncIterator[Any], count: int) -> list[Any]:
    found = []
    async for one in events:
        found.append(one)
        if len(found) == count:
            break
    await events.aclose()  # type: ignore[attr-defined]
    return found


def ws(desk_at_work: Published, path: str, **more: Any) -> Any:
    return connect(f"ws://127.0.0.1:{desk_at_work.port}{path}", proxy=None, **more)


async def test_a_page_is_greeted_and_gets_every_nav_at_once(tmp_path: Path) -> None:
    async with published(tmp_path) as desk_at_work:
        hello, navs, more = await first(told(desk_at_work), 3)
    assert (hello[1], Hello(**hello[2]).resumed) == ("hello", False)
    assert [TokenNav(**nav).s for nav in navs[2]] == ["BTC3L", "BTC3S"]
    assert navs[1] == more[1] == "tokenNavs"
    assert int(more[0]) > int(navs[0]) <= hello[2]["u"]
    (long, _) = navs[2]
    assert (long["n"], long["t"], long["S"]) == ("100", "3", "LIVE")
    assert Decimal(long["b"][0]["n"]) == 30_000


async def test_a_program_gets_a_token_in_the_letters_of_binance(tmp_path: Path) -> None:
    async with published(tmp_path) as desk_at_work:
        async with ws(desk_at_work, "/ws/BTC3L@tokenNav") as line:
            navs = [TokenNav(**json.loads(await line.recv())) for _ in range(3)]
            await desk_at_work.price(101)
            while navs[-1].n == "100":
                navs.append(TokenNav(**json.loads(await line.recv())))
        assert {nav.s for nav in navs} == {"BTC3L"}
        assert navs[-1].n == "103"
        numbers = [nav.u for nav in navs]
        assert numbers == sorted(set(numbers))
        await until(lambda: reading(desk_at_work) == 0, "it is forgotten")


async def test_several_streams_come_with_their_names(tmp_path: Path) -> None:
    path = "/stream?streams=BTC3S@tokenNav/BTC3L@nav_kline_1m"
    async with published(tmp_path) as desk_at_work, ws(desk_at_work, path) as line:
        messages = [json.loads(await line.recv()) for _ in range(4)]
    assert {message["stream"] for message in messages} == {"BTC3S@tokenNav", "BTC3L@nav_kline_1m"}
    kline = next(m["data"] for m in messages if m["stream"] == "BTC3L@nav_kline_1m")
    assert NavKline(**kline).k.i == "1m"


async def test_a_minute_that_ends_is_told_as_closed(tmp_path: Path) -> None:
    async with (
        published(tmp_path) as desk_at_work,
        ws(desk_at_work, "/ws/BTC3L@nav_kline_1m") as line,
    ):
        await desk_at_work.price(101, after_ms=60_000)
        candles: list[KlineBody] = []
        while not candles or not candles[-1].x:
            candles.append(NavKline(**json.loads(await line.recv())).k)
        following = NavKline(**json.loads(await line.recv())).k
    assert candles[-1].t == candles[0].t
    assert (following.t, following.x, following.o) == (candles[-1].t + 60_000, False, "103")


async def test_events_are_told_and_told_again_to_who_comes_back(tmp_path: Path) -> None:
    async with published(tmp_path) as desk_at_work:
        before, _ = await first(told(desk_at_work), 2)
        headers = desk_at_work.bearer(TokenScope.OPERATE)
        for number, command in enumerate(("halt", "resume")):
            await desk_at_work.private.post(
                f"/api/v1/tokens/BTC3L/{command}",
                json={"reason": "a drill"},
                headers=headers | {"idempotency-key": f"key-000{number}"},
            )
        since = str(before[2]["u"])
        by_header = await first(told(desk_at_work, "?streams=events", last_event_id=since), 3)
        by_query = await first(told(desk_at_work, f"?streams=events&lastId={since}"), 3)
        async with ws(desk_at_work, f"/ws/events?lastId={since}") as line:
            raw = [json.loads(await line.recv()) for _ in range(2)]
    assert [one[2].get("resumed") for one in (by_header[0], by_query[0])] == [True, True]
    assert [event[1:] for event in by_header[1:]] == [event[1:] for event in by_query[1:]]
    assert [event[2] for event in by_header[1:]] == raw
    assert raw[0]["a"] == "halted"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/ws/BTC9L@tokenNav", 404),
        ("/ws/", 400),
        ("/stream", 400),
        ("/stream?streams=" + "/".join(["events"] * 201), 400),
        ("/elsewhere", 404),
        ("/ws/events?lastId=x", 400),
        ("/stream?" + "&".join(["a=b"] * 30), 400),
    ],
)
async def test_a_stream_that_is_none_is_refused(tmp_path: Path, path: str, status: int) -> None:
    async with published(tmp_path) as desk_at_work:
        with pytest.raises(InvalidStatus) as refused:
            await ws(desk_at_work, path)
    assert refused.value.response.status_code == status
    assert json.loads(refused.value.response.body)["status"] == status


async def test_a_page_of_another_origin_cannot_listen(tmp_path: Path) -> None:
    """Browsers let any page open a WebSocket to this machine: only the Origin tells."""
    async with published(tmp_path) as desk_at_work:
        with pytest.raises(InvalidStatus) as refused:
            await ws(desk_at_work, "/ws/events", origin="https://evil.example")
    assert refused.value.response.status_code == 403


async def test_what_a_reader_says_changes_nothing(tmp_path: Path) -> None:
    async with published(tmp_path) as desk_at_work:
        async with ws(desk_at_work, "/ws/BTC3L@tokenNav") as line:
            await line.send('{"method": "SUBSCRIBE"}')
            await line.send(b"\0\xff")
            assert json.loads(await line.recv())["s"] == "BTC3L"
            await line.send("x" * 5_000)
            with pytest.raises(ConnectionClosed) as closed:
                await to_the_end(line)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
        assert (await desk_at_work.private.get("/livez")).status_code == 200


async def test_the_public_stream_shows_no_basket(tmp_path: Path) -> None:
    async with published(tmp_path) as desk_at_work:
        port = desk_at_work.service.addresses[1][1]
        async with connect(f"ws://127.0.0.1:{port}/ws/!tokenNav@arr", proxy=None) as line:
            navs = json.loads(await line.recv())
    assert [nav["b"] for nav in navs] == [None, None]
    assert [nav["n"] for nav in navs] == ["100", "100"]


async def test_a_reader_who_stops_reading_is_cut_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "FAREWELL_SECONDS", 0.05)
    async with published(tmp_path, publish_interval_ms=1) as desk_at_work:
        for hub in desk_at_work.service._hubs:
            hub.patience_seconds = 0.1
        reader = socket.socket()
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        reader.connect(("127.0.0.1", desk_at_work.port))
        reader.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await until(lambda: reading(desk_at_work) == 1, "it listens")
        # A message that the sockets' buffers cannot hold, whatever the machine gives them.
        monkeypatch.setattr(streams.Streams, "heartbeat", lambda _self: b":" + b"x" * 20_000_000)
        (hub, *_), (served, *_) = desk_at_work.service._hubs, desk_at_work.service._streams
        beating = asyncio.create_task(hub.beat(served.heartbeat, 0.01))
        await until(lambda: reading(desk_at_work) == 0, "it was cut", seconds=10)
        beating.cancel()
        text = (await desk_at_work.private.get("/metrics")).text
        reader.close()
    assert 'rebalancer_stream_readers_dropped_total{reason="too slow"} 1.0' in text


async def test_so_is_one_on_a_websocket_whose_frames_are_written_directly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "FAREWELL_SECONDS", 0.05)
    async with published(tmp_path) as desk_at_work:
        hub = next(iter(desk_at_work.service._hubs))
        hub.patience_seconds = 0.1
        reader = socket.create_connection(("127.0.0.1", desk_at_work.port))
        reader.sendall(
            b"GET /ws/events HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Sec-WebSocket-Version: 13\r\n\r\n"
        )
        await until(lambda: reading(desk_at_work) == 1, "it listens")
        async with ws(desk_at_work, "/ws/events", max_size=None) as quick:
            for _ in range(3):
                seq = hub.next_seq()
                long = DeskEvent(e="state", E=0, u=seq, s="A", a="halted", r="x" * 8_000_000)
                hub.publish([Message("events", seq, long)])
                assert len(json.loads(await quick.recv())["r"]) == 8_000_000
            await until(lambda: reading(desk_at_work) == 1, "it was cut", seconds=10)
        reader.close()


async def test_the_end_of_the_desk_is_said(tmp_path: Path) -> None:
    async with published(tmp_path) as desk_at_work:
        line = await ws(desk_at_work, "/ws/BTC3L@tokenNav")
        heard: list[str] = []

        async def listen() -> None:
            async for _, event, _ in told(desk_at_work):
                heard.append(event)

        listening = asyncio.create_task(listen())
        await until(lambda: heard, "it listens")
    await asyncio.wait_for(listening, 20)
    with pytest.raises(ConnectionClosed) as closed:
        await to_the_end(line)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1001, "the desk stops")
    assert heard[-1] == "dropped"


async def to_the_end(line: Any) -> None:
    """Read until the connection is closed, which raises."""
    while True:
        await line.recv()


def reading(desk_at_work: Published) -> int:
    """Return how many readers the operators' listener has."""
    return next(iter(desk_at_work.service._hubs)).readers
