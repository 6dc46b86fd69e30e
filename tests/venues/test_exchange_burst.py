"""Five hundred orders at once: as fast as the venue's limits allow, and never faster."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from rebalancer.clock import WallClock
from rebalancer.core.contract import Contract
from rebalancer.core.order import OrderIntent, OrderSide, Outcome, PositionSide, client_order_id
from rebalancer.venues.exchange_orders import ExchangeOrders
from rebalancer.venues.exchange_venue import facts_of, open_client
from rebalancer.venues.facts_shape import Ask
from tests.loopback.instruments import Depth
from tests.loopback.presets import KEY, SECRET, binance, many_instruments
from tests.loopback.server import LoopbackVenue

COUNT = 500
#: 300 orders in 10 s: the first 300 at once, the others ten seconds later
AT_ONCE = 300
BOUND_SECONDS = 10.0
#: a machine that others share may take a turn away at the wrong moment, and not three times
TRIES = 3
D = Decimal


def intent(symbol: str, seq: int) -> OrderIntent:
    return OrderIntent(
        client_order_id=client_order_id("burst", "main", symbol, seq),
        account="main",
        contract=symbol,
        seq=seq,
        side=OrderSide.BUY,
        position_side=PositionSide.NET,
        contracts=D("0.1"),
        units=D("0.1"),
        mark=D(100),
        limit_price=D(101),
        reduce_only=False,
        wanted={"F": D("0.1")},
        created_ms=WallClock().now_ms(),
    )


async def test_five_hundred_contracts_take_the_time_that_the_limits_allow_with_no_violation():
    for tries_left in reversed(range(TRIES)):
        taken_seconds, busy_seconds = await burst()
        assert taken_seconds >= BOUND_SECONDS
        # The same without a machine's share is held in virtual time (test_rates_bursts).
        in_time = taken_seconds <= BOUND_SECONDS * 1.05 + 2 * busy_seconds
        if in_time or not tries_left:
            break
    assert in_time, (taken_seconds, busy_seconds)


async def burst() -> tuple[float, float]:
    """Return how long the orders took to arrive, and the first of them, which nothing holds up."""
    clock = WallClock()
    listed = many_instruments(COUNT, Depth())
    async with LoopbackVenue(binance(instruments=listed)) as market:
        facts = facts_of("binanceusdm")
        client = open_client(facts, {"apiKey": KEY, "secret": SECRET})
        market.point(client._exchange)
        try:
            await client.load_markets(facts.limits.costs[Ask.MARKETS])
            symbols = [f"{each.base}/USDT:USDT" for each in listed]
            contracts = {
                symbol: Contract(symbol, D(1), each.lot, each.tick)
                for symbol, each in zip(symbols, listed, strict=True)
            }
            orders = ExchangeOrders(client, facts, contracts, clock)
            market.calls.clear()
            findings = await asyncio.gather(
                *(orders._sends.send(intent(symbol, seq)) for seq, symbol in enumerate(symbols, 1))
            )
        finally:
            await client.close()
        arrivals = sorted(call.at_ms for call in market.calls if call.path.endswith("/order"))
        assert {finding.reason for finding in findings} == {""}
        assert {finding.outcome for finding in findings} == {Outcome.ACCEPTED}
        assert len(arrivals) == COUNT
        assert market.violations == []
        # What this machine needs for as many orders as no limit holds up. Places come free as those
        # are answered, and the others need their time as well.
        busy_ms = arrivals[AT_ONCE - 1] - arrivals[0]
        return (arrivals[-1] - arrivals[0]) / 1_000, busy_ms / 1_000
