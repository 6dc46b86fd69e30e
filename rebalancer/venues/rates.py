"""Rate limits: how soon a request may leave, exactly by the venue's windows, bursts let through.

A venue counts a request when it arrives, which we do not see. A request therefore takes up its
place in a window from the moment it leaves until one window length after its answer came (or after
it was given up): whenever in between it was counted, the venue's window never holds more than its
limit.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rebalancer.errors import ensure


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """At most `limit` units of `name` in any `length_ms`; `reserve` of them are for orders."""

    name: str
    limit: int
    length_ms: int
    #: units that only urgent requests may use
    reserve: int = 0


Cost = Mapping[str, int]
"""What a request takes of each window, by the window's name; windows left out are not touched."""


@dataclass(slots=True)
class Ticket:
    """A request that was let through; `closed` once its answer is in."""

    cost: Cost
    #: when it certainly was counted; None while it is under way
    counted_ms: int | None = None


@dataclass(slots=True)
class _Use:
    """What is taken up of one window: `units`, those of requests under way included."""

    units: int = 0
    #: when a request was certainly counted, and its units; in the order of their answers
    counted: deque[tuple[int, int]] = field(default_factory=deque)
    #: those that have left the window less than its length ago: when, and their units
    left: deque[tuple[int, int]] = field(default_factory=deque)

    def now(self, window: Window, now_ms: int) -> int:
        """Return the units, after those that have left the window were given back."""
        counted, left, length_ms = self.counted, self.left, window.length_ms
        while counted and counted[0][0] + length_ms <= now_ms:
            counted_ms, units = counted.popleft()
            self.units -= units
            left.append((counted_ms + length_ms, units))
        while left and left[0][0] + length_ms <= now_ms:
            left.popleft()
        return self.units

    def since(self, window: Window, since_ms: int, now_ms: int) -> int:
        """Return the units with those that left the window only after `since_ms`."""
        units = self.now(window, now_ms)
        return units + sum(units for left_ms, units in self.left if left_ms > since_ms)


@dataclass(slots=True)
class Budget:
    """The windows of one venue and account (or address). Pure: time is an argument, never falls."""

    windows: Sequence[Window]
    #: by the window's name
    _uses: dict[str, _Use] = field(default_factory=dict)
    #: nothing may leave before: the venue said so
    _shut_until_ms: int = 0

    def __post_init__(self) -> None:
        self._uses = {window.name: _Use() for window in self.windows}

    def wait_ms(self, cost: Cost, now_ms: int, *, urgent: bool) -> int | None:
        """Return how long a request must wait: 0 for not at all, None while others must end first.

        A cost above what a window can ever grant raises BrokenInvariant.
        """
        longest: int = max(0, self._shut_until_ms - now_ms)
        for window in self.windows:
            units = cost.get(window.name, 0)
            if not units:
                continue
            wait = self._wait_in(window, units, now_ms, urgent=urgent)
            if wait is None:
                return None
            longest = max(longest, wait)
        return longest

    def _wait_in(self, window: Window, units: int, now_ms: int, *, urgent: bool) -> int | None:
        limit = window.limit if urgent else window.limit - window.reserve
        ensure(units <= limit, f"a request of {units} never fits into {window.name} of {limit}")
        use = self._uses[window.name]
        used = use.now(window, now_ms)
        if used + units <= limit:
            return 0
        for counted_ms, freed in use.counted:
            used -= freed
            if used + units <= limit:
                return counted_ms + window.length_ms - now_ms
        return None

    def take(self, cost: Cost) -> Ticket:
        """Let a request through; close its ticket when its answer is in."""
        ticket = Ticket({name: n for name, n in cost.items() if n and name in self._uses})
        for name, units in ticket.cost.items():
            self._uses[name].units += units
        return ticket

    def close(self, ticket: Ticket, now_ms: int) -> None:
        """Note that the request was counted by now at the latest; a second time changes nothing."""
        if ticket.counted_ms is not None:
            return
        ticket.counted_ms = now_ms
        for name, units in ticket.cost.items():
            self._uses[name].counted.append((now_ms, units))

    def told(self, name: str, used: int, asked_ms: int, now_ms: int) -> None:
        """Take the venue's own count of a window; where it is higher than ours, it is right.

        The venue counted after `asked_ms`, when the request left that it answered: what has left
        our window since then may be in its count.
        """
        for window in self.windows:
            if window.name == name:
                missing = used - self._uses[name].since(window, asked_ms, now_ms)
                if missing > 0:
                    self.close(self.take({name: missing}), now_ms)

    def used(self, window: Window, now_ms: int) -> int:
        """Return the units of `window` that are taken up."""
        return self._uses[window.name].now(window, now_ms)

    def shut(self, until_ms: int) -> None:
        """Let nothing through before `until_ms`: the venue refused us and named a time."""
        self._shut_until_ms = max(self._shut_until_ms, until_ms)


