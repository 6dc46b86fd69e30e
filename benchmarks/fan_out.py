"""NAVs to 1,000 WebSocket readers: the hub against a queue for each socket, and a bare loop.

All run in this process on the same uvicorn and the same protocol, in turns; the readers are raw
sockets in child processes. What is measured is how many messages a second reach everybody, and
when a publication of 60 funds, once a second, has reached each reader.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.readers import READERS, frame_bytes, readers
from rebalancer.api import server
from rebalancer.api.hub import Form, Hub
from rebalancer.api.messages import ALL_NAVS, Message, NavList, TokenNav
from rebalancer.api.server import Listener

BROADCASTS = 10
ROUNDS = 7
FUNDS = [f"F{number:02d}L" for number in range(60)]
SECONDS = 15
STREAM = "F00L@tokenNav"
#: all numbers have as many digits: the readers count bytes
FIRST_SEQ = 10**15
App = Callable[[Any, Any, Any], Awaitable[None]]


def model(seq: int, fund: str = "F00L") -> TokenNav:
    """Return a NAV of the usual size."""
    return TokenNav(
        E=1_767_321_000_000,
        u=seq,
        s=fund,
        m="10000",
        b=None,
        n="115.123456789012345678",
        i="115.123456789012345678",
        l="2.739130434782608696",
        t="3",
        T=1_767_321_000_000,
        S="LIVE",
        p=None,
    )


def every_fund(seq: int) -> str:
    """Return the NAVs of sixty funds as one text."""
    return NavList(seq, [Message("", seq, model(seq, fund)) for fund in FUNDS]).data


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
        self.queues.discard(queue)
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
        reader = self.hub.join(send, Form.RAW, frozenset({STREAM, ALL_NAVS}))
        await ended(receive)
        self.hub.leave(reader)

    async def broadcast(self, seq: int) -> None:
        """Hand one NAV to the hub."""
        await self.hub.fan_out([Message(STREAM, seq, model(seq))])

    async def publish(self, seq: int) -> None:
        """Hand the NAVs of all funds to the hub, encoded by it."""
        navs = [Message("", seq, model(seq, fund)) for fund in FUNDS]
        await self.hub.fan_out([NavList(seq, navs)])


class BareLoop:
    """The least there is: encode once, and await each socket's send in turn."""

    def __init__(self) -> None:
        self.sends: dict[Any, None] = {}

    async def __call__(self, _scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection."""
        await receive()
        await send({"type": "websocket.accept"})
        self.sends[send] = None
        await ended(receive)
        del self.sends[send]

    async def broadcast(self, seq: int) -> None:
        """Send one NAV to every socket."""
        await self._send(model(seq).model_dump_json())

    async def publish(self, seq: int) -> None:
        """Send the NAVs of all funds to every socket."""
        await self._send(every_fund(seq))

    async def _send(self, text: str) -> None:
        frame = {"type": "websocket.send", "text": text}
        for send in list(self.sends):
            await send(frame)


@contextlib.asynccontextmanager
async def served(app: App) -> AsyncIterator[Connection]:
    """Serve `app` to a child full of readers."""
    server.PING_SECONDS = 3_600.0  # raw sockets answer none
    listener = Listener("benchmark", "127.0.0.1", 0, app, None)
    await listener.start()
    try:
        async with readers(listener.address[1]) as pipe:
            yield pipe
    finally:
        await listener.close()


async def seconds_of(way: Any, pipe: Connection, first_seq: int) -> float:
    """Return seconds until every reader has every byte of a round of broadcasts."""
    pipe.send(frame_bytes(len(model(first_seq).model_dump_json())) * BROADCASTS)
    begun = time.perf_counter()
    for number in range(BROADCASTS):
        await way.broadcast(first_seq + number)
        await asyncio.sleep(0)
    return (await _all_told(pipe))[-1] - begun


async def delivery_of(way: Any, pipe: Connection, seq: int) -> list[float]:
    """Return seconds from a publication of sixty funds until each reader has it."""
    pipe.send(frame_bytes(len(every_fund(seq))))
    begun = time.perf_counter()
    await way.publish(seq)
    return [at - begun for at in await _all_told(pipe)]


async def _all_told(pipe: Connection) -> Sequence[float]:
    told: list[float] = await asyncio.to_thread(pipe.recv)
    if len(told) < READERS:
        raise RuntimeError(f"only {len(told)} of {READERS} readers were reached")
    return told


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of all lie under or at."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def throughput(say: Callable[[str], None]) -> None:
    """Measure every way in turn and print the ratios."""
    ways: dict[str, Any] = {"queue": QueuePerSocket(), "hub": Ours(), "bare": BareLoop()}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    async with contextlib.AsyncExitStack() as stack:
        pipes = {name: await stack.enter_async_context(served(way)) for name, way in ways.items()}
        for number in range(ROUNDS + 1):  # the first one warms up
            for name, way in ways.items():
                took = await seconds_of(way, pipes[name], FIRST_SEQ + number * BROADCASTS)
                seconds[name] += [took] if number else []

    def paired(one: str, other: str) -> float:
        return statistics.median(a / b for a, b in zip(seconds[one], seconds[other], strict=True))

    rate = READERS * BROADCASTS / statistics.median(seconds["hub"])
    say(f"One NAV to {READERS} WebSocket readers ({ROUNDS} rounds of {BROADCASTS}, medians)")
    say(f"  {paired('queue', 'hub'):5.2f} x the messages a second of a queue for each socket")
    say(f"  {paired('hub', 'bare'):5.2f} x the time of a bare loop over the sockets")
    say(f"  ({rate / 1e3:.0f} thousand messages a second here)")


async def delivery(say: Callable[[str], None]) -> None:
    """Publish sixty funds once a second by hub and bare loop in turn, and print the ratio."""
    ways: dict[str, Any] = {"hub": Ours(), "bare": BareLoop()}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as stack:
        pipes = {name: await stack.enter_async_context(served(way)) for name, way in ways.items()}
        for number in range(SECONDS + 1):
            for name, way in ways.items():
                due_s = loop.time() + 0.5  # each publishes once a second
                found = await delivery_of(way, pipes[name], FIRST_SEQ + number)
                seconds[name] += found if number else []
                await asyncio.sleep(max(0.0, due_s - loop.time()))
    p50 = {name: percentile(found, 0.50) for name, found in seconds.items()}
    p99 = {name: percentile(found, 0.99) for name, found in seconds.items()}
    say(f"{len(FUNDS)} funds once a second to {READERS} readers ({SECONDS} publications)")
    say(f"  {p99['hub'] / p99['bare']:5.2f} x the 99th percentile of a bare loop's delivery")
    say(f"  {p50['hub'] / p50['bare']:5.2f} x its median")
    say(f"  (99th {p99['hub'] * 1e3:.1f} ms against {p99['bare'] * 1e3:.1f} ms here)")


async def compare(say: Callable[[str], None]) -> None:
    """Measure both."""
    await throughput(say)
    await delivery(say)


def run(say: Callable[[str], None] = print) -> None:
    """Measure and print the ratios."""
    asyncio.run(compare(say))


if __name__ == "__main__":
    run()
