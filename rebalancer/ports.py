"""The doors of the core: what a clock, a price feed, a venue, a store and a publisher must do.

Everything that touches the world implements one of these; `bootstrap.py` decides which.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol

from rebalancer.core.events import Event, PricesObserved
from rebalancer.core.order import OrderIntent
from rebalancer.core.records import Record

Emit = Callable[[Event], None]
"""How anything outside tells the desk something: into the inbox, never into the engine."""

Submission = Coroutine[Any, Any, None]
"""What `Venue.submit` does, not yet begun."""


class Clock(Protocol):
    """The desk's time; may run faster than the wall's."""

    def now_ms(self) -> int:
        """Return the present instant."""

    def seconds_until(self, at_ms: int) -> float:
        """Return how many real seconds pass until `at_ms` (0 or less: it is past)."""


class PriceFeed(Protocol):
    """A source of prices. Refuses bad data itself; what it yields is finite and above zero."""

    def prices(self) -> AsyncIterator[PricesObserved]:
        """Yield prices until there are no more."""

    async def close(self) -> None:
        """Give up every connection; may be called twice."""


class Venue(Protocol):
    """One account at a place to trade. Whatever it learns it emits; it answers nothing."""

    async def start(self, emit: Emit) -> None:
        """Connect; from now on reports go to `emit`."""

    def prepare(self, intents: Sequence[OrderIntent]) -> None:
        """Make ready what sending these orders will take, as far as there is anything.

        Their intents are being written: nothing may be sent, and it may come to nothing. Returns
        soon and raises nothing.
        """

    async def submit(self, intent: OrderIntent) -> None:
        """Send the order once and emit the evidence; raises nothing about the outcome."""

    def submit_all(self, intents: Sequence[OrderIntent]) -> Sequence[Submission]:
        """Return a submission per order, of different contracts; each must be awaited, at once.

        Together they may need fewer requests than one per order, yet each has its own outcome and
        ends as soon as its own order is followed to its end.
        """

    async def query(self, intent: OrderIntent) -> None:
        """Find out what became of the order and emit the evidence."""

    async def report_positions(self) -> None:
        """Emit what the account holds."""

    async def close(self) -> None:
        """Give up every connection; may be called twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NavView:
    """A fund as a reader sees it at one instant; a view, not a record."""

    fund: str
    at_ms: int
    #: None while no price is known, or where equity is not above zero
    nav: Decimal | None
    formula_nav: Decimal | None
    leverage: Decimal | None
    target_leverage: Decimal
    equity: Decimal | None
    shares: Decimal
    #: the age of the oldest price in it
    price_at_ms: int | None
    #: whether that price is older than the fund allows
    stale: bool
    trading: str
    run: str
    next_fixed_ms: int | None
    #: price of the token on its secondary market / account NAV - 1; None without a live quote, or
    #: where the NAV is stale
    premium: Decimal | None = None
    #: none, warn or halt; empty where nobody watches the premium
    premium_stage: str = ""


class DeliveryStatus(StrEnum):
    """What became of an event that is sent to another program."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one receiver; times are the wall's."""

    #: the same at every attempt: receivers tell repetitions by it
    id: str
    receiver: str
    body: str
    created_ms: int
    #: when it is to be sent next
    due_ms: int
    attempts: int = 0
    status: DeliveryStatus = DeliveryStatus.WAITING


class Deliveries(Protocol):
    """A durable queue of what is sent to other programs. Raises StoreUnavailable."""

    async def put_deliveries(self, deliveries: Sequence[Delivery]) -> None:
        """Keep each as it now stands, in place of the one with its id; all or none."""

    async def due_deliveries(self, receiver: str, now_ms: int, limit: int) -> Sequence[Delivery]:
        """Return what waits for a receiver and is due, the oldest first."""

    async def replay_deliveries(self, receiver: str, since_ms: int, now_ms: int) -> int:
        """Let all that was told to a receiver since then, and is still kept, wait anew.

        Returns how much that is; each keeps its id, by which the receiver knows it.
        """


class Store(Deliveries, Protocol):
    """Where records live. Raises StoreUnavailable; a commit that raised may have happened."""

    async def load(self) -> Sequence[Record]:
        """Return every record, oldest first, after checking the chain."""

    async def commit(
        self, records: Sequence[Record], meanwhile: Callable[[], None] | None = None
    ) -> None:
        """Append all or none, durably; a key that exists raises BrokenInvariant.

        A store that has to wait for its disk calls `meanwhile` while it does; it must not raise.
        Whoever has something to do meanwhile is in a hurry. A store that is done at once need not
        call it.
        """

    async def save_views(self, views: Sequence[NavView], prices: Mapping[str, Decimal]) -> None:
        """Replace what readers see of the funds and prices now; not part of the chain."""

    async def close(self) -> None:
        """Give up the database and the lock; may be called twice."""


class Publisher(Protocol):
    """Whoever wants to know what happened."""

    def publish(self, records: Sequence[Record]) -> None:
        """Take committed records; must not block and must not raise."""


class Service(Protocol):
    """Something that lives beside the desk and decides nothing, such as the HTTP interface."""

    async def start(self) -> None:
        """Begin; raises where it cannot, and then the desk does not start."""

    async def close(self) -> None:
        """End; may be called twice, and without a start."""
