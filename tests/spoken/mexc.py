"""MEXC futures: https://www.mexc.com/api-docs/futures/market-endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rebalancer.core.instant import DAY_MS
from tests.spoken.scene import ASKS, BIDS, ENTRY, LIQUIDATION, Scene, Traded, newest
from tests.spoken.server import Asked, Speak, Tongue

PAGE_MOST = 100


def _said(data: Any) -> Any:
    return {"success": True, "code": 0, "data": data}


def _contract(scene: Scene, base: str) -> Any:
    contract = scene.contracts[base]
    return {
        "symbol": scene.ids[base],
        "displayNameEn": f"{base}_USDT PERPETUAL",
        "positionOpenType": 3,
        "baseCoin": base,
        "quoteCoin": "USDT",
        "settleCoin": "USDT",
        "contractSize": float(contract.contract_size),
        "minLeverage": 1,
        "maxLeverage": 200,
        "priceScale": 1,
        "volScale": 0,
        "amountScale": 4,
        "priceUnit": float(contract.tick),
        "volUnit": int(contract.lot),
        "minVol": int(contract.lot),
        "maxVol": 1000000,
        "takerFeeRate": 0.0002,
        "makerFeeRate": 0,
        "maintenanceMarginRate": 0.004,
        "initialMarginRate": 0.005,
        "state": 0 if base == "BTC" or scene.open_for_orders else 4,
        "apiAllowed": True,
        "isHidden": False,
    }


def _ticker(scene: Scene, base: str) -> Any:
    prices = scene.prices[base]
    return {
        "symbol": scene.ids[base],
        "lastPrice": float(prices.last),
        "bid1": float(prices.bid),
        "ask1": float(prices.ask),
        "volume24": 4045530,
        "amount24": 141331823.5755,
        "holdVol": 5832946,
        "lower24Price": 1000.0,
        "high24Price": 60000.0,
        "riseFallRate": 0.0275,
        "riseFallValue": 95.95,
        "indexPrice": float(prices.index),
        "fairPrice": float(prices.mark),
        "fundingRate": 0.000063,
        "maxBidPrice": 60000.0,
        "minAskPrice": 1000.0,
        "timestamp": scene.now_ms,
    }


def _asset(scene: Scene) -> Any:
    return {
        "currency": "USDT",
        "positionMargin": float(scene.margin),
        "availableBalance": float(scene.free),
        "cashBalance": float(scene.wallet),
        "frozenBalance": 0,
        "equity": float(scene.equity),
        "unrealized": float(scene.profit),
        "bonus": 0,
    }


def _position(scene: Scene) -> Any:
    return {
        "positionId": 1394650,
        "symbol": scene.ids["BTC"],
        "positionType": 2 if scene.held < 0 else 1,
        "openType": 1 if scene.isolated else 2,
        "state": 1,
        "holdVol": int(abs(scene.held)),
        "frozenVol": 0,
        "closeVol": 0,
        "holdAvgPrice": float(ENTRY),
        "openAvgPrice": float(ENTRY),
        "closeAvgPrice": 0,
        "liquidatePrice": float(LIQUIDATION),
        "oim": float(scene.margin),
        "im": float(scene.margin),
        "holdFee": 0,
        "realised": -0.0073,
        "leverage": float(scene.leverage),
        "createTime": 1609991676000,
        "updateTime": 1609991676000,
        "autoAddIm": False,
    }


def _leverage(scene: Scene) -> Any:
    common = {"level": 1, "maxVol": 463300, "mmr": 0.004, "imr": 0.005, "limitBySys": False}
    opened = 1 if scene.isolated else 2
    return [
        {**common, "positionType": side, "openType": opened, "leverage": float(scene.leverage)}
        for side in (1, 2)
    ]


def _order(scene: Scene) -> Any:
    return {
        "orderId": scene.foreign,
        "symbol": scene.ids["BTC"],
        "positionId": 0,
        "price": 40000.0,
        "vol": 4000,
        "leverage": 5,
        "side": scene.foreign_side,
        "category": 1,
        "orderType": 1,
        "dealAvgPrice": 40000.0,
        "dealVol": 1000,
        "state": 2,
        "externalOid": "web-1",
        "createTime": 1699247320000,
        "updateTime": 1699247320000,
        "openType": 2,
        "positionMode": 2,
    }


def _funding(scene: Scene, query: Any) -> Any:
    number, size = int(query.get("page_num", 1)), int(query.get("page_size", 20))
    assert size <= PAGE_MOST, "a page is a hundred at most"
    paid = [each for each in scene.paid if scene.ids[each.base] == query.get("symbol")]
    rows = [
        {
            "id": each.number,
            "symbol": scene.ids[each.base],
            "positionType": 1,
            "positionValue": 29.30024,
            "funding": float(each.amount),
            "rate": -0.000026,
            "settleTime": each.at_ms,
        }
        for each in paid[(number - 1) * size : number * size]
    ]
    pages = -(-len(paid) // size)
    told = {"pageSize": size, "totalCount": len(paid), "totalPage": pages, "currentPage": number}
    return _said({**told, "resultList": rows})


def _side(each: Traded) -> int:
    # To open long, to close short, to open short, to close long.
    return (3, 4)[each.number % 2] if each.units < 0 else (1, 2)[each.number % 2]


def _deal(scene: Scene, each: Traded) -> Any:
    size = scene.contracts_in(each.units, each.base)
    return {
        "id": each.number,
        "symbol": scene.ids[each.base],
        "side": _side(each),
        "vol": int(size),
        "price": float(each.price),
        "feeCurrency": "USDT",
        "fee": float(each.fee),
        "timestamp": each.at_ms,
        "profit": 0.0,
        "isTaker": True,
        "category": 1,
        "orderId": each.number + 1,
        "opponentOrderId": 0,
    }


def _deals(scene: Scene, asked: Asked) -> Any:
    query = asked.query
    number, size = int(query["page_num"]), int(query["page_size"])
    begin_ms = int(query.get("start_time", scene.now_ms - 7 * DAY_MS))
    end_ms = int(query.get("end_time", scene.now_ms))
    assert size <= PAGE_MOST, "a page is a hundred at most"
    assert end_ms - begin_ms <= 90 * DAY_MS, "the span is 90 days at most"
    shown = newest(scene.traded, (begin_ms, end_ms), number * size, scene.base_of(query["symbol"]))
    return _said([_deal(scene, each) for each in shown[(number - 1) * size :]])


def _tickers(scene: Scene, asked: Asked) -> Any:
    if "symbol" in asked.query:
        return _said(_ticker(scene, scene.base_of(asked.query["symbol"])))
    return _said([_ticker(scene, base) for base in scene.contracts])


def _book(scene: Scene, _asked: Asked) -> Any:
    # After price and contracts: how many orders.
    asks, bids = (
        [[float(price), int(size), 1] for price, size in scene.levels(side)]
        for side in (ASKS, BIDS)
    )
    return _said({"asks": asks, "bids": bids, "version": 96801927, "timestamp": scene.now_ms})


_ROUTES: Mapping[str, Speak] = {
    "/api/v3/time": lambda scene, _asked: {"serverTime": scene.now_ms},
    "/api/v3/exchangeInfo": lambda scene, _asked: {
        "timezone": "CST",
        "serverTime": scene.now_ms,
        "symbols": [],
    },
    "/api/v1/contract/detail": lambda scene, _asked: _said(
        [_contract(scene, base) for base in scene.contracts]
    ),
    "/api/v1/contract/depth/BTC_USDT": _book,
    "/api/v1/contract/ticker": _tickers,
    "/api/v1/private/account/assets": lambda scene, _asked: _said([_asset(scene)]),
    "/api/v1/private/position/open_positions": lambda scene, _asked: _said(
        [_position(scene)] if scene.held else []
    ),
    "/api/v1/private/position/position_mode": lambda scene, _asked: _said(1 if scene.hedged else 2),
    "/api/v1/private/position/leverage": lambda scene, _asked: _said(_leverage(scene)),
    "/api/v1/private/position/funding_records": lambda scene, asked: _funding(scene, asked.query),
    "/api/v1/private/order/list/order_deals": _deals,
    # Of all contracts: this address knows no symbol.
    "/api/v1/private/order/list/open_orders": lambda scene, _asked: _said(
        [_order(scene)] if scene.foreign else []
    ),
}


def _refuse(_scene: Scene, asked: Asked) -> tuple[int, Any] | None:
    if not asked.path.startswith("/api/v1/private"):
        return None
    return 200, {"success": False, "code": 402, "message": "Api key expired!"}


def _tell(scene: Scene, said: Any) -> list[Any]:
    if said.get("method") != "sub.tickers":
        return []
    data = [_ticker(scene, base) for base in scene.contracts]
    return [{"channel": "push.tickers", "data": data, "ts": scene.now_ms}]


MEXC = Tongue(
    routes=_ROUTES,
    refuse=_refuse,
    accept=lambda said: {"channel": f"rs.{said.get('method')}", "data": "success", "ts": 1},
    tell=_tell,
)
