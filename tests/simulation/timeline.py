"""Virtual time: an event loop whose clock jumps to the next timer, and that can be killed."""

from __future__ import annotations

import asyncio
import contextlib
import selectors
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from rebalancer.core.instant import SECOND_MS


class Killed(BaseException):
    """The process died here; nothing of it runs any more."""


class Stuck(AssertionError):
    """Everything waits and no timer is set."""


class _Jumping(selectors.DefaultSelector):
    """Waits for nothing: where others would sleep, time jumps."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Stuck("every task waits and no timer is set")
        self.now_s += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs the coroutines of one life of the desk; `rounds` counts its turns."""

    def __init__(self, before_round: Callable[[int], None]) -> None:
        """Call `before_round` with its number, from 1, before each turn; it may raise Killed."""
        self._jumping = _Jumping()
        super().__init__(self._jumping)
        self.rounds = 0
        self._before_round = before_round

    def time(self) -> float:
        """Return the virtual seconds since this loop began."""
        return self._jumping.now_s

    def as_time(self) -> SimpleNamespace:
        """Return what stands in for the module `time` where a library reads the clock by itself."""
        return SimpleNamespace(monotonic=self.time)

    def _run_once(self) -> None:
        self.rounds += 1
        self._before_round(self.rounds)
        run: Any = super()
        run._run_once()

    def bury(self) -> None:
        """Forget every task; what its cleaning-up would still do comes to nothing."""
        tasks = asyncio.all_tasks(self)
        self.close()
        for task in tasks:
            inner: Any = task
            inner._log_destroy_pending = False
            with contextlib.suppress(BaseException):
                inner.get_coro().close()


class SimClock:
    """The desk's wall clock over a virtual loop; `step` is what an operator or NTP does to it."""

    def __init__(self, start_ms: int) -> None:
        self._base_ms = start_ms
        self._loop: VirtualLoop | None = None
        #: how far the desk's wall clock is ahead of the true time
        self.error_ms = 0

    def live_on(self, loop: VirtualLoop) -> None:
        """Let a new life of the desk carry the time on."""
        self._base_ms, self._loop = self.true_ms(), loop

    def pass_ms(self, length_ms: int) -> None:
        """Let time pass while no desk lives."""
        self._base_ms, self._loop = self.true_ms() + length_ms, None

    def true_ms(self) -> int:
        """Return the true time, which the venue goes by."""
        if self._loop is None:
            return self._base_ms
        return self._base_ms + round(self._loop.time() * SECOND_MS)

    def step(self, by_ms: int) -> None:
        """Set the desk's clock forward or back."""
        self.error_ms += by_ms

    def now_ms(self) -> int:
        """Return what the desk's clock shows."""
        return self.true_ms() + self.error_ms

    def seconds_until(self, at_ms: int) -> float:
        """Return how many seconds pass until the desk's clock shows `at_ms`."""
        return (at_ms - self.now_ms()) / SECOND_MS
