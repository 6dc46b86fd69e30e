"""What must hold on every day, whatever went wrong: the invariants of safety.md section 8.

The venue's own count stands beside the desk's records wherever both know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

from rebalancer.core.folding import fold
from rebalancer.core.ledger import postings
from rebalancer.core.money import ZERO, total
from rebalancer.core.records import (
    Crossed,
    FixedSettled,
    FundWiped,
    IntentCreated,
    Record,
    RunMoved,
    RunOpened,
    Settlement,
    Traded,
)
from rebalancer.core.run import RunPlan, RunStatus
from rebalancer.core.state import DeskState
from tests.simulation.day import BTC, CONTRACTS, DUE_MS, DUE_TICK, INSTRUMENTS, Trouble
from tests.simulation.world import World

#: alerts that tell a person that a run has not come to its target
TOLD = frozenset({"run_incomplete", "collar_missed", "order_unknown", "fund_halted", "fund_wiped"})

#: the venue writes fees with so many decimals
WIRE_STEP = Decimal("1e-8")


def judge(world: World) -> list[str]:
    """Return every promise that was broken; empty on a good day."""
    found = [*world.violations]
    state = world.state
    if state is None:
        return [*found, "the desk never came to life"]
    records = world.disk.records
    found += _sends(world)
    found += _positions(world, state)
    found += _fills(world, records)
    found += _fixed(world, records)
    found += _runs(world, records)
    found += _orders(world, state)
    found += _same_again(world, state)
    found += _false_prices(world, records)
    return found


def _sends(world: World) -> Iterator[str]:
    """I1: one send an intent, one order a send, none that we do not know."""
    (owner,) = world.exchange.core.accounts.values()
    made = Counter(order.request.client_order_id for order in owner.orders.values())
    for order_id, count in made.items():
        if count > 1:
            yield f"I1: the venue has {count} orders of {order_id}"
        if order_id not in world.disk.intents:
            yield f"I1: the venue has {order_id}, which no intent stands for"


def _positions(world: World, state: DeskState) -> Iterator[str]:
    """I4: the venue's position is the account's, and the sum of its funds'."""
    (owner,) = world.exchange.core.accounts.values()
    for symbol, contract in CONTRACTS.items():
        at_venue = total(
            contract.units_in(position.contracts)
            for (name, _), position in owner.positions.items()
            if name == INSTRUMENTS[symbol]
        )
        held = state.accounts["main"].position(symbol)
        of_funds = total(fund.holding.units.get(symbol, ZERO) for fund in state.funds.values())
        if not at_venue == held == of_funds:
            yield f"I4: {symbol}: the venue has {at_venue}, the desk {held}, its funds {of_funds}"


def _fills(world: World, records: tuple[Record, ...]) -> Iterator[str]:
    """I4: every trade of the venue is booked once, with its quantity and fee."""
    (owner,) = world.exchange.core.accounts.values()
    theirs = {str(trade.trade_id): trade for trade in owner.trades}
    booked = [record.fill for record in records if isinstance(record, Traded)]
    ours = {fill.trade_id: fill for fill in booked}
    if len(ours) != len(booked):
        yield "I4: a trade is booked twice"
    for trade_id in theirs.keys() ^ ours.keys():
        yield f"I4: trade {trade_id} is {'not booked' if trade_id in theirs else 'not real'}"
    for trade_id in theirs.keys() & ours.keys():
        real, fill = theirs[trade_id], ours[trade_id]
        if real.contracts != fill.contracts or abs(real.fee - fill.fee) > WIRE_STEP:
            yield f"I4: trade {trade_id} is booked as {fill}, it was {real}"
    for record in records:
        try:
            postings(record)
        except Exception as error:  # noqa: BLE001 - whatever it is, the books do not balance
            yield f"I11: {error}"


def _fixed(world: World, records: tuple[Record, ...]) -> Iterator[str]:
    """I6: one settlement for each fund that lived at the due instant; a miss is told."""
    if world.end_tick <= DUE_TICK:
        return
    settled = Counter(
        record.fund
        for record in records
        if isinstance(record, FixedSettled) and record.due_ms == DUE_MS
    )
    ended = {record.fund for record in records if isinstance(record, FundWiped)}
    for name in world.desk.funds:
        if settled[name] > 1:
            yield f"I6: {name} settled its fixed time {settled[name]} times"
        if not settled[name] and name not in ended | _halted(world):
            yield f"I6: {name} has no fixed run and nobody was told"
    missed = [
        record
        for record in records
        if isinstance(record, FixedSettled) and record.settlement is Settlement.MISSED
    ]
    if missed and not any(alert.name == "fixed_missed" for alert in world.alerts):
        yield "I6: a missed run was not told"


