"""Questions to a venue about orders: the table's calls, put through the client, costs counted."""

from __future__ import annotations

from typing import Any

from rebalancer.errors import InputRefused, VenueUnavailable
from rebalancer.venues.ccxt_client import CcxtClient
from rebalancer.venues.facts_shape import Ask, Call, VenueFacts


class Questions:
    """Asks one venue; an answer that cannot be read is none."""

    def __init__(self, client: CcxtClient, facts: VenueFacts) -> None:
        self._client = client
        self._facts = facts

    async def ask(self, call: Call, kind: Ask) -> Any:
        """Return the answer; raises NoSuchOrder, or VenueUnavailable where there is none."""
        try:
            limits = self._facts.limits
            rows = limits.rows.get(kind, 0)
            return await self._client.ask(call.carry_out, limits.costs[kind], rows)
        except InputRefused as unreadable:
            raise VenueUnavailable(f"{self._facts.venue_id}: {unreadable}") from None
