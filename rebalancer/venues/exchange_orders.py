"""Orders at an exchange: sent once, then asked about until their end is known, fill by fill."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import structlog

from rebalancer.core.contract import Contract
from rebalancer.core.events import Event, FillReported, OrderReported
from rebalancer.core.money import ZERO, number, positive, total
from rebalancer.core.order import Absence, Fill, OrderIntent, Outcome
from rebalancer.errors import VenueUnavailable
from rebalancer.ports import Clock, Emit, Submission
from rebalancer.venues.ccxt_client import CcxtClient
from rebalancer.venues.departures import Departures
from rebalancer.venues.evidence import Finding
from rebalancer.venues.exchange_lists import WholeLists, own_trades
from rebalancer.venues.exchange_search import OrderSearch
from rebalancer.venues.exchange_sends import OrderSends
from rebalancer.venues.facts_shape import Ask, Call, Unit, VenueFacts
from rebalancer.venues.questions import Questions
from rebalancer.venues.venue_clock import VenueClock

_log = structlog.get_logger(__name__)

#: an IOC order is over at once; its end and its trades may take this long to be seen
SETTLE_TRIES = 6
SETTLE_PAUSE_SECONDS = 0.25
#: statuses of ccxt's unified orders that end an order; the last is XT's word for an order of which
#: a part filled and the rest is gone, which ccxt passes on as it is
ENDED = frozenset({"closed", "canceled", "cancelled", "expired", "rejected", "PARTIALLY_CANCELED"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One order as the venue describes it."""

    over: bool
    #: contracts filled in all
    filled_contracts: Decimal


class _Anothers(VenueUnavailable):
    """What the venue showed is another order than the one that was asked for."""


