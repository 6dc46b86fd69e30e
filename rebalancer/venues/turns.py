"""One send per turn of the event loop: each leaves while the next is being signed.

Signing takes milliseconds in which nothing else happens. Sixty sends that began together would all
be signed before the first byte of any had left.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Turns:
    """Hands out turns in the order they were asked for; use inside the running loop."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._calm = asyncio.Event()
        self._calm.set()

    async def take(self) -> None:
        """Wait for a turn; the first, when nobody has one, is there at once."""
        loop = asyncio.get_running_loop()
        if not self._calm.is_set():
            turn: asyncio.Future[None] = loop.create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if not turn.cancelled():  # it was this one's turn already
                    self._pass_on()
                raise
        self._calm.clear()
        loop.call_soon(self._pass_on)

    async def all_taken(self) -> None:
        """Wait until nobody waits for a turn: answers are read once every send has begun."""
        await self._calm.wait()

    def _pass_on(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # it may have been given up
                turn.set_result(None)
                return
        self._calm.set()
