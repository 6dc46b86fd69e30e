"""How plans are told to a person; their documents have every digit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from rebalancer.cli.output import base_of, money, times


def signed(units: str) -> str:
    """Write base coins with their sign and six decimals, enough for a person."""
    return f"{Decimal(units):+.6f}"


def deltas(fund: Mapping[str, Any]) -> str:
    """Write what a fund trades: +0.952381 BTC, -3.000000 ETH; empty where nothing."""
    traded = {symbol: units for symbol, units in fund["delta_units"].items() if units != "0"}
    return ", ".join(f"{signed(units)} {base_of(symbol)}" for symbol, units in traded.items())


def by_fund(units: Mapping[str, str]) -> str:
    """Write the parts of an order or a cross: BTC3L +0.952367, BTC3S +1.904733."""
    return ", ".join(f"{name} {signed(size)}" for name, size in units.items())


def written_times(leverage: str | None) -> str:
    """Write a leverage of a document: 2.7391x, or a dash for null."""
    return times(None if leverage is None else Decimal(leverage))


def trade_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Write what a plan would order, cross and skip, a line each."""
    for order in document["orders"]:
        reduce = ", reduce-only" if order["reduce_only"] else ""
        yield (
            f"order {order['seq']} on {order['account']}: {order['side']} {order['contracts']} "
            f"{order['contract']} ({money(Decimal(order['notional']))}{reduce}) "
            f"for {by_fund(order['allocations'])}"
        )
    for cross in document["crosses"]:
        shared = by_fund(cross["units"])
        yield f"cross on {cross['account']}: {cross['contract']} at {cross['price']}: {shared}"
    for skip in document["skipped"]:
        yield f"skip {skip['fund']}: {signed(skip['units'])} {skip['contract']}: {skip['reason']}"
