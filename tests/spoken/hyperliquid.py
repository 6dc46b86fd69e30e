"""Hyperliquid: https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/info-endpoint.

Everything is one address; what is asked for stands in the body.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.spoken.scene import ASKS, BIDS, ENTRY, LIQUIDATION, Scene
from tests.spoken.server import Asked, Speak, Tongue

_PRIVATE = ("clearinghouseState", "frontendOpenOrders")


def _universe(scene: Scene, base: str) -> Any:
    places = -int(scene.contracts[base].lot.as_tuple().exponent)
    asset = {"name": base, "szDecimals": places, "maxLeverage": 40, "marginTableId": 56}
    return asset | ({} if base == "BTC" or scene.open_for_orders else {"isDelisted": True})


def _context(scene: Scene, base: str) -> Any:
    prices = scene.prices[base]
    return {
        "dayNtlVlm": "1169046.29406",
        "funding": "0.0000125",
        "impactPxs": [prices.bid, prices.ask],
        "markPx": prices.mark,
        "midPx": prices.last,
        "openInterest": "688.11",
        "oraclePx": prices.index,
        "premium": "0.00031774",
        "prevDayPx": "49000.0",
        "dayBaseVlm": "12.2",
    }


def _state(scene: Scene) -> Any:
    summary = {
        "accountValue": str(scene.equity),
        "totalMarginUsed": str(scene.equity - scene.free),
        "totalNtlPos": str(abs(scene.units) * scene.mark),
        "totalRawUsd": str(scene.wallet),
    }
    return {
        "assetPositions": [_position(scene)] if scene.held else [],
        "crossMaintenanceMarginUsed": "10.5",
        "crossMarginSummary": summary,
        "marginSummary": summary,
        "time": scene.now_ms,
        "withdrawable": str(scene.free),
    }


def _position(scene: Scene) -> Any:
    position = {
        "coin": "BTC",
        "cumFunding": {"allTime": "0.0", "sinceChange": "0.0", "sinceOpen": "0.0"},
        "entryPx": str(ENTRY),
        "leverage": {
            "type": "isolated" if scene.isolated else "cross",
            "value": float(scene.leverage),
        },
        "liquidationPx": str(LIQUIDATION),
        "marginUsed": str(scene.margin),
        "maxLeverage": 40,
        "positionValue": str(abs(scene.units) * scene.mark),
        "returnOnEquity": "0.02",
        "szi": str(scene.units),
        "unrealizedPnl": str(scene.profit),
    }
    return {"position": position, "type": "oneWay"}


def _order(scene: Scene) -> Any:
    return {
        "coin": "BTC",
        "isPositionTpsl": False,
        "isTrigger": False,
        "limitPx": "40000.0",
        "oid": int(scene.foreign),
        "orderType": "Limit",
        "origSz": "0.4",
        "reduceOnly": False,
        "side": "B",
        "sz": "0.3",
        "timestamp": 1681247412573,
        "triggerCondition": "N/A",
        "triggerPx": "0.0",
    }


def _markets(scene: Scene, asked: Asked) -> Any:
    # Those of an exchange that somebody built there are none of the desk's business.
    bases = [] if "dex" in asked.body else list(scene.contracts)
    universe = [_universe(scene, base) for base in bases]
    return [{"universe": universe, "marginTables": []}, [_context(scene, base) for base in bases]]


def _book(scene: Scene, asked: Asked) -> Any:
    levels = [
        [{"px": price, "sz": size, "n": 1} for price, size in scene.levels(side)]
        for side in (BIDS, ASKS)
    ]
    return {"coin": asked.body["coin"], "time": scene.now_ms, "levels": levels}


_QUESTIONS: Mapping[str, Speak] = {
    "exchangeStatus": lambda scene, _asked: {"specialStatuses": None, "time": scene.now_ms},
    "metaAndAssetCtxs": _markets,
    "spotMetaAndAssetCtxs": lambda _scene, _asked: [{"tokens": [], "universe": []}, []],
    "perpDexs": lambda _scene, _asked: [None, {"name": "xyz", "fullName": "XYZ"}],
    "l2Book": _book,
    "clearinghouseState": lambda scene, _asked: _state(scene),
    "frontendOpenOrders": lambda scene, _asked: [_order(scene)] if scene.foreign else [],
}
_ROUTES: Mapping[str, Speak] = {
    "/info": lambda scene, asked: _QUESTIONS[asked.body["type"]](scene, asked)
}


def _refuse(_scene: Scene, asked: Asked) -> tuple[int, Any] | None:
    # Nobody is kept from reading; an address that is none is refused in plain text.
    return (422, "Failed to deserialize the JSON body") if asked.body["type"] in _PRIVATE else None


HYPERLIQUID = Tongue(routes=_ROUTES, refuse=_refuse)
