"""OKX, v5: https://www.okx.com/docs-v5/en/."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.spoken.scene import ASKS, BIDS, ENTRY, LIQUIDATION, Paid, Scene, Traded, newest
from tests.spoken.server import Asked, Speak, Tongue

PAGE_MOST = 100
#: contracts that may be named in a question for positions
NAMES_MOST = 10


def _said(data: Sequence[Any]) -> Any:
    return {"code": "0", "msg": "", "data": list(data)}


def _instrument(scene: Scene, base: str) -> Any:
    contract = scene.contracts[base]
    return {
        "instType": "SWAP",
        "instId": scene.ids[base],
        "uly": f"{base}-USDT",
        "instFamily": f"{base}-USDT",
        "baseCcy": "",
        "quoteCcy": "",
        "settleCcy": "USDT",
        "ctVal": str(contract.contract_size),
        "ctMult": "1",
        "ctValCcy": base,
        "ctType": "linear",
        "lever": "100",
        "lotSz": str(contract.lot),
        "minSz": str(contract.lot),
        "tickSz": str(contract.tick),
        "listTime": "1573557408000",
        "expTime": "",
        "state": "live" if base == "BTC" or scene.open_for_orders else "suspend",
    }


def _ticker(scene: Scene, base: str) -> Any:
    prices = scene.prices[base]
    return {
        "instType": "SWAP",
        "instId": scene.ids[base],
        "last": prices.last,
        "lastSz": "1",
        "askPx": prices.ask,
        "askSz": "1",
        "bidPx": prices.bid,
        "bidSz": "1",
        "open24h": "49000",
        "high24h": "60000",
        "low24h": "1000",
        "volCcy24h": "2222",
        "vol24h": "2222",
        "ts": str(scene.now_ms),
    }


def _mark(scene: Scene, base: str) -> Any:
    return {
        "instType": "SWAP",
        "instId": scene.ids[base],
        "markPx": scene.prices[base].mark,
        "ts": str(scene.now_ms),
    }


def _index(scene: Scene, base: str) -> Any:
    return {
        "instId": f"{base}-USDT",
        "idxPx": scene.prices[base].index,
        "high24h": "60000",
        "low24h": "1000",
        "open24h": "49000",
        "sodUtc0": "49000",
        "sodUtc8": "49000",
        "ts": str(scene.now_ms),
    }


def _balance(scene: Scene) -> Any:
    detail = {
        "ccy": "USDT",
        "eq": str(scene.equity),
        "cashBal": str(scene.wallet),
        "uTime": str(scene.now_ms),
        "isoEq": "0",
        "availEq": str(scene.free),
        "availBal": str(scene.free),
        "disEq": str(scene.equity),
        "frozenBal": str(scene.margin),
        "ordFrozen": "0",
        "liab": "0",
        "upl": str(scene.profit),
        "eqUsd": str(scene.equity),
    }
    return {"uTime": str(scene.now_ms), "totalEq": str(scene.equity), "details": [detail]}


def _position(scene: Scene) -> Any:
    side = ("short" if scene.held < 0 else "long") if scene.hedged else "net"
    return {
        "instType": "SWAP",
        "mgnMode": "isolated" if scene.isolated else "cross",
        "posId": "307173036051017730",
        "posSide": side,
        "pos": str(abs(scene.held) if scene.hedged else scene.held),
        "ccy": "USDT",
        "avgPx": str(ENTRY),
        "upl": str(scene.profit),
        "instId": scene.ids["BTC"],
        "lever": str(scene.leverage),
        "liqPx": str(LIQUIDATION),
        "markPx": str(scene.mark),
        "imr": str(scene.margin),
        "margin": "",
        "mgnRatio": "140",
        "mmr": "10.5",
        "notionalUsd": str(abs(scene.units) * scene.mark),
        "adl": "1",
        "last": scene.prices["BTC"].last,
        "cTime": "1619507758793",
        "uTime": "1619507761462",
    }


def _order(scene: Scene) -> Any:
    return {
        "instType": "SWAP",
        "instId": scene.ids["BTC"],
        "ordId": scene.foreign,
        "clOrdId": "",
        "px": "40000",
        "sz": "40",
        "accFillSz": "10",
        "avgPx": "40000",
        "side": "buy",
        "posSide": "net",
        "tdMode": "cross",
        "ordType": "limit",
        "state": "partially_filled",
        "cTime": "1618235248028",
        "uTime": "1618235248028",
    }


def _instruments(scene: Scene, asked: Asked) -> Any:
    swaps = asked.query["instType"] == "SWAP"
    return _said([_instrument(scene, base) for base in scene.contracts] if swaps else [])


def _indices(scene: Scene, asked: Asked) -> Any:
    quoted = asked.query["quoteCcy"] == "USDT"
    return _said([_index(scene, base) for base in scene.contracts] if quoted else [])


def _config(scene: Scene, _asked: Asked) -> Any:
    mode = "long_short_mode" if scene.hedged else "net_mode"
    return _said([{"uid": "4470589234", "acctLv": "2", "posMode": mode, "perm": "trade"}])


def _positions(scene: Scene, asked: Asked) -> Any:
    assert asked.query.get("instId", "").count(",") < NAMES_MOST, "code 51000"
    return _said([_position(scene)] if scene.held else [])


def _leverage(scene: Scene, asked: Asked) -> Any:
    told = {"instId": asked.query["instId"], "mgnMode": "cross", "posSide": "net"}
    return _said([told | {"lever": str(scene.leverage)}])


def _orders(scene: Scene, asked: Asked) -> Any:
    here = asked.query.get("instId") == scene.ids["BTC"] and scene.foreign
    return _said([_order(scene)] if here else [])


def _fill(scene: Scene, each: Traded) -> Any:
    return {
        "instType": "SWAP",
        "instId": scene.ids[each.base],
        "tradeId": str(each.number),
        "ordId": str(each.number + 1),
        "clOrdId": "",
        "billId": str(each.number),
        "side": "sell" if each.units < 0 else "buy",
        "posSide": "net",
        "fillPx": str(each.price),
        "fillSz": scene.contracts_in(each.units, each.base),
        "execType": "T",
        # Below zero where it was paid.
        "fee": str(-each.fee),
        "feeCcy": "USDT",
        "ts": str(each.at_ms),
    }


def _bill(scene: Scene, each: Paid) -> Any:
    return {
        "billId": str(each.number),
        "ccy": "USDT",
        "instId": scene.ids[each.base],
        "instType": "SWAP",
        "mgnMode": "cross",
        "type": "8",
        "subType": "173" if each.amount < 0 else "174",
        "balChg": str(each.amount),
        "posBalChg": "0",
        "bal": "1000",
        "ts": str(each.at_ms),
    }


def _bounds(asked: Asked) -> tuple[int, int]:
    return int(asked.query.get("begin", 0)), int(asked.query.get("end", 2**62))


def _fills(scene: Scene, asked: Asked) -> Any:
    base = scene.base_of(asked.query["instId"])
    shown = newest(scene.traded, _bounds(asked), PAGE_MOST, base)
    return _said([_fill(scene, each) for each in shown])


def _bills(scene: Scene, asked: Asked) -> Any:
    # Of the whole account; the newest, unless instants are named.
    assert (asked.query["type"], asked.query["instType"]) == ("8", "SWAP")
    shown = newest(scene.paid, _bounds(asked), PAGE_MOST)
    return _said([_bill(scene, each) for each in shown])


def _book(scene: Scene, _asked: Asked) -> Any:
    # After price and size: a field of old, and how many orders.
    asks, bids = ([[*level, "0", "1"] for level in scene.levels(side)] for side in (ASKS, BIDS))
    return _said([{"asks": asks, "bids": bids, "ts": str(scene.now_ms)}])


_ROUTES: Mapping[str, Speak] = {
    "/api/v5/public/time": lambda scene, _asked: _said([{"ts": str(scene.now_ms)}]),
    "/api/v5/public/instruments": _instruments,
    "/api/v5/public/mark-price": lambda scene, _asked: _said(
        [_mark(scene, base) for base in scene.contracts]
    ),
    "/api/v5/market/books": _book,
    "/api/v5/market/tickers": lambda scene, _asked: _said(
        [_ticker(scene, base) for base in scene.contracts]
    ),
    "/api/v5/market/index-tickers": _indices,
    "/api/v5/account/config": _config,
    "/api/v5/account/balance": lambda scene, _asked: _said([_balance(scene)]),
    "/api/v5/account/positions": _positions,
    "/api/v5/account/leverage-info": _leverage,
    "/api/v5/trade/orders-pending": _orders,
    "/api/v5/trade/fills-history": _fills,
    "/api/v5/account/bills-archive": _bills,
}


def _refuse(_scene: Scene, asked: Asked) -> tuple[int, Any] | None:
    if not asked.path.startswith(("/api/v5/account", "/api/v5/trade")):
        return None
    return 401, {"msg": "Invalid OK-ACCESS-KEY", "code": "50111"}


def _tell(scene: Scene, said: Any) -> list[Any]:
    frames = []
    for arg in said.get("args", ()):
        base = scene.base_of(arg["instId"])
        shape = _mark if arg["channel"] == "mark-price" else _ticker
        frames.append({"arg": arg, "data": [shape(scene, base)]})
    return frames


OKX = Tongue(
    routes=_ROUTES,
    refuse=_refuse,
    accept=lambda said: {"event": "subscribe", "arg": said["args"][0], "connId": "a4d3ae55"},
    tell=_tell,
)
