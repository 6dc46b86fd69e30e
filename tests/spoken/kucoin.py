"""KuCoin Futures, classic account: https://www.kucoin.com/docs-new/rest/futures-trading."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rebalancer.core.instant import DAY_MS
from tests.spoken.scene import ASKS, BIDS, ENTRY, LIQUIDATION, Scene, Traded, newest
from tests.spoken.server import Asked, Speak, Tongue

_PRIVATE = (
    "/api/v1/account-overview", "/api/v1/positions", "/api/v1/orders", "/api/v2/"
)  # fmt: skip


def _said(data: Any) -> Any:
    return {"code": "200000", "data": data}


def _contract(scene: Scene, base: str) -> Any:
    contract, prices = scene.contracts[base], scene.prices[base]
    return {
        "symbol": scene.ids[base],
        "rootSymbol": "USDT",
        "type": "FFWCSX",
        "firstOpenDate": 1585555200000,
        "expireDate": None,
        "settleDate": None,
        "baseCurrency": "XBT" if base == "BTC" else base,
        "quoteCurrency": "USDT",
        "settleCurrency": "USDT",
        "maxOrderQty": 1000000,
        "maxPrice": 1000000.0,
        "lotSize": int(contract.lot),
        "tickSize": float(contract.tick),
        "indexPriceTickSize": 0.01,
        "multiplier": float(contract.contract_size),
        "initialMargin": 0.008,
        "maintainMargin": 0.004,
        "makerFeeRate": 0.0002,
        "takerFeeRate": 0.0006,
        "isDeleverage": True,
        "isQuanto": True,
        "isInverse": False,
        "markMethod": "FairPrice",
        "status": "Open" if base == "BTC" or scene.open_for_orders else "Paused",
        "fundingFeeRate": 0.0001,
        "openInterest": "8033200",
        "turnoverOf24h": 659795309.25,
        "volumeOf24h": 9998.54,
        "markPrice": float(prices.mark),
        "indexPrice": float(prices.index),
        "lastTradePrice": float(prices.last),
        "nextFundingRateTime": 20022985,
        "maxLeverage": 125,
        "lowPrice": 1000.0,
        "highPrice": 60000.0,
        "priceChgPct": 0.0447,
        "priceChg": 2878.7,
    }


def _overview(scene: Scene) -> Any:
    return {
        "currency": "USDT",
        "accountEquity": float(scene.equity),
        "unrealisedPNL": float(scene.profit),
        "marginBalance": float(scene.wallet),
        "positionMargin": float(scene.margin),
        "orderMargin": 0.0,
        "frozenFunds": 0.0,
        "availableBalance": float(scene.free),
        "riskRatio": 0.01,
    }


def _position(scene: Scene) -> Any:
    return {
        "id": "615ba79f83a3410001cde321",
        "symbol": scene.ids["BTC"],
        "autoDeposit": False,
        "crossMode": not scene.isolated,
        "maintMarginReq": 0.004,
        "riskLimit": 500000,
        "realLeverage": 0.0,
        "delevPercentage": 0.23,
        "openingTimestamp": 1725867100000,
        "currentTimestamp": scene.now_ms,
        "currentQty": int(scene.held),
        "currentCost": float(scene.units * ENTRY),
        "currentComm": 0.0,
        "unrealisedCost": float(scene.units * ENTRY),
        "posCost": float(scene.units * ENTRY),
        "posInit": float(scene.margin),
        "posMaint": 10.5,
        "isOpen": True,
        "markPrice": float(scene.mark),
        "markValue": float(scene.units * scene.mark),
        "unrealisedPnl": float(scene.profit),
        "unrealisedRoePcnt": 0.05,
        "avgEntryPrice": float(ENTRY),
        "liquidationPrice": float(LIQUIDATION),
        "bankruptPrice": 39000.0,
        "settleCurrency": "USDT",
        "isInverse": False,
        "marginMode": "ISOLATED" if scene.isolated else "CROSS",
        "positionSide": "BOTH",
        "leverage": float(scene.leverage),
    }


def _order(scene: Scene) -> Any:
    return {
        "id": scene.foreign,
        "symbol": scene.ids["BTC"],
        "type": "limit",
        "side": "buy",
        "price": "40000",
        "size": 400,
        "value": "16000",
        "dealValue": "4000",
        "dealSize": 100,
        "filledSize": 100,
        "timeInForce": "GTC",
        "clientOid": "web-1",
        "isActive": True,
        "cancelExist": False,
        "status": "open",
        "createdAt": 1729577515444,
        "updatedAt": 1729577515473,
        "reduceOnly": False,
        "marginMode": "CROSS",
    }


def _socket(_scene: Scene) -> Any:
    server = {
        "endpoint": "wss://of-the-venue/endpoint",
        "encrypt": True,
        "protocol": "websocket",
        "pingInterval": 18000,
        "pingTimeout": 10000,
    }
    return {"token": "a-token-that-anybody-gets", "instanceServers": [server]}


def _orders(scene: Scene, asked: Asked) -> Any:
    here = asked.query.get("symbol") == scene.ids["BTC"] and scene.foreign
    items = [_order(scene)] if here else []
    page = {"currentPage": 1, "pageSize": 50, "totalNum": len(items), "totalPage": 1}
    return _said({**page, "items": items})


def _margin_mode(scene: Scene, asked: Asked) -> Any:
    mode = "ISOLATED" if scene.isolated else "CROSS"
    return _said({"symbol": asked.query["symbol"], "marginMode": mode})


def _leverage(scene: Scene, asked: Asked) -> Any:
    return _said({"symbol": asked.query["symbol"], "leverage": str(scene.leverage)})


def _bounds(asked: Asked) -> tuple[int, int]:
    """Return what instants are meant: without a last one, a day."""
    begin_ms = int(asked.query["startAt"])
    return begin_ms, int(asked.query.get("endAt", begin_ms + DAY_MS))


def _fill(scene: Scene, each: Traded) -> Any:
    return {
        "symbol": scene.ids[each.base],
        "tradeId": str(each.number),
        "orderId": str(each.number + 1),
        "side": "sell" if each.units < 0 else "buy",
        "liquidity": "taker",
        "price": str(each.price),
        "size": int(scene.contracts_in(each.units, each.base)),
        "value": str(abs(each.units) * each.price),
        "feeRate": "0.0006",
        "fee": str(each.fee),
        "feeCurrency": "USDT",
        "settleCurrency": "USDT",
        "tradeType": "trade",
        "tradeTime": each.at_ms * 1_000_000,
        "createdAt": each.at_ms,
    }


def _fills(scene: Scene, asked: Asked) -> Any:
    bounds, most = _bounds(asked), int(asked.query.get("pageSize", 50))
    assert bounds[1] - bounds[0] <= 7 * DAY_MS, "code 400100"
    base = scene.base_of(asked.query["symbol"])
    shown = [_fill(scene, each) for each in newest(scene.traded, bounds, most, base)]
    page = {"currentPage": 1, "pageSize": most, "totalNum": len(shown), "totalPage": 1}
    return _said({**page, "items": shown})


def _payments(scene: Scene, asked: Asked) -> Any:
    most = int(asked.query.get("maxCount", 10))
    base = scene.base_of(asked.query["symbol"])
    rows = [
        {
            "id": each.number,
            "symbol": scene.ids[each.base],
            "timePoint": each.at_ms,
            "fundingRate": 0.0001,
            "markPrice": 50000.51,
            "positionQty": 2,
            "positionCost": 100.001,
            "funding": float(each.amount),
            "settleCurrency": "USDT",
        }
        for each in newest(scene.paid, _bounds(asked), most, base)
    ]
    return _said({"dataList": rows, "hasMore": len(rows) == most})


def _book(scene: Scene, asked: Asked) -> Any:
    asks, bids = (
        [[float(price), int(size)] for price, size in scene.levels(side)] for side in (ASKS, BIDS)
    )
    told = {"symbol": asked.query["symbol"], "sequence": 100, "asks": asks, "bids": bids}
    return _said({**told, "ts": scene.now_ms * 1_000_000})


_ROUTES: Mapping[str, Speak] = {
    "/api/v1/timestamp": lambda scene, _asked: _said(scene.now_ms),
    "/api/v1/contracts/active": lambda scene, _asked: _said(
        [_contract(scene, base) for base in scene.contracts]
    ),
    "/api/v1/level2/depth100": _book,
    "/api/v1/bullet-public": lambda scene, _asked: _said(_socket(scene)),
    "/api/v1/account-overview": lambda scene, _asked: _said(_overview(scene)),
    "/api/v1/positions": lambda scene, _asked: _said([_position(scene)] if scene.held else []),
    "/api/v1/orders": _orders,
    "/api/v1/fills": _fills,
    "/api/v1/funding-history": _payments,
    "/api/v2/position/getPositionMode": lambda scene, _asked: _said(
        {"positionMode": int(scene.hedged)}
    ),
    "/api/v2/position/getMarginMode": _margin_mode,
    "/api/v2/getCrossUserLeverage": _leverage,
    # What ccxt asks besides where there are keys.
    "/api/v3/margin/symbols": lambda scene, _asked: _said({"timestamp": scene.now_ms, "items": []}),
    "/api/v1/isolated/symbols": lambda _scene, _asked: _said([]),
    "/api/v1/hf/accounts/opened": lambda _scene, _asked: _said(data=False),
}


def _refuse(_scene: Scene, asked: Asked) -> tuple[int, Any] | None:
    if not asked.path.startswith(_PRIVATE):
        return None
    return 401, {"code": "400003", "msg": "KC-API-KEY not exists"}


def _tell(scene: Scene, said: Any) -> list[Any]:
    channel, _, names = said.get("topic", "").partition(":")
    frames = []
    for market_id in names.split(",") if names else ():
        prices = scene.prices[scene.base_of(market_id)]
        data = {
            "symbol": market_id,
            "sequence": 1638444978558,
            "bestBidSize": 795,
            "bestBidPrice": prices.bid,
            "bestAskPrice": prices.ask,
            "bestAskSize": 284,
            "ts": scene.now_ms * 1_000_000,
        }
        topic = f"{channel}:{market_id}"
        frames.append({"topic": topic, "type": "message", "subject": "tickerV2", "data": data})
    return frames


KUCOIN = Tongue(
    routes=_ROUTES,
    refuse=_refuse,
    welcome=({"id": "public", "type": "welcome"},),
    accept=lambda said: {"id": said.get("id"), "type": "ack"},
    tell=_tell,
)