@dataclass(slots=True)
class Pace:
    """Spreads out what is asked again and again. Pure: time is an argument, never falls.

    Let through whenever a window has room, polls that are wished for more often than it allows
    would come in a burst, and then not at all for the rest of the window.
    """

    #: after how long one unit of a window may be followed by the next, by the window's name
    unit_ms: Mapping[str, float]
    #: so much of a window's pace may be used at once, by its name
    burst_ms: Mapping[str, int]
    #: until when all that was asked so far would last, asked evenly
    _lasts_ms: dict[str, float] = field(default_factory=dict)

    def take(self, cost: Cost, now_ms: int) -> int:
        """Give a request its place and return how long it must wait for it; 0 for not at all."""
        longest = 0.0
        for name, units in cost.items():
            begins_ms = max(self._lasts_ms.get(name, 0), now_ms)
            longest = max(longest, begins_ms - self.burst_ms[name] - now_ms)
            self._lasts_ms[name] = begins_ms + units * self.unit_ms[name]
        return math.ceil(longest)


def loop_ms() -> int:
    """Return the running loop's time, which nobody sets, in ms.

    By the wall's, a clock set back would hold every order up and one set forward break the limits.
    """
    return int(asyncio.get_running_loop().time() * 1_000)


class Limiter:
    """Makes requests wait for a budget: urgent ones first, each kind in its order of arrival."""

    def __init__(self, budget: Budget, now_ms: Callable[[], int] = loop_ms) -> None:
        self.budget = budget
        self._now_ms = now_ms
        self._waiting: dict[bool, deque[asyncio.Future[None]]] = {True: deque(), False: deque()}
        self._freed = asyncio.Event()

    def enter_now(self, cost: Cost) -> Ticket | None:
        """Let an urgent request of `cost` through where it need not wait; else return None."""
        if self._waiting[True] or self.budget.wait_ms(cost, self._now_ms(), urgent=True) != 0:
            return None
        return self.budget.take(cost)

    async def enter(self, cost: Cost, *, urgent: bool = False) -> Ticket:
        """Wait until a request of `cost` may leave; close its ticket with `leave`."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue = self._waiting[urgent]
        queue.append(turn)
        try:
            while not self._is_first(turn, urgent=urgent) or not await self._may_leave(
                cost, urgent=urgent
            ):
                self._freed.clear()
                await self._freed.wait()
            return self.budget.take(cost)
        finally:
            queue.remove(turn)
            self._freed.set()

    def leave(self, ticket: Ticket) -> None:
        """Note that the answer is in, or that none will be waited for."""
        self.budget.close(ticket, self._now_ms())
        self._freed.set()

    def took(self, cost: Cost) -> None:
        """Count what turned out only by its answer to have been taken."""
        self.leave(self.budget.take(cost))

    def now_ms(self) -> int:
        """Return the time that the limiter goes by."""
        return self._now_ms()

    def told(self, name: str, used: int, asked_ms: int) -> None:
        """Take the venue's own count of a window, told to a request that left at `asked_ms`."""
        self.budget.told(name, used, asked_ms, self._now_ms())

    def used(self) -> dict[Window, int]:
        """Return what is taken up of each window, by our count and the venue's where it tells."""
        now_ms = self._now_ms()
        return {window: self.budget.used(window, now_ms) for window in self.budget.windows}

    def shut(self, for_ms: int) -> None:
        """Let nothing through for so long: the venue refused us."""
        self.budget.shut(self._now_ms() + for_ms)

    def _is_first(self, turn: asyncio.Future[None], *, urgent: bool) -> bool:
        if not urgent and self._waiting[True]:
            return False
        return self._waiting[urgent][0] is turn

    async def _may_leave(self, cost: Cost, *, urgent: bool) -> bool:
        """Wait out what is known; False where something else has to end first."""
        while (wait_ms := self.budget.wait_ms(cost, self._now_ms(), urgent=urgent)) != 0:
            if wait_ms is None or (not urgent and self._waiting[True]):
                return False
            await asyncio.sleep(wait_ms / 1_000)
        return True
