"""Binance's order routes: place, cancel, query, batches, own trades."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.loopback.binance import shapes
from tests.loopback.binance.errors import (
    CANCEL_REFUSALS,
    BinanceError,
    missing,
    refused,
)
from tests.loopback.binance.request import Request
from tests.loopback.orders import (
    Book,
    Force,
    Kind,
    Order,
    OrderRequest,
    Refusal,
    Refused,
    Side,
)

CLIENT_ID = re.compile(r"[\.A-Z:/a-z0-9_-]{1,36}")
BATCH_MOST = 5


def place(request: Request) -> Any:
    """POST order."""
    wanted = read_order(request)
    try:
        order = request.core.place(request.account, wanted, request.now_ms)
    except Refused as no:
        raise refused(no.refusal) from None
    result = request.params.get("newOrderRespType") == "RESULT"
    return shapes.placed(order, request.instrument(), result=result)


def read_order(request: Request) -> OrderRequest:
    """Return what the parameters ask for, or raise the venue's error."""
    kind: Kind = request.choice("type", Kind)
    instrument = request.instrument()
    reduce_only = request.flag("reduceOnly")
    book: Book = request.choice("positionSide", Book, Book.NET)
    if reduce_only and book is not Book.NET:
        raise refused(Refusal.REDUCE_ONLY_IN_HEDGE)
    limit = kind is Kind.LIMIT
    force: Force = request.choice("timeInForce", Force, "" if limit else Force.GTC)
    client_id = request.params.get("newClientOrderId") or f"web_{request.core.next_id}"
    if not CLIENT_ID.fullmatch(client_id):
        if len(client_id) > 36:
            raise BinanceError(-4015, "Client order id length should be less than 36 chars")
        raise BinanceError(
            -1100,
            "Illegal characters found in parameter 'newClientOrderId'; legal range is "
            "'^[\\.A-Z\\:/a-z0-9_-]{1,36}$'.",
        )
    return OrderRequest(
        instrument=instrument.name,
        side=request.choice("side", Side),
        contracts=request.number("quantity"),
        kind=kind,
        price=request.number("price") if limit else None,
        force=force,
        book=book,
        reduce_only=reduce_only,
        client_order_id=client_id,
    )


def place_test(request: Request) -> Any:
    """POST order/test: read and not placed."""
    read_order(request)
    return {}


def place_batch(request: Request) -> Any:
    """POST batchOrders: each order stands or falls alone."""
    orders = _json_list(request, "batchOrders")
    if not 1 <= len(orders) <= BATCH_MOST:
        raise BinanceError(-4082, "Invalid number of batch place orders.")
    return _each(request, orders, place)


def cancel(request: Request) -> Any:
    """DELETE order."""
    order = _named(request, CANCEL_REFUSALS)
    try:
        request.core.cancel(request.account, order, request.now_ms)
    except Refused as no:
        raise refused(no.refusal, CANCEL_REFUSALS) from None
    return shapes.canceled(order, request.instrument())


def cancel_batch(request: Request) -> Any:
    """DELETE batchOrders, by venue ids or by client ids; ccxt writes the names in lower case."""
    symbol = request.text("symbol")
    names = {name.lower(): name for name in request.params}
    for field, key in (("orderidlist", "orderId"), ("origclientorderidlist", "origClientOrderId")):
        if field in names:
            ids = _json_list(request, names[field])
            wanted = [{"symbol": symbol, key: str(value)} for value in ids]
            return _each(request, wanted, cancel)
    raise missing("orderIdList")


def cancel_all(request: Request) -> Any:
    """DELETE allOpenOrders of one symbol."""
    name = request.instrument().name
    for order in request.account.open_orders():
        if order.request.instrument == name:
            request.core.cancel(request.account, order, request.now_ms)
    return {"code": 200, "msg": "The operation of cancel all open order is done."}


def query(request: Request) -> Any:
    """GET order: open or closed, by either id."""
    return shapes.order(_named(request), request.instrument())


def query_open(request: Request) -> Any:
    """GET openOrder: only while it is open."""
    order = _named(request)
    if not order.open:
        raise refused(Refusal.UNKNOWN_ORDER)
    return shapes.order(order, request.instrument())


def open_orders(request: Request) -> Any:
    """GET openOrders, of one symbol or of all."""
    names = {instrument.name for instrument in request.chosen()}
    return [
        shapes.order(order, request.core.instruments[order.request.instrument])
        for order in request.account.open_orders()
        if order.request.instrument in names
    ]


def all_orders(request: Request) -> Any:
    """GET allOrders of one symbol: the newest, or those from an order on where one is named."""
    instrument = request.instrument()
    first = request.integer("orderId", 0)
    rows = [
        order
        for order in request.account.orders.values()
        if order.request.instrument == instrument.name and order.order_id >= first
    ]
    rows = request.page(rows, lambda order: order.created_ms, 500, newest=not first)
    return [shapes.order(order, instrument) for order in rows]


def user_trades(request: Request) -> Any:
    """GET userTrades of one symbol."""
    instrument = request.instrument()
    first, order_id = request.integer("fromId", 0), request.integer("orderId", 0)
    rows = [
        trade
        for trade in request.account.trades
        if trade.instrument == instrument.name
        and trade.trade_id >= first
        and order_id in (0, trade.order_id)
    ]
    rows = request.page(rows, lambda trade: trade.at_ms, 500)
    return [shapes.trade(trade, instrument) for trade in rows]


def _named(request: Request, special: Mapping[Refusal, tuple[int, str]] | None = None) -> Order:
    instrument = request.instrument()
    order_id = request.integer("orderId", 0)
    client_id = request.params.get("origClientOrderId", "")
    if not order_id and not client_id:
        raise BinanceError(-1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both "
                                  "were empty/null!")  # fmt: skip
    try:
        order = request.core.find(
            request.account, order_id=order_id or None, client_order_id=client_id
        )
    except Refused as no:
        raise refused(no.refusal, special) from None
    if order.request.instrument != instrument.name:
        raise refused(Refusal.UNKNOWN_ORDER, special)
    return order


def _json_list(request: Request, name: str) -> list[Any]:
    try:
        values = json.loads(request.text(name))
    except ValueError:
        raise missing(name) from None
    if not isinstance(values, list):
        raise missing(name)
    return values


def _each(
    request: Request, wanted: Sequence[Mapping[str, Any]], handler: Callable[[Request], Any]
) -> list[Any]:
    answers: list[Any] = []
    for params in wanted:
        texts = {name: str(value) for name, value in params.items()}
        try:
            answers.append(handler(replace(request, params=texts)))
        except BinanceError as error:
            answers.append(error.document)
    return answers
