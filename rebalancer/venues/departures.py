"""When orders left this host: by a clock that nobody sets, and by the venue's own.

The desk's wall clock may be set while an order is unknown. Forward, and an order would count as
absent while its request can still be taken; and its trades would seem to lie before the order.
"""

from __future__ import annotations

import asyncio

from rebalancer.core.instant import SECOND_MS
from rebalancer.core.order import OrderIntent
from rebalancer.venues.venue_clock import VenueClock

#: an order is absent only this long after its request can no longer be taken
VISIBILITY_SECONDS = 10.0
#: how wrong the stamp of a request may be that the venue still takes
CLOCK_ERROR_SECONDS = 2.0
#: what a venue lets a request live for, where it does not say
LONGEST_VALIDITY_MS = 60 * SECOND_MS
#: trades are looked for from so long before an order left: the venue's clock is an estimate
BEFORE_MS = 15 * SECOND_MS
#: the same for an order of an earlier process, whose clock may have been off by as much as a start
#: allows
LONG_BEFORE_MS = 65 * SECOND_MS


class Departures:
    """The departures of one account's orders, as long as their fate is open."""

    def __init__(self, venue_clock: VenueClock, valid_ms: int | None) -> None:
        """Take `valid_ms` for how long the venue takes a request; None: it does not say."""
        self._venue_clock = venue_clock
        self._valid_seconds = (valid_ms or LONGEST_VALIDITY_MS) / SECOND_MS
        self._under_way: set[str] = set()
        #: when the request had left at the latest, in the loop's seconds
        self._left_s: dict[str, float] = {}
        #: when it left at the earliest, by the venue's clock
        self._begun_ms: dict[str, int] = {}
        #: a process before this one may have sent orders until this one began
        self.began_s = 0.0

    def begin(self) -> None:
        """Note that this process sends from now on; needs a running loop."""
        self.began_s = asyncio.get_running_loop().time()

    def leaving(self, intent: OrderIntent) -> None:
        """Note that the order is about to leave."""
        self._under_way.add(intent.client_order_id)
        self._begun_ms[intent.client_order_id] = self._venue_clock.now_ms()

    def left(self, intent: OrderIntent) -> None:
        """Note that whatever became of the request, it is not under way any more."""
        self._under_way.discard(intent.client_order_id)
        self._left_s[intent.client_order_id] = asyncio.get_running_loop().time()

    def forget(self, intent: OrderIntent) -> None:
        """Drop an order whose fate is known."""
        self._left_s.pop(intent.client_order_id, None)
        self._begun_ms.pop(intent.client_order_id, None)

    def may_still_arrive(self, intent: OrderIntent) -> bool:
        """Whether the venue may yet take a request of this order, or not show it yet."""
        if intent.client_order_id in self._under_way:
            return True
        return self.waited_ms(intent) < self.window_ms

    @property
    def window_ms(self) -> int:
        """How long after it left an order may yet be taken, or not be shown."""
        certain_s = self._valid_seconds + CLOCK_ERROR_SECONDS + VISIBILITY_SECONDS
        return round(certain_s * SECOND_MS)

    def waited_ms(self, intent: OrderIntent) -> int:
        """Return how long ago the order had left at the latest."""
        left_s = self._left_s.get(intent.client_order_id, self.began_s)
        return int((asyncio.get_running_loop().time() - left_s) * SECOND_MS)

    def since_ms(self, intent: OrderIntent) -> int:
        """Return an instant of the venue's clock before which the order has no trade.

        In whole seconds, which is what some venues count in.
        """
        begun_ms = self._begun_ms.get(intent.client_order_id)
        if begun_ms is not None:
            since_ms = begun_ms - BEFORE_MS
        else:
            since_ms = self._venue_clock.at(intent.created_ms) - LONG_BEFORE_MS
        return since_ms - since_ms % SECOND_MS
