"""The hub: one message to many readers, without a queue for any of them.

Readers that want the same streams in the same form share a room. A publication is put together
once for each room and handed to the send function of each reader in turn. A send that would have to
wait, because its reader does not keep up, is finished in a task of its own; until it is, the reader
gets nothing more, and then what it missed: the latest of each state, and the events from the ring.
One that does not come round is let go with the reason. So a reader costs one message of memory.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any

import structlog

from rebalancer.api.line import Line, framed
from rebalancer.api.messages import EVENTS, Message

_log = structlog.get_logger(__name__)
Send = Callable[[Any], Awaitable[None]]
Frame = Mapping[str, Any]

#: why a reader was let go, as it and the metrics are told
TOO_SLOW = "too slow"
#: how long a send may wait for its reader before the reader is let go
PATIENCE_SECONDS = 5.0
#: how long the reason may wait to be read
FAREWELL_SECONDS = 5.0
#: events kept for readers that come back
EVENTS_KEPT = 10_000
READERS_MAX = 4_000
#: sends between two looks at what else there is to do in the loop
SENDS_AT_ONCE = 25


class Form(Enum):
    """How a message is written down."""

    SSE = "sse"
    RAW = "raw"
    COMBINED = "combined"


class Room:
    """The readers of the same streams in the same form."""

    def __init__(self, form: Form, streams: frozenset[str]) -> None:
        self.form = form
        self.streams = streams
        self.readers: dict[Reader, None] = {}

    def frames(self, messages: Iterable[Message], after_seq: int = 0) -> list[Frame]:
        """Return what is sent of `messages` in this room, in order."""
        wanted = [m for m in messages if m.stream in self.streams and m.seq > after_seq]
        if not wanted:
            return []
        if self.form is Form.SSE:
            return [body_frame(b"".join(message.sse for message in wanted))]
        raw = self.form is Form.RAW
        return [text_frame(message.data if raw else message.wrapped) for message in wanted]


def body_frame(body: bytes) -> Frame:
    """Return a part of an HTTP answer."""
    return {"type": "http.response.body", "body": body, "more_body": True}


def text_frame(text: str) -> Frame:
    """Return a WebSocket message."""
    return {"type": "websocket.send", "text": text}


class Reader:
    """One connection. `gone` is set when it has to end, `reason` says why."""

    def __init__(self, send: Send, room: Room, last_seq: int) -> None:
        self.send = send
        self.line = Line.under(send)
        self.room = room
        #: newest sequence number that was sent
        self.last_seq = last_seq
        self.gone = asyncio.Event()
        self.reason = ""
        #: a send that waits for the reader
        self.waiting: asyncio.Task[None] | None = None


class Hub:
    """Rooms, the latest message of each stream, and the ring of events."""

    def __init__(
        self, first_seq: int, on_drop: Callable[[str], None] = lambda _reason: None
    ) -> None:
        """Begin at `first_seq`, which must be above every number of an earlier process."""
        self.seq = first_seq
        self.readers = 0
        self.patience_seconds = PATIENCE_SECONDS
        #: the first server-sent event of a reader, by whether it was resumed
        self.greeting: Callable[[bool], bytes] = lambda _resumed: b""
        self._first_seq = first_seq
        self._on_drop = on_drop
        self._rooms: dict[tuple[Form, frozenset[str]], Room] = {}
        self._latest: dict[str, Message] = {}
        self._ring: deque[Message] = deque(maxlen=EVENTS_KEPT)
        self._pending: dict[str, Message] = {}
        self._pending_events: deque[Message] = deque(maxlen=EVENTS_KEPT)
        self._arrived = asyncio.Event()

    def next_seq(self) -> int:
        """Return the number of the next message."""
        self.seq += 1
        return self.seq

    def publish(self, messages: Iterable[Message]) -> None:
        """Take messages; never blocks. A newer state replaces one that still waits to be sent."""
        for message in messages:
            if message.stream == EVENTS:
                self._ring.append(message)
                self._pending_events.append(message)
            else:
                self._latest[message.stream] = message
                self._pending[message.key] = message
        self._arrived.set()

    def full(self) -> bool:
        """Whether there is room for no more readers."""
        return self.readers >= READERS_MAX

    def covers(self, last_seq: int) -> bool:
        """Whether every event after `last_seq` is still at hand."""
        if not self._first_seq <= last_seq <= self.seq:
            return False
        return len(self._ring) < EVENTS_KEPT or self._ring[0].seq <= last_seq

    def join(
        self, send: Send, form: Form, streams: frozenset[str], last_seq: int | None = None
    ) -> Reader:
        """Add a reader, whose answer has begun, and send it what it gets first.

        That is the latest of every state it wants and, where it comes back with a number that is
        still covered, only what happened since, events included.
        """
        room = self._rooms.setdefault((form, streams), Room(form, streams))
        resumed = last_seq is not None and self.covers(last_seq)
        reader = Reader(send, room, self.seq)
        room.readers[reader] = None
        self.readers += 1
        first = self._since(room, last_seq if resumed else None)
        if form is Form.SSE:
            first.insert(0, body_frame(self.greeting(resumed)))
        self._deliver(reader, first, self.seq)
        return reader

    def leave(self, reader: Reader) -> None:
        """Forget a reader; may be called twice."""
        room = reader.room
        if reader not in room.readers:
            return
        del room.readers[reader]
        self.readers -= 1
        if not room.readers:
            self._rooms.pop((room.form, room.streams), None)
        if reader.waiting is not None:
            reader.waiting.cancel()

    async def run(self) -> None:
        """Send what arrives, for ever."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            batch = [*self._pending.values(), *self._pending_events]
            batch.sort(key=lambda message: message.seq)
            self._pending.clear()
            self._pending_events.clear()
            await self.fan_out(batch)

    async def fan_out(self, batch: Sequence[Message]) -> None:
        """Hand a publication to every reader; other work of the loop goes on in between."""
        if not batch:
            return
        first_seq, last_seq = batch[0].seq, batch[-1].seq
        sent = 0
        for room in list(self._rooms.values()):
            frames = room.frames(batch)
            if not frames:
                continue
            packet = None if room.form is Form.SSE else framed(each["text"] for each in frames)
            for reader in list(room.readers):
                if reader.waiting is not None or reader.gone.is_set():
                    continue
                if reader.last_seq >= first_seq:  # it came while these were waiting
                    self._deliver(reader, room.frames(batch, reader.last_seq), last_seq)
                elif packet is not None and reader.line is not None and reader.line.write(packet):
                    reader.last_seq = last_seq
                else:
                    self._deliver(reader, frames, last_seq)
                sent += 1
                if sent % SENDS_AT_ONCE == 0:
                    await asyncio.sleep(0)

    async def beat(self, frame_of: Callable[[], bytes], every_seconds: float) -> None:
        """Send a sign of life to every reader of server-sent events, for ever."""
        while True:
            await asyncio.sleep(every_seconds)
            frame = [body_frame(frame_of())]
            for room in [room for room in self._rooms.values() if room.form is Form.SSE]:
                for reader in list(room.readers):
                    if reader.waiting is None and not reader.gone.is_set():
                        self._deliver(reader, frame, reader.last_seq)
                await asyncio.sleep(0)

    def end(self, reason: str) -> None:
        """Let every reader go."""
        for room in self._rooms.values():
            for reader in room.readers:
                self._let_go(reader, reason)

    def _since(self, room: Room, last_seq: int | None) -> list[Frame]:
        after = 0 if last_seq is None else last_seq
        states = [m for name in room.streams if (m := self._latest.get(name)) is not None]
        events = [] if last_seq is None else [m for m in self._ring if m.seq > last_seq]
        return room.frames(sorted([*states, *events], key=lambda m: m.seq), after)

    def _deliver(self, reader: Reader, frames: Sequence[Frame], last_seq: int) -> None:
        """Send at once what can be sent at once; see to the rest in a task."""
        before = reader.last_seq
        reader.last_seq = max(before, last_seq)
        sending = _send_all(reader.send, frames)
        try:
            stuck = sending.send(None)
        except StopIteration:
            return
        except Exception as error:  # noqa: BLE001 - one broken connection must not stop the others
            self._let_go(reader, f"disconnected: {type(error).__name__}", quietly=True)
            return
        rest = _Rest(sending, stuck)
        reader.waiting = asyncio.create_task(self._wait_for(reader, rest), name="slow reader")

    async def _wait_for(self, reader: Reader, rest: _Rest) -> None:
        """Finish a send, then bring the reader up to date, as long as it keeps reading."""
        try:
            async with asyncio.timeout(self.patience_seconds):
                await rest
            while reader.last_seq < self.seq:
                missed = self._since(reader.room, reader.last_seq)
                reader.last_seq = self.seq
                async with asyncio.timeout(self.patience_seconds):
                    await _send_all(reader.send, missed)
        except TimeoutError:
            self._let_go(reader, f"{TOO_SLOW}: a message waited {self.patience_seconds:g} s")
        except Exception as error:  # noqa: BLE001 - as in _deliver
            self._let_go(reader, f"disconnected: {type(error).__name__}", quietly=True)
        finally:
            reader.waiting = None

    def _let_go(self, reader: Reader, reason: str, *, quietly: bool = False) -> None:
        if reader.gone.is_set():
            return
        reader.reason = reason
        reader.gone.set()
        if not quietly:
            self._on_drop(reason.partition(":")[0])
            _log.warning("stream_reader_dropped", reason=reason)


class _Rest:
    """What is left of a coroutine that was begun by hand and came to wait for `stuck`."""

    def __init__(self, coroutine: Coroutine[Any, None, None], stuck: Any) -> None:
        self._coroutine = coroutine
        self._stuck = stuck

    def __await__(self) -> Generator[Any, Any, None]:
        waits_for = self._stuck
        while True:
            answer, error = None, None
            try:
                answer = yield waits_for
            except BaseException as raised:  # noqa: BLE001 - a cancel belongs to the coroutine
                error = raised
            try:
                if error is None:
                    waits_for = self._coroutine.send(answer)
                else:
                    waits_for = self._coroutine.throw(error)
            except StopIteration:
                return


async def _send_all(send: Send, frames: Iterable[Frame]) -> None:
    for frame in frames:
        await send(frame)
