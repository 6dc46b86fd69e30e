"""An event loop whose time jumps: what waits for an hour is there at once, and nothing is faked.

Only for code that waits for timers; a loop that would wait for the outside raises instead.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Jumping(selectors.DefaultSelector):
    """Never sleeps: the time it was asked to wait for is over at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready, and let the time pass."""
        ready = super().select(0)
        if timeout is None and not ready:
            raise AssertionError("nothing will ever happen")
        if timeout and not ready:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop in virtual time, which begins at 0."""

    def __init__(self) -> None:
        self.jumping = _Jumping()
        super().__init__(self.jumping)

    def time(self) -> float:
        """Return the virtual seconds since the start."""
        return self.jumping.now

    def now_ms(self) -> int:
        """Return the same in whole milliseconds."""
        return int(self.time() * 1_000 + 1e-6)


def run_virtually(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end in a loop of its own."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
