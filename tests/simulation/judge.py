"""What must hold on every day, whatever went wrong: the invariants of safety.md section 8.

The venue's own count stands beside the desk's records wherever both know.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise

from rebalancer.core.breaks import BreakFound, BreakKind
from rebalancer.core.folding import fold
from rebalancer.core.instant import iso
from rebalancer.core.ledger import postings
from rebalancer.core.methodology import Trigger
from rebalancer.core.money import ZERO, total
from rebalancer.core.records import (
    Crossed,
    FixedSettled,
    FundLaunched,
    FundWiped,
    IntentCreated,
    Record,
    RunMoved,
    RunOpened,
    Settlement,
    Traded,
)
from rebalancer.core.run import RunPlan
from rebalancer.core.state import DeskState
from rebalancer.errors import BrokenInvariant
from tests.loopback.faults import Taken
from tests.simulation.day import (
    BTC,
    DUE_TICK,
    INSTRUMENTS,
    ON_THE_WIRE,
    TICK_MS,
    Trouble,
)
from tests.simulation.judge_permissions import permissions
from tests.simulation.judge_runs import runs
from tests.simulation.world import World

#: the venue writes fees with so many decimals
WIRE_STEP = Decimal("1e-8")
#: what dividing by shares may leave, in quote currency
NAV_STEP = Decimal("1e-9")


#: days on which events are stamped in another order than they come
OUT_OF_ORDER = frozenset({Trouble.CLOCK, Trouble.ECHO})
#: days on which a run may give up: the venue did not take its orders, or its price was not true
MAY_GIVE_UP = ON_THE_WIRE | {
    Trouble.QUESTION,
    Trouble.MAINTENANCE,
    Trouble.FALSE_PRICE,
    Trouble.FUTURE_PRICE,
    Trouble.CLOCK,
}


def judge(world: World) -> list[str]:
    """Return every promise that was broken; empty on a good day."""
    found = [*world.violations]
    state = world.state
    if state is None:
        return [*found, "the desk never came to life"]
    records = world.disk.records
    found += _sends(world)
    found += _positions(world, state)
    found += _books(world)
    found += _fills(world, records)
    found += _fixed(world, records)
    # What a run may do and a NAV comes to is counted there without cash that comes and goes.
    found += [] if world.capital_moves else runs(world, records)
    found += _orders(world, state)
    found += _same_again(world, state)
    found += _prices(world, records)
    found += _breaks(world, records)
    found += permissions(records)
    found += _gave_up(world)
    found += _times(world, records)
    found += [] if world.capital_moves else _navs(records)
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
    for symbol, contract in world.day.contracts.items():
        at_venue = total(
            contract.units_in(position.contracts)
            for (name, _), position in owner.positions.items()
            if name == INSTRUMENTS[symbol]
        )
        held = state.accounts["main"].position(symbol)
        of_funds = total(fund.holding.units.get(symbol, ZERO) for fund in state.funds.values())
        if not at_venue == held == of_funds:
            yield f"I4: {symbol}: the venue has {at_venue}, the desk {held}, its funds {of_funds}"


def _books(world: World) -> Iterator[str]:
    """I12: no contract is held long and short at once: that binds margin for nothing."""
    (owner,) = world.exchange.core.accounts.values()
    sides: dict[str, set[bool]] = {}
    for position in owner.held():
        sides.setdefault(position.instrument, set()).add(position.contracts > 0)
    for name, found in sides.items():
        if len(found) > 1:
            yield f"I12: {name} is held long and short at once"


def _times(world: World, records: tuple[Record, ...]) -> Iterator[str]:
    """I10: times never fall, but where a clock is set or news come late."""
    if world.day.trouble in OUT_OF_ORDER:
        return
    for before, after in pairwise(records):
        if after.at_ms < before.at_ms:
            yield f"I10: {after} is stamped before what came before it"


def _navs(records: tuple[Record, ...]) -> Iterator[str]:
    """I10, I11: every NAV is what cash and units come to, counted again from the trades alone.

    So between trades it moves by the units times the move of the marks, which is the leverage times
    the underlying's move.
    """
    cash: dict[str, Decimal] = {}
    shares: dict[str, Decimal] = {}
    units: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for record in records:
        if isinstance(record, FundLaunched):
            cash[record.fund], shares[record.fund] = record.cash, record.shares
        elif isinstance(record, FundWiped):
            shares.pop(record.fund, None)  # what it lacks is paid by the desk
        elif isinstance(record, Traded | Crossed):
            for fund, part, paid in _moves(record):
                units[fund, record.contract] += part
                cash[fund] -= paid
        elif isinstance(record, RunMoved) and record.nav is not None and record.fund in shares:
            held = ((units[record.fund, name], mark) for name, mark in record.marks.items())
            worth = cash[record.fund] + total(size * mark for size, mark in held)
            if not abs(record.nav * shares[record.fund] - worth) <= NAV_STEP:
                yield f"I10: {record.run_id} says a NAV of {record.nav}, its trades {worth} in all"


def _moves(record: Traded | Crossed) -> Iterator[tuple[str, Decimal, Decimal]]:
    """Yield by fund the units that it got and the cash that it paid."""
    if isinstance(record, Crossed):
        yield from ((fund, part, part * record.price) for fund, part in record.units.items())
        return
    for fund, part in record.allocations.items():
        yield fund, part, part * record.fill.price + record.fees.get(fund, ZERO)


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
    due_ms = world.begins_ms + DUE_TICK * TICK_MS
    settled = Counter(
        record.fund
        for record in records
        if isinstance(record, FixedSettled) and record.due_ms == due_ms
    )
    ended = {record.fund for record in records if isinstance(record, FundWiped)}
    if any(kind is BreakKind.EVIDENCE for kind in _kinds(records)):
        # An order that the venue took and does not know freezes its contract till a person answers.
        ended |= {alert.subject for alert in world.alerts if alert.name == "fixed_late"}
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


def _orders(world: World, state: DeskState) -> Iterator[str]:
    """I18: after a quiet stretch nothing is under way, but for what a person was told of."""
    for order_id, order in state.orders.items():
        if not order.intent.wanted.keys() <= _halted(world):
            yield f"I18: {order_id} is still {order.status} long after the trouble was over"


def _halted(world: World) -> set[str]:
    """Return the funds whose halt a person was told of: the venue contradicted itself."""
    return {alert.subject for alert in world.alerts if alert.name == "fund_halted"}


def _breaks(world: World, records: tuple[Record, ...]) -> Iterator[str]:
    """I4: nobody but the desk trades on these days, so that a break is the desk's own mistake.

    Only a venue that says yes and takes the order later or never contradicts itself.
    """
    lies = any(fault.taken is not Taken.FIRST for fault in world.day.wire)
    for record in records:
        if isinstance(record, BreakFound):
            if lies and record.found.kind is BreakKind.EVIDENCE:
                continue
            yield f"I4: a break that is none: {record.found.kind}: {record.found.cause}"


def _kinds(records: tuple[Record, ...]) -> set[BreakKind]:
    return {record.found.kind for record in records if isinstance(record, BreakFound)}


def _gave_up(world: World) -> Iterator[str]:
    """I5: where neither wire, price nor person interfered, no run gives up, no fund is halted."""
    if world.day.trouble in MAY_GIVE_UP or world.operated:
        return
    for alert in world.alerts:
        if alert.name in ("run_incomplete", "fund_halted"):
            yield f"I5: {alert.subject} gave up without a reason: {alert.text}"


def _same_again(world: World, state: DeskState) -> Iterator[str]:
    """I14: the records alone give the same desk."""
    try:
        again = fold(world.desk, world.disk.records)
    except BrokenInvariant as broken:
        yield f"I14: the records do not fit together: {broken}"
        return
    for name, fund in state.funds.items():
        other = again.funds[name]
        if (fund.holding, fund.shares, fund.point) != (other.holding, other.shares, other.point):
            yield f"I14: {name} is not what its records say"


def _prices(world: World, records: tuple[Record, ...]) -> Iterator[str]:
    """I7: whatever is sized is sized by a price that was true, and not long ago.

    A false price that one source tells twice in a row counts as confirmed (spec section 3). Where
    the desk's clock was set, nobody can say from its records how old a price was.
    """
    if world.day.trouble is Trouble.CLOCK:
        return
    plans: dict[str, RunPlan] = {}
    for record in records:
        if isinstance(record, RunOpened):
            plan = plans[record.plan.fund] = record.plan
            for symbol, mark in plan.marks.items():
                if symbol in plan.target_units:
                    yield from _price(world, (symbol, mark), record.at_ms, {plan.fund: plan})
        elif isinstance(record, IntentCreated):
            intent = record.intent
            meant = {name: plans[name] for name in intent.wanted if name in plans}
            yield from _price(world, (intent.contract, intent.mark), record.at_ms, meant)


def _price(
    world: World, told: tuple[str, Decimal], at_ms: int, plans: dict[str, RunPlan]
) -> Iterator[str]:
    (symbol, mark), day = told, world.day
    limits_ms = [
        world.desk.funds[name].age_limit_ms(for_fixed=plan.trigger is Trigger.FIXED)
        for name, plan in plans.items()
    ]
    oldest_ms = at_ms - min(each for each in limits_ms if each is not None)
    last = min((at_ms - world.begins_ms) // TICK_MS, len(day.prices[symbol]) - 1)
    first = max(0, -((world.begins_ms - oldest_ms) // TICK_MS))
    known = set(day.prices[symbol][first : last + 1])
    if day.trouble is Trouble.FALSE_PRICE and day.ticks > 1 and symbol == BTC:
        known |= {day.lie(index) for index in range(day.tick, day.tick + day.ticks)}
    if mark not in known:
        yield f"I7: {symbol} was traded by {mark}, which is false or too old, at {iso(at_ms)}"
