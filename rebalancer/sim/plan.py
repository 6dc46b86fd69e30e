"""The plan document: what a desk would do at one instant, and why (spec section 8, version 1)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, DecimalException
from typing import Any

from rebalancer.core import engine
from rebalancer.core.capital import FlowDealt, FlowRefused
from rebalancer.core.duty import Duty
from rebalancer.core.events import PricesObserved
from rebalancer.core.flow import Flow
from rebalancer.core.instant import iso
from rebalancer.core.methodology import Trigger
from rebalancer.core.money import ZERO, split_pro_rata, text
from rebalancer.core.nav import Valuation
from rebalancer.core.order import OrderIntent
from rebalancer.core.records import (
    BreachLapsed,
    BreachSeen,
    Crossed,
    FundWiped,
    IntentCreated,
    RunOpened,
    TradingChanged,
    VerdictChanged,
)
from rebalancer.core.rules.view import percent
from rebalancer.core.run import RunPlan
from rebalancer.core.state import DeskState, FundState
from rebalancer.errors import InputRefused
from rebalancer.sim.snapshot import Snapshot

VERSION = 1


def plan(snapshot: Snapshot) -> dict[str, Any]:
    """Return the plan document of `snapshot`: one step of the engine, written down.

    Raises InputRefused where its numbers cannot be computed exactly together.
    """
    try:
        return _plan(snapshot)
    except OverflowError:
        raise InputRefused(
            "the snapshot's times lead out of the years that a calendar has; check as_of"
        ) from None
    except DecimalException:
        raise InputRefused(
            "the snapshot's numbers are too far apart to be computed exactly together; "
            "check its prices, shares, cash and units"
        ) from None


def _plan(snapshot: Snapshot) -> dict[str, Any]:
    state = snapshot.state
    for tick in snapshot.ticks:
        state.market.observe(tick, snapshot.as_of_ms, trusted=True)
    before = {name: Before.of(state, name, snapshot.as_of_ms) for name in snapshot.funds}
    engine.begin(state)
    event = PricesObserved(snapshot.as_of_ms, snapshot.ticks, confirmed=True)
    return document_of(before, engine.step(state, event, snapshot.forced), snapshot.as_of_ms)


def document_of(before: Mapping[str, Before], step: engine.Step, as_of_ms: int) -> dict[str, Any]:
    """Return what a step of the engine means for the funds that stood as in `before`."""
    opened: dict[str, RunPlan] = {}
    verdicts: dict[str, VerdictChanged] = {}
    wiped = set()
    dealt: dict[tuple[str, str], FlowDealt | FlowRefused] = {}
    for record in step.records:
        if isinstance(record, RunOpened):
            opened.setdefault(record.plan.fund, record.plan)
        elif isinstance(record, VerdictChanged):
            verdicts.setdefault(record.fund, record)
        elif isinstance(record, FundWiped):
            wiped.add(record.fund)
        elif isinstance(record, FlowDealt | FlowRefused):
            dealt[record.fund, record.flow] = record
        elif isinstance(record, BreachSeen) and record.fund in before.keys() - opened.keys():
            before[record.fund].duty = Duty(record.since_ms, record.due_ms)
        elif isinstance(record, BreachLapsed) and record.fund in before:
            before[record.fund].duty = None
    _note_halts(before, step)
    funds = {
        name: each.document(opened.get(name) or each.under_way, verdicts.get(name), name in wiped)
        for name, each in before.items()
    }
    for name, each in before.items():
        funds[name] |= each.capital(dealt)
    return {
        "version": VERSION,
        "as_of": iso(as_of_ms),
        "funds": funds,
        "orders": [_order(r.intent) for r in step.records if isinstance(r, IntentCreated)],
        "crosses": [_cross(r) for r in step.records if isinstance(r, Crossed)],
        "skipped": [
            {
                "fund": skip.fund,
                "account": key[0],
                "contract": key[1],
                "units": text(skip.units),
                "reason": skip.reason,
            }
            for key, skip in step.skips
        ],
    }


def _note_halts(before: Mapping[str, Before], step: engine.Step) -> None:
    for record in step.records:
        if isinstance(record, TradingChanged) and record.fund in before:
            before[record.fund].halted = record.reason


class Before:
    """A fund as it stood before the step."""

    def __init__(self, fund: FundState, worth: Valuation, as_of_ms: int) -> None:
        self.fund = fund
        self.worth = worth
        self.held = dict(fund.holding.units)
        self.symbols = fund.members(as_of_ms)
        self.duty = fund.duty
        self.halted = ""
        self.under_way = fund.run.plan if fund.run else None
        self.slice_waits = fund.run is not None and fund.run.next_slice_ms > as_of_ms
        self.slice_ms = fund.run.next_slice_ms if fund.run else 0
        self.flows = tuple(fund.flows.values())
        self.level = fund.index_level(worth.prices, as_of_ms)

    @classmethod
    def of(cls, state: DeskState, name: str, as_of_ms: int) -> Before:
        """Look at a launched fund; raises InputRefused where a price is missing."""
        fund = state.funds[name]
        worth = state.worth(fund)
        if worth is None:
            raise InputRefused(f"funds.{name}: a price of its basket is missing")
        return cls(fund, worth, as_of_ms)

    def document(
        self, run: RunPlan | None, verdict: VerdictChanged | None, wiped: bool
    ) -> dict[str, Any]:
        """Return the fund's part of the document, given what the step led to."""
        worth, symbols = self.worth, self.symbols
        targets = {symbol: self.held.get(symbol, ZERO) for symbol in symbols}
        deltas = dict.fromkeys(symbols, ZERO)
        trigger, aim = Trigger.NONE, self.fund.fund.target_leverage
        if run is not None:
            trigger, aim = run.trigger, run.target_leverage
            targets |= run.target_units
            deltas |= run.delta_units
            if run is self.under_way:
                deltas |= {
                    symbol: units - self.held.get(symbol, ZERO)
                    for symbol, units in run.target_units.items()
                }
        document = {
            "nav": text(worth.nav),
            "formula_nav": "0" if wiped else text(worth.formula_nav),
            "leverage": None if worth.leverage is None else text(worth.leverage),
            "trigger": str(trigger),
            "reason": self._reason(run, verdict),
            "target_leverage": text(aim),
            "target_units": _written(targets),
            "delta_units": _written(deltas),
            "delta_notional": _written(
                {symbol: units * worth.marks[symbol] for symbol, units in deltas.items()}
            ),
        }
        if self.duty is not None:
            document["due_by"] = iso(self.duty.due_ms)
        return document

    def capital(self, dealt: Mapping[tuple[str, str], FlowDealt | FlowRefused]) -> dict[str, Any]:
        """Return what became of the pending flows, and the index level, where there are any."""
        told: dict[str, Any] = {}
        if self.level is not None:
            told["index_level"] = text(self.level)
        if self.flows:
            told["flows"] = [
                _flow(flow, dealt.get((self.fund.name, flow.key))) for flow in self.flows
            ]
        return told

    def _reason(self, run: RunPlan | None, verdict: VerdictChanged | None) -> str:
        if run is not None:
            waits = f"; its next slice is due at {iso(self.slice_ms)}" if self.slice_waits else ""
            stops = f"; halted: {self.halted}" if self.halted else ""
            return run.reason + waits + stops
        reason = verdict.reason if verdict else "nothing is due"
        if self.worth.leverage is None:
            return reason
        moved = f"the price moved {percent(self.worth.move)} since the last point"
        return f"{reason}: {moved}, leverage is {self.worth.leverage:.4f}"


