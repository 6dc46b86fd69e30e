"""Where the desk's time comes from: the wall, the wall made faster, or somebody's hand.

No other file may read the system's time, so a replay cannot be reached by today's date.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from rebalancer.core.instant import SECOND_MS
from rebalancer.errors import InputRefused

if TYPE_CHECKING:
    from rebalancer.ports import Clock  # only named here: its imports cost each command 0.1 s

_NS_PER_MS = 1_000_000
_NS_PER_SECOND = 1_000_000_000


class WallClock:
    """The system's clock in UTC."""

    def now_ms(self) -> int:
        """Return the present instant."""
        return time.time_ns() // _NS_PER_MS

    def seconds_until(self, at_ms: int) -> float:
        """Return how many seconds pass until `at_ms` (0 or less: it is past).

        To the nanosecond: by the instant of `now_ms` it would be half a millisecond too long.
        """
        return (at_ms * _NS_PER_MS - time.time_ns()) / _NS_PER_SECOND


class FastClock:
    """A clock that starts at `start_ms` and runs `speed` times as fast as the wall's.

    It counts on the monotonic clock, so a stepped system clock does not move it.
    """

    def __init__(self, speed: int, start_ms: int) -> None:
        """Start now; a `speed` below 1 raises InputRefused."""
        if speed < 1:
            raise InputRefused(f"clock speed: {speed} must be a whole number of 1 or more")
        self._speed = speed
        self._start_ms = start_ms
        self._began_ns = time.monotonic_ns()

    def now_ms(self) -> int:
        """Return the present virtual instant."""
        elapsed_ns = time.monotonic_ns() - self._began_ns
        return self._start_ms + elapsed_ns * self._speed // _NS_PER_MS

    def seconds_until(self, at_ms: int) -> float:
        """Return how many real seconds pass until the virtual `at_ms`."""
        return (at_ms - self.now_ms()) / SECOND_MS / self._speed


class HeldClock:
    """A fast clock that stops at an instant until it is let go on to the next.

    A replay holds it at the prices that come next, so that they are never late: a slow machine
    makes the replay slower and not its prices sparser.
    """

    def __init__(self, clock: FastClock, hold_ms: int) -> None:
        """Stop at `hold_ms` first."""
        self._clock = clock
        self._hold_ms = hold_ms
        #: how long it was held in all
        self._lost_ms = 0

    def now_ms(self) -> int:
        """Return the present instant, which is never later than where it is held."""
        return min(self._clock.now_ms() - self._lost_ms, self._hold_ms)

    def seconds_until(self, at_ms: int) -> float:
        """Return how many seconds pass until `at_ms`, if it is not held before."""
        return self._clock.seconds_until(at_ms + self._lost_ms)

    def hold_at(self, at_ms: int) -> None:
        """Go on from where it stands, as far as `at_ms`."""
        self._lost_ms = self._clock.now_ms() - self.now_ms()
        self._hold_ms = max(at_ms, self._hold_ms)


class VirtualClock:
    """A clock that stands still until it is moved by hand; for replays and tests."""

    def __init__(self, start_ms: int = 0) -> None:
        """Stand at `start_ms`."""
        self._now_ms = start_ms

    def now_ms(self) -> int:
        """Return the instant it was last moved to."""
        return self._now_ms

    def seconds_until(self, at_ms: int) -> float:
        """Return the distance to `at_ms` in seconds; real time does not shorten it."""
        return (at_ms - self._now_ms) / SECOND_MS

    def set(self, at_ms: int) -> None:
        """Move to `at_ms`; backwards is allowed, because real clocks do it too."""
        self._now_ms = at_ms

    def advance(self, length_ms: int) -> None:
        """Move on by `length_ms`."""
        self._now_ms += length_ms


#: Clocks can be stepped, suspended or moved by hand: ask again at least this often.
LONGEST_NAP_S = 0.05


async def sleep_until(clock: Clock, at_ms: int) -> None:
    """Sleep until `clock` shows `at_ms` or later; lets other tasks run even where it is past.

    A clock that is set back meanwhile makes the sleep no longer: who polls prices every second
    would else not poll until the old time has come again.
    """
    seen_ms = clock.now_ms()
    await asyncio.sleep(0)
    while (delay_s := clock.seconds_until(at_ms)) > 0:
        await asyncio.sleep(min(delay_s, LONGEST_NAP_S))
        now_ms = clock.now_ms()
        at_ms -= max(0, seen_ms - now_ms)
        seen_ms = now_ms
