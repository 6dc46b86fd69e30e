"""An order that was made ready while its intent was written leaves as it is, or is signed anew."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from rebalancer.core.contract import Contract
from rebalancer.core.order import OrderIntent, Outcome
from rebalancer.venues import ccxt_client
from rebalancer.venues.ccxt_client import CcxtClient
from rebalancer.venues.evidence import Evidence
from rebalancer.venues.exchange_sends import OrderSends
from rebalancer.venues.facts import FACTS
from rebalancer.venues.transport import Transport
from rebalancer.venues.wire import Reply, SignedRequest
from tests.unlimited import unlimited
from tests.venues.golden.markets import contracts_of
from tests.venues.golden.recorder import LEGS, Recorder, intent_of

VENUE = "binanceusdm"


class Wire(Transport):
    """Keeps every request instead of sending it, and answers none."""

    def __init__(self) -> None:
        super().__init__(1.0)
        self.sent: list[SignedRequest] = []

    async def send(self, request: SignedRequest) -> Reply:
        """Keep it."""
        self.sent.append(request)
        return Reply(Evidence(left=True, failure="no answer in time"), {})


class Bench:
    """The sending side of one account, with a mould for its orders."""

    def __init__(self) -> None:
        exchange = Recorder(FACTS[VENUE]).exchange
        self.now_ms = 1_000_000
        exchange.milliseconds = lambda: self.now_ms
        del exchange.nonce  # ccxt's own goes by the time above and the venue's offset
        self.wire = Wire()
        self.client = CcxtClient(exchange, self.wire, unlimited())
        self.contract: Contract = contracts_of(VENUE)[0]
        self.sends = OrderSends(self.client, FACTS[VENUE], {self.contract.symbol: self.contract})
        _, side, reduces, _ = LEGS[0]
        book = next(iter(FACTS[VENUE].spelling.books))
        self.intent: OrderIntent = intent_of(self.contract, side, book, reduce_only=reduces)

    async def with_mould(self) -> Bench:
        """Send an order as ccxt builds it, which makes the mould."""
        await self.sends.send(self.intent)
        await asyncio.sleep(0)
        self.wire.sent.clear()
        return self


async def test_what_was_made_ready_is_what_leaves_and_nothing_leaves_before() -> None:
    bench = await Bench().with_mould()
    bench.sends.prepare([bench.intent])
    assert bench.wire.sent == []
    bench.now_ms += 50
    finding = await bench.sends.send(bench.intent)
    (request,) = bench.wire.sent
    assert "timestamp=1000000&" in (request.body or "")
    assert bench.intent.client_order_id in (request.body or "")
    assert finding.outcome is Outcome.UNKNOWN


async def test_a_stamp_that_waited_is_too_old_to_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ccxt_client, "READY_SECONDS", 0.0)
    bench = await Bench().with_mould()
    bench.sends.prepare([bench.intent])
    bench.now_ms += 50
    await bench.sends.send(bench.intent)
    assert "timestamp=1000050&" in (bench.wire.sent[0].body or "")


async def test_a_clock_that_was_corrected_stamps_anew() -> None:
    bench = await Bench().with_mould()
    bench.sends.prepare([bench.intent])
    bench.client.correct_clock(700)
    await bench.sends.send(bench.intent)
    assert "timestamp=1000700&" in (bench.wire.sent[0].body or "")


async def test_another_order_takes_nothing_of_what_was_made_ready() -> None:
    bench = await Bench().with_mould()
    bench.sends.prepare([bench.intent])
    other = replace(bench.intent, client_order_id="r" + "9" * 25)
    await bench.sends.send(other)
    await bench.sends.send(bench.intent)
    ids = [request.body or "" for request in bench.wire.sent]
    assert other.client_order_id in ids[0]
    assert bench.intent.client_order_id in ids[1]


async def test_orders_that_leave_as_a_batch_are_not_made_ready_one_by_one() -> None:
    bench = await Bench().with_mould()
    bench.sends.prepare([bench.intent, replace(bench.intent, client_order_id="r" + "8" * 25)])
    bench.now_ms += 50
    await bench.sends.send(bench.intent)
    assert "timestamp=1000050&" in (bench.wire.sent[0].body or "")


async def test_an_order_that_cannot_be_written_says_so_when_it_is_sent() -> None:
    bench = await Bench().with_mould()
    bad = replace(bench.intent, contracts=bench.contract.lot / Decimal(3))
    bench.sends.prepare([bad])
    with pytest.raises(Exception, match="no whole lot"):
        await bench.sends.send(bad)
    assert bench.wire.sent == []
