"""The fan-out: what each reader gets, what a slow one misses, and when it is let go."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.protocol import State
from websockets.server import ServerProtocol

from rebalancer.api import hub as hub_module
from rebalancer.api.hub import Form, Hub, Reader
from rebalancer.api.line import Line as WireLine
from rebalancer.api.line import framed
from rebalancer.api.messages import EVENTS, DeskEvent, Heartbeat, Message
from tests.desk.rig import until

A, B = "A@tokenNav", "B@tokenNav"


class Line:
    """A connection: keeps what was sent; while it is blocked a send waits, as uvicorn's does."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.free = asyncio.Event()
        self.free.set()
        self.broken = False

    async def send(self, frame: Any) -> None:
        """Take a frame."""
        await self.free.wait()
        if self.broken:
            raise ConnectionResetError
        self.sent.append(frame)

    @property
    def texts(self) -> list[str]:
        """What arrived, as text."""
        return [frame.get("text") or frame["body"].decode() for frame in self.sent]


def state(hub: Hub, stream: str) -> Message:
    seq = hub.next_seq()
    return Message(stream, seq, Heartbeat(E=0, u=seq))


def event(hub: Hub, why: str = "") -> Message:
    seq = hub.next_seq()
    return Message(EVENTS, seq, DeskEvent(e="state", E=0, u=seq, s="A", a="halted", r=why))


@contextlib.asynccontextmanager
async def running(first_seq: int = 0) -> AsyncIterator[Hub]:
    made = Hub(first_seq)
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def join(hub: Hub, *streams: str, form: Form = Form.RAW, last: int | None = None) -> Any:
    line = Line()
    return line, hub.join(line.send, form, frozenset(streams), last)


async def test_a_reader_gets_the_latest_state_first_and_then_what_follows() -> None:
    async with running() as hub:
        hub.publish([state(hub, A), state(hub, A), state(hub, B)])
        await settled()
        line, _ = join(hub, A)
        assert [text[-2:] for text in line.texts] == ["2}"]
        hub.publish([state(hub, A), state(hub, B)])
        await settled()
    assert [text[-2:] for text in line.texts] == ["2}", "4}"]


async def test_a_reader_that_comes_while_messages_wait_gets_them_once() -> None:
    async with running() as hub:
        hub.publish([state(hub, A)])
        line, _ = join(hub, A)
        await settled()
    assert len(line.sent) == 1


async def test_a_message_is_written_down_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    dumped: list[Heartbeat] = []
    real = Heartbeat.model_dump_json

    def counted(self: Heartbeat) -> str:
        dumped.append(self)
        return real(self)

    monkeypatch.setattr(Heartbeat, "model_dump_json", counted)
    async with running() as hub:
        lines = [join(hub, A, form=form)[0] for form in Form for _ in range(50)]
        hub.publish([state(hub, A)])
        await until(lambda: all(line.sent for line in lines), "everybody has it")
    assert len(dumped) == 1


async def test_each_form_writes_the_same_message_its_own_way() -> None:
    async with running() as hub:
        raw, _ = join(hub, A)
        combined, _ = join(hub, A, form=Form.COMBINED)
        sse, _ = join(hub, A, form=Form.SSE)
        hub.publish([state(hub, A)])
        await settled()
    data = '{"e":"heartbeat","E":0,"u":1}'
    assert raw.texts == [data]
    assert combined.texts == [f'{{"stream":"{A}","data":{data}}}']
    assert sse.texts[-1] == f"id: 1\nevent: heartbeat\ndata: {data}\n\n"


async def test_who_comes_back_gets_every_event_since_and_only_those() -> None:
    async with running() as hub:
        hub.publish([event(hub, "one"), event(hub, "two"), state(hub, A), event(hub, "three")])
        await settled()
        line, _ = join(hub, EVENTS, A, last=1)
        fresh, _ = join(hub, EVENTS, A)
    assert [word for text in line.texts for word in ("one", "two", "three") if word in text] == [
        "two",
        "three",
    ]
    assert len(fresh.texts) == 1, "without a number there is no past"


@pytest.mark.parametrize("last", [0, 99, 10**17])
async def test_a_number_of_another_life_is_not_taken_for_ours(last: int) -> None:
    async with running(first_seq=100) as hub:
        hub.publish([event(hub), state(hub, A)])
        await settled()
        assert not hub.covers(last)
        line, _ = join(hub, EVENTS, A, last=last)
        assert len(line.texts) == 1, "the states, and no event that it cannot know to be next"