def _written(amounts: dict[str, Decimal]) -> dict[str, str]:
    return {symbol: text(amount) for symbol, amount in amounts.items()}


def _flow(flow: Flow, outcome: FlowDealt | FlowRefused | None) -> dict[str, Any]:
    told: dict[str, Any] = {"key": flow.key, "kind": str(flow.kind)}
    if outcome is None:
        return told | {"status": "waiting"}
    if isinstance(outcome, FlowRefused):
        return told | {"status": "refused", "reason": outcome.reason}
    return told | {
        "status": "dealt",
        "nav": text(outcome.nav),
        "shares": text(outcome.shares),
        "cash": text(outcome.cash),
        "fee": text(outcome.fee),
    }


def _order(intent: OrderIntent) -> dict[str, Any]:
    weights = {name: abs(units) for name, units in intent.wanted.items()}
    return {
        "account": intent.account,
        "seq": intent.seq,
        "contract": intent.contract,
        "side": str(intent.side),
        "position_side": str(intent.position_side),
        "contracts": text(intent.contracts),
        "units": text(intent.units),
        "notional": text(intent.notional),
        "reduce_only": intent.reduce_only,
        "allocations": _written(split_pro_rata(intent.units, weights)),
    }


def _cross(record: Crossed) -> dict[str, Any]:
    return {
        "account": record.account,
        "contract": record.contract,
        "price": text(record.price),
        "units": _written(dict(record.units)),
    }
