"""A thousand readers in a process of their own: raw sockets that count bytes and note the time."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import selectors
import socket
import time
from collections.abc import AsyncIterator
from multiprocessing.connection import Connection

READERS = 1_000
WAIT_SECONDS = 60.0
HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def frame_bytes(payload_bytes: int) -> int:
    """Return the size of a server's WebSocket frame around a payload (RFC 6455, 5.2)."""
    return payload_bytes + (2 if payload_bytes < 126 else 4 if payload_bytes < 65_536 else 10)


def _opened(port: int, path: str) -> list[socket.socket]:
    made = []
    for _ in range(READERS):
        line = socket.create_connection(("127.0.0.1", port))
        line.sendall(HANDSHAKE.format(path=path).encode())
        head = line.recv(16)
        while not head.endswith(b"\r\n\r\n"):  # a byte at a time: what follows is counted
            head += line.recv(1)
        line.setblocking(False)
        made.append(line)
    return made


def _read_all(port: int, path: str, pipe: Connection) -> None:
    """Open the sockets; for each count of bytes asked for, tell when each socket had it all.

    A negative count only reads for that many seconds.
    """
    lines = _opened(port, path)
    watching = selectors.DefaultSelector()
    for line in lines:
        watching.register(line, selectors.EVENT_READ)
    pipe.send(len(lines))
    while (wanted := pipe.recv()) != 0:
        got = dict.fromkeys((line.fileno() for line in lines), 0)
        whole_s: dict[int, float] = {}
        until_s = time.perf_counter() + (-wanted if wanted < 0 else WAIT_SECONDS)
        while len(whole_s) < READERS and time.perf_counter() < until_s:
            for key, _ in watching.select(0.05):
                with contextlib.suppress(BlockingIOError):
                    got[key.fd] += len(os.read(key.fd, 262_144))
                if got[key.fd] >= wanted > 0:
                    whole_s.setdefault(key.fd, time.perf_counter())
        pipe.send(sorted(whole_s.values()))
    for line in lines:
        line.close()


@contextlib.asynccontextmanager
async def readers(port: int, path: str = "/") -> AsyncIterator[Connection]:
    """Have a thousand WebSockets read what is served at `path`."""
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(
        target=_read_all, args=(port, path, theirs), daemon=True
    )
    child.start()
    await asyncio.to_thread(ours.recv)
    try:
        yield ours
    finally:
        ours.send(0)
        await asyncio.to_thread(child.join, 20)
        ours.close()
