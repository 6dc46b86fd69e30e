"""The whole desk trades on the loopback exchange: launch, fixed run, threshold run, restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal

from rebalancer.clock import WallClock
from rebalancer.core.contract import Contract
from rebalancer.core.events import PricesObserved, PriceTick
from rebalancer.core.fund import Account, Fund, PriceSource
from rebalancer.core.instant import DAY_MS
from rebalancer.core.methodology import Fixed, Methodology, PriceMove, Trigger
from rebalancer.core.records import FixedSettled, IntentCreated, RunMoved, RunOpened
from rebalancer.core.run import RunStatus
from rebalancer.core.state import Desk
from rebalancer.desk.daemon import Daemon
from rebalancer.desk.inbox import Inbox
from rebalancer.desk.recovery import Start, recover
from rebalancer.desk.watcher import Watcher
from rebalancer.store.memory import MemoryStore
from rebalancer.venues.exchange_venue import ExchangeVenue, facts_of, open_client
from tests.loopback.presets import KEY, SECRET, binance
from tests.loopback.server import LoopbackVenue

BTC = "BTC/USDT:USDT"
INSTRUMENT = "BTC/USDT"
D = Decimal
CONTRACT = Contract(BTC, D(1), D("0.001"), D("0.1"), D("0.001"), D(100))


class MarketFeed:
    """Mark and index of the loopback venue, ten times a second."""

    def __init__(self, market: LoopbackVenue, clock: WallClock) -> None:
        self.price = D(50_000)
        self._market = market
        self._clock = clock

    def move(self, price: str) -> None:
        self.price = D(price)
        self._market.price(INSTRUMENT, price)

    async def prices(self) -> AsyncIterator[PricesObserved]:
        while True:
            now_ms = self._clock.now_ms()
            ticks = tuple(
                PriceTick(BTC, source, self.price, now_ms)
                for source in (PriceSource.MARK, PriceSource.INDEX)
            )
            yield PricesObserved(now_ms, ticks)
            await asyncio.sleep(0.1)

    async def close(self) -> None:
        """Nothing to give up."""


def funds(fixed_at_ms: int) -> dict[str, Fund]:
    fixed = Fixed(times_of_day_ms=(fixed_at_ms % DAY_MS,), utc_offset_ms=0)
    made = {}
    for name, target in (("BTC3L", D(3)), ("BTC3S", D(-3))):
        rules = Methodology(fixed=fixed, price_move=PriceMove(threshold=D("0.1"), cooldown_ms=0))
        made[name] = Fund(
            name=name,
            account="main",
            target_leverage=target,
            basket={BTC: D(1)},
            initial_shares=D(200),
            methodology=rules,
        )
    return made


@asynccontextmanager
async def desk_on(
    market: LoopbackVenue, store: MemoryStore, fixed_at_ms: int
) -> AsyncIterator[tuple[Daemon, MarketFeed]]:
    clock = WallClock()
    client = open_client(facts_of("binanceusdm"), {"apiKey": KEY, "secret": SECRET})
    market.point(client._exchange)
    account = Account(name="main", venue="binanceusdm")
    desk = Desk(funds(fixed_at_ms), {"main": account}, {BTC: CONTRACT})
    start = Start(clock.now_ms(), "live", "digest", "e2e")
    recovered = await recover(store, await store.load(), desk, start)
    inbox, feed = Inbox(), MarketFeed(market, clock)
    daemon = Daemon(
        state=recovered.state,
        store=store,
        clock=clock,
        inbox=inbox,
        venues={"main": ExchangeVenue(account, client, {BTC: CONTRACT}, clock)},
        watcher=Watcher(feed, inbox.put),
        open_orders=recovered.open_orders,
    )
    stop = asyncio.Event()
    running = asyncio.create_task(daemon.run(stop))
    try:
        yield daemon, feed
    finally:
        stop.set()
        await running


async def until(condition: Callable[[], bool], what: str) -> None:
    for _ in range(400):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"it never came to pass that {what}")


def done(store: MemoryStore, trigger: Trigger) -> int:
    names = {
        record.plan.run_id: record.plan.trigger
        for record in store.records
        if isinstance(record, RunOpened)
    }
    return sum(
        isinstance(record, RunMoved)
        and record.status is RunStatus.DONE
        and names[record.run_id] is trigger
        for record in store.records
    )


def held(market: LoopbackVenue) -> Decimal:
    (account,) = market.core.accounts.values()
    return sum((position.contracts for position in account.positions.values()), D(0))


async def test_a_desk_launches_rebalances_and_goes_on_after_a_restart():
    async with LoopbackVenue(binance()) as market:
        store = MemoryStore(through_codec=True)
        fixed_at_ms = WallClock().now_ms() // 1000 * 1000 + 4_000
        async with desk_on(market, store, fixed_at_ms) as (daemon, feed):
            await until(lambda: done(store, Trigger.LAUNCH) == 2, "both funds launch")
            feed.move("50500")
            await until(lambda: done(store, Trigger.FIXED) == 2, "both fixed runs are made")
            feed.move("44000")
            await until(lambda: done(store, Trigger.PRICE_MOVE) == 1, "the loser delevers")
            assert daemon.state.accounts["main"].position(BTC) == held(market)
        survivor = MemoryStore(store.records, through_codec=True)
        async with desk_on(market, survivor, fixed_at_ms) as (daemon, feed):
            feed.move("56000")
            await until(lambda: done(survivor, Trigger.PRICE_MOVE) == 2, "the other loser delevers")
            assert daemon.state.accounts["main"].position(BTC) == held(market)
        records = survivor.records
        settled = [record for record in records if isinstance(record, FixedSettled)]
        assert sorted(record.fund for record in settled) == ["BTC3L", "BTC3S"]
        intents = [r.intent.client_order_id for r in records if isinstance(r, IntentCreated)]
        sent = [call for call in market.calls if call.method == "POST" and "order" in call.path]
        assert len(intents) == len(set(intents)) == len(sent)
        assert market.violations == []
