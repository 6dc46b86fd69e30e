"""The parts of a snapshot about capital: shares, pending flows, the cash account."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rebalancer.core.cash_account import CashPeriod
from rebalancer.core.flow import Flow, FlowKind
from rebalancer.core.money import ZERO
from rebalancer.core.nav import Point
from rebalancer.core.state import FundState
from rebalancer.errors import InputRefused
from rebalancer.sim import reading

_FLOW = ("key", "kind", "cash", "shares", "amount", "min_out", "at")
_CASH_ACCOUNT = ("level", "rate", "at")
#: the specification calls flows by their nouns
_NOUNS = {"subscription": FlowKind.SUBSCRIBE, "redemption": FlowKind.REDEEM}


def read_shares(fields: Mapping[str, Any], where: str) -> Decimal:
    """Return the shares outstanding: above zero, or zero where flows wait for an empty fund."""
    value = reading.need(fields, "shares", where)
    shares = reading.number(value, f"{where}.shares")
    if not shares and fields.get("flows"):
        return ZERO
    return reading.positive(value, f"{where}.shares")


def read_capital(fund: FundState, fields: Mapping[str, Any], as_of_ms: int, where: str) -> None:
    """Read what waits to be dealt, and the period of the cash account."""
    # What a fee took before the snapshot is in its cash and its NAV.
    fund.fee_ms = as_of_ms
    flows = fields.get("flows", [])
    if not isinstance(flows, list):
        raise InputRefused(f"{where}.flows: expected a list, got {type(flows).__name__}")
    for number, each in enumerate(flows):
        flow = _read_flow(fund, reading.table(each, f"{where}.flows[{number}]"), number, as_of_ms)
        if flow.key in fund.flows:
            raise InputRefused(f"{where}.flows[{number}].key: {flow.key!r} stands twice")
        fund.flows[flow.key] = fund.flow_keys[flow.key] = flow
    if fields.get("cash_account") is not None:
        table = reading.table(fields["cash_account"], f"{where}.cash_account")
        fund.cash_period = _read_period(fund, table, as_of_ms, f"{where}.cash_account")
    elif fund.fund.cash_account is not None and _is_whole(fund):
        fund.cash_period = _read_period(fund, {}, as_of_ms, f"{where}.cash_account")


def _read_flow(fund: FundState, table: Mapping[str, Any], number: int, as_of_ms: int) -> Flow:
    where = f"funds.{fund.name}.flows[{number}]"
    reading.only(table, _FLOW, where)
    told = reading.need(table, "kind", where)
    kind = _NOUNS.get(told, told) if isinstance(told, str) else told
    if kind not in tuple(FlowKind):
        raise InputRefused(f"{where}.kind: {kind!r} is not one of {', '.join(FlowKind)}")
    if fund.fund.methodology.flow is None:
        raise InputRefused(f"{where}: funds.{fund.name}.rules.flow is switched off")
    needed, other = ("cash", "shares") if kind == FlowKind.SUBSCRIBE else ("shares", "cash")
    if other in table:
        raise InputRefused(f"{where}.{other}: a flow to {kind} is given by its {needed}")
    if "amount" in table and needed in table:
        raise InputRefused(f"{where}.amount: means the {needed} of a flow to {kind}; keep one")
    size = "amount" if "amount" in table else needed
    asked_ms = reading.time(table, "at", where, as_of_ms)
    return Flow(
        fund=fund.name,
        key=str(table.get("key", number + 1)),
        kind=FlowKind(kind),
        amount=reading.positive(reading.need(table, size, where), f"{where}.{size}"),
        min_out=reading.number(table.get("min_out", 0), f"{where}.min_out"),
        # One that does not say so was there before every cut-off.
        requested_ms=(fund.launched_ms or 0) if asked_ms is None else asked_ms,
    )


def _read_period(
    fund: FundState, table: Mapping[str, Any], as_of_ms: int, where: str
) -> CashPeriod:
    """Return the period since the last rebalance: C is the cash, P_R the prices of the point."""
    reading.only(table, _CASH_ACCOUNT, where)
    terms, point = fund.fund.cash_account, fund.point
    if terms is None:
        raise InputRefused(f"{where}: funds.{fund.name}.cash_account is not in the configuration")
    if point is None:
        raise InputRefused(f"{where}: needs last_rebalance, whose prices the level starts from")
    given = table.get("rate", terms.reference)
    if isinstance(given, str) and given == terms.reference:
        raise InputRefused(f"{where}.rate: is missing; a snapshot asks no source of rates")
    at_ms = reading.time(table, "at", where, as_of_ms)
    reference = reading.number(given, f"{where}.rate")
    return CashPeriod(
        at_ms=point.at_ms if at_ms is None else at_ms,
        reference=reference,
        level=reading.positive(table.get("level", point.nav), f"{where}.level"),
        borrowed=-fund.holding.cash,
        equity=_equity_then(fund, point, where),
        units=dict(fund.holding.units),
        prices=point.prices,
        posted_ms=point.at_ms if at_ms is None else at_ms,
        rate=terms.rate(reference, -fund.holding.cash),
        coupon=terms.coupon,
        day_count=terms.day_count,
    )


def _is_whole(fund: FundState) -> bool:
    """Whether the last point and the configuration alone say what a cash account costs."""
    terms, point = fund.fund.cash_account, fund.point
    return (
        terms is not None
        and not isinstance(terms.reference, str)
        and point is not None
        and fund.holding.units.keys() <= point.prices.keys()
        and fund.holding.equity(point.prices) > 0
    )


def _equity_then(fund: FundState, point: Point, where: str) -> Decimal:
    for symbol in fund.holding.units:
        if symbol not in point.prices:
            raise InputRefused(
                f"{where}: the fund holds {symbol}, which was not in its basket at "
                "last_rebalance.at: there is no price of it to count from"
            )
    equity = fund.holding.equity(point.prices)
    if equity <= 0:
        raise InputRefused(f"{where}: cash and units are worth {equity:f} at the last rebalance")
    return equity
