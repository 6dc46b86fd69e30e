"""Sending at an exchange: each order in exactly one request, alone or in a batch, never again."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from rebalancer.core.contract import Contract
from rebalancer.core.order import OrderIntent, Outcome
from rebalancer.errors import BrokenInvariant, DeskError, VenueUnavailable
from rebalancer.venues.answers import judge_for, judge_in_batch
from rebalancer.venues.batching import cost_of, cut
from rebalancer.venues.ccxt_client import CcxtClient, HeldBack
from rebalancer.venues.evidence import Finding, decide
from rebalancer.venues.facts_shape import Call, VenueFacts
from rebalancer.venues.requests import OrderRequest, order_request
from rebalancer.venues.turns import Turns

Send = Coroutine[Any, Any, Finding]
"""Sends one order and returns what is proved of it."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """Orders that share a request; the first one's send is the request."""

    intents: tuple[OrderIntent, ...]
    #: a finding per order; None where nothing was sent and each has to go alone
    findings: asyncio.Future[Sequence[Finding] | None]


class OrderSends:
    """Sends the orders of one account."""

    def __init__(
        self,
        client: CcxtClient,
        facts: VenueFacts,
        contracts: Mapping[str, Contract],
        *,
        leverage: int | None = None,
    ) -> None:
        self._client = client
        self._facts = facts
        self._contracts = contracts
        self._leverage = leverage
        self._turns = Turns()
        #: the order that was made ready last, and its request
        self._ready: tuple[OrderIntent, OrderRequest] | None = None

    def prepare(self, intents: Sequence[OrderIntent]) -> None:
        """Write and sign the first request, where it is one order; sends nothing.

        Only the first: it would have to wait for the others to be signed as well.
        """
        if len(intents) > 1 and self._facts.batch is not None:
            return
        intent = intents[0]
        with suppress(DeskError):  # sending it says what is wrong
            self._ready = (intent, self._request(intent))
            self._client.prepare_order(self._ready[1])

    async def send(self, intent: OrderIntent) -> Finding:
        """Send one order in a request of its own."""
        await self._turns.take()
        ready, self._ready = self._ready, None
        order = ready[1] if ready and ready[0] is intent else self._request(intent)
        try:
            reply = await self._client.write_order(order, cost_of(self._facts.limits, 1))
        except VenueUnavailable as refusal:
            return Finding(Outcome.NEVER_SENT, str(refusal))
        await self._turns.all_taken()
        asyncio.get_running_loop().call_soon(self._client.learn, order)
        market_id = self._client.markets[intent.contract]["id"]
        judge = judge_for(self._facts, intent.client_order_id, market_id)
        return decide(reply.evidence, judge, intent.client_order_id)

    def send_all(self, intents: Sequence[OrderIntent]) -> Sequence[Send]:
        """Return a send per order, each to be awaited at once: together they are few requests.

        The orders must be of different contracts, for a venue may carry a batch out in any order.
        """
        sends: list[Send] = []
        for size in cut(self._facts, len(intents)):
            group = tuple(intents[len(sends) : len(sends) + size])
            if size == 1:
                sends.append(self.send(group[0]))
                continue
            batch = _Batch(group, asyncio.get_running_loop().create_future())
            sends.append(self._first(batch))
            sends += [self._member(batch, place) for place in range(1, size)]
        return sends

    async def _first(self, batch: _Batch) -> Finding:
        try:
            findings = await self._send_together(batch.intents)
        except asyncio.CancelledError:
            batch.findings.cancel()
            raise
        except Exception as error:
            # Nobody knows what became of the others either.
            batch.findings.set_exception(error)
            raise
        batch.findings.set_result(findings)
        return findings[0] if findings else await self.send(batch.intents[0])

    async def _member(self, batch: _Batch, place: int) -> Finding:
        findings = await asyncio.shield(batch.findings)
        return findings[place] if findings else await self.send(batch.intents[place])

    async def _send_together(self, intents: Sequence[OrderIntent]) -> Sequence[Finding] | None:
        await self._turns.take()
        try:
            orders = [self._request(intent).in_batch for intent in intents]
        except BrokenInvariant:
            return None  # one of them cannot be written: it must not keep the others back
        call = Call("create_orders", (orders,))
        try:
            reply = await self._client.write(
                call.carry_out, cost_of(self._facts.limits, len(orders))
            )
        except HeldBack as late:
            return [Finding(Outcome.NEVER_SENT, str(late))] * len(intents)
        except VenueUnavailable:
            return None  # ccxt built no request, perhaps because of one of them
        await self._turns.all_taken()
        ids = tuple(intent.client_order_id for intent in intents)
        return [
            decide(reply.evidence, judge_in_batch(self._facts, ids, place), ours)
            for place, ours in enumerate(ids)
        ]

    def _request(self, intent: OrderIntent) -> OrderRequest:
        contract = self._contracts[intent.contract]
        return order_request(self._facts, intent, contract, leverage=self._leverage)
