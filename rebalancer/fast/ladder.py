"""A ladder of shocks: at each rung who fires by which rule, and what a fixed run would trade there.

Thousands of funds at dozens of prices, by arrays; every verdict and every order is the core's
(`fast/fleet.py`). Rungs are seen one by one from the same book: nothing was traded on the way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from rebalancer.core.fund import PriceSource
from rebalancer.core.methodology import Trigger
from rebalancer.core.money import ONE, ZERO, text
from rebalancer.core.order import OrderSide
from rebalancer.core.records import TradingState
from rebalancer.core.state import FundState
from rebalancer.errors import BrokenInvariant, InputRefused
from rebalancer.fast.fleet import Fleet, Row
from rebalancer.sim.snapshot import Snapshot

VERSION = 1


def ladder(snapshot: Snapshot, moves: Sequence[Decimal]) -> dict[str, Any]:
    """Return the document of a book at prices that all moved by each of `moves` (-0.2 = 20 % down).

    Raises InputRefused where no fund is left that arrays know. Cool-downs and confirmations play no
    part: what fires is what the rules ask for once a price is believed.
    """
    marks = {
        tick.contract: tick.price for tick in snapshot.ticks if tick.source is PriceSource.MARK
    }
    left_out = dict(_left_out(snapshot, marks))
    known = [snapshot.state.funds[name] for name in snapshot.funds if name not in left_out]
    if not known:
        told = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise InputRefused(f"--ladder: arrays know none of the funds ({told}); use --shock")
    fleets = {
        account: _fleet(snapshot, [fund for fund in known if fund.fund.account == account])
        for account in dict.fromkeys(fund.fund.account for fund in known)
    }
    rungs = []
    for move in moves:
        shocked = {symbol: price * (ONE + move) for symbol, price in marks.items()}
        rungs.append({"shock": text(move), **_rung(fleets, shocked, snapshot.as_of_ms)})
    return {"version": VERSION, "funds": len(known), "left_out": left_out, "rungs": rungs}


def _left_out(snapshot: Snapshot, marks: Mapping[str, Decimal]) -> Iterator[tuple[str, str]]:
    """Tell the funds that arrays do not know, with the reason."""
    prices = {(tick.contract, tick.source): tick.price for tick in snapshot.ticks}
    for name in snapshot.funds:
        fund = snapshot.state.funds[name]
        symbols = tuple(fund.members(snapshot.as_of_ms))
        if len(symbols) > 1:
            yield name, "a basket of several contracts"
        elif fund.fund.cash_account is not None:
            yield name, "cash_account"
        elif fund.point is None or not fund.shares:
            yield name, "it holds nothing yet"
        elif fund.trading is not TradingState.ACTIVE:
            yield name, f"it is {fund.trading}"
        elif marks.get(symbols[0]) is None:
            yield name, f"{symbols[0]} has no mark"
        elif prices.get((symbols[0], fund.fund.price_source)) != marks[symbols[0]]:
            yield name, "its price_source is not at the mark"


def _fleet(snapshot: Snapshot, funds: Sequence[FundState]) -> Fleet:
    rows = [_row(fund) for fund in funds]
    symbols = dict.fromkeys(symbol for row in rows for symbol in row.point.prices)
    return Fleet.of(rows, [snapshot.state.desk.contract(symbol) for symbol in symbols])


def _row(fund: FundState) -> Row:
    point = fund.point
    if point is None:
        raise BrokenInvariant(f"{fund.name} has no point and was not left out")
    (symbol,) = point.prices
    held = fund.holding
    return Row(fund.fund, held.cash, held.units.get(symbol, ZERO), fund.shares, point)


def _rung(fleets: Mapping[str, Fleet], marks: Mapping[str, Decimal], now_ms: int) -> dict[str, Any]:
    fires: dict[str, list[str]] = {}
    orders, least = [], np.inf
    for account, fleet in fleets.items():
        prices = [marks[contract.symbol] for contract in fleet.contracts]
        seen = fleet.look(prices, now_ms)
        least = min(least, float(seen.navs.min()))
        ended = set()
        for row, signals in seen.fired.items():
            by_price = [signal.trigger for signal in signals if not signal.by_clock]
            for trigger in by_price[:1]:
                fires.setdefault(trigger, []).append(fleet.rows[row].fund.name)
                ended |= {row} if trigger is Trigger.GAP else set()
        if account:
            orders += _orders(account, fleet, prices, ended)
    return {"fires": fires, "least_nav": f"{max(least, 0.0):.10g}", "fixed_run": orders}


def _orders(
    account: str, fleet: Fleet, prices: Sequence[Decimal], ended: set[int]
) -> list[dict[str, Any]]:
    """Return what a fixed run of all funds that live would trade."""
    if ended:
        rows = [row for place, row in enumerate(fleet.rows) if place not in ended]
        fleet = Fleet.of(rows, fleet.contracts)
    marks = dict(zip((each.symbol for each in fleet.contracts), prices, strict=True))
    units_of = {each.symbol: each.units_in(ONE) for each in fleet.contracts}
    told = []
    for order in fleet.plan(prices) if fleet.rows else ():
        units = order.contracts * units_of[order.symbol]
        signed = units if order.side is OrderSide.BUY else -units
        told.append(
            {
                "account": account,
                "contract": order.symbol,
                "side": order.side,
                "contracts": text(order.contracts),
                "notional": text(signed * marks[order.symbol]),
                "reduce_only": order.reduce_only,
            }
        )
    return told
