"""The dry-run venue: writes down what would have been sent, and sends nothing.

So that later decisions stay those of a desk that trades, every order counts as filled at the mark
that sized it, at no cost. It holds no credentials and opens no connection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import structlog

from rebalancer.core.events import FillReported, OrderReported, PositionsReported
from rebalancer.core.money import ZERO
from rebalancer.core.order import Fill, OrderIntent, Outcome
from rebalancer.ports import Clock, Emit, Submission

_log = structlog.get_logger(__name__)


class DryRunVenue:
    """One account on which nothing happens; `would_send` holds every order of this process."""

    def __init__(self, account: str, held: Mapping[str, Decimal], clock: Clock) -> None:
        """Take over what the records say the account holds, in signed base coins."""
        self.would_send: list[OrderIntent] = []
        self._taken: set[str] = set()
        self._account = account
        self._units = dict(held)
        self._clock = clock
        self._emit: Emit | None = None

    async def start(self, emit: Emit) -> None:
        """Send reports to `emit` from now on."""
        self._emit = emit

    def prepare(self, intents: Sequence[OrderIntent]) -> None:
        """Nothing can be made ready for orders that go nowhere."""

    async def submit(self, intent: OrderIntent) -> None:
        """Write the order down and count it as filled; a repeated id is the same order."""
        if intent.client_order_id in self._taken:
            await self.query(intent)
            return
        self._taken.add(intent.client_order_id)
        self.would_send.append(intent)
        _log.info("would_send", **intent.log_fields)
        now_ms = self._clock.now_ms()
        self._units[intent.contract] = self._units.get(intent.contract, ZERO) + intent.units
        if self._emit is None:
            return
        fill = Fill(
            trade_id=f"dry-{intent.client_order_id}",
            client_order_id=intent.client_order_id,
            price=intent.mark,
            contracts=intent.contracts,
            fee=ZERO,
            at_ms=now_ms,
        )
        self._emit(FillReported(now_ms, fill))
        self._emit(
            OrderReported(
                now_ms, intent.client_order_id, Outcome.CLOSED, filled_contracts=intent.contracts
            )
        )

    def submit_all(self, intents: Sequence[OrderIntent]) -> Sequence[Submission]:
        """Submit the orders side by side."""
        return [self.submit(intent) for intent in intents]

    async def query(self, intent: OrderIntent) -> None:
        """Report an order of an earlier process as over: what was not booked never was."""
        if self._emit is not None:
            now_ms = self._clock.now_ms()
            self._emit(OrderReported(now_ms, intent.client_order_id, Outcome.CLOSED))

    async def report_positions(self) -> None:
        """Report what the records and this process's orders add up to."""
        if self._emit is not None:
            held = {symbol: units for symbol, units in self._units.items() if units}
            self._emit(PositionsReported(self._clock.now_ms(), self._account, held))

    async def close(self) -> None:
        """Nothing to give up."""
