"""uvicorn in the desk's own event loop: sockets of ours, no signals, nothing written by itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from rebalancer.api.guarding import Tls
from rebalancer.errors import ConfigRefused

BACKLOG = 1_024
#: WebSocket pings: a peer that does not answer within this is gone
PING_SECONDS = 15.0
#: connections of one listener; more are answered 503
CONNECTIONS_MAX = 5_000
STOP_SECONDS = 2


class QuietServer(uvicorn.Server):
    """A server that leaves the process's signals to the desk."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


class Listener:
    """One address and the application behind it."""

    def __init__(self, setting: str, host: str, port: int, app: Any, tls: Tls | None) -> None:
        """Take the address at once; ConfigRefused names the `setting` where it cannot be had."""
        self._setting = setting
        self._socket = bound(setting, host, port)
        config = uvicorn.Config(
            app,
            http="h11",
            ws="websockets-sansio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            # A deflate state for each reader would cost more than it saves, in time and memory.
            ws_per_message_deflate=False,
            ws_max_size=4_096,
            ws_ping_interval=PING_SECONDS,
            ws_ping_timeout=PING_SECONDS,
            limit_concurrency=CONNECTIONS_MAX,
            backlog=BACKLOG,
            timeout_graceful_shutdown=STOP_SECONDS,
            ssl_certfile=None if tls is None else str(tls.certificate),
            ssl_keyfile=None if tls is None else str(tls.key),
        )
        for name in ("uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._server = QuietServer(config)
        self._running: asyncio.Task[None] | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens; the port is the real one where 0 was asked for."""
        host, port = self._socket.getsockname()[:2]
        return str(host), int(port)

    async def start(self) -> None:
        """Accept connections from now on."""
        self._running = asyncio.create_task(
            self._server.serve(sockets=[self._socket]), name=f"listener {self._setting}"
        )
        while not self._server.started and not self._running.done():  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.005)
        if self._running.done():
            self._running.result()

    def abandon(self) -> None:
        """Give the address back before anything was started."""
        self._socket.close()

    async def close(self) -> None:
        """Accept nothing more and end every connection; may be called twice."""
        self._server.should_exit = True
        if self._running is not None:
            running, self._running = self._running, None
            with contextlib.suppress(asyncio.CancelledError):
                await running
        self._socket.close()


def bound(setting: str, host: str, port: int) -> socket.socket:
    """Take an address; ConfigRefused names the `setting` where it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
    except OSError as error:
        made.close()
        raise ConfigRefused(
            f"{setting}: cannot listen on {host} port {port}: {error.strerror}; choose another "
            "port, or end what uses it"
        ) from None
    made.setblocking(False)
    return made