class ExchangeOrders:
    """Sends and settles the orders of one account."""

    def __init__(
        self,
        client: CcxtClient,
        facts: VenueFacts,
        contracts: Mapping[str, Contract],
        clock: Clock,
        *,
        leverage: int | None = None,
    ) -> None:
        self._facts = facts
        self._contracts = contracts
        self._clock = clock
        self._questions = Questions(client, facts)
        venue_clock = VenueClock(clock, client)
        self.departures = Departures(venue_clock, facts.valid_ms)
        self._search = OrderSearch(client, facts, self._questions, self.departures, venue_clock)
        self._sends = OrderSends(client, facts, contracts, leverage=leverage)
        self._trades = WholeLists(self._questions.ask, facts.venue_id, venue_clock)
        self._listing = own_trades(facts)
        #: orders that the last look, and the first after their window, found nowhere
        self._absent_once: set[str] = set()

    def prepare(self, intents: Sequence[OrderIntent]) -> None:
        """Write and sign the first request that sending the orders will take."""
        self._sends.prepare(intents)

    async def submit(self, intent: OrderIntent, emit: Emit) -> None:
        """Send the order once; emit what is proved of it, then its fills and its end."""
        await self._submit(intent, self._sends.send(intent), emit)

    def submit_all(self, intents: Sequence[OrderIntent], emit: Emit) -> Sequence[Submission]:
        """Return a submission per order, of different contracts; together they leave soonest."""
        sends = self._sends.send_all(intents)
        return [
            self._submit(intent, send, emit) for intent, send in zip(intents, sends, strict=True)
        ]

    async def _submit(
        self, intent: OrderIntent, send: Coroutine[Any, Any, Finding], emit: Emit
    ) -> None:
        self.departures.leaving(intent)
        try:
            finding = await send
        finally:
            self.departures.left(intent)
        if finding.outcome in (Outcome.REJECTED, Outcome.NEVER_SENT):
            self.departures.forget(intent)
        # An id alone may be another order's: it counts once the order under it names ours.
        proved = finding.order_id if self._facts.judge.echoes_client_id else ""
        emit(self._report(intent, finding.outcome, order_id=proved, why=finding.reason))
        if finding.outcome is not Outcome.ACCEPTED:
            return
        if finding.order_id:
            await self._settle_or_say_unknown(intent, finding.order_id, emit)
        else:
            await self.query(intent, emit)

    async def query(self, intent: OrderIntent, emit: Emit) -> None:
        """Find the order by its client id; emit its fills and end, or that it is absent."""
        try:
            order_id = await self._search.find(intent)
        except VenueUnavailable as outage:
            self._absent_once.discard(intent.client_order_id)
            emit(self._report(intent, Outcome.UNKNOWN, why=str(outage)))
            return
        if order_id is not None:
            self._absent_once.discard(intent.client_order_id)
            await self._settle_or_say_unknown(intent, order_id, emit)
            return
        emit(self._absent_or_unknown(intent))

    async def _settle_or_say_unknown(self, intent: OrderIntent, order_id: str, emit: Emit) -> None:
        try:
            events = await self._settle(intent, order_id)
        except _Anothers as mistaken:
            events = (self._report(intent, Outcome.UNKNOWN, why=str(mistaken)),)
        except VenueUnavailable as outage:
            events = (self._report(intent, Outcome.UNKNOWN, order_id=order_id, why=str(outage)),)
        for event in events:
            emit(event)

    async def _settle(self, intent: OrderIntent, order_id: str) -> Sequence[Event]:
        """Return fills and end once the venue's order and its trades agree."""
        why = "the venue has not ended the order yet"
        for attempt in range(SETTLE_TRIES):
            if attempt:
                await asyncio.sleep(SETTLE_PAUSE_SECONDS * attempt)
            seen = await self._order(intent, order_id)
            if seen is None or not seen.over:
                continue
            fills = await self._fills(intent, order_id) if seen.filled_contracts else ()
            traded = total(fill.contracts for fill in fills)
            if traded == seen.filled_contracts:
                self.departures.forget(intent)
                end = self._report(
                    intent, Outcome.CLOSED, order_id=order_id, filled=seen.filled_contracts
                )
                return (*(FillReported(self._clock.now_ms(), fill) for fill in fills), end)
            why = f"the order says {seen.filled_contracts} filled, its trades say {traded}"
        return (self._report(intent, Outcome.UNKNOWN, order_id=order_id, why=why),)

    async def _order(self, intent: OrderIntent, order_id: str) -> Seen | None:
        # ccxt refuses to look up one order at Bybit until told that only recent ones are found.
        call = Call("fetch_order", (order_id, intent.contract, {"acknowledged": True}))
        return self._seen(intent, await self._questions.ask(call, Ask.QUERY))

    def _seen(self, intent: OrderIntent, order: Any) -> Seen | None:
        if not isinstance(order, Mapping) or not order.get("id"):
            return None
        if self._search.is_anothers(intent, order):
            raise _Anothers(f"{self._facts.venue_id}: order {order['id']} is another's")
        filled = order.get("filled")
        if filled is None or order.get("status") is None:
            return None
        contracts = self._contracts_of(intent, filled, self._facts.units.order_filled)
        return Seen(
            over=order["status"] in ENDED,
            filled_contracts=contracts,
        )

    async def _fills(self, intent: OrderIntent, order_id: str) -> tuple[Fill, ...]:
        since_ms = self.departures.since_ms(intent)
        call = self._listing.call(intent.contract, since_ms, {"orderId": order_id})
        trades = await self._questions.ask(call, Ask.TRADES)
        if len(trades) >= self._listing.told.page:
            # A large order has more fills than a page; what follows has to be asked for, too.
            trades = await self._trades.whole(self._listing, intent.contract, since_ms)
        mine = [trade for trade in trades if str(trade.get("order")) == order_id]
        return tuple(self._fill(intent, trade) for trade in mine)

    def _fill(self, intent: OrderIntent, trade: Mapping[str, Any]) -> Fill:
        what = f"trade {trade['id']} of {intent.contract}"
        return Fill(
            trade_id=str(trade["id"]),
            client_order_id=intent.client_order_id,
            price=positive(trade["price"], f"{what}: price"),
            contracts=positive(
                self._contracts_of(intent, trade["amount"], self._facts.units.trade),
                f"{what}: amount",
            ),
            fee=self._fee(intent, trade),
            at_ms=int(trade["timestamp"]),
        )

    def _fee(self, intent: OrderIntent, trade: Mapping[str, Any]) -> Decimal:
        fee = trade.get("fee") or {}
        if fee.get("cost") is None:
            return ZERO
        if fee.get("currency") not in (None, self._contracts[intent.contract].quote):
            _log.warning("fee_in_another_currency", trade=trade["id"], currency=fee["currency"])
            return ZERO
        return number(fee["cost"], f"trade {trade['id']}: fee")

    def _contracts_of(self, intent: OrderIntent, amount: Any, unit: Unit) -> Decimal:
        size = number(amount, f"{intent.contract}: an amount of the venue")
        return (
            size
            if unit is Unit.CONTRACTS
            else size / self._contracts[intent.contract].contract_size
        )

    def _absent_or_unknown(self, intent: OrderIntent) -> OrderReported:
        """Say absent only when the request can no longer be taken and two looks in a row failed."""
        ours = intent.client_order_id
        if self.departures.may_still_arrive(intent):
            return self._report(intent, Outcome.UNKNOWN, why="not found, which proves nothing yet")
        if ours not in self._absent_once:
            self._absent_once.add(ours)
            return self._report(intent, Outcome.UNKNOWN, why="found nowhere, once")
        absence = Absence(
            waited_ms=self.departures.waited_ms(intent),
            window_ms=self.departures.window_ms,
            looks=2 if ours in self._absent_once else 1,
        )
        self._absent_once.discard(ours)
        self.departures.forget(intent)
        report = self._report(intent, Outcome.ABSENT, why="found nowhere, twice")
        return replace(report, absence=absence)

    def _report(
        self,
        intent: OrderIntent,
        outcome: Outcome,
        *,
        order_id: str = "",
        filled: Decimal | None = None,
        why: str = "",
    ) -> OrderReported:
        return OrderReported(
            at_ms=self._clock.now_ms(),
            client_order_id=intent.client_order_id,
            outcome=outcome,
            filled_contracts=filled,
            venue_order_id=order_id,
            reason=why,
        )
