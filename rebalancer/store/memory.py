"""A store that forgets: the reference for what a store does, and the fake for tests and replays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from rebalancer.core.records import Record
from rebalancer.errors import BrokenInvariant, StoreUnavailable
from rebalancer.ports import Delivery, DeliveryStatus, NavView
from rebalancer.store.codec import CODEC


class MemoryStore:
    """Keeps records in a list. Give `records` of one store to the next to start a desk again.

    With `through_codec` every record is written as text and read back, as a database would: what
    `load` returns then shares nothing with what was committed.
    """

    def __init__(self, records: Sequence[Record] = (), *, through_codec: bool = False) -> None:
        self._through_codec = through_codec
        self._records: list[Record] = []
        self._keys: set[str] = set()
        self._closed = False
        #: what `save_views` was last given
        self.views: tuple[NavView, ...] = ()
        self.prices: dict[str, Decimal] = {}
        #: events for other programs, by id
        self.deliveries: dict[str, Delivery] = {}
        self._append(records)

    @property
    def records(self) -> tuple[Record, ...]:
        """Every record committed so far; may be read after `close` too."""
        return tuple(self._records)

    async def load(self) -> Sequence[Record]:
        """Return every record, oldest first."""
        self._refuse_if_closed()
        return self.records

    async def commit(
        self,
        records: Sequence[Record],
        meanwhile: Callable[[], None] | None = None,  # noqa: ARG002 - it never waits
    ) -> None:
        """Append all or none; a key that exists raises BrokenInvariant."""
        self._refuse_if_closed()
        self._append(records)

    async def save_views(self, views: Sequence[NavView], prices: Mapping[str, Decimal]) -> None:
        """Keep the views and prices in place of the last ones."""
        self._refuse_if_closed()
        self.views = tuple(views)
        self.prices = dict(prices)

    async def put_deliveries(self, deliveries: Sequence[Delivery]) -> None:
        """Keep each event for another program as it now stands."""
        self._refuse_if_closed()
        self.deliveries |= {each.id: each for each in deliveries}

    async def due_deliveries(self, receiver: str, now_ms: int, limit: int) -> Sequence[Delivery]:
        """Return what waits for a receiver and is due, the oldest first."""
        self._refuse_if_closed()
        found = [
            each
            for each in self.deliveries.values()
            if each.receiver == receiver
            and each.status is DeliveryStatus.WAITING
            and each.due_ms <= now_ms
        ]
        return sorted(found, key=lambda each: (each.created_ms, each.id))[:limit]

    async def replay_deliveries(self, receiver: str, since_ms: int, now_ms: int) -> int:
        """Let all that was told to a receiver since then wait anew."""
        self._refuse_if_closed()
        again = {
            each.id: replace(each, status=DeliveryStatus.WAITING, due_ms=now_ms, attempts=0)
            for each in self.deliveries.values()
            if each.receiver == receiver and each.created_ms >= since_ms
        }
        self.deliveries |= again
        return len(again)

    async def close(self) -> None:
        """Refuse everything from now on; may be called twice."""
        self._closed = True

    def _append(self, records: Sequence[Record]) -> None:
        keys: set[str] = set()
        for record in records:
            key = record.key
            if key is None:
                continue
            if key in keys or key in self._keys:
                raise BrokenInvariant(f"the journal already has a record with the key {key}")
            keys.add(key)
        kept = [self._kept(record) for record in records]
        self._keys |= keys
        self._records += kept

    def _kept(self, record: Record) -> Record:
        if not self._through_codec:
            return record
        encoded = CODEC.encode(record)
        return CODEC.decode(encoded.kind, encoded.body)

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store is closed")
