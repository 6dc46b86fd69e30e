"""What if: the desk's own decisions at shocked prices, and how near each account is to its end."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from rebalancer.core.distances import Distance, distances_of
from rebalancer.core.footing import Footing
from rebalancer.core.fund import Account
from rebalancer.core.limits import Part
from rebalancer.core.methodology import Trigger
from rebalancer.core.money import ONE, ZERO, text, total
from rebalancer.core.nav import Valuation
from rebalancer.core.slicing import child_limit_units
from rebalancer.core.state import DeskState, FundState
from rebalancer.errors import InputRefused
from rebalancer.sim.explain import trigger_document
from rebalancer.sim.plan import plan
from rebalancer.sim.snapshot import Snapshot

VERSION = 1


def simulate(snapshot: Snapshot, shocks: Mapping[str, Decimal]) -> dict[str, Any]:
    """Return the plan at prices that moved by `shocks` (-0.2 = 20 % down), and what led there.

    Funds and accounts are valued right after the shock, before anything was traded; `triggers` are
    the prices at which each rule fires, seen from before it, and whether the shock reaches them
    (None where the members of a basket move apart). Raises
    InputRefused for a contract that the desk does not hold, and for a price that would be gone.
    """
    _refuse_strange(snapshot.state, shocks)
    moved = tuple(
        tick._replace(price=tick.price * (ONE + shocks.get(tick.contract, ZERO)))
        for tick in snapshot.ticks
    )
    before = _valued(snapshot.state, snapshot)
    triggers = {
        name: _triggers(snapshot.state.funds[name], before[name], shocks) for name in snapshot.funds
    }
    shocked = replace(snapshot, ticks=moved)
    after = _valued(snapshot.state, shocked)
    accounts = _accounts(snapshot.state, after)
    told = plan(shocked)
    steps = {
        name: _delever_ms(snapshot.state.funds[name], worth, told["funds"][name])
        for name, worth in after.items()
    }
    return {
        "version": VERSION,
        "as_of": told["as_of"],
        "shocks": {symbol: text(move) for symbol, move in shocks.items()},
        "funds": {
            name: {
                "nav_before": text(before[name].nav),
                "leverage_before": _leverage(before[name]),
                **told["funds"][name],
                "triggers": triggers[name],
                "delever_ms": steps[name],
            }
            for name in snapshot.funds
        },
        "accounts": accounts,
        **{key: told[key] for key in ("orders", "crosses", "skipped")},
    }


def _refuse_strange(state: DeskState, shocks: Mapping[str, Decimal]) -> None:
    for symbol, move in shocks.items():
        if symbol not in state.holders:
            known = ", ".join(state.holders)
            raise InputRefused(f"no fund holds {symbol}; the funds hold {known}")
        if move <= -ONE:
            raise InputRefused(f"{symbol}: a fall of {-move * 100:f} % leaves no price")


def _valued(state: DeskState, snapshot: Snapshot) -> dict[str, Valuation]:
    """Value every fund of the snapshot at its prices."""
    # The market refuses nothing here: both sets of prices are of the same instant, and trusted.
    for tick in snapshot.ticks:
        state.market.observe(tick, snapshot.as_of_ms, trusted=True)
    found = {}
    for name in snapshot.funds:
        worth = state.worth(state.funds[name])
        if worth is None:
            raise InputRefused(f"funds.{name}: a price of its basket is missing")
        found[name] = worth
    return found


def _triggers(
    fund: FundState, worth: Valuation, shocks: Mapping[str, Decimal]
) -> list[dict[str, Any]]:
    return [
        trigger_document(each) | {"reached": _reached(each, shocks)}
        for each in distances_of(fund, worth)
    ]


def _reached(each: Distance, shocks: Mapping[str, Decimal]) -> bool | None:
    moves = {shocks.get(symbol, ZERO) for symbol in each.prices}
    if len(moves) > 1:
        return None
    (move,) = moves
    beyond = move < each.move if each.falling else move > each.move
    return beyond or (move == each.move and not each.strict)


def _accounts(state: DeskState, worths: Mapping[str, Valuation]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name, account in state.desk.accounts.items():
        mine = [fund for fund in state.funds.values() if fund.fund.account == name]
        valued = [(fund, worths[fund.name]) for fund in mine if fund.name in worths]
        if not valued:
            continue
        whole = Footing(
            equity=total(worth.equity for _, worth in valued),
            exposure=total(worth.exposure for _, worth in valued),
            gross=_net_gross(valued),
            maintenance=account.maintenance_margin,
        )
        told[name] = _footing(whole, account) | {
            "funds": {
                fund.name: _footing(
                    Footing(
                        worth.equity,
                        worth.exposure,
                        fund.holding.gross(worth.marks),
                        account.maintenance_margin,
                    ),
                    account,
                )
                for fund, worth in valued
            }
        }
    return told


def _footing(footing: Footing, account: Account) -> dict[str, Any]:
    """Return a footing with what the venue asks to open the positions beside it."""
    return footing.document() | {"initial_margin": text(footing.gross * account.initial_margin)}


def _net_gross(valued: list[tuple[FundState, Valuation]]) -> Decimal:
    """Return the magnitude of the account's positions: opposite funds share one at the venue."""
    net: dict[str, Decimal] = {}
    for fund, worth in valued:
        for symbol, units in fund.holding.units.items():
            net[symbol] = net.get(symbol, ZERO) + units * worth.marks[symbol]
    return total(abs(value) for value in net.values())


def _delever_ms(fund: FundState, worth: Valuation, told: Mapping[str, Any]) -> int:
    """Return how long the orders of the planned run take at least, by their interval."""
    most = 1
    for symbol, delta in told["delta_units"].items():
        held, mark = fund.holding.units.get(symbol, ZERO), worth.marks[symbol]
        part = Part(units=Decimal(delta), mark=mark, held=held)
        if part.units and (child := child_limit_units(fund.fund, Trigger(told["trigger"]), part)):
            most = max(most, math.ceil(abs(part.units) / child))
    return (most - 1) * fund.fund.execution.interval_ms


def _leverage(worth: Valuation) -> str | None:
    return None if worth.leverage is None else text(worth.leverage)
