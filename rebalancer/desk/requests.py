"""What may be asked of a running desk, and what it answers: JSON to events, records to JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rebalancer.core.capital import ConsolidationAnnounced, FlowDealt, FlowRefused, FlowTaken
from rebalancer.core.events import (
    Commanded,
    CommandKind,
    ConsolidationAsked,
    FlowsRequested,
    OrderSettled,
    PlanOffered,
    WindDownAsked,
)
from rebalancer.core.flow import Flow, FlowKind
from rebalancer.core.instant import iso
from rebalancer.core.money import ZERO, number, positive, text
from rebalancer.core.records import Record, RunOpened
from rebalancer.core.scope import Scope
from rebalancer.errors import CommandRefused, InputRefused


@dataclass(frozen=True, slots=True)
class ReloadAsked:
    """An operator wants the configuration read anew; it becomes an event once it is checked."""

    at_ms: int
    #: the first characters of the digest that is meant; empty where nothing is confirmed
    confirm: str = ""
    #: only say what it would do
    check: bool = False


Request = (
    Commanded | FlowsRequested | ConsolidationAsked | WindDownAsked | PlanOffered | OrderSettled
)
"""What a line on the control socket can ask the engine for."""

FLOWS = "flows"
CONSOLIDATE = "consolidate"
CLOSE = "close"
SETTLE = "settle"
RELOAD = "reload"
KEY_CHARACTERS_MAX = 200
_NAMED_BY = {Scope.FUND: "fund"}


def read_reload(line: bytes, now_ms: int) -> ReloadAsked | None:
    """Return what one line asks for where that is a reload; None: it asks for something else."""
    try:
        fields = json.loads(line)
        if fields["command"] != RELOAD:
            return None
        return ReloadAsked(now_ms, str(fields.get("confirm") or ""), fields.get("check") is True)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def read_request(line: bytes, now_ms: int) -> Request:
    """Return what one line asks for; raises CommandRefused that says what a line must be."""
    try:
        fields = json.loads(line)
        if fields["command"] == FLOWS:
            return _flows(fields, now_ms)
        if fields["command"] == CONSOLIDATE:
            return _consolidation(fields, now_ms)
        if fields["command"] == CLOSE:
            return WindDownAsked(now_ms, str(fields["fund"]), str(fields["reason"])[:500])
        if fields["command"] == SETTLE:
            return _settlement(fields, now_ms)
        kind, scope = CommandKind(fields["command"]), Scope(fields.get("scope", Scope.FUND))
        if kind in (CommandKind.ADOPT, CommandKind.EXPLAIN):
            fields |= {"fund": fields["break"]}
        name = "" if scope is Scope.DESK else str(fields[_NAMED_BY.get(scope, "name")])
        reason = str(fields.get("reason") or "by an operator")[:500]
        price = _price(fields) if kind is CommandKind.ADOPT else None
    except InputRefused as refused:
        raise CommandRefused(str(refused)) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        known = ", ".join((*CommandKind, FLOWS, CONSOLIDATE, CLOSE, SETTLE, RELOAD))
        raise CommandRefused(
            f"a command is one line of JSON with command ({known}), fund and reason"
        ) from None
    return Commanded(now_ms, kind, name, reason, scope, price)


def _settlement(fields: Mapping[str, Any], now_ms: int) -> OrderSettled:
    filled = number(fields["filled"], "filled")
    fee = number(fields.get("fee", "0"), "fee")
    for value, what in ((filled, "filled"), (fee, "fee")):
        refuse_unwieldy(value, what)
    return OrderSettled(
        now_ms,
        str(fields["order"]),
        filled_contracts=filled,
        price=_price(fields),
        fee=fee,
        reason=str(fields.get("reason") or "by an operator")[:500],
    )


def _price(fields: Mapping[str, Any]) -> Decimal | None:
    """Return the price that an operator has something booked at; None where he names none."""
    if fields.get("price") is None:
        return None
    price = positive(fields["price"], "price")
    refuse_unwieldy(price, "price")
    return price


def _consolidation(fields: Mapping[str, Any], now_ms: int) -> ConsolidationAsked:
    ratio = fields.get("ratio")
    return ConsolidationAsked(
        now_ms,
        str(fields["fund"]),
        str(fields.get("reason") or "by an operator")[:500],
        ratio=None if ratio is None else int(str(ratio)),
        split=fields.get("split") is True,
        cancel=fields.get("cancel") is True,
    )


def _flows(fields: Mapping[str, Any], now_ms: int) -> FlowsRequested:
    batch = str(fields.get("batch") or "")
    flows = tuple(
        _flow(each, f"flow {place}", now_ms) for place, each in enumerate(fields["flows"], start=1)
    )
    if not flows:
        raise CommandRefused("a request for flows needs at least one")
    seen: set[tuple[str, str]] = set()
    for flow in flows:
        if (flow.fund, flow.key) in seen:
            raise CommandRefused(f"{flow.fund}: the key {flow.key} stands twice in one request")
        seen.add((flow.fund, flow.key))
    return FlowsRequested(now_ms, flows, batch, digest_of(flows) if batch else "")


def _flow(fields: Mapping[str, Any], where: str, now_ms: int) -> Flow:
    key = str(fields["key"])
    if not key or len(key) > KEY_CHARACTERS_MAX:
        raise InputRefused(f"{where}: key: must have 1 to {KEY_CHARACTERS_MAX} characters")
    kind = fields["kind"]
    if kind not in tuple(FlowKind):
        raise InputRefused(f"{where}: kind: {kind!r} is not one of {', '.join(FlowKind)}")
    min_out = number(fields.get("min_out", "0"), f"{where}: min_out")
    amount = positive(fields["amount"], f"{where}: amount")
    for value in (min_out, amount):
        refuse_unwieldy(value, where)
    return Flow(
        fund=str(fields["fund"]),
        key=key,
        kind=FlowKind(kind),
        amount=amount,
        min_out=max(ZERO, min_out),
        requested_ms=now_ms,
    )


def refuse_unwieldy(value: Decimal, where: str) -> None:
    """Raise InputRefused for a number whose products would not be exact."""
    exponent = value.as_tuple().exponent
    if value.adjusted() > 24 or not isinstance(exponent, int) or exponent < -18:
        raise InputRefused(
            f"{where}: {value} has more than 24 digits before the point or 18 after it"
        )


def digest_of(flows: Sequence[Flow]) -> str:
    """Return the SHA-256 (hex) of what a file of flows asks for, whenever it is read."""
    told = [
        [flow.fund, flow.key, str(flow.kind), text(flow.amount), text(flow.min_out)]
        for flow in flows
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def trades_at_once(request: Request) -> tuple[str, ...]:
    """Return what a command that sends orders by itself is about, as an operator would name it."""
    if isinstance(request, PlanOffered):
        return request.funds
    if isinstance(request, WindDownAsked):
        return (request.fund,)
    kinds = (CommandKind.REBALANCE, CommandKind.FLATTEN)
    if isinstance(request, Commanded) and request.kind in kinds:
        return (request.name or str(request.scope),)
    return ()


def answer_to(request: Request, records: Sequence[Record]) -> dict[str, Any]:
    """Say what a request led to at once."""
    if isinstance(request, PlanOffered):
        opened = [record for record in records if isinstance(record, RunOpened)]
        return {"runs": [{"fund": each.plan.fund, **_opened(each)} for each in opened]}
    told = _run_of(records)
    if isinstance(request, FlowsRequested):
        outcomes, repeated = _outcomes(records), {"status": "repeated"}
        told["flows"] = [
            {"fund": flow.fund, "key": flow.key, **outcomes.get((flow.fund, flow.key), repeated)}
            for flow in request.flows
        ]
    if isinstance(request, ConsolidationAsked):
        announced = [each for each in records if isinstance(each, ConsolidationAnnounced)]
        told["announced"] = [
            {"kind": str(each.kind), "ratio": each.ratio, "freeze_at": iso(each.freeze_ms)}
            for each in announced
        ]
    return told


def _opened(record: RunOpened) -> dict[str, Any]:
    plan = record.plan
    return {
        "run_id": plan.run_id,
        "trigger": str(plan.trigger),
        "delta_units": {name: text(units) for name, units in plan.delta_units.items()},
    }


def _run_of(records: Sequence[Record]) -> dict[str, Any]:
    for record in records:
        if isinstance(record, RunOpened):
            return _opened(record)
    return {"run_id": None}


def _outcomes(records: Sequence[Record]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return what became of each flow that is new, by fund and key."""
    told: dict[tuple[str, str], dict[str, Any]] = {}
    for record in records:
        if isinstance(record, FlowTaken):
            told[record.flow.fund, record.flow.key] = {"status": "waiting"}
        elif isinstance(record, FlowRefused):
            told[record.fund, record.flow] = {"status": "refused", "reason": record.reason}
        elif isinstance(record, FlowDealt):
            told[record.fund, record.flow] = {
                "status": "dealt",
                "nav": text(record.nav),
                "shares": text(record.shares),
                "cash": text(record.cash),
                "fee": text(record.fee),
            }
    return told
