"""What receivers are told: committed records and alerts as typed JSON (Standard Webhooks)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from rebalancer.core.actions import Alert
from rebalancer.core.capital import Consolidated, ConsolidationAnnounced
from rebalancer.core.instant import iso
from rebalancer.core.money import text, text_or_none
from rebalancer.core.premium import PremiumStaged
from rebalancer.core.records import (
    FundWiped,
    NavStruck,
    Record,
    RunMoved,
    RunOpened,
    ScopeChanged,
    TradingChanged,
    TradingState,
)
from rebalancer.core.scope import Scope

#: kinds of events that a receiver can choose; a type is KIND.WHAT
KINDS = ("nav", "rebalance", "state", "premium", "consolidation", "alert")

Told = tuple[str, dict[str, Any]]
"""The type of an event, and its data."""


def _opened(record: RunOpened) -> Told:
    plan = record.plan
    data = {
        "fund": plan.fund,
        "run_id": plan.run_id,
        "trigger": str(plan.trigger),
        "reason": plan.reason,
        "target_leverage": text(plan.target_leverage),
    }
    return "rebalance.opened", data


def _moved(record: RunMoved) -> Told:
    data = {
        "fund": record.fund,
        "run_id": record.run_id,
        "reason": record.reason,
        "nav": text_or_none(record.nav),
        "leverage": text_or_none(record.leverage),
    }
    return f"rebalance.{record.status}", data


def _struck(record: NavStruck) -> Told:
    data = {
        "fund": record.fund,
        "boundary": iso(record.boundary_ms),
        "nav": text(record.nav),
        "formula_nav": text(record.formula_nav),
        "shares": text(record.shares),
    }
    return "nav.struck", data


def _staged(record: PremiumStaged) -> Told:
    data = {
        "fund": record.fund,
        "stage": str(record.stage),
        "market": record.market,
        "price": text(record.price),
        "nav": text(record.nav),
        "premium": text(record.premium),
    }
    return f"premium.{record.stage}", data


def _announced(record: ConsolidationAnnounced) -> Told:
    data = {
        "fund": record.fund,
        "kind": str(record.kind),
        "ratio": record.ratio,
        "freeze": iso(record.freeze_ms),
        "reason": record.reason,
    }
    return "consolidation.announced", data


def _consolidated(record: Consolidated) -> Told:
    data = {
        "fund": record.fund,
        "kind": str(record.kind),
        "ratio": record.ratio,
        "nav_before": text(record.nav_before),
        "nav_after": text(record.nav_after),
    }
    return "consolidation.done", data


def _state(scope: Scope, name: str, state: TradingState, reason: str) -> Told:
    data = {"scope": str(scope), "name": name, "state": str(state), "reason": reason}
    return "state.changed", data


_WORDS: Mapping[type[Record], Callable[[Any], Told]] = {
    RunOpened: _opened,
    RunMoved: _moved,
    NavStruck: _struck,
    PremiumStaged: _staged,
    ConsolidationAnnounced: _announced,
    Consolidated: _consolidated,
    TradingChanged: lambda r: _state(Scope.FUND, r.fund, r.state, r.reason),
    ScopeChanged: lambda r: _state(r.scope, r.name, r.state, r.reason),
    FundWiped: lambda r: _state(Scope.FUND, r.fund, TradingState.WIPED, r.reason),
}


def of_record(record: Record) -> Told | None:
    """Return what a record is told as; None where receivers are not told of its kind."""
    words = _WORDS.get(type(record))
    return None if words is None else words(record)


def of_alert(alert: Alert) -> Told:
    """Return what an alert is told as."""
    data = {
        "name": alert.name,
        "subject": alert.subject,
        "severity": str(alert.severity),
        "text": alert.text,
    }
    return "alert.raised", data


def body_of(told: Told, at_ms: int) -> str:
    """Write an event as receivers get it; the same text is signed at every attempt."""
    kind, data = told
    return json.dumps({"type": kind, "timestamp": iso(at_ms), "data": data})
