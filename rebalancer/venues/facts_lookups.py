"""How each venue is asked about one order in its three places, and told to cancel it, through ccxt.

Written out per venue because the obvious call is wrong at some: it names no order (XT, MEXC),
forwards a key that the venue ignores (Bybit), or fails inside ccxt (Bitget).
"""

from __future__ import annotations

from rebalancer.core.instant import DAY_MS, HOUR_MS, MINUTE_MS
from rebalancer.venues import facts_lists as lists
from rebalancer.venues.facts_shape import Call, Lookup, Named

#: where an IOC order ends up first, then where a lost one might be
_XT_STATES = (
    "FILLED",
    "CANCELED",
    "PARTIALLY_CANCELED",
    "EXPIRED",
    "REJECTED",
    "UNFINISHED",
)


def _by_unified_id(named: Named) -> tuple[Call, ...]:
    return (Call("fetch_order", (None, named.symbol, {"clientOrderId": named.client_id})),)


def _by_client_oid(named: Named) -> tuple[Call, ...]:
    return (Call("fetch_order", ("", named.symbol, {"clientOid": named.client_id})),)


def _by_link_id_lists(named: Named) -> tuple[Call, ...]:
    params = {"orderLinkId": named.client_id}
    return tuple(
        Call(method, (named.symbol, None, None, params))
        for method in ("fetch_open_orders", "fetch_canceled_and_closed_orders")
    )


def _by_state_sweep(named: Named) -> tuple[Call, ...]:
    return tuple(
        Call(
            "privateLinearGetFutureTradeV1OrderList",
            ({"symbol": named.market_id, "clientOrderId": named.client_id, "state": state},),
        )
        for state in _XT_STATES
    )


def _by_external_oid(named: Named) -> tuple[Call, ...]:
    return (
        Call(
            "contractPrivateGetOrderExternalSymbolExternalOid",
            ({"symbol": named.market_id, "external_oid": named.client_id},),
        ),
    )


BINANCE = Lookup(
    steps=_by_unified_id,
    raw=False,
    lists=lists.BINANCE,
    trade_field="",
    horizon_ms=3 * DAY_MS,
    note="a cancelled order without a fill is dropped after three days",
)
BYBIT = Lookup(
    steps=_by_link_id_lists,
    raw=False,
    lists=lists.BYBIT,
    trade_field="orderLinkId",
    horizon_ms=None,
    note="both lists take orderLinkId; fetch_order would forward clientOrderId as an unknown key",
)
OKX = Lookup(
    steps=_by_unified_id,
    raw=False,
    lists=lists.OKX,
    trade_field="clOrdId",
    horizon_ms=2 * HOUR_MS,
    note="a cancelled order without a fill is dropped after two hours",
)
GATE = Lookup(
    steps=_by_unified_id,
    raw=False,
    lists=lists.GATE,
    trade_field="text",
    horizon_ms=MINUTE_MS,
    note="by text only while open and for 60 s after; then own trades and the finished list",
)
XT = Lookup(
    steps=_by_state_sweep,
    raw=True,
    lists=lists.XT,
    trade_field="",
    horizon_ms=None,
    note="the list answers for one state at a time and defaults to NEW: every state is asked",
)
BITGET = Lookup(
    steps=_by_client_oid,
    raw=False,
    lists=lists.BITGET,
    trade_field="",
    horizon_ms=None,
    note="the order id must be text",
)
KUCOIN = Lookup(
    steps=_by_unified_id,
    raw=False,
    lists=lists.KUCOIN,
    trade_field="",
    horizon_ms=None,
    note="",
)
MEXC = Lookup(
    steps=_by_external_oid,
    raw=True,
    lists=lists.MEXC,
    order_field="externalOid",
    trade_field="",
    horizon_ms=None,
    note="fetch_order knows the venue's id only; ccxt reads no client id in any answer",
)
HYPERLIQUID = Lookup(
    steps=_by_unified_id,
    raw=False,
    lists=lists.HYPERLIQUID,
    trade_field="cloid",
    horizon_ms=None,
    note="orderStatus takes a cloid",
)


def cancel_by_unified_id(named: Named) -> Call | None:
    """Cancel by client id where ccxt's own parameter works."""
    return Call("cancel_order", (None, named.symbol, {"clientOrderId": named.client_id}))


def cancel_by_link_id(named: Named) -> Call | None:
    """Cancel at Bybit; ccxt forwards nothing else."""
    return Call("cancel_order", (None, named.symbol, {"orderLinkId": named.client_id}))


def cancel_by_text_as_id(named: Named) -> Call | None:
    """Cancel at Gate, where the text stands in for the order id."""
    return Call("cancel_order", (named.client_id, named.symbol))


def cancel_by_client_oid(named: Named) -> Call | None:
    """Cancel at Bitget, whose order id must be text."""
    return Call("cancel_order", ("", named.symbol, {"clientOid": named.client_id}))


def cancel_by_order_id(named: Named) -> Call | None:
    """Cancel at XT, which knows its own ids only."""
    return Call("cancel_order", (named.order_id, named.symbol)) if named.order_id else None


def cancel_by_external_oid(named: Named) -> Call | None:
    """Cancel at MEXC, past ccxt's own method, which takes the venue's id only."""
    params = {"symbol": named.market_id, "externalOid": named.client_id}
    return Call("contractPrivatePostOrderCancelWithExternal", (params,))
