"""What each venue answers where an order may be shown: look-up, lists and own trades.

Bodies are ours, in the shape of each venue's; the real ccxt classes read them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.venues.golden.recorder import NOW_MS

ORDER_ID = "4711"
AT_MS = NOW_MS - 4_000


@dataclass(frozen=True, slots=True)
class Places:
    """How one venue shows orders and trades; every body is one of JSON."""

    #: (order id, client id) -> the venue's own entry of an order
    order: Callable[[str, str], Any]
    #: (order id, client id) -> the venue's own entry of a trade
    trade: Callable[[str, str], Any]
    #: an entry, or None for "no such order" -> (status, body) of a look-up
    query: Callable[[Any], tuple[int, Any]]
    #: entries -> body of a list
    listed: Callable[[Sequence[Any]], Any]
    traded: Callable[[Sequence[Any]], Any]


def _either(found: Callable[[Any], Any], status: int, missing: Any) -> Any:
    return lambda entry: (200, found(entry)) if entry is not None else (status, missing)


def _bybit(entries: Sequence[Any]) -> Any:
    result = {"category": "linear", "nextPageCursor": "", "list": list(entries)}
    return {"retCode": 0, "retMsg": "OK", "result": result, "time": NOW_MS}


def _okx(entries: Sequence[Any]) -> Any:
    return {"code": "0", "msg": "", "data": list(entries)}


def _xt(entries: Sequence[Any]) -> Any:
    result = {"hasPrev": False, "hasNext": False, "items": list(entries)}
    return {"returnCode": 0, "msgInfo": "success", "error": None, "result": result}


def _bitget(name: str) -> Callable[[Sequence[Any]], Any]:
    return lambda entries: {"code": "00000", "msg": "success", "data": {name: list(entries)}}


def _kucoin(entries: Sequence[Any]) -> Any:
    return {"code": "200000", "data": {"currentPage": 1, "items": list(entries)}}


def _mexc(data: Any) -> Any:
    return {"success": True, "code": 0, "data": data}


def _hyperliquid_order(order_id: str, client_id: str) -> Any:
    order = {
        "coin": "BTC",
        "side": "B",
        "limitPx": "1",
        "sz": "0.0",
        "oid": int(order_id),
        "timestamp": AT_MS,
        "origSz": "1",
        "cloid": client_id,
        "tif": "Ioc",
        "orderType": "Limit",
        "reduceOnly": False,
    }
    return {"order": order, "status": "filled", "statusTimestamp": AT_MS}


PLACES: Mapping[str, Places] = {
    "binanceusdm": Places(
        order=lambda order, client: {
            "orderId": int(order),
            "symbol": "BTCUSDT",
            "status": "FILLED",
            "side": "BUY",
            "clientOrderId": client,
            "price": "1",
            "avgPrice": "1",
            "origQty": "1",
            "executedQty": "1",
            "cumQuote": "1",
            "type": "LIMIT",
            "timeInForce": "IOC",
            "time": AT_MS,
            "updateTime": AT_MS,
            "reduceOnly": False,
        },
        trade=lambda order, _client: {
            "symbol": "BTCUSDT",
            "id": 9,
            "orderId": int(order),
            "side": "BUY",
            "price": "1",
            "qty": "1",
            "quoteQty": "1",
            "commission": "0",
            "commissionAsset": "USDT",
            "time": AT_MS,
            "buyer": True,
            "maker": False,
            "positionSide": "BOTH",
        },
        query=_either(lambda entry: entry, 400, {"code": -2013, "msg": "Order does not exist."}),
        listed=list,
        traded=list,
    ),
    "bybit": Places(
        order=lambda order, client: {
            "orderId": order,
            "orderLinkId": client,
            "symbol": "BTCUSDT",
            "side": "Buy",
            "price": "1",
            "qty": "1",
            "cumExecQty": "1",
            "orderStatus": "Filled",
            "orderType": "Limit",
            "timeInForce": "IOC",
            "createdTime": str(AT_MS),
        },
        trade=lambda order, client: {
            "symbol": "BTCUSDT",
            "execId": "9",
            "orderId": order,
            "orderLinkId": client,
            "side": "Buy",
            "execPrice": "1",
            "execQty": "1",
            "execFee": "0",
            "execTime": str(AT_MS),
            "isMaker": False,
            "execType": "Trade",
        },
        query=lambda entry: (200, _bybit([] if entry is None else [entry])),
        listed=_bybit,
        traded=_bybit,
    ),
    "okx": Places(
        order=lambda order, client: {
            "ordId": order,
            "clOrdId": client,
            "instId": "BTC-USDT-SWAP",
            "instType": "SWAP",
            "side": "buy",
            "px": "1",
            "sz": "1",
            "accFillSz": "1",
            "avgPx": "1",
            "state": "filled",
            "ordType": "ioc",
            "cTime": str(AT_MS),
            "uTime": str(AT_MS),
        },
        trade=lambda order, client: {
            "instId": "BTC-USDT-SWAP",
            "instType": "SWAP",
            "tradeId": "9",
            "ordId": order,
            "clOrdId": client,
            "side": "buy",
            "fillPx": "1",
            "fillSz": "1",
            "fee": "0",
            "feeCcy": "USDT",
            "ts": str(AT_MS),
            "execType": "T",
        },
        query=_either(
            lambda entry: _okx([entry]), 200, {"code": "51603", "msg": "no order", "data": []}
        ),
        listed=_okx,
        traded=_okx,
    ),
    "gate": Places(
        order=lambda order, client: {
            "id": int(order),
            "text": client,
            "contract": "BTC_USDT",
            "size": 1,
            "left": 0,
            "price": "1",
            "fill_price": "1",
            "status": "finished",
            "finish_as": "filled",
            "tif": "ioc",
            "create_time": AT_MS / 1_000,
            "finish_time": AT_MS / 1_000,
        },
        trade=lambda order, client: {
            "trade_id": "9",
            "order_id": order,
            "text": client,
            "contract": "BTC_USDT",
            "create_time": AT_MS / 1_000,
            "size": 1,
            "price": "1",
            "role": "taker",
            "fee": "0",
            "point_fee": "0",
        },
        query=_either(lambda entry: entry, 404, {"label": "ORDER_NOT_FOUND", "message": "no"}),
        listed=list,
        traded=list,
    ),
    "xt": Places(
        order=lambda order, client: {
            "orderId": order,
            "clientOrderId": client,
            "symbol": "btc_usdt",
            "state": "FILLED",
            "orderSide": "BUY",
            "positionSide": "LONG",
            "orderType": "LIMIT",
            "price": "1",
            "origQty": "1",
            "executedQty": "1",
            "avgPrice": "1",
            "timeInForce": "IOC",
            "createdTime": AT_MS,
        },
        trade=lambda order, _client: {
            "execId": "9",
            "orderId": order,
            "symbol": "btc_usdt",
            "price": "1",
            "quantity": "1",
            "fee": "0",
            "feeCoin": "usdt",
            "timestamp": AT_MS,
        },
        query=lambda entry: (200, _xt([] if entry is None else [entry])),
        listed=_xt,
        traded=_xt,
    ),
    "bitget": Places(
        order=lambda order, client: {
            "orderId": order,
            "clientOid": client,
            "symbol": "BTCUSDT",
            "side": "buy",
            "size": "1",
            "price": "1",
            "baseVolume": "1",
            "priceAvg": "1",
            "fee": "0",
            "state": "filled",
            "status": "filled",
            "orderType": "limit",
            "force": "ioc",
            "cTime": str(AT_MS),
            "uTime": str(AT_MS),
        },
        trade=lambda order, _client: {
            "tradeId": "9",
            "orderId": order,
            "symbol": "BTCUSDT",
            "side": "buy",
            "price": "1",
            "baseVolume": "1",
            "quoteVolume": "1",
            "cTime": str(AT_MS),
            "feeDetail": [],
        },
        query=_either(
            lambda entry: {"code": "00000", "msg": "success", "data": entry},
            400,
            {"code": "40109", "msg": "The data of the order cannot be found", "data": None},
        ),
        listed=_bitget("entrustedList"),
        traded=_bitget("fillList"),
    ),
    "kucoinfutures": Places(
        order=lambda order, client: {
            "id": order,
            "clientOid": client,
            "symbol": "XBTUSDTM",
            "side": "buy",
            "size": 1,
            "price": "1",
            "dealSize": 1,
            "filledSize": 1,
            "dealValue": "1",
            "type": "limit",
            "timeInForce": "IOC",
            "isActive": False,
            "cancelExist": False,
            "status": "done",
            "createdAt": AT_MS,
        },
        trade=lambda order, _client: {
            "tradeId": "9",
            "orderId": order,
            "symbol": "XBTUSDTM",
            "side": "buy",
            "size": 1,
            "price": "1",
            "value": "1",
            "fee": "0",
            "feeCurrency": "USDT",
            "tradeTime": AT_MS * 1_000_000,
            "createdAt": AT_MS,
            "liquidity": "taker",
        },
        query=_either(
            lambda entry: {"code": "200000", "data": entry},
            200,
            {"code": "100001", "msg": "error.getOrder.orderNotExist"},
        ),
        listed=_kucoin,
        traded=_kucoin,
    ),
    "mexc": Places(
        order=lambda order, client: {
            "orderId": order,
            "externalOid": client,
            "symbol": "BTC_USDT",
            "side": 1,
            "price": "1",
            "vol": "1",
            "dealVol": "1",
            "dealAvgPrice": "1",
            "state": 3,
            "orderType": 3,
            "createTime": AT_MS,
            "updateTime": AT_MS,
        },
        trade=lambda order, _client: {
            "id": "9",
            "orderId": order,
            "symbol": "BTC_USDT",
            "side": 1,
            "price": "1",
            "vol": "1",
            "fee": "0",
            "feeCurrency": "USDT",
            "timestamp": AT_MS,
            "positionMode": 1,
            "taker": True,
        },
        query=lambda entry: (200, _mexc(entry)),
        listed=lambda entries: _mexc(list(entries)),
        traded=lambda entries: _mexc(list(entries)),
    ),
    "hyperliquid": Places(
        order=_hyperliquid_order,
        trade=lambda order, client: {
            "coin": "BTC",
            "px": "1",
            "sz": "1",
            "side": "B",
            "time": AT_MS,
            "tid": 9,
            "oid": int(order),
            "cloid": client,
            "fee": "0",
            "feeToken": "USDC",
            "crossed": True,
            "dir": "Open Long",
            "hash": "0x",
        },
        query=lambda entry: (
            200,
            {"status": "unknownOid"} if entry is None else {"status": "order", "order": entry},
        ),
        listed=list,
        traded=list,
    ),
}
