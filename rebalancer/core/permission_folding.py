"""How records about what may be traded change the state: of funds, and of what is over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rebalancer.core import records
from rebalancer.core.permission import TRANSITIONS, Permission
from rebalancer.core.records import Record, TradingState
from rebalancer.core.scope import Scope, title
from rebalancer.core.state import DeskState
from rebalancer.errors import ensure


def _trading(state: DeskState, record: records.TradingChanged) -> None:
    fund = state.funds.get(record.fund)
    if fund is None:  # it was halted before its launch and left the configuration
        return
    _refuse_transition(fund.name, fund.trading, record.state)
    fund.trading, fund.trading_reason = record.state, record.reason
    if record.state is TradingState.HALTED:
        fund.manual = None
    if record.state is not TradingState.REDUCING:
        fund.flattening = ""


def _refuse_transition(what: str, before: TradingState, after: TradingState) -> None:
    ensure(after in TRANSITIONS[before], f"{what} is {before} and cannot become {after}")


def _scope(state: DeskState, record: records.ScopeChanged) -> None:
    key = (record.scope, record.name)
    ensure(record.scope is not Scope.FUND, "the state of a fund is told in another record")
    known = state.scopes.pop(key, None)
    before = known.state if known else TradingState.ACTIVE
    _refuse_transition(title(*key), before, record.state)
    if record.state is not TradingState.ACTIVE:
        state.scopes[key] = Permission(*key, record.state, record.reason)
    if record.scope is Scope.CONTRACT and record.state is not TradingState.HALTED:
        state.delisted -= {record.name}
    if record.state is TradingState.HALTED and record.scope is not Scope.CONTRACT:
        # A command that waited must not be carried out once trading is allowed again.
        for fund in state.funds.values():
            if record.scope is Scope.DESK or fund.fund.account == record.name:
                fund.manual = None


HANDLERS: Mapping[type[Record], Callable[[DeskState, Any], None]] = {
    records.TradingChanged: _trading,
    records.ScopeChanged: _scope,
}
