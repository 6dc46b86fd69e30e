"""Hyperliquid: https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/info-endpoint.

Everything is one address; what is asked for stands in the body.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.spoken.scene import ASKS, BIDS, ENTRY, LIQUIDATION, Paid, Scene, Traded, oldest
from tests.spoken.server import Asked, Speak, Tongue

#: at once, and at all
FILLS_MOST, FILLS_KEPT = 2_000, 10_000
PAYMENTS_MOST = 500
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


def _bounds(asked: Asked) -> tuple[int, int]:
    return asked.body["startTime"], asked.body.get("endTime", 2**52)


def _fill(_scene: Scene, each: Traded) -> Any:
    return {
        "coin": each.base,
        "px": str(each.price),
        "sz": str(abs(each.units)),
        "side": "A" if each.units < 0 else "B",
        "time": each.at_ms,
        "startPosition": "0.0",
        "dir": "Open Short" if each.units < 0 else "Open Long",
        "closedPnl": "0.0",
        "hash": f"0x{each.number:064x}",
        "oid": each.number + 1,
        "crossed": True,
        "fee": str(each.fee),
        "tid": each.number,
        "feeToken": "USDC",
        "twapId": None,
    }


def _fills(scene: Scene, asked: Asked) -> Any:
    # Of all contracts, the oldest first, and none but the newest ten thousand.
    kept = scene.traded[:FILLS_KEPT]
    return [_fill(scene, each) for each in oldest(kept, _bounds(asked), FILLS_MOST)]


def _payment(each: Paid) -> Any:
    delta = {
        "type": "funding",
        "coin": each.base,
        "usdc": str(each.amount),
        "szi": "49.1477",
        "fundingRate": "0.0000417",
        "nSamples": None,
    }
    # The venue gives the same hash to all.
    return {"time": each.at_ms, "hash": f"0x{0:064x}", "delta": delta}


def _payments(scene: Scene, asked: Asked) -> Any:
    return [_payment(each) for each in oldest(scene.paid, _bounds(asked), PAYMENTS_MOST)]


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
    "userFillsByTime": _fills,
    "userFunding": _payments,
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
