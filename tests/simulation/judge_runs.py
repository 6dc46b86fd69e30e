"""What must hold of runs (I3, I5, I18): how far they trade, where they end, when the next begins.

All of it is counted again from the records, with nothing of the desk's own arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from rebalancer.core.contract import Contract
from rebalancer.core.methodology import COOLDOWN_MS, Trigger
from rebalancer.core.money import ZERO, total
from rebalancer.core.order import OrderIntent, Outcome
from rebalancer.core.records import (
    ClockSetBack,
    Crossed,
    DeskStarted,
    IntentCreated,
    OrderMoved,
    Record,
    RunMoved,
    RunOpened,
    Traded,
)
from rebalancer.core.run import RunPlan, RunStatus
from tests.simulation.world import World

#: alerts that tell a person that a run has not come to its target
TOLD = frozenset({"run_incomplete", "collar_missed", "order_unknown", "fund_halted", "fund_wiped"})
#: what dividing to 60 digits may leave
DUST = Decimal("1e-17")
#: how a run ends that has not gone the whole way because the market did the rest
BY_THE_MARKET = "the market brought"
OVER = frozenset({Outcome.REJECTED, Outcome.NEVER_SENT, Outcome.ABSENT})


@dataclass(slots=True)
class Working:
    """An order that may still trade, in contracts."""

    intent: OrderIntent
    left: Decimal
    #: whether the venue ended it, so that only fills are to come
    closed: bool = False


@dataclass(slots=True)
class Runs:
    """The runs of a day, followed record by record."""

    contracts: dict[str, Contract]
    found: list[str] = field(default_factory=list)
    plans: dict[str, RunPlan] = field(default_factory=dict)
    #: by fund, the run it has or had last
    latest: dict[str, RunPlan] = field(default_factory=dict)
    last: dict[str, RunStatus] = field(default_factory=dict)
    held: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    ways: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    traded: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    working: dict[str, Working] = field(default_factory=dict)
    #: orders by the runs they were made for
    made_for: dict[str, set[str]] = field(default_factory=dict)
    rested_ms: dict[str, int] = field(default_factory=dict)

    def follow(self, record: Record) -> None:
        """Take the next record."""
        if isinstance(record, RunOpened):
            self._opened(record)
        elif isinstance(record, RunMoved):
            self._moved(record)
        elif isinstance(record, ClockSetBack | DeskStarted):
            rests = self.rested_ms.items()
            self.rested_ms = {name: min(rested_ms, record.at_ms) for name, rested_ms in rests}
        elif isinstance(record, IntentCreated):
            self._intended(record.intent)
        elif isinstance(record, OrderMoved):
            self._order_moved(record)
        elif isinstance(record, Traded):
            order_id = record.fill.client_order_id
            for fund, units in record.allocations.items():
                self._trade(fund, record.contract, units, self.made_for.get(order_id, set()))
            self._take(order_id, record.fill.contracts)
        elif isinstance(record, Crossed):
            for fund, units in record.units.items():
                run = self.latest.get(fund)
                self._trade(fund, record.contract, units, {run.run_id} if run else set())

    def _intended(self, intent: OrderIntent) -> None:
        self.working[intent.client_order_id] = Working(intent, intent.contracts)
        runs = {self.latest[name].run_id for name in intent.wanted if name in self.latest}
        self.made_for[intent.client_order_id] = runs
        others = [
            each.intent.client_order_id
            for each in self.working.values()
            if each.intent.contract == intent.contract
            and each.intent.created_ms != intent.created_ms
        ]
        if others:
            self._say(f"I3: {intent.client_order_id} was made while {others} may still trade")

    def _opened(self, record: RunOpened) -> None:
        plan = record.plan
        before = self.latest.get(plan.fund)
        self.plans[plan.run_id] = self.latest[plan.fund] = plan
        for symbol, target in plan.target_units.items():
            whole = target - self.held.get((plan.fund, symbol), ZERO)
            self.ways[plan.run_id, symbol] = abs(whole)
            missing = whole - self._working_units(plan.fund, symbol)
            if abs(missing - plan.delta_units[symbol]) > DUST:
                self._say(
                    f"I3: {plan.run_id} says it lacks {plan.delta_units[symbol]} of {symbol}, "
                    f"target - held - working is {missing}"
                )
        rested_ms = self.rested_ms.get(plan.fund)
        waits = plan.trigger is Trigger.PRICE_MOVE and before is not None
        if waits and rested_ms is not None and record.at_ms < rested_ms + COOLDOWN_MS:
            self._say(f"I18: {plan.run_id} began {record.at_ms - rested_ms} ms after the last one")

    def _moved(self, record: RunMoved) -> None:
        self.last[record.run_id] = record.status
        if record.status is not RunStatus.WORKING:
            self.rested_ms[record.fund] = record.at_ms
        if record.status is not RunStatus.DONE or record.reason.startswith(BY_THE_MARKET):
            return
        for symbol, target in self.plans[record.run_id].target_units.items():
            if symbol not in record.marks:
                continue  # it ended with the last fill right after a start, before any price
            contract = self.contracts[symbol]
            lot, mark = contract.units_in(contract.lot), record.marks[symbol]
            rest = abs(target - self.held.get((record.fund, symbol), ZERO))
            if rest >= lot and rest * mark >= contract.min_notional + lot * mark:
                self._say(f"I5: {record.run_id} is done and {rest} {symbol} away from its target")

    def _order_moved(self, record: OrderMoved) -> None:
        if record.outcome in OVER:
            self.working.pop(record.client_order_id, None)
        elif record.outcome is Outcome.CLOSED:
            order = self.working.get(record.client_order_id)
            if order is not None and record.filled_contracts is not None:
                order.closed = True
                unfilled = order.intent.contracts - record.filled_contracts
                self._take(record.client_order_id, unfilled)

    def _take(self, order_id: str, contracts: Decimal) -> None:
        order = self.working.get(order_id)
        if order is None:
            return
        order.left -= contracts
        if order.left == 0 and order.closed:
            del self.working[order_id]

    def _working_units(self, fund: str, symbol: str) -> Decimal:
        part = ZERO
        for order in self.working.values():
            intent = order.intent
            if intent.contract == symbol and fund in intent.wanted:
                share = intent.wanted[fund] / total(intent.wanted.values())
                part += intent.units * order.left / intent.contracts * share
        return part

    def _trade(self, fund: str, symbol: str, units: Decimal, runs: set[str]) -> None:
        before = self.held.get((fund, symbol), ZERO)
        after = self.held[fund, symbol] = before + units
        plan = self.latest.get(fund)
        if plan is None:
            self._say(f"I3: {fund} traded {units} {symbol} before it had a run")
            return
        key = (plan.run_id, symbol)
        self.traded[key] = self.traded.get(key, ZERO) + abs(units)
        target = plan.target_units.get(symbol)
        if target is None:
            return
        if plan.run_id not in runs:
            # An order of the run before, under way when this one turned back: it goes that way too.
            further = abs(units) + abs(target - after) - abs(target - before)
            self.ways[key] = self.ways.get(key, ZERO) + further
            return
        if (target - before) * units < 0 or (target - after) * units < -DUST * abs(units):
            self._say(f"I3: {plan.run_id} went from {before} to {after} {symbol}, past {target}")

    def _say(self, problem: str) -> None:
        self.found.append(problem)


def runs(world: World, records: tuple[Record, ...]) -> Iterator[str]:
    """I3, I5, I18: no run trades more than its way plus a lot, or past its target; every run ends.

    The way is what the fund lacked when the run was opened: an order of an earlier run that was
    still unknown then may turn out to be absent, and is made up for.
    """
    day = Runs(world.day.contracts)
    for record in records:
        day.follow(record)
    yield from day.found
    for (run_id, symbol), gross in day.traded.items():
        contract = world.day.contracts[symbol]
        way = day.ways.get((run_id, symbol), ZERO)
        if gross > way + contract.units_in(contract.lot):
            yield f"I3: {run_id} traded {gross} {symbol} where its way was {way}"
    stuck = [run_id for run_id, status in day.last.items() if status is RunStatus.INCOMPLETE]
    never_ended = day.plans.keys() - day.last.keys()
    told = {alert.name for alert in world.alerts} & TOLD
    if (stuck or never_ended) and not told:
        yield f"I5: {sorted({*stuck, *never_ended})} did not come to an end and nobody was told"
