"""XT's order routes: place, cancel, query by id, list by state or client id, own trades."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.loopback.orders import Force, Kind, Order, OrderRequest, Refused, Side
from tests.loopback.xt import shapes
from tests.loopback.xt.errors import XtError, refused
from tests.loopback.xt.request import Request

#: word in a request -> states of the orders that it means
STATES: Mapping[str, frozenset[str]] = {
    "UNFINISHED": frozenset({"NEW", "PARTIALLY_FILLED"}),
    "HISTORY": frozenset({"PARTIALLY_CANCELED", "FILLED", "CANCELED", "REJECTED", "EXPIRED"}),
    **{
        state: frozenset({state})
        for state in (
            "NEW",
            "PARTIALLY_FILLED",
            "PARTIALLY_CANCELED",
            "FILLED",
            "CANCELED",
            "REJECTED",
            "EXPIRED",
        )
    },
}


def place(request: Request) -> Any:
    """POST order/create: answers with the id alone; `reduceOnly` is no field of the venue."""
    kind: Kind = request.choice("orderType", Kind)
    limit = kind is Kind.LIMIT
    wish = OrderRequest(
        instrument=request.instrument().name,
        side=request.choice("orderSide", Side),
        contracts=request.number("origQty"),
        kind=kind,
        price=request.number("price") if limit else None,
        force=request.choice("timeInForce", Force, Force.GTC if limit else Force.IOC),
        book=request.book(),
        client_order_id=str(request.params.get("clientOrderId") or ""),
    )
    try:
        order = request.core.place(request.account, wish, request.now_ms)
    except Refused as no:
        raise refused(no.refusal) from None
    return str(order.order_id)


def cancel(request: Request) -> Any:
    """POST order/cancel."""
    order = _named(request)
    try:
        request.core.cancel(request.account, order, request.now_ms)
    except Refused as no:
        raise refused(no.refusal) from None
    return str(order.order_id)


def cancel_all(request: Request) -> Any:
    """POST order/cancel-all, of one symbol or of all."""
    names = {instrument.name for instrument in request.chosen()}
    for order in request.account.open_orders():
        if order.request.instrument in names:
            request.core.cancel(request.account, order, request.now_ms)
    return True


def detail(request: Request) -> Any:
    """GET order/detail, by the venue's id only."""
    return _shape(request)(_named(request))


def orders(request: Request) -> Any:
    """GET order/list: by state, which is NEW unless said, and by client id where given."""
    word = request.text("state", "NEW")
    if word not in STATES:
        raise XtError("invalid_params", "Parameter state is unknown")
    return request.page(_chosen(request, STATES[word]), _shape(request))


def history(request: Request) -> Any:
    """GET order/list-history: whatever can no longer trade."""
    return request.scroll(_chosen(request, STATES["HISTORY"]), _shape(request))


def trades(request: Request) -> Any:
    """GET order/trade-list, of one order or symbol or of all."""
    names = {instrument.name for instrument in request.chosen()}
    order_id = request.integer("orderId", 0)
    rows = [
        trade
        for trade in request.account.trades
        if trade.instrument in names and order_id in (0, trade.order_id)
    ]
    return request.page(
        request.window(rows, lambda trade: trade.at_ms),
        lambda trade: shapes.trade(trade, request.core.instruments[trade.instrument]),
    )


def _named(request: Request) -> Order:
    try:
        return request.core.find(request.account, order_id=request.integer("orderId", 0))
    except Refused as no:
        raise refused(no.refusal) from None


def _chosen(request: Request, states: frozenset[str]) -> list[Order]:
    names = {instrument.name for instrument in request.chosen()}
    client_id = str(request.params.get("clientOrderId") or "")
    rows = [
        order
        for order in request.account.orders.values()
        if order.request.instrument in names
        and shapes.state(order) in states
        and client_id in ("", order.request.client_order_id)
    ]
    return request.window(rows, lambda order: order.created_ms)


def _shape(request: Request) -> Callable[[Order], Any]:
    def shape(order: Order) -> Any:
        instrument = request.core.instruments[order.request.instrument]
        return shapes.order(order, instrument, request.account)

    return shape
