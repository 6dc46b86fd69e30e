"""Virtual time: an event loop whose clock jumps to the next timer, and that can be killed."""

from __future__ import annotations

import asyncio
import contextlib
import warnings
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from heapq import heappop, heappush
from types import SimpleNamespace
from typing import Any

from rebalancer.core.instant import SECOND_MS


class Killed(BaseException):
    """The process died here; nothing of it runs any more."""


class Stuck(AssertionError):
    """Everything waits and no timer is set."""


class _Handle:
    """What is to be called, as asyncio hands it out; sorts by nothing, so it is never compared."""

    __slots__ = ("args", "callback", "context", "off", "when_s")

    def __init__(
        self, callback: Any, args: tuple[Any, ...], context: Context | None, when_s: float = 0.0
    ) -> None:
        self.callback, self.args, self.when_s = callback, args, when_s
        self.context = copy_context() if context is None else context
        self.off = False

    def cancel(self) -> None:
        """Call nothing any more."""
        self.off = True

    def cancelled(self) -> bool:
        """Whether it will not be called."""
        return self.off

    def when(self) -> float:
        """Return the loop's time at which it is called."""
        return self.when_s


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs the coroutines of one life of the desk; `rounds` counts its turns.

    It is asyncio's loop without what a day never uses: no sockets, no other threads, no debugging.
    A turn is what it is there: everything that is ready when it begins, timers in their order.
    """

    def __init__(self, before_round: Callable[[int], None], begun: int = 0) -> None:
        """Call `before_round` with its number, from `begun` + 1, before each turn.

        It may raise Killed.
        """
        super().__init__()
        self.now_s = 0.0
        self.rounds = begun
        self._before_round = before_round
        self._due: deque[_Handle] = deque()
        self._timers: list[tuple[float, int, _Handle]] = []
        self._timers_set = 0

    def time(self) -> float:
        """Return the virtual seconds since this loop began."""
        return self.now_s

    def as_time(self) -> SimpleNamespace:
        """Return what stands in for the module `time` where a library reads the clock by itself."""
        return SimpleNamespace(monotonic=self.time)

    def call_soon(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Context | None = None
    ) -> Any:
        """Call in the next turn."""
        handle = _Handle(callback, args, context)
        self._due.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Any, *args: Any, context: Context | None = None
    ) -> Any:
        """Call after so many virtual seconds."""
        return self.call_at(self.now_s + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> Any:
        """Call at a virtual time; what is due at the same time is called in the order asked for."""
        handle = _Handle(callback, args, context, when)
        self._timers_set += 1
        heappush(self._timers, (when, self._timers_set, handle))
        return handle

    def _run_once(self) -> None:
        self.rounds += 1
        try:
            self._before_round(self.rounds)
        except Killed:
            # Whoever was about to be told what failed in the last turn is dead, too.
            self.set_exception_handler(lambda _loop, _told: None)
            raise
        due, timers = self._due, self._timers
        while timers and timers[0][2].off:
            heappop(timers)
        if not due and not getattr(self, "_stopping", False):
            if not timers:
                raise Stuck("every task waits and no timer is set")
            self.now_s = max(self.now_s, timers[0][0])
        while timers and timers[0][0] <= self.now_s:
            due.append(heappop(timers)[2])
        for _ in range(len(due)):
            handle = due.popleft()
            if handle.off:
                continue
            try:
                handle.context.run(handle.callback, *handle.args)
            except Exception as error:  # noqa: BLE001 - as asyncio does: said, and the loop goes on
                told = {"message": f"in {handle.callback}", "exception": error}
                self.call_exception_handler(told)

    def bury(self) -> None:
        """Forget every task; what its cleaning-up would still do comes to nothing."""
        tasks = asyncio.all_tasks(self)
        self.close()
        with warnings.catch_warnings():
            # What a dead process was about to wait for is nobody's oversight.
            warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
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
        return self._base_ms + round(self._loop.now_s * SECOND_MS)

    def step(self, by_ms: int) -> None:
        """Set the desk's clock forward or back."""
        self.error_ms += by_ms

    def now_ms(self) -> int:
        """Return what the desk's clock shows."""
        return self.true_ms() + self.error_ms

    def seconds_until(self, at_ms: int) -> float:
        """Return how many seconds pass until the desk's clock shows `at_ms`."""
        return (at_ms - self.now_ms()) / SECOND_MS
