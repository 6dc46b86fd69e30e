"""Bybit, unified account, v5: https://bybit-exchange.github.io/docs/v5/intro."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rebalancer.core.instant import DAY_MS
from tests.spoken.scene import ASKS, BIDS, ENTRY, LIQUIDATION, Paid, Scene, Traded, newest
from tests.spoken.server import Asked, Speak, Tongue

WEEK_MS = 7 * DAY_MS
EXECUTIONS_MOST = 100
_PRIVATE = ("/v5/account", "/v5/position", "/v5/order", "/v5/user", "/v5/execution")


def _said(scene: Scene, result: Any) -> Any:
    return {
        "retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": scene.now_ms
    }  # fmt: skip


def _listed(scene: Scene, category: str, rows: Sequence[Any]) -> Any:
    return _said(scene, {"category": category, "list": list(rows), "nextPageCursor": ""})


def _instrument(scene: Scene, base: str) -> Any:
    contract = scene.contracts[base]
    return {
        "symbol": scene.ids[base],
        "contractType": "LinearPerpetual",
        "status": "Trading" if base == "BTC" or scene.open_for_orders else "Closed",
        "baseCoin": base,
        "quoteCoin": "USDT",
        "settleCoin": "USDT",
        "launchTime": "1584230400000",
        "deliveryTime": "0",
        "deliveryFeeRate": "",
        "priceScale": "2",
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
        "priceFilter": {
            "minPrice": "0.10", "maxPrice": "1999999.80", "tickSize": str(contract.tick)
        },
        "lotSizeFilter": {
            "maxOrderQty": "1190.000",
            "minOrderQty": str(contract.lot),
            "qtyStep": str(contract.lot),
            "postOnlyMaxOrderQty": "1190.000",
            "minNotionalValue": "5",
        },
        "unifiedMarginTrade": True,
        "fundingInterval": 480,
        "copyTrading": "both",
    }  # fmt: skip


def _ticker(scene: Scene, base: str) -> dict[str, Any]:
    prices = scene.prices[base]
    return {
        "symbol": scene.ids[base],
        "lastPrice": prices.last,
        "indexPrice": prices.index,
        "markPrice": prices.mark,
        "prevPrice24h": "49000",
        "price24hPcnt": "0.008047",
        "highPrice24h": "60000",
        "lowPrice24h": "1000",
        "openInterest": "373504",
        "turnover24h": "2352949",
        "volume24h": "49337",
        "fundingRate": "0.0001",
        "nextFundingTime": "1672387200000",
        "bid1Price": prices.bid,
        "ask1Price": prices.ask,
        "bid1Size": "1",
        "ask1Size": "1",
    }


def _position(scene: Scene, base: str, index: int) -> Any:
    held = base == "BTC" and scene.held != 0 and index in ((1, 2)[scene.held < 0], 0)
    size = abs(scene.units) if held else 0
    return {
        "positionIdx": index,
        "riskId": 1,
        "symbol": scene.ids[base],
        "side": ("Sell" if scene.held < 0 else "Buy") if held else "",
        "size": str(size),
        "avgPrice": str(ENTRY) if held else "0",
        "positionValue": str(size * ENTRY) if held else "",
        "tradeMode": 0,
        "autoAddMargin": 0,
        "positionStatus": "Normal",
        "leverage": str(scene.leverage),
        "markPrice": scene.prices[base].mark,
        "liqPrice": str(LIQUIDATION) if held else "",
        "bustPrice": "",
        "positionIM": str(scene.margin) if held else "",
        "positionMM": "10.5" if held else "",
        "unrealisedPnl": str(scene.profit) if held else "",
        "cumRealisedPnl": "0",
        "createdTime": "1676538056258",
        "updatedTime": "1676538056258",
        "seq": 5723621632,
    }


def _positions(scene: Scene, query: Any) -> Sequence[Any]:
    indices = (1, 2) if scene.hedged else (0,)
    if "symbol" in query:
        base = scene.base_of(query["symbol"])
        return [_position(scene, base, index) for index in indices]
    # By coin it shows only what is held.
    rows = [_position(scene, "BTC", index) for index in indices]
    return [row for row in rows if row["size"] != "0"]


def _wallet(scene: Scene) -> Any:
    coin = {
        "coin": "USDT",
        "equity": str(scene.equity),
        "usdValue": str(scene.equity),
        "walletBalance": str(scene.wallet),
        # Told no more for a unified account.
        "availableToWithdraw": "",
        "availableToBorrow": "",
        "borrowAmount": "0",
        "accruedInterest": "0",
        "totalOrderIM": str(scene.wallet - scene.free - scene.margin),
        "totalPositionIM": str(scene.margin),
        "totalPositionMM": "0",
        "unrealisedPnl": str(scene.profit),
        "cumRealisedPnl": "0",
        "bonus": "0",
        "locked": "0",
        "spotHedgingQty": "0",
        "collateralSwitch": True,
        "marginCollateral": True,
    }
    account = {
        "accountType": "UNIFIED",
        "totalEquity": str(scene.equity),
        "totalWalletBalance": str(scene.wallet),
        "totalMarginBalance": str(scene.equity),
        "totalAvailableBalance": str(scene.free),
        "totalPerpUPL": str(scene.profit),
        "accountIMRate": "0.01",
        "accountMMRate": "0",
        "coin": [coin],
    }
    return {"list": [account]}


def _order(scene: Scene) -> Any:
    return {
        "orderId": scene.foreign,
        "orderLinkId": "",
        "symbol": scene.ids["BTC"],
        "side": "Buy",
        "price": "40000",
        "qty": "0.4",
        "cumExecQty": "0.1",
        "leavesQty": "0.3",
        "orderStatus": "PartiallyFilled",
        "orderType": "Limit",
        "timeInForce": "GTC",
        "createdTime": "1684738540559",
        "updatedTime": "1684738540561",
        "reduceOnly": False,
        "positionIdx": 0,
    }


def _time(scene: Scene, _asked: Asked) -> Any:
    second, milli = divmod(scene.now_ms, 1_000)
    return _said(scene, {"timeSecond": str(second), "timeNano": f"{second}{milli:03}000000"})


def _instruments(scene: Scene, asked: Asked) -> Any:
    category = asked.query["category"]
    linear = category == "linear" and asked.query.get("status") != "PreLaunch"
    listed = [_instrument(scene, base) for base in scene.contracts] if linear else []
    return _listed(scene, category, listed)


def _settings(scene: Scene, _asked: Asked) -> Any:
    told = {
        "marginMode": "ISOLATED_MARGIN" if scene.isolated else "REGULAR_MARGIN",
        "updatedTime": "1697078946000",
        "unifiedMarginStatus": 4,
        "dcpStatus": "OFF",
        "timeWindow": 10,
        "smpGroup": 0,
        "isMasterTrader": False,
        "spotHedgingStatus": "OFF",
    }
    return _said(scene, told)


def _orders(scene: Scene, asked: Asked) -> Any:
    here = asked.query.get("symbol") == scene.ids["BTC"] and scene.foreign
    return _listed(scene, "linear", [_order(scene)] if here else [])


def _execution(scene: Scene, each: Traded | Paid) -> Any:
    told = {
        "symbol": scene.ids[each.base],
        "orderLinkId": "",
        "execId": str(each.number),
        "execTime": str(each.at_ms),
        "feeCurrency": "",
        "isMaker": False,
        "feeRate": "0.0001",
    }
    if isinstance(each, Paid):
        # As a fee: above zero where it was paid.
        fee = {"execType": "Funding", "orderId": "", "side": "Buy", "execFee": str(-each.amount)}
        return told | fee | {"execQty": "0.002", "execPrice": "50000.51"}
    return told | {
        "execType": "Trade",
        "orderId": str(each.number + 1),
        "side": "Sell" if each.units < 0 else "Buy",
        "execQty": str(abs(each.units)),
        "execPrice": str(each.price),
        "execFee": str(each.fee),
    }


def _executions(scene: Scene, asked: Asked) -> Any:
    query = asked.query
    begin_ms, end_ms = int(query["startTime"]), int(query["endTime"])
    assert end_ms - begin_ms <= WEEK_MS, "code 10001"
    most = int(query.get("limit", 50))
    assert most <= EXECUTIONS_MOST, "code 10001"
    rows: Sequence[Any] = scene.traded if query["execType"] == "Trade" else scene.paid
    shown = newest(rows, (begin_ms, end_ms), most, scene.base_of(query["symbol"]))
    return _listed(scene, "linear", [_execution(scene, each) for each in shown])


def _rights(scene: Scene, _asked: Asked) -> Any:
    wallet = ["AccountTransfer", "Withdraw"] if scene.may_withdraw else ["AccountTransfer"]
    permissions = {"ContractTrade": ["Order", "Position"], "Wallet": wallet}
    return _said(scene, {"readOnly": 0, "permissions": permissions, "ips": ["203.0.113.9"]})


def _book(scene: Scene, asked: Asked) -> Any:
    sides = {"a": scene.levels(ASKS), "b": scene.levels(BIDS)}
    told = {"s": asked.query["symbol"], **sides, "ts": scene.now_ms, "u": 18521288, "seq": 7961}
    return _said(scene, told)


_ROUTES: Mapping[str, Speak] = {
    "/v5/market/time": _time,
    "/v5/market/instruments-info": _instruments,
    "/v5/market/orderbook": _book,
    "/v5/market/tickers": lambda scene, _asked: _listed(
        scene, "linear", [_ticker(scene, base) for base in scene.contracts]
    ),
    "/v5/account/wallet-balance": lambda scene, _asked: _said(scene, _wallet(scene)),
    "/v5/account/info": _settings,
    "/v5/position/list": lambda scene, asked: _listed(
        scene, "linear", _positions(scene, asked.query)
    ),
    "/v5/order/realtime": _orders,
    "/v5/execution/list": _executions,
    "/v5/user/query-api": _rights,
}


def _refuse(_scene: Scene, asked: Asked) -> tuple[int, Any] | None:
    if not asked.path.startswith(_PRIVATE):
        return None
    return 200, {"retCode": 10003, "retMsg": "API key is invalid.", "result": {}, "time": 1}


def _tell(scene: Scene, said: Any) -> list[Any]:
    frames = []
    for topic in said.get("args", ()):
        base = scene.base_of(topic.rpartition(".")[2])
        prices = scene.prices[base]
        data: dict[str, Any] = _ticker(scene, base)
        if topic.startswith("orderbook"):
            levels = {"b": [[prices.bid, "1.5"]], "a": [[prices.ask, "2.5"]]}
            data = {"s": scene.ids[base], **levels, "u": 18521288, "seq": 7961638724}
        frames.append({"topic": topic, "type": "snapshot", "data": data, "ts": scene.now_ms})
    return frames


BYBIT = Tongue(
    routes=_ROUTES,
    refuse=_refuse,
    accept=lambda said: {
        "success": True,
        "ret_msg": "",
        "conn_id": "2324d924-aa4d-45b0-a858-7b8be29ab52b",
        "req_id": said.get("req_id", ""),
        "op": said.get("op", ""),
    },
    tell=_tell,
)
