"""One NAV to many WebSocket readers: the hub against the usual pattern, a queue for each socket.

Both run in this process on the same uvicorn and the same protocol, in turns; the readers are raw
sockets in a child process that counts bytes. Beside it, what the publication costs the desk: the
time a small callback waits for its turn in the loop meanwhile, against a quiet loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import socket
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from multiprocessing.connection import Connection
from typing import Any

from rebalancer.api.hub import Form, Hub
from rebalancer.api.messages import Message, TokenNav
from rebalancer.api.server import Listener

READERS = 400
BROADCASTS = 20
ROUNDS = 5
STREAM = "BTC3L@tokenNav"
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
App = Callable[[Any, Any, Any], Awaitable[None]]


def model(seq: int) -> TokenNav:
    """Return a NAV of the usual size."""
    return TokenNav(
        E=1_767_321_000_000,
        u=seq,
        s="BTC3L",
        m="10000",
        b=None,
        n="115.123456789012345678",
        i="115.123456789012345678",
        l="2.739130434782608696",
        t="3",
        T=1_767_321_000_000,
        S="LIVE",
    )


async def ended(receive: Any) -> None:
    """Wait until the reader has left."""
    while (await receive())["type"] != "websocket.disconnect":
        pass


class QueuePerSocket:
    """What most servers do: each connection has a queue, and a task that encodes and sends."""

    def __init__(self) -> None:
        self.queues: set[asyncio.Queue[TokenNav]] = set()

    async def __call__(self, _scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection."""
        await receive()
        await send({"type": "websocket.accept"})
        queue: asyncio.Queue[TokenNav] = asyncio.Queue()
        self.queues.add(queue)

        async def carry() -> None:
            while True:
                nav = await queue.get()
                await send({"type": "websocket.send", "text": nav.model_dump_json()})

        carrying = asyncio.create_task(carry())
        await ended(receive)
        carrying.cancel()

    async def broadcast(self, seq: int) -> None:
        """Put one NAV into every queue."""
        nav = model(seq)
        for queue in self.queues:
            queue.put_nowait(nav)


class Ours:
    """The hub."""

    def __init__(self) -> None:
        self.hub = Hub(0)

    async def __call__(self, _scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection."""
        await receive()
        await send({"type": "websocket.accept"})
        reader = self.hub.join(send, Form.RAW, frozenset({STREAM}))
        await ended(receive)
        self.hub.leave(reader)

    async def broadcast(self, seq: int) -> None:
        """Hand one NAV to the hub."""
        await self.hub.fan_out([Message(STREAM, seq, model(seq))])


class BareLoop(Ours):
    """The least there is: encode once, and await each socket's send in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.sends: list[Any] = []

    async def __call__(self, _scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection."""
        await receive()
        await send({"type": "websocket.accept"})
        self.sends.append(send)
        await ended(receive)

    async def broadcast(self, seq: int) -> None:
        """Send one NAV to every socket."""
        frame = {"type": "websocket.send", "text": model(seq).model_dump_json()}
        for send in self.sends:
            await send(frame)


def read_all(port: int, pipe: Connection) -> None:
    """Open the sockets; for each count of bytes asked for, answer when it has arrived."""
    import selectors  # noqa: PLC0415 - in the child only

    sockets = []
    for _ in range(READERS):
        made = socket.create_connection(("127.0.0.1", port))
        made.sendall(HANDSHAKE)
        while b"\r\n\r\n" not in made.recv(4_096):
            pass
        made.setblocking(False)
        sockets.append(made)
    watching = selectors.DefaultSelector()
    for made in sockets:
        watching.register(made, selectors.EVENT_READ)
    pipe.send("open")
    while (wanted := pipe.recv()) > 0:
        missing = wanted
        while missing > 0:
            for key, _ in watching.select():
                with contextlib.suppress(BlockingIOError):
                    missing -= len(os.read(key.fd, 262_144))
        pipe.send(time.perf_counter())


@contextlib.asynccontextmanager
async def served(app: App) -> AsyncIterator[Connection]:
    """Serve `app` to a child full of readers."""
    listener = Listener("benchmark", "127.0.0.1", 0, app, None)
    await listener.start()
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(
        target=read_all, args=(listener.address[1], theirs), daemon=True
    )
    child.start()
    await asyncio.to_thread(ours.recv)
    try:
        yield ours
    finally:
        ours.send(0)
        child.join(10)
        await listener.close()


async def measure(way: Any, pipe: Connection, first_seq: int) -> float:
    """Return seconds until every reader has every byte of a round of broadcasts."""
    size = len(model(first_seq).model_dump_json())
    frame = size + (2 if size < 126 else 4)
    pipe.send(frame * READERS * BROADCASTS)
    begun = time.perf_counter()
    for number in range(BROADCASTS):
        await way.broadcast(first_seq + number)
        await asyncio.sleep(0)
    ended: float = await asyncio.to_thread(pipe.recv)
    return ended - begun


async def turns(seconds: float) -> list[float]:
    """Return how long a callback waited for its turn, again and again."""
    loop, waited = asyncio.get_running_loop(), []
    until = loop.time() + seconds
    while loop.time() < until:
        begun = time.perf_counter()
        await asyncio.sleep(0)
        waited.append(time.perf_counter() - begun)
        await asyncio.sleep(0.001)
    return waited


async def decision_delay(way: Any) -> tuple[float, float]:
    """Return the median wait for a turn, quiet and while one NAV a second goes to everybody."""
    quiet = await turns(1.0)

    async def publish() -> None:
        for seq in range(10**15, 10**15 + 100):
            await way.broadcast(seq)
            await asyncio.sleep(1.0)

    publishing = asyncio.create_task(publish())
    busy = await turns(3.0)
    publishing.cancel()
    return statistics.median(quiet), statistics.median(busy)


async def compare(say: Callable[[str], None]) -> None:
    """Measure every way in turn and print the ratios."""
    ways: dict[str, Any] = {"queue": QueuePerSocket(), "hub": Ours(), "bare": BareLoop()}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    async with contextlib.AsyncExitStack() as stack:
        pipes = {name: await stack.enter_async_context(served(way)) for name, way in ways.items()}
        for round_number in range(ROUNDS + 1):
            for name, way in ways.items():
                # All numbers have as many digits: the reader counts bytes.
                first_seq = 10**15 + round_number * BROADCASTS
                took = await measure(way, pipes[name], first_seq)
                if round_number:
                    seconds[name].append(took)
        quiet, busy = await decision_delay(ways["hub"])
        del pipes

    def paired(one: str, other: str) -> float:
        return statistics.median(a / b for a, b in zip(seconds[one], seconds[other], strict=True))

    rate = READERS * BROADCASTS / statistics.median(seconds["hub"])
    say(f"One NAV to {READERS} WebSocket readers ({ROUNDS} rounds of {BROADCASTS}, medians)")
    say(f"  {paired('queue', 'hub'):5.2f} x the messages a second of a queue for each socket")
    say(f"  {paired('hub', 'bare'):5.2f} x the time of a bare loop over the sockets")
    say(f"  {busy / quiet:5.2f} x the wait for a turn in the loop at one NAV a second")
    say(f"  ({rate / 1e3:.0f} thousand messages a second here)")


def run(say: Callable[[str], None] = print) -> None:
    """Measure and print the ratios."""
    asyncio.run(compare(say))


if __name__ == "__main__":
    run()
