"""How each venue tells that it made a trade or an order by itself.

A liquidation, auto-deleveraging or settlement closes a position without an order of the account's
owner. The words are those of the venues' documentation; none was seen on a real account.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from rebalancer.venues.facts_account import flag

ReadForced = Callable[[Mapping[str, Any]], bool]
"""Whether one of ccxt's trades or orders is one that the venue made to close a position itself."""


def _binance(order: Mapping[str, Any]) -> bool:
    names = ("autoclose-", "adl_autoclose", "settlement_autoclose-")
    return str(order.get("clientOrderId") or "").startswith(names)


def _bybit(trade: Mapping[str, Any]) -> bool:
    return trade["info"].get("execType") in ("BustTrade", "AdlTrade", "Delivery", "Settle")


def _okx(order: Mapping[str, Any]) -> bool:
    words = ("full_liquidation", "partial_liquidation", "adl", "delivery")
    return order["info"].get("category") in words


def _gate(order: Mapping[str, Any]) -> bool:
    # What a client writes there begins with t-, so that nobody can write these.
    words = ("liq-", "hedge-liq-", "liquidation", "pm_liquidate", "comb_margin_liquidate")
    others = ("scm_liquidate", "auto_deleveraging", "insurance")
    return str(order["info"].get("text")).startswith((*words, *others))


def _xt(order: Mapping[str, Any]) -> bool:
    return flag(order["info"].get("forceClose")) is True


def _bitget(trade: Mapping[str, Any]) -> bool:
    # reduced or closed in a liquidation, netted, delivered, deleveraged
    words = ("reduce_", "burst_", "offset_", "delivery_", "dte_sys_adl_")
    return str(trade["info"].get("tradeSide")).startswith(words)


def _kucoin(trade: Mapping[str, Any]) -> bool:
    return trade["info"].get("tradeType") in ("liquid", "adl", "settlement")


def _mexc(trade: Mapping[str, Any]) -> bool:
    taken_over, deleveraged = "2", "4"
    return str(trade["info"].get("category")) in (taken_over, deleveraged)


def _hyperliquid(trade: Mapping[str, Any]) -> bool:
    told = trade["info"]
    if str(told.get("dir")).startswith(("Liquidated", "Auto-Deleveraging", "Settlement")):
        return True
    # Both sides of a liquidation at the market carry its mark; the one it is for takes.
    return bool(told.get("liquidation")) and flag(told.get("crossed")) is True


FORCED_TRADES: Mapping[str, ReadForced] = MappingProxyType(
    {
        "bybit": _bybit,
        "bitget": _bitget,
        "kucoinfutures": _kucoin,
        "mexc": _mexc,
        "hyperliquid": _hyperliquid,
    }
)
"""By ccxt's name of the venue, where the trade itself says so."""

FORCED_ORDERS: Mapping[str, ReadForced] = MappingProxyType(
    {"binanceusdm": _binance, "okx": _okx, "gate": _gate, "xt": _xt}
)
"""By ccxt's name of the venue, where only the order says so that a trade belongs to."""
