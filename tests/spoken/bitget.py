"""Bitget, classic account, v2: https://www.bitget.com/api-doc/contract/intro."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.spoken.scene import ASKS, BIDS, ENTRY, LIQUIDATION, Paid, Scene, Traded, newest
from tests.spoken.server import Asked, Speak, Tongue

PAGE_MOST = 100


def _said(scene: Scene, data: Any) -> Any:
    return {"code": "00000", "msg": "success", "requestTime": scene.now_ms, "data": data}


def _places(step: str) -> str:
    return str(len(step.partition(".")[2]))


def _contract(scene: Scene, base: str) -> Any:
    contract = scene.contracts[base]
    return {
        "symbol": scene.ids[base],
        "baseCoin": base,
        "quoteCoin": "USDT",
        "buyLimitPriceRatio": "0.9",
        "sellLimitPriceRatio": "0.9",
        "feeRateUpRatio": "0.1",
        "makerFeeRate": "0.0002",
        "takerFeeRate": "0.0006",
        "openCostUpRatio": "0.1",
        "supportMarginCoins": ["USDT"],
        "minTradeNum": str(contract.lot),
        "priceEndStep": "1",
        "volumePlace": _places(str(contract.lot)),
        "pricePlace": _places(str(contract.tick)),
        "sizeMultiplier": str(contract.lot),
        "symbolType": "perpetual",
        "minTradeUSDT": "5",
        "symbolStatus": "normal" if base == "BTC" or scene.open_for_orders else "maintain",
        "maintainTime": "",
        "minLever": "1",
        "maxLever": "125",
        "fundInterval": "8",
        "posLimit": "0.1",
    }


def _ticker(scene: Scene, base: str) -> dict[str, Any]:
    prices = scene.prices[base]
    return {
        "symbol": scene.ids[base],
        "lastPr": prices.last,
        "askPr": prices.ask,
        "bidPr": prices.bid,
        "bidSz": "0.703",
        "askSz": "13.894",
        "high24h": "60000",
        "low24h": "1000",
        "ts": str(scene.now_ms),
        "change24h": "0.00471",
        "baseVolume": "79089",
        "quoteVolume": "8274870921",
        "usdtVolume": "8274870921",
        "indexPrice": prices.index,
        "fundingRate": "-0.000014",
        "holdingAmount": "7452",
        "open24h": "49000",
        "markPrice": prices.mark,
    }


def _books(scene: Scene) -> str:
    return "hedge_mode" if scene.hedged else "one_way_mode"


def _margin_mode(scene: Scene) -> str:
    return "isolated" if scene.isolated else "crossed"


def _account(scene: Scene) -> dict[str, Any]:
    return {
        "marginCoin": "USDT",
        "locked": "0",
        "available": str(scene.wallet),
        "crossedMaxAvailable": str(scene.free),
        "isolatedMaxAvailable": str(scene.free),
        "maxTransferOut": str(scene.free),
        "accountEquity": str(scene.equity),
        "usdtEquity": str(scene.equity),
        "btcEquity": "0.02",
        "crossedRiskRate": "0",
        "unrealizedPL": str(scene.profit),
        "coupon": "0",
        "crossedUnrealizedPL": str(scene.profit),
        "isolatedUnrealizedPL": "0",
    }


def _settings(scene: Scene) -> dict[str, Any]:
    return _account(scene) | {
        "crossedMarginLeverage": float(scene.leverage),
        "isolatedLongLever": float(scene.leverage),
        "isolatedShortLever": float(scene.leverage),
        "marginMode": _margin_mode(scene),
        "posMode": _books(scene),
    }


def _position(scene: Scene) -> Any:
    return {
        "marginCoin": "USDT",
        "symbol": scene.ids["BTC"],
        "holdSide": "short" if scene.held < 0 else "long",
        "openDelegateSize": "0",
        "marginSize": str(scene.margin),
        "available": str(abs(scene.units)),
        "locked": "0",
        "total": str(abs(scene.units)),
        "leverage": str(scene.leverage),
        "achievedProfits": "0",
        "openPriceAvg": str(ENTRY),
        "marginMode": _margin_mode(scene),
        "posMode": _books(scene),
        "unrealizedPL": str(scene.profit),
        "liquidationPrice": str(LIQUIDATION),
        "keepMarginRate": "0.004",
        "markPrice": str(scene.mark),
        "marginRatio": "0.0295",
        "cTime": "1700807507275",
    }


def _order(scene: Scene) -> Any:
    return {
        "symbol": scene.ids["BTC"],
        "size": "0.4",
        "orderId": scene.foreign,
        "clientOid": "web-1",
        "baseVolume": "0.1",
        "fee": "0",
        "price": "40000",
        "priceAvg": "40000",
        "status": "partially_filled",
        "side": "buy",
        "force": "gtc",
        "totalProfits": "0",
        "posSide": "net",
        "marginCoin": "USDT",
        "leverage": "20",
        "marginMode": "crossed",
        "reduceOnly": "NO",
        "tradeSide": "buy_single",
        "posMode": "one_way_mode",
        "orderType": "limit",
        "cTime": "1700725609065",
        "uTime": "1700725609065",
    }


def _contracts(scene: Scene, asked: Asked) -> Any:
    usdt = asked.query["productType"] == "USDT-FUTURES"
    return _said(scene, [_contract(scene, base) for base in scene.contracts] if usdt else [])


def _orders(scene: Scene, asked: Asked) -> Any:
    here = asked.query.get("symbol") == scene.ids["BTC"] and scene.foreign
    return _said(scene, {"entrustedList": [_order(scene)] if here else None, "endId": None})


def _bounds(asked: Asked) -> tuple[int, int]:
    return int(asked.query.get("startTime", 0)), int(asked.query.get("endTime", 2**62))


def _fill(scene: Scene, each: Traded) -> Any:
    return {
        "tradeId": str(each.number),
        "symbol": scene.ids[each.base],
        "orderId": str(each.number + 1),
        "price": str(each.price),
        "baseVolume": str(abs(each.units)),
        # Below zero where it was paid.
        "feeDetail": [{"deduction": "no", "feeCoin": "USDT", "totalFee": str(-each.fee)}],
        "side": "sell" if each.units < 0 else "buy",
        "quoteVolume": str(abs(each.units) * each.price),
        "profit": "0",
        "tradeSide": "sell_single" if each.units < 0 else "buy_single",
        "posMode": "one_way_mode",
        "tradeScope": "taker",
        "cTime": str(each.at_ms),
    }


def _fills(scene: Scene, asked: Asked) -> Any:
    most = int(asked.query.get("limit", PAGE_MOST))
    base = scene.base_of(asked.query["symbol"])
    shown = [_fill(scene, each) for each in newest(scene.traded, _bounds(asked), most, base)]
    return _said(scene, {"fillList": shown or None, "endId": None})


def _bill(scene: Scene, each: Paid) -> Any:
    return {
        "billId": str(each.number),
        "symbol": scene.ids[each.base],
        "amount": str(each.amount),
        "fee": "0",
        "feeByCoupon": "",
        "businessType": "contract_settle_fee",
        "coin": "USDT",
        "balance": "1000",
        "cTime": str(each.at_ms),
    }


def _bills(scene: Scene, asked: Asked) -> Any:
    # No contract is among the parameters.
    assert asked.query["businessType"] == "contract_settle_fee"
    assert asked.query["productType"] == "USDT-FUTURES"
    most = int(asked.query.get("limit", 20))
    assert most <= PAGE_MOST, "code 40020"
    shown = [_bill(scene, each) for each in newest(scene.paid, _bounds(asked), most)]
    return _said(scene, {"bills": shown or None, "endId": None})


def _book(scene: Scene, _asked: Asked) -> Any:
    told = {"asks": scene.levels(ASKS), "bids": scene.levels(BIDS), "ts": str(scene.now_ms)}
    return _said(scene, {**told, "scale": "0.1", "precision": "scale0", "isMaxPrecision": "NO"})


_ROUTES: Mapping[str, Speak] = {
    "/api/v2/public/time": lambda scene, _asked: _said(scene, {"serverTime": str(scene.now_ms)}),
    "/api/v2/spot/public/symbols": lambda scene, _asked: _said(scene, []),
    "/api/v2/margin/currencies": lambda scene, _asked: _said(scene, []),
    "/api/v2/mix/market/contracts": _contracts,
    "/api/v2/mix/market/merge-depth": _book,
    "/api/v2/mix/market/tickers": lambda scene, _asked: _said(
        scene, [_ticker(scene, base) for base in scene.contracts]
    ),
    "/api/v2/mix/account/accounts": lambda scene, _asked: _said(scene, [_account(scene)]),
    "/api/v2/mix/account/account": lambda scene, _asked: _said(scene, _settings(scene)),
    "/api/v2/mix/position/all-position": lambda scene, _asked: _said(
        scene, [_position(scene)] if scene.held else []
    ),
    "/api/v2/mix/order/orders-pending": _orders,
    "/api/v2/mix/order/fills": _fills,
    "/api/v2/mix/account/bill": _bills,
}


def _refuse(_scene: Scene, asked: Asked) -> tuple[int, Any] | None:
    if not asked.path.startswith(("/api/v2/mix/account", "/api/v2/mix/position")):
        return None
    return 400, {"code": "40006", "msg": "Invalid ACCESS_KEY", "requestTime": 1, "data": None}


def _tell(scene: Scene, said: Any) -> list[Any]:
    frames = []
    for arg in said.get("args", ()):
        ticker = _ticker(scene, scene.base_of(arg["instId"]))
        told = {"action": "snapshot", "arg": arg, "ts": scene.now_ms}
        frames.append({**told, "data": [ticker | {"instId": arg["instId"]}]})
    return frames


BITGET = Tongue(
    routes=_ROUTES,
    refuse=_refuse,
    accept=lambda said: {"event": "subscribe", "arg": said["args"][0]},
    tell=_tell,
)
