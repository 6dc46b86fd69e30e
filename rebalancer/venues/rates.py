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
from enum import IntEnum

from rebalancer.errors import ensure


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """At most `limit` units of `name` in any `length_ms`; `reserve` of them are for orders."""

    name: str
    limit: int
    length_ms: int
    #: units that only urgent requests may use
    reserve: int = 0


#: while prices were polled so lately, what is asked of an account takes half of a window at most
POLLED_MS = 10_000

Cost = Mapping[str, int]
"""What a request takes of each window, by the window's name; windows left out are not touched."""


@dataclass(slots=True)
class Ticket:
    """A request that was let through; `closed` once its answer is in."""

    cost: Cost
    #: when it certainly was counted; None while it is under way
    counted_ms: int | None = None
    #: whether it asks something of an account
    asked: bool = False


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
    #: what of it is taken up by what was asked of accounts
    _asked: dict[str, _Use] = field(default_factory=dict)
    #: when prices were last polled, by the window that this takes of
    _polled_ms: dict[str, int] = field(default_factory=dict)
    #: nothing may leave before: the venue said so
    _shut_until_ms: int = 0

    def __post_init__(self) -> None:
        self._uses = {window.name: _Use() for window in self.windows}
        self._asked = {window.name: _Use() for window in self.windows}

    def wait_ms(self, cost: Cost, now_ms: int, *, urgent: bool, polled: bool = False) -> int | None:
        """Return how long a request must wait: 0 for not at all, None while others must end first.

        `polled`: it asks for prices, which go before what is asked of an account. A cost above
        what a window can ever grant raises BrokenInvariant.
        """
        longest: int = max(0, self._shut_until_ms - now_ms)
        for window in self.windows:
            units = cost.get(window.name, 0)
            if not units:
                continue
            room = window.limit if urgent else window.limit - window.reserve
            ensure(units <= room, f"a request of {units} never fits into {window.name} of {room}")
            waits = [_wait_in(self._uses[window.name], window, units, room, now_ms)]
            if not urgent and not polled:
                share = max(units, room // 2) if self._is_polled(window, now_ms) else room
                # Where nothing is polled as well: what has left the window is given back by it.
                waits.append(_wait_in(self._asked[window.name], window, units, share, now_ms))
            for wait in waits:
                if wait is None:
                    return None
                longest = max(longest, wait)
        return longest

    def _is_polled(self, window: Window, now_ms: int) -> bool:
        polled_ms = self._polled_ms.get(window.name)
        return polled_ms is not None and now_ms - polled_ms < POLLED_MS

    def poll(self, cost: Cost, now_ms: int) -> Ticket:
        """Let a question for prices through."""
        self._polled_ms |= dict.fromkeys(cost, now_ms)
        return self.take(cost)

    def ask(self, cost: Cost) -> Ticket:
        """Let something through that is asked of an account."""
        ticket = self.take(cost)
        ticket.asked = True
        for name, units in ticket.cost.items():
            self._asked[name].units += units
        return ticket

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
            if ticket.asked:
                self._asked[name].counted.append((now_ms, units))

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


def _wait_in(use: _Use, window: Window, units: int, room: int, now_ms: int) -> int | None:
    """Return how long `units` must wait for `room`; None where others must end first."""
    used = use.now(window, now_ms)
    if used + units <= room:
        return 0
    for counted_ms, freed in use.counted:
        used -= freed
        if used + units <= room:
            return counted_ms + window.length_ms - now_ms
    return None


#: so much of a pace may be used up at once: a start asks for markets and the clock
BURST_MS = 3_000


@dataclass(slots=True)
class Pace:
    """Spreads out what is asked again and again. Pure: time is an argument, never falls.

    Let through whenever a window has room, polls that are wished for more often than it allows
    would come in a burst, and then not at all for the rest of the window. A burst is made good for
    only by a whole window without any.
    """

    #: after how long one unit of a window may be followed by the next, by the window's name
    unit_ms: Mapping[str, float]
    length_ms: Mapping[str, int]
    #: from when the next may come, evenly, by the window's name; and how much sooner it still may
    _free_ms: dict[str, float] = field(default_factory=dict)
    _sooner_ms: dict[str, float] = field(default_factory=dict)

    def take(self, cost: Cost, now_ms: int) -> int:
        """Give a request its place and return the ms it must wait for it; 0 for not at all."""
        early_ms = {name: self._early_ms(name, now_ms) for name in cost}
        waits = (early - self._sooner_ms[name] for name, early in early_ms.items())
        wait_ms = math.ceil(max(0, *waits))
        for name, units in cost.items():
            self._sooner_ms[name] -= max(0, early_ms[name] - wait_ms)
            self._free_ms[name] = now_ms + wait_ms + units * self.unit_ms[name]
        return wait_ms

    def _early_ms(self, name: str, now_ms: int) -> float:
        free_ms = self._free_ms.get(name)
        if free_ms is None or free_ms + self.length_ms[name] <= now_ms:
            self._sooner_ms[name] = min(BURST_MS, self.length_ms[name])
            return 0
        return max(0, free_ms - now_ms)


def loop_ms() -> int:
    """Return the running loop's time, which nobody sets, in ms.

    By the wall's, a clock set back would hold every order up and one set forward break the limits.
    """
    return int(asyncio.get_running_loop().time() * 1_000)


class _Rank(IntEnum):
    """Who goes first."""

    URGENT = 0
    POLLED = 1
    OTHER = 2


class Limiter:
    """Makes requests wait for a budget, each kind in its order of arrival.

    Urgent ones go first, then those for prices.
    """

    def __init__(self, budget: Budget, now_ms: Callable[[], int] = loop_ms) -> None:
        self.budget = budget
        self._now_ms = now_ms
        self._waiting: dict[_Rank, deque[asyncio.Future[None]]] = {rank: deque() for rank in _Rank}
        self._freed = asyncio.Event()

    def enter_now(self, cost: Cost) -> Ticket | None:
        """Let an urgent request of `cost` through where it need not wait; else return None."""
        if (
            self._waiting[_Rank.URGENT]
            or self.budget.wait_ms(cost, self._now_ms(), urgent=True) != 0
        ):
            return None
        return self.budget.take(cost)

    async def enter(self, cost: Cost, *, urgent: bool = False, polled: bool = False) -> Ticket:
        """Wait until a request of `cost` may leave; close its ticket with `leave`.

        `polled`: it asks for prices.
        """
        rank = _Rank.URGENT if urgent else _Rank.POLLED if polled else _Rank.OTHER
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue = self._waiting[rank]
        queue.append(turn)
        try:
            while not self._is_first(turn, rank) or not await self._may_leave(cost, rank):
                self._freed.clear()
                await self._freed.wait()
            if rank is _Rank.POLLED:
                return self.budget.poll(cost, self._now_ms())
            return self.budget.take(cost) if urgent else self.budget.ask(cost)
        finally:
            queue.remove(turn)
            self._freed.set()

    def leave(self, ticket: Ticket) -> None:
        """Note that the answer is in, or that none will be waited for."""
        self.budget.close(ticket, self._now_ms())
        self._freed.set()

    def took(self, cost: Cost) -> None:
        """Count what turned out only by its answer to have been taken."""
        self.leave(self.budget.ask(cost))

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

    def _is_first(self, turn: asyncio.Future[None], rank: _Rank) -> bool:
        return self._waiting[rank][0] is turn and not self._has_others_before(rank)

    def _has_others_before(self, rank: _Rank) -> bool:
        return any(self._waiting[higher] for higher in _Rank if higher < rank)

    async def _may_leave(self, cost: Cost, rank: _Rank) -> bool:
        """Wait out what is known; False where something else has to end first."""
        urgent, polled = rank is _Rank.URGENT, rank is _Rank.POLLED
        while True:
            now_ms = self._now_ms()
            wait_ms = self.budget.wait_ms(cost, now_ms, urgent=urgent, polled=polled)
            if wait_ms == 0:
                return True
            if wait_ms is None or self._has_others_before(rank):
                return False
            await asyncio.sleep(wait_ms / 1_000)
