"""The open streams: who is connected, what each is sent, and the faults of a stream."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from tests.loopback.dialect import Dialect
from tests.loopback.happenings import Happening, Priced

MOST_WAITING = 10_000


@dataclass(eq=False, slots=True)
class Stream:
    """One client's connection; frames wait in a queue so that a slow client holds up nobody."""

    socket: web.WebSocketResponse
    path: str
    query: Mapping[str, str]
    topics: set[str] = field(default_factory=set)
    waiting: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    def send(self, frame: Any) -> None:
        """Queue a frame: a text as it is, anything else as JSON."""
        text = frame if isinstance(frame, str) else json.dumps(frame, separators=(",", ":"))
        self.waiting.put_nowait(text)

    async def pump(self) -> None:
        """Send what waits, until cancelled or disconnected; who falls too far behind is put out."""
        with contextlib.suppress(ConnectionError):
            while self.waiting.qsize() <= MOST_WAITING:
                await self.socket.send_str(await self.waiting.get())
            await self.socket.close()


@dataclass(slots=True)
class Hub:
    """All streams of a venue, and what is wrong with them."""

    dialect: Dialect
    streams: list[Stream] = field(default_factory=list)
    #: how often a private frame is delivered
    copies: int = 1
    #: connections stay open and answer pings, and say nothing
    muted: bool = False
    #: nobody gets in
    refusing: bool = False

    def publish(self, happenings: Iterable[Happening], now_ms: int) -> None:
        """Tell every stream what it is to know of each happening."""
        for happened in happenings:
            if self.muted:
                continue
            copies = 1 if isinstance(happened, Priced) else self.copies
            for stream in self.streams:
                for frame in self.dialect.frames(stream, happened, now_ms):
                    for _ in range(copies):
                        stream.send(frame)

    def beat(self, now_ms: int) -> None:
        """Tell every stream the prices it asked for."""
        if self.muted:
            return
        for stream in self.streams:
            for frame in self.dialect.beat(stream, now_ms):
                stream.send(frame)

    async def serve(self, stream: Stream, now_ms: Any) -> None:
        """Listen to a client until it leaves."""
        self.streams.append(stream)
        pump = asyncio.create_task(stream.pump())
        try:
            async for message in stream.socket:
                if message.type is not WSMsgType.TEXT:
                    continue
                for frame in self.dialect.received(stream, message.data, now_ms()):
                    stream.send(frame)
        finally:
            self.streams.remove(stream)
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)

    async def drop(self) -> None:
        """Close every connection, as a venue does once a day and at a restart."""
        await asyncio.gather(*(stream.socket.close() for stream in tuple(self.streams)))

    def garble(self) -> None:
        """Send every client a frame that is not JSON."""
        for stream in self.streams:
            stream.send('{"e":"ORDER_TRADE_UPDATE","o":{')