def _runs(world: World, records: tuple[Record, ...]) -> Iterator[str]:
    """I3, I5: no run trades more than its way to the target plus a lot; every run ends or is told.

    The way is what the fund lacked when the run was opened: an order of an earlier run that was
    still unknown then may turn out to be absent, and is made up for.
    """
    plans: dict[str, RunPlan] = {}
    held: dict[tuple[str, str], Decimal] = {}
    ways: dict[tuple[str, str], Decimal] = {}
    open_runs: dict[str, RunPlan] = {}
    traded: dict[tuple[str, str], Decimal] = {}
    last: dict[str, RunStatus] = {}
    for record in records:
        if isinstance(record, RunOpened):
            plan = plans[record.plan.run_id] = open_runs[record.plan.fund] = record.plan
            for symbol, target in plan.target_units.items():
                ways[plan.run_id, symbol] = abs(target - held.get((plan.fund, symbol), ZERO))
        elif isinstance(record, RunMoved):
            last[record.run_id] = record.status
        for fund, symbol, units in _moves(record):
            held[fund, symbol] = held.get((fund, symbol), ZERO) + units
            if fund not in open_runs:
                yield f"I3: {fund} traded {units} {symbol} before it had a run"
                continue
            key = (open_runs[fund].run_id, symbol)
            traded[key] = traded.get(key, ZERO) + abs(units)
    for (run_id, symbol), gross in traded.items():
        lot = CONTRACTS[symbol].units_in(CONTRACTS[symbol].lot)
        way = ways.get((run_id, symbol), ZERO)
        if gross > way + lot:
            yield f"I3: {run_id} traded {gross} {symbol} where its way was {way}"
    stuck = [run_id for run_id, status in last.items() if status is RunStatus.INCOMPLETE]
    never_ended = plans.keys() - last.keys()
    told = {alert.name for alert in world.alerts} & TOLD
    if (stuck or never_ended) and not told:
        yield f"I5: {sorted({*stuck, *never_ended})} did not come to an end and nobody was told"


def _moves(record: Record) -> Iterator[tuple[str, str, Decimal]]:
    if isinstance(record, Traded):
        yield from ((fund, record.contract, units) for fund, units in record.allocations.items())
    elif isinstance(record, Crossed):
        yield from ((fund, record.contract, units) for fund, units in record.units.items())


def _orders(world: World, state: DeskState) -> Iterator[str]:
    """I18: after a quiet stretch nothing is under way, but for what a person was told of."""
    for order_id, order in state.orders.items():
        if not order.intent.wanted.keys() <= _halted(world):
            yield f"I18: {order_id} is still {order.status} long after the trouble was over"


def _halted(world: World) -> set[str]:
    """Return the funds whose halt a person was told of: the venue contradicted itself."""
    return {alert.subject for alert in world.alerts if alert.name == "fund_halted"}


def _same_again(world: World, state: DeskState) -> Iterator[str]:
    """I14: the records alone give the same desk."""
    again = fold(world.desk, world.disk.records)
    for name, fund in state.funds.items():
        other = again.funds[name]
        if (fund.holding, fund.shares, fund.point) != (other.holding, other.shares, other.point):
            yield f"I14: {name} is not what its records say"


def _false_prices(world: World, records: tuple[Record, ...]) -> Iterator[str]:
    """I7: a false price that one source tells once is never traded on.

    Told twice in a row it counts as confirmed (spec section 3), so that it may be the market.
    """
    day = world.day
    if day.trouble is not Trouble.FALSE_PRICE or day.ticks > 1:
        return
    lies = {day.prices[BTC][tick] * day.size for tick in range(day.tick, day.tick + day.ticks)}
    for record in records:
        if isinstance(record, IntentCreated) and record.intent.contract == BTC:
            mark = record.intent.mark
            if any(abs(mark - lie) <= lie * Decimal("0.0001") for lie in lies) and not _true(
                world, mark
            ):
                yield f"I7: an order was sized by the false price {mark}"


def _true(world: World, mark: Decimal) -> bool:
    return any(abs(mark - price) <= price * Decimal("0.01") for price in world.day.prices[BTC])