async def test_events_that_are_gone_are_not_covered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "EVENTS_KEPT", 2)
    async with running() as hub:
        hub.publish([event(hub) for _ in range(4)])
        assert hub.covers(3)
        assert not hub.covers(1)


async def test_a_slow_reader_delays_nobody_and_gets_the_latest_when_it_reads_again() -> None:
    async with running() as hub:
        (slow, reader), (quick, _) = join(hub, A, EVENTS), join(hub, A, EVENTS)
        slow.free.clear()
        for number in range(20):
            hub.publish([state(hub, A), event(hub, f"event {number}")])
            await settled()
        assert len(quick.sent) == 40
        assert slow.sent == []
        slow.free.set()
        await until(lambda: reader.waiting is None, "it caught up")
        hub.publish([state(hub, A)])
        await settled()
    told = slow.texts
    assert [text for text in told if "event" in text] == [t for t in quick.texts if "event" in t]
    assert len(told) - 20 == 3, "of the states: the one it waited for, the latest, and the next"
    assert told[-1] == quick.texts[-1]


async def test_who_does_not_read_in_time_is_let_go_with_the_reason() -> None:
    dropped: list[str] = []
    hub = Hub(0, dropped.append)
    hub.patience_seconds = 0.02
    line, reader = join(hub, A)
    line.free.clear()
    await hub.fan_out([state(hub, A)])
    await asyncio.wait_for(reader.gone.wait(), 20)
    assert reader.reason == "too slow: a message waited 0.02 s"
    assert dropped == ["too slow"]
    hub.publish([state(hub, A)])
    line.free.set()
    await hub.fan_out([state(hub, A)])
    assert line.sent == []


async def test_a_broken_connection_stops_nobody_else() -> None:
    async with running() as hub:
        (broken, gone), (well, _) = join(hub, A), join(hub, A)
        broken.broken = True
        hub.publish([state(hub, A)])
        await settled()
        assert gone.gone.is_set()
        assert len(well.sent) == 1


async def test_who_breaks_while_it_is_waited_for_is_let_go_too() -> None:
    async with running() as hub:
        line, reader = join(hub, A)
        line.free.clear()
        hub.publish([state(hub, A)])
        await settled()
        line.broken = True
        line.free.set()
        await asyncio.wait_for(reader.gone.wait(), 20)
        assert reader.reason == "disconnected: ConnectionResetError"


async def test_who_left_gets_nothing_and_costs_nothing() -> None:
    async with running() as hub:
        line, reader = join(hub, A)
        line.free.clear()
        hub.publish([state(hub, A)])
        await settled()
        assert isinstance(reader, Reader)
        waiting = reader.waiting
        assert waiting is not None
        hub.leave(reader)
        hub.leave(reader)
        await settled()
        assert waiting.done()
        assert (hub.readers, hub._rooms) == (0, {})


async def test_a_sign_of_life_goes_to_server_sent_events_only() -> None:
    async with running() as hub:
        (sse, _), (raw, _) = join(hub, A, form=Form.SSE), join(hub, A)
        beating = asyncio.create_task(hub.beat(lambda: b"beat", 0.005))
        await until(lambda: len(sse.sent) > 2, "it beats")
        beating.cancel()
    assert sse.texts[-1] == "beat"
    assert raw.sent == []


async def test_the_loop_does_other_work_while_many_are_served() -> None:
    hub = Hub(0)
    for _ in range(200):
        join(hub, A)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await asyncio.sleep(0)
    before = turns
    await hub.fan_out([state(hub, A)])
    task.cancel()
    assert turns - before >= 200 // hub_module.SENDS_AT_ONCE


async def test_a_hub_that_is_full_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "READERS_MAX", 1)
    hub = Hub(0)
    join(hub, A)
    assert hub.full()


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536, 200_000])
def test_frames_are_those_that_a_server_would_make(size: int) -> None:
    """The websockets library makes them from the same text (RFC 6455, section 5.2)."""
    text = "x" * size
    server = ServerProtocol()
    server.state = State.OPEN
    server.send_text(text.encode())
    assert framed([text]) == b"".join(server.data_to_send())
    assert framed([text, "y"]) == framed([text]) + framed(["y"])


def test_only_a_line_that_is_known_is_written_to_directly() -> None:
    assert WireLine.under(Recorded().send) is None


class Recorded:
    """Some other server's connection."""

    async def send(self, _frame: Any) -> None:
        """Take a frame."""
