"""A desk that is killed at any commit comes back and ends where it should, without sending twice.

The day has a launch, drifts, threshold runs on both sides, a fixed run, partial fills and slices.
"""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from rebalancer.core.fund import Account, Execution
from rebalancer.core.methodology import Trigger
from rebalancer.core.records import (
    DeskStarted,
    FixedSettled,
    IntentCreated,
    Record,
    RunOpened,
    Settlement,
    Traded,
    TradingChanged,
)
from rebalancer.errors import StoreUnavailable
from rebalancer.store.memory import MemoryStore
from rebalancer.venues.paper import PaperCosts
from tests.desk.rig import DyingStore, Moment, World, done, of
from tests.factories import BTC, DUE, ETH, NOON, contract, desk, fund

LOT = {BTC: Decimal(10), ETH: Decimal(100)}
MINUTE = 60_000
HOUR = 60 * MINUTE
#: hour of the day, price of BTC and of ETH; in between they stand still
PATH = [
    (0, "100", "10"),
    (2, "104", "10.4"),
    (4, "116", "11.1"),  # 3S lost: a threshold run
    (7, "84", "8.4"),  # all the longs lost
    (10, "86", "8.9"),
    (14.5, "88", "8.6"),  # the fixed run, at 02:30
    (18, "93", "9.0"),
]


def day(minutes: int = 8) -> list[Moment]:
    """Return a price each minute for some time from each point of the path."""
    moments: list[Moment] = []
    for hour, btc, eth in PATH:
        start = NOON + int(hour * HOUR)
        prices = {BTC: Decimal(btc), ETH: Decimal(eth)}
        moments += [(start + minute * MINUTE, prices) for minute in range(minutes)]
    return moments


def funds(*, hedge: bool) -> World:
    sliced = Execution(max_child_notional=Decimal(1_500_000), interval_ms=MINUTE)
    known = desk(
        fund("BTC3L", execution=sliced),
        fund("BTC3S", -3),
        fund("MIX2L", 2, basket={BTC: Decimal("0.5"), ETH: Decimal("0.5")}),
        contracts=[contract(symbol, lot=lot) for symbol, lot in LOT.items()],
        account=Account(name="main", hedge=hedge),
    )
    costs = PaperCosts(fee_bps=Decimal(4), slippage_bps=Decimal(1), fill_ratio=Decimal("0.8"))
    world = World(known, costs=costs)
    world.clock.set(NOON)
    return world


@dataclass
class Life:
    """A day lived with crashes, and what is left of it."""

    world: World
    records: tuple[Record, ...] = ()
    crashes: int = 0
    #: (fund, contract) -> units at the end
    held: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    position: dict[str, Decimal] = field(default_factory=dict)

    async def lived(self, stores: Iterator[DyingStore], minutes: int = 8) -> Life:
        """Live the day; each store lasts until it dies, and the next goes on from its records."""
        moments = day(minutes)
        for store in stores:
            left = [moment for moment in moments if moment[0] >= self.world.clock.now_ms()]
            daemon = await self._woken(store, left)
            if daemon:
                return self
        raise AssertionError("the last store died, too")

    async def _woken(self, store: DyingStore, left: Sequence[Moment]) -> bool:
        try:
            state = await self.world.live(store, left)
        except StoreUnavailable:
            self.crashes += 1
            self.records = store.records
            return False
        self.records = store.records
        for name, each in state.funds.items():
            assert each.run is None, f"the run of {name} never ended"
            for symbol in each.fund.symbols:
                self.held[name, symbol] = each.holding.units.get(symbol, Decimal(0))
        account = state.accounts["main"]
        self.position = {symbol: account.position(symbol) for symbol in (BTC, ETH)}
        assert not state.orders
        return True

    def check(self) -> None:
        """Fail unless the day ended as every day has to."""
        world, records = self.world, self.records
        sent = Counter(intent.client_order_id for intent in world.sent)
        assert max(sent.values()) == 1, "an order was sent twice"
        written = {record.intent.client_order_id for record in of(records, IntentCreated)}
        assert set(sent) <= written, "an order was sent that is not on record"
        assert world.positions(records) == {k: v for k, v in self.position.items() if v}
        for symbol, position in self.position.items():
            parts = [units for (_, name), units in self.held.items() if name == symbol]
            assert sum(parts) == position, "the funds do not add up to the account"
        self._check_targets()
        settled = of(records, FixedSettled)
        assert [(one.fund, one.due_ms, one.settlement) for one in settled] == [
            (name, DUE, Settlement.RUN) for name in world.desk.funds
        ]
        assert of(records, TradingChanged) == [], "a fund was halted"

    def _check_targets(self) -> None:
        for name in self.world.desk.funds:
            last = of(self.records, RunOpened)
            plan = [record.plan for record in last if record.plan.fund == name][-1]
            assert done(self.records, name)[-1].run_id == plan.run_id
            for symbol, target in plan.target_units.items():
                assert abs(target - self.held[name, symbol]) < LOT[symbol]


def until_it_works(dies_at: int, *, keeps: bool, life: Life) -> Iterator[DyingStore]:
    yield DyingStore(dies_at=dies_at, keeps=keeps)
    yield DyingStore(life.records)


HEDGE = pytest.mark.parametrize("hedge", [False, True], ids=["net", "hedge"])


@HEDGE
async def test_the_day_without_a_crash_has_all_that_a_crash_could_disturb(hedge: bool) -> None:
    life = await Life(funds(hedge=hedge)).lived(iter([DyingStore()]))
    life.check()
    triggers = Counter(record.plan.trigger for record in of(life.records, RunOpened))
    assert triggers[Trigger.LAUNCH] == 3
    assert triggers[Trigger.FIXED] == 3
    assert triggers[Trigger.PRICE_MOVE] >= 3
    assert len(of(life.records, Traded)) > 20


@HEDGE
@pytest.mark.parametrize("keeps", [False, True], ids=["lost", "kept"])
async def test_a_crash_at_any_commit_of_the_day(hedge: bool, keeps: bool) -> None:
    """Each of the four takes every fourth commit; together they take all of them."""
    quiet = DyingStore()
    await Life(funds(hedge=hedge)).lived(iter([quiet]))
    assert quiet.commits > 60
    for dies_at in range(1 + 2 * hedge + keeps, quiet.commits + 1, 4):
        life = Life(funds(hedge=hedge))
        await life.lived(until_it_works(dies_at, keeps=keeps, life=life))
        assert life.crashes == 1
        life.check()


@pytest.mark.parametrize("seed", range(4))
async def test_a_desk_that_crashes_again_and_again(seed: int) -> None:
    """Each life gets a few commits; a crash during recovery is among them."""
    dice = random.Random(seed)  # noqa: S311 - a failure must be repeatable

    def stores(life: Life) -> Iterator[DyingStore]:
        for number in range(1_000):
            yield DyingStore(life.records, dies_at=dice.randint(1, 25), keeps=bool(number % 2))

    life = Life(funds(hedge=bool(seed % 2)))
    await life.lived(stores(life), minutes=30)
    assert life.crashes > 10
    life.check()


async def test_a_crash_leaves_nothing_to_do_for_a_second_recovery() -> None:
    world = funds(hedge=False)
    store = DyingStore(dies_at=12, keeps=True)
    with contextlib.suppress(StoreUnavailable):
        await world.live(store, day())
    first = MemoryStore(store.records)
    await world.live(first, [])
    second = MemoryStore(first.records)
    sent = len(world.sent)
    await world.live(second, [])
    (news,) = second.records[len(first.records) :]
    assert isinstance(news, DeskStarted)
    assert len(world.sent) == sent
