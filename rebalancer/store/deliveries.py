"""The queue of events for other programs, as rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Connection, delete, select, update

from rebalancer.core.instant import DAY_MS
from rebalancer.ports import Delivery, DeliveryStatus
from rebalancer.store.change import put as row_of
from rebalancer.store.projections import write
from rebalancer.store.rows import from_row
from rebalancer.store.tables import DELIVERIES

#: how long what is over is kept
KEPT_MS = 7 * DAY_MS


def put(connection: Connection, deliveries: Sequence[Delivery]) -> None:
    """Write each delivery as it stands, and forget those that were over long ago."""
    write(connection, [row_of(DELIVERIES, **asdict(each)) for each in deliveries])
    newest_ms = max(each.created_ms for each in deliveries)
    over = (DELIVERIES.c.status != DeliveryStatus.WAITING.value) & (
        DELIVERIES.c.created_ms < newest_ms - KEPT_MS
    )
    connection.execute(delete(DELIVERIES).where(over))


def replay(connection: Connection, receiver: str, since_ms: int, now_ms: int) -> int:
    """Let all that was told to a receiver since then wait anew; return how much that is."""
    told = (DELIVERIES.c.receiver == receiver) & (DELIVERIES.c.created_ms >= since_ms)
    anew = {"status": DeliveryStatus.WAITING.value, "due_ms": now_ms, "attempts": 0}
    return connection.execute(update(DELIVERIES).where(told).values(anew)).rowcount


def due(connection: Connection, receiver: str, now_ms: int, limit: int) -> tuple[Delivery, ...]:
    """Return what waits for a receiver and is due, the oldest first."""
    query = (
        select(DELIVERIES)
        .where(
            DELIVERIES.c.receiver == receiver,
            DELIVERIES.c.status == DeliveryStatus.WAITING.value,
            DELIVERIES.c.due_ms <= now_ms,
        )
        .order_by(DELIVERIES.c.created_ms, DELIVERIES.c.id)
        .limit(limit)
    )
    return tuple(from_row(Delivery, {**row}) for row in connection.execute(query).mappings())
