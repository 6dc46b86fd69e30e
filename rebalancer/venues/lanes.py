"""Lanes: connections to venues that are kept open, so that a request leaves in a single write.

A lane carries one request at a time. The reading side is aiohttp's own: its protocol and parser,
so that an answer is cut, decoded and refused as everybody else does it. The writing side is ours:
aiohttp's takes longer to put an order's request together than all the rest of its way out.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import time
from dataclasses import dataclass
from functools import cache, lru_cache

import yarl
from aiohappyeyeballs import start_connection
from aiohttp.client_proto import ResponseHandler

from rebalancer.errors import ensure

#: connections to one venue at a time; further requests wait for one
LANES_MAX = 64
#: a connection that was idle for longer is not used again: the venue may be about to close it
IDLE_SECONDS_MAX = 60.0
#: what is not delivered when a connection is closed, or its process dies, never will be: left to
#: itself the system goes on sending it, and an order would arrive that was given up long ago
_FORGET = struct.pack("ii", 1, 0)
#: addresses whose parts are remembered; some venues have the ids of orders in theirs
PLACES_KEPT = 1_024
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a lane leads."""

    scheme: str
    host: str
    port: int

    @property
    def host_header(self) -> str:
        """The value of the Host header: the port only where it is not the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


class Unreachable(OSError):
    """No connection came about; nothing can have left. Caused by what the system said."""


@cache
def _trusted() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(("http/1.1",))
    return context


@dataclass(slots=True)
class Lane:
    """One connection."""

    origin: Origin
    protocol: ResponseHandler
    idle_since: float = 0.0

    @property
    def usable(self) -> bool:
        """Whether it is open and nothing unasked for has arrived on it."""
        return self.protocol.is_connected() and not self.protocol.should_close

    def write(self, request: bytes) -> None:
        """Send the request; what comes next is read from the protocol."""
        # As aiohttp sets it: bodies unpacked, read to the end where no length is given.
        self.protocol.set_response_params(read_until_eof=True)
        transport = self.protocol.transport
        ensure(transport is not None, "a request for a connection that is closed")
        if transport is not None:
            transport.write(request)


class Lanes:
    """The connections of one transport, by where they lead; use inside one event loop."""

    def __init__(self) -> None:
        self._idle: dict[Origin, list[Lane]] = {}
        self._places: dict[Origin, asyncio.Semaphore] = {}

    async def take(self, origin: Origin) -> Lane:
        """Return a lane that is open, the warmest first; give it back with `leave`.

        Raises Unreachable where none can be opened.
        """
        places = self._places.get(origin)
        if places is None:
            places = self._places[origin] = asyncio.Semaphore(LANES_MAX)
        await places.acquire()
        try:
            return self._warm(origin) or await _open(origin)
        except BaseException:
            places.release()
            raise

    def leave(self, lane: Lane, *, done: bool) -> None:
        """Give a lane back; it is kept where its answer is `done` and leaves it open.

        Where it is not, nothing of the request that has not arrived yet may arrive later.
        """
        if done and lane.usable:
            lane.idle_since = time.monotonic()
            self._idle.setdefault(lane.origin, []).append(lane)
        elif done:
            lane.protocol.close()
        else:
            lane.protocol.abort()
        self._places[lane.origin].release()

    def close(self) -> None:
        """Close every lane that is idle."""
        for lanes in self._idle.values():
            for lane in lanes:
                lane.protocol.close()
        self._idle.clear()

    def _warm(self, origin: Origin) -> Lane | None:
        idle = self._idle.get(origin)
        while idle:
            lane = idle.pop()
            if lane.usable and time.monotonic() - lane.idle_since < IDLE_SECONDS_MAX:
                return lane
            lane.protocol.close()
        return None


@lru_cache(PLACES_KEPT)
def place_of(base: str) -> tuple[Origin, str]:
    """Return where a URL without its query leads, and its path; a bad one raises ValueError."""
    url = yarl.URL(base, encoded=True)
    if url.scheme not in _DEFAULT_PORTS or not url.host or url.port is None:
        raise ValueError("no address of a venue")
    return Origin(url.scheme, url.host, url.port), url.raw_path


async def _open(origin: Origin) -> Lane:
    """Connect; a send that gives up meanwhile leaves no socket behind.

    asyncio's own race of addresses forgets the winner's socket when it is cancelled in that moment.
    """
    loop = asyncio.get_running_loop()
    secure = origin.scheme == "https"
    try:
        addresses = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
        connected = await start_connection(addresses, happy_eyeballs_delay=0.25)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _FORGET)
        _, protocol = await loop.create_connection(
            lambda: ResponseHandler(loop),
            sock=connected,
            ssl=_trusted() if secure else None,
            server_hostname=origin.host if secure else None,
        )
    except OSError as error:
        raise Unreachable from error
    return Lane(origin, protocol)
