"""The venue in memory: the loopback venue's protocol behind the desk's own transport port."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import heapq
import json
from collections import Counter
from collections.abc import Callable
from urllib.parse import urlsplit

from rebalancer.venues.evidence import Evidence
from rebalancer.venues.wire import Reply, SignedRequest
from tests.loopback.calls import Answer, Call
from tests.loopback.dialect import Dialect
from tests.loopback.faults import Fault, Faults, Shape, Taken
from tests.loopback.matching import Core
from tests.loopback.wire import spoil
from tests.simulation.day import Place, Sight
from tests.simulation.timeline import SimClock

PEER = "127.0.0.1"
TIMEOUT_SECONDS = 10.0
#: shapes of which the client sees no complete answer, and how long it looks
NO_ANSWER = {
    Shape.SILENCE: TIMEOUT_SECONDS,
    Shape.SLOW_HEADERS: TIMEOUT_SECONDS,
    Shape.SLOW_BODY: TIMEOUT_SECONDS,
    Shape.CLOSE: 0.0,
    Shape.RESET: 0.0,
    Shape.RESET_IN_BODY: 0.0,
    Shape.CUT_BODY: 0.0,
    Shape.CUT_CHUNK: 0.0,
    Shape.GARBAGE_STATUS: 0.0,
    Shape.ONLY_INFORMATIONAL: 0.0,
    Shape.BROKEN_GZIP: 0.0,
}


#: ends of a path -> the place that answers, of either venue; XT's list by client id is one order
_PLACES: dict[str, Place] = {
    "order": Place.ONE,
    "detail": Place.ONE,
    "allOrders": Place.LISTS,
    "openOrders": Place.LISTS,
    "list-history": Place.LISTS,
    "order/list": Place.LISTS,
    "userTrades": Place.TRADES,
    "trade-list": Place.TRADES,
}
_POSITIONS = ("positionRisk", "position/list")


class Exchange:
    """One venue for a whole day, over every life of the desk."""

    def __init__(self, dialect: Dialect, clock: SimClock) -> None:
        self.dialect = dialect
        self.clock = clock
        self.faults = Faults()
        #: answers everything with the venue's maintenance answer until then
        self.maintenance_until_ms = 0
        #: how often each client order id was sent in a request that left the desk
        self.sent: Counter[str] = Counter()
        #: called with the client order id of every order before it leaves
        self.on_send: Callable[[str], None] = lambda _id: None
        #: requests that have left the desk, and answers that have left the venue
        self.requests = self.answers = 0
        self._late: list[tuple[int, int, Call]] = []
        #: how the venue shows an order whose answer was lost; what it shows instead, and since when
        self.sight: Sight | None = None
        self._before: tuple[Core, int] | None = None
        #: since when the venue answers questions about orders again
        self._awake_ms: int | None = None
        #: from when on every second list of positions is empty
        self.empties_from_ms: int | None = None
        self._told_empty = False
        #: whether anything has gone wrong yet of what is planned here
        self.struck = False

    @property
    def core(self) -> Core:
        """The market and its accounts, with everything done that was under way."""
        self.catch_up()
        return self.dialect.core

    def catch_up(self) -> None:
        """Take what arrived late; it does, whether the desk lives or not."""
        while self._late and self._late[0][0] <= self.clock.true_ms():
            at_ms, _, call = heapq.heappop(self._late)
            self.dialect.act(
                self.dialect.core, dataclasses.replace(call, late_ms=at_ms - call.at_ms)
            )

    def answer(self, call: Call) -> tuple[Answer, Fault | None]:
        """Return what the venue sends back, and the fault that spoils the wire, if any."""
        self.catch_up()
        if call.at_ms < self.maintenance_until_ms:
            self.struck = True
            return self.dialect.phrase("maintenance", call.at_ms), None
        refusal = self.dialect.admit(call)
        if refusal is not None:
            return self.dialect.stamp(call, refusal), None
        fault = self.faults.take(call)
        if fault is None:
            return self.dialect.stamp(call, self._honest(call)), None
        self.struck = True
        if self.sight is not None:
            self._before = (copy.deepcopy(self.dialect.core), call.at_ms)
            self.maintenance_until_ms = call.at_ms + self.sight.down_ms
        honest = self._taken(fault, call)
        spoilt = spoil(fault.shape, call, honest, self.dialect)
        return self.dialect.stamp(call, spoilt), fault

    def _honest(self, call: Call) -> Answer:
        """Answer with what the place that is asked knows by now."""
        if call.path.endswith(_POSITIONS):
            return self._positions(call)
        if self._before is not None and self.sight is not None:
            (before, at_ms), place = self._before, _place(call)
            stale_ms = self.sight.stale_ms.get(place, 0) if place else 0
            back_ms = at_ms + self.sight.down_ms
            if self.sight.wakes and place:
                self._awake_ms = back_ms = self._awake_ms or call.at_ms
            if call.at_ms < back_ms + stale_ms:
                if place in self.sight.refusing:
                    return self.dialect.phrase("busy", call.at_ms)
                return self.dialect.act(before if stale_ms else self.dialect.core, call)
        return self.dialect.act(self.dialect.core, call)

    def _positions(self, call: Call) -> Answer:
        from_ms = self.empties_from_ms
        empty = from_ms is not None and call.at_ms >= from_ms and not self._told_empty
        self._told_empty = empty
        if not empty:
            return self.dialect.act(self.dialect.core, call)
        self.struck = True
        flat = copy.deepcopy(self.dialect.core)
        for account in flat.accounts.values():
            account.positions.clear()
        return self.dialect.act(flat, call)

    def _taken(self, fault: Fault, call: Call) -> Answer:
        if fault.taken is Taken.FIRST:
            return self.dialect.act(self.dialect.core, call)
        if fault.taken is Taken.LATER:
            at_ms = call.at_ms + fault.late_ms
            heapq.heappush(self._late, (at_ms, len(self._late), call))
        return self.dialect.act(copy.deepcopy(self.dialect.core), call)


class SimTransport:
    """Stands in for the product's transport; a desk's life has one of its own."""

    def __init__(self, exchange: Exchange, latency_s: Callable[[], float]) -> None:
        self._exchange = exchange
        self._latency_s = latency_s

    async def send(self, request: SignedRequest) -> Reply:
        """Carry a request to the venue in memory, and its answer back."""
        exchange = self._exchange
        call = _call(request, exchange.clock.true_ms())
        order_ids = _order_ids(call)
        for order_id in order_ids:
            exchange.on_send(order_id)
        exchange.requests += 1
        await asyncio.sleep(self._latency_s())
        call = dataclasses.replace(call, at_ms=exchange.clock.true_ms())
        exchange.sent.update(order_ids)
        answer, fault = exchange.answer(call)
        exchange.answers += 1
        await asyncio.sleep(self._latency_s())
        if fault is not None and fault.shape in NO_ANSWER:
            await asyncio.sleep(NO_ANSWER[fault.shape])
            return Reply(Evidence(left=True, failure=f"simulated: {fault.shape}"), {})
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Reply(Evidence(left=True, status=answer.status, body=answer.body.decode()), headers)

    async def close(self) -> None:
        """Nothing to give up."""


def _place(call: Call) -> Place | None:
    if call.method != "GET":
        return None
    if call.params.get("clientOrderId"):
        return Place.ONE
    return next((place for end, place in _PLACES.items() if call.path.endswith(f"/{end}")), None)


def _call(request: SignedRequest, at_ms: int) -> Call:
    parts = urlsplit(request.url)
    return Call(
        method=request.method,
        path=parts.path,
        query=parts.query,
        body=(request.body or "").encode(),
        headers={name.lower(): value for name, value in request.headers.items()},
        peer=PEER,
        at_ms=at_ms,
    )


def _order_ids(call: Call) -> tuple[str, ...]:
    """Return our client ids in a request that makes orders; none for any other."""
    if call.method != "POST":
        return ()
    orders = [call.params]
    if call.body.startswith(b"{"):
        orders = [json.loads(call.body)]
    elif "batchOrders" in call.params:
        orders = json.loads(call.params["batchOrders"])
    ids = (order.get("newClientOrderId", order.get("clientOrderId")) for order in orders)
    return tuple(each for each in ids if each)
