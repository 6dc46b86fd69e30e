"""Random days: whatever happens, the records alone are the desk, and its promises hold."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

import pytest

from rebalancer.core import engine
from rebalancer.core.actions import SubmitOrder
from rebalancer.core.calendar import ALWAYS_OPEN
from rebalancer.core.engine import Step
from rebalancer.core.events import (
    Commanded,
    CommandKind,
    Event,
    FillReported,
    FundingPaid,
    OrderReported,
    PricesObserved,
    PriceTick,
    Woke,
)
from rebalancer.core.folding import fold
from rebalancer.core.fund import Account, Execution, Fund, PriceSource
from rebalancer.core.methodology import (
    BasketChange,
    Destination,
    Elapsed,
    Fixed,
    Goal,
    LeverageBand,
    LeverageCap,
    Reconstitution,
)
from rebalancer.core.order import Fill, OrderIntent, Outcome
from rebalancer.core.planner import target_units
from rebalancer.core.records import Crossed, FixedSettled, Traded, TradingState
from rebalancer.core.state import DeskState
from rebalancer.core.work import Work
from rebalancer.errors import CommandRefused
from tests.factories import BTC, ETH, NOON, Bench, D, desk, dice_of, fund, move_rule, only
from tests.factories import rules as default_rules

#: what a crash may forget: it is found again with the next prices
VOLATILE = {"suspicions", "restless", "drift_told", "late_told_ms"}


def durable(state: DeskState) -> dict[str, Any]:
    """Return everything of a state that its records must give back."""
    funds = {
        name: {field: getattr(each, field) for field in each.__slots__ if field not in VOLATILE}
        for name, each in state.funds.items()
    }
    return {
        "funds": funds,
        "accounts": state.accounts,
        "orders": state.orders,
        "delisted": state.delisted,
        "seen": state.seen_trades,
        "desk_id": state.desk_id,
        "desk_cash": state.desk_cash,
    }


def hourly(*hours: int) -> Fixed:
    return Fixed(times_of_day_ms=tuple(hour * 3_600_000 for hour in hours), utc_offset_ms=0)


def banded_funds() -> list[Fund]:
    """Bands at once and by a deadline, a period, a basket that changes, and two on paper."""
    edge = LeverageBand(lower=D("2.9"), upper=D("3.1"), goal=Goal(Destination.EDGE))
    owed = LeverageBand(
        lower=D("1.23"), upper=D("1.27"), within_business_days=1, calendar=ALWAYS_OPEN
    )
    change = BasketChange(due_ms=NOON + 5 * 3_600_000, basket={ETH: D(1)})
    turns = Reconstitution(changes=(change,))
    return [
        fund("B", methodology=only(leverage_band=edge)),
        fund("D", "1.25", methodology=only(leverage_band=owed, fixed=hourly(1))),
        fund("R", 2, methodology=only(reconstitution=turns, elapsed=Elapsed(days=1))),
        fund("P", 3, account="", methodology=only(leverage_band=edge, reconstitution=turns)),
        fund(
            "Q",
            -2,
            account="",
            methodology=default_rules(-2),
            basket={BTC: D("0.5"), ETH: D("0.5")},
        ),
    ]


def busy_funds() -> list[Fund]:
    often = hourly(*range(0, 24, 2))
    tight = move_rule("0.03")
    sliced = Execution(max_child_notional=D(100_000), interval_ms=2_000)
    return [
        fund("L", methodology=default_rules(3, fixed=often, price_move=tight)),
        fund("S", -3, methodology=default_rules(-3, fixed=often, price_move=tight)),
        fund(
            "C",
            2,
            methodology=default_rules(2, leverage_cap=LeverageCap(upper=D("2.2"))),
            execution=sliced,
        ),
        fund("M", "1.5", basket={BTC: D("0.6"), ETH: D("0.4")}, execution=sliced),
        fund("H", "-0.5", methodology=default_rules("-0.5", fixed=often), initial_shares=D(7)),
        fund("E", 5, basket={ETH: D(1)}, methodology=default_rules(5, fixed=often)),
        *banded_funds(),
    ]


class Day:
    """A day of random events on a bench; the venue answers late, twice, wrongly or not at all."""

    def __init__(self, made: Bench, seed: int) -> None:
        self.bench = made
        self.dice = dice_of(seed)
        self.prices = {BTC: D(100), ETH: D(50)}
        self.open: list[OrderIntent] = []
        self.filled: dict[str, Decimal] = {}
        self.events: list[Event] = []

    def play(self, event: Event) -> None:
        self.events.append(event)
        try:
            step = self.bench.take(event)
        except CommandRefused:
            return
        self.open += [action.intent for action in step.actions if isinstance(action, SubmitOrder)]

    def next(self) -> Event:
        made, dice = self.bench, self.dice
        made.later(ms=dice.choice([1, 400, 1_000, 9_000, 70_000, 400_000]))
        kinds = ["tick"] * 12 + ["wake", "funding", "command"] + ["order"] * 14 * bool(self.open)
        return getattr(self, f"_{dice.choice(kinds)}")()  # type: ignore[no-any-return]

    def _tick(self) -> Event:
        symbol = self.dice.choice([BTC, ETH])
        width = self.dice.choice([3, 10, 10, 45])
        change = 1 + D(self.dice.randrange(-width, width + 1)) / 1000
        self.prices[symbol] = (self.prices[symbol] * change).quantize(D("0.0001"))
        tick = PriceTick(symbol, PriceSource.MARK, self.prices[symbol], self.bench.now_ms)
        return PricesObserved(self.bench.now_ms, (tick,), confirmed=self.dice.random() < 0.5)

    def _wake(self) -> Event:
        return Woke(self.bench.now_ms)

    def _funding(self) -> Event:
        symbol = self.dice.choice([BTC, ETH])
        rate = D(self.dice.randrange(-30, 31)) / 10_000
        return FundingPaid(self.bench.now_ms, "main", symbol, rate, self.prices[symbol])

    def _command(self) -> Event:
        name = self.dice.choice(list(self.bench.state.funds))
        kind = self.dice.choice(
            [CommandKind.REBALANCE] * 3 + [CommandKind.HALT] + [CommandKind.RESUME] * 4
        )
        return Commanded(self.bench.now_ms, kind, name, "by chance")

    def _order(self) -> Event:
        order = self.dice.choice(self.open)
        now, name = self.bench.now_ms, order.client_order_id
        done = self.filled.get(name, D(0))
        alive = self.bench.state.orders.get(name)
        if alive is None:
            self.open.remove(order)
            return OrderReported(now, name, Outcome.CLOSED, done, "v")  # told once more
        fresh = str(alive.status) in {"prepared", "unknown"}
        roll = self.dice.random()
        if fresh and roll < 0.1 and not done:
            outcome = self.dice.choice([Outcome.REJECTED, Outcome.NEVER_SENT, Outcome.ABSENT])
            return OrderReported(now, name, outcome, reason="by chance")
        if roll < 0.25:
            return OrderReported(now, name, Outcome.UNKNOWN, reason="no answer")
        if roll < 0.35:
            return OrderReported(now, name, Outcome.ACCEPTED, venue_order_id="v")
        if roll < 0.75 and done < order.contracts:
            return self._fill(order, done)
        return OrderReported(now, name, Outcome.CLOSED, done, "v")

    def _fill(self, order: OrderIntent, done: Decimal) -> Event:
        name, left = order.client_order_id, order.contracts - done
        lot = self.bench.desk.contracts[order.contract].lot
        part = left if self.dice.random() < 0.6 else max(lot, left // 2 // lot * lot)
        self.filled[name] = done + part
        worse = order.mark * (1 + D(self.dice.randrange(-5, 6)) / 10_000)
        fill = Fill(
            trade_id=f"{name}-{done}",
            client_order_id=name,
            price=worse,
            contracts=part,
            fee=part * worse / 2_000,
            at_ms=self.bench.now_ms,
        )
        return FillReported(self.bench.now_ms, fill)


def new_day(seed: int, funds: list[Fund] | None = None, *, hedge: bool = False) -> Day:
    account = Account(name="main", hedge=hedge)
    made = Bench(desk(*(funds or busy_funds()), account=account, free_launch=True))
    for symbol, price in ((BTC, 100), (ETH, 50)):
        made.known(price, symbol=symbol)
    return Day(made, seed)


def promises_hold(state: DeskState) -> None:
    account = state.accounts["main"]
    for symbol in (BTC, ETH):
        held = sum(
            each.holding.units.get(symbol, D(0))
            for each in state.funds.values()
            if not each.fund.index_only
        )
        assert held == account.position(symbol)
    for each in state.funds.values():
        worth = Work(state, 0).worth(each)
        assert worth is not None
        assert abs(worth.nav * each.shares - worth.equity) < D("1e-40")
    busy = [(order.intent.account, order.intent.contract) for order in state.orders.values()]
    if not any(order.intent.position_side != "net" for order in state.orders.values()):
        assert len(set(busy)) == len(busy), "one order per contract at a time"


@pytest.mark.parametrize("seed", range(5))
def test_after_every_step_the_records_alone_give_the_desk_back(seed: int) -> None:
    day = new_day(seed, hedge=seed % 4 == 3)
    for _ in range(400):
        day.play(day.next())
        promises_hold(day.bench.state)
        again = fold(day.bench.desk, day.bench.records)
        assert durable(again) == durable(day.bench.state)
    assert len(day.bench.of(Traded)) > 10
    assert day.bench.of(FixedSettled)


@pytest.mark.parametrize("seed", range(4))
def test_the_same_events_give_the_same_records_and_actions(seed: int) -> None:
    day = new_day(seed)
    for _ in range(300):
        day.play(day.next())
    again = new_day(seed)
    for event in day.events:
        again.play(event)
    assert again.bench.records == day.bench.records
    assert again.bench.actions == day.bench.actions


@pytest.mark.parametrize("seed", range(4))
def test_a_desk_that_crashes_all_day_keeps_every_promise(seed: int) -> None:
    day = new_day(seed)
    for _ in range(250):
        day.play(day.next())
        if day.dice.random() < 0.1:
            actions = day.bench.actions
            day.bench = day.bench.restarted()
            day.bench.actions = actions
            for symbol, price in day.prices.items():
                day.bench.known(price, symbol=symbol)
        promises_hold(day.bench.state)
    keys = [record.key for record in day.bench.records if record.key is not None]
    assert len(set(keys)) == len(keys), "what may exist once exists once"
    sent = [order.client_order_id for order in day.bench.orders]
    assert len(set(sent)) == len(sent)


def shuffled(funds: list[Fund], seed: int) -> list[Fund]:
    mixed = list(funds)
    Random.shuffle(dice_of(seed), mixed)
    return mixed


@pytest.mark.parametrize("seed", range(4))
def test_the_operators_order_of_funds_changes_no_order_and_no_share(seed: int) -> None:
    day = new_day(seed)
    other = new_day(seed, shuffled(busy_funds(), seed))
    for _ in range(200):
        event = day.next()
        day.play(event)
        other.play(event)
    assert [(o.contract, o.units, o.wanted) for o in day.bench.orders] == [
        (o.contract, o.units, o.wanted) for o in other.bench.orders
    ]
    assert [record.allocations for record in day.bench.of(Traded)] == [
        record.allocations for record in other.bench.of(Traded)
    ]
    assert [record.units for record in day.bench.of(Crossed)] == [
        record.units for record in other.bench.of(Crossed)
    ]
    for name, each in day.bench.state.funds.items():
        assert each.holding == other.bench.state.funds[name].holding


def serve(made: Bench) -> None:
    """Let the venue fill and close whatever is open."""
    for order in made.orders:
        alive = made.state.orders.get(order.client_order_id)
        if alive is not None:
            if alive.filled_contracts < order.contracts:
                made.fill(order, order.contracts - alive.filled_contracts)
            made.report(order, Outcome.CLOSED, filled_contracts=order.contracts)


def calm(day: Day, minutes: int) -> None:
    for _ in range(minutes * 6):
        day.bench.later(10)
        for symbol, price in day.prices.items():
            day.bench.known(price, symbol=symbol)
        serve(day.bench)


@pytest.mark.parametrize("seed", range(4))
def test_once_the_market_is_calm_every_run_comes_to_its_target_within_a_lot(seed: int) -> None:
    day = new_day(seed)
    for _ in range(150):
        day.play(day.next())
    calm(day, minutes=20)
    made = day.bench
    active = [each for each in made.state.funds.values() if each.trading is TradingState.ACTIVE]
    for each in active:
        made.command(CommandKind.REBALANCE, each.name)
    calm(day, minutes=5)
    assert active
    for each in active:
        worth = Work(made.state, 0).worth(each)
        assert worth is not None
        assert each.run is None
        wanted = target_units(each.fund.target_leverage, worth.equity, each.basket, worth.marks)
        for symbol, units in wanted.items():
            # Fills at the mark cost nothing, so the frozen target is still the target.
            assert abs(units - each.holding.units.get(symbol, D(0))) < D("2e-9")


def test_a_quiet_tick_leaves_no_trace() -> None:
    day = new_day(1, [fund("L")])
    before = durable(day.bench.state)
    for _ in range(5):
        day.bench.later(1)
        assert day.bench.tick("100.5") == Step()
        assert engine.next_wake_ms(day.bench.state) is not None
    assert durable(day.bench.state) == before
