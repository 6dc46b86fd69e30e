"""Gate, classic futures account, v4: https://www.gate.com/docs/developers/apiv4/en/."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.spoken.scene import ASKS, BIDS, ENTRY, LIQUIDATION, Scene, Traded, newest
from tests.spoken.server import Asked, Speak, Tongue

_PRIVATE = tuple(f"/api/v4/futures/usdt/{name}" for name in ("accounts", "positions", "orders"))


def _contract(scene: Scene, base: str) -> Any:
    contract = scene.contracts[base]
    return {
        "name": scene.ids[base],
        "type": "direct",
        "quanto_multiplier": str(contract.contract_size),
        "ref_discount_rate": "0",
        "order_price_deviate": "0.5",
        "maintenance_rate": "0.005",
        "mark_type": "index",
        "last_price": scene.prices[base].last,
        "mark_price": scene.prices[base].mark,
        "index_price": scene.prices[base].index,
        "mark_price_round": "0.01",
        "funding_interval": 28800,
        "funding_next_apply": 1610035200,
        "order_price_round": str(contract.tick),
        "order_size_min": int(contract.lot),
        "order_size_max": 1000000,
        "leverage_min": "1",
        "leverage_max": "100",
        "maker_fee_rate": "-0.00025",
        "taker_fee_rate": "0.00075",
        "in_delisting": False,
        "enable_decimal": False,
        "status": "trading" if base == "BTC" or scene.open_for_orders else "delisting",
    }


def _ticker(scene: Scene, base: str) -> Any:
    prices = scene.prices[base]
    return {
        "contract": scene.ids[base],
        "last": prices.last,
        "change_percentage": "0.11",
        "total_size": "1000",
        "low_24h": "1000",
        "high_24h": "60000",
        "volume_24h": "1000",
        "volume_24h_base": "1000",
        "volume_24h_quote": "1000",
        "volume_24h_settle": "1000",
        "mark_price": prices.mark,
        "index_price": prices.index,
        "funding_rate": "0.0001",
        "funding_rate_indicative": "0.0001",
        "lowest_ask": prices.ask,
        "highest_bid": prices.bid,
        "quanto_base_rate": "",
    }


def _account(scene: Scene) -> Any:
    return {
        "user": 1666,
        "currency": "USDT",
        "total": str(scene.wallet),
        "unrealised_pnl": str(scene.profit),
        "position_margin": str(scene.margin),
        "order_margin": "0",
        "available": str(scene.free),
        "point": "0",
        "bonus": "0",
        "in_dual_mode": scene.hedged,
        "enable_credit": False,
        "position_initial_margin": str(scene.margin),
        "maintenance_margin": "0",
        "margin_mode": 0,
    }


def _position(scene: Scene) -> Any:
    mode = "dual_short" if scene.held < 0 else "dual_long"
    return {
        "user": 1666,
        "contract": scene.ids["BTC"],
        "size": int(scene.held),
        # Nought is cross; the leverage is then under cross_leverage_limit.
        "leverage": str(scene.leverage) if scene.isolated else "0",
        "cross_leverage_limit": "0" if scene.isolated else str(scene.leverage),
        "risk_limit": "1000000",
        "leverage_max": "100",
        "maintenance_rate": "0.005",
        "value": str(abs(scene.units) * scene.mark),
        "margin": str(scene.margin),
        "entry_price": str(ENTRY),
        "liq_price": str(LIQUIDATION),
        "mark_price": str(scene.mark),
        "initial_margin": str(scene.margin),
        "maintenance_margin": "10.5",
        "unrealised_pnl": str(scene.profit),
        "realised_pnl": "0",
        "mode": mode if scene.hedged else "single",
        "update_time": 1684994406,
        "open_time": 1684994400,
        "pending_orders": 0,
    }


def _order(scene: Scene) -> Any:
    return {
        "id": int(scene.foreign),
        "user": 1666,
        "create_time": 1514764800,
        "status": "open",
        "contract": scene.ids["BTC"],
        "size": 4000,
        "left": 3000,
        "price": "40000",
        "fill_price": "40000",
        "text": "web",
        "tif": "gtc",
        "is_reduce_only": False,
        "is_close": False,
    }


def _orders(scene: Scene, asked: Asked) -> Any:
    here = asked.query.get("contract") == scene.ids["BTC"] and scene.foreign
    return [_order(scene)] if here else []


def _trade(scene: Scene, each: Traded) -> Any:
    size = int(scene.contracts_in(each.units, each.base))
    return {
        "id": str(each.number),
        "trade_id": str(each.number),
        "order_id": str(each.number + 1),
        "contract": scene.ids[each.base],
        "create_time": each.at_ms / 1_000,
        "size": -size if each.units < 0 else size,
        "close_size": 0,
        "price": str(each.price),
        "role": "taker",
        "text": "web",
        "fee": str(each.fee),
        "point_fee": "0",
    }


def _page(asked: Asked, most: int) -> tuple[tuple[int, int], int]:
    """Return the bounds of a list in ms, of whole seconds, and how many rows are wanted."""
    begin_s, end_s = int(asked.query.get("from", 0)), int(asked.query.get("to", 2**52))
    wanted = int(asked.query.get("limit", 100))
    assert wanted <= most, "label INVALID_PARAM_VALUE"
    return (begin_s * 1_000, end_s * 1_000 + 999), wanted


def _trades(scene: Scene, asked: Asked) -> Any:
    bounds, wanted = _page(asked, 1_000)
    base = scene.base_of(asked.query["contract"])
    return [_trade(scene, each) for each in newest(scene.traded, bounds, wanted, base)]


def _bookings(scene: Scene, asked: Asked) -> Any:
    assert asked.query["type"] == "fund"
    bounds, wanted = _page(asked, 1_000)
    shown = newest(scene.paid, bounds, wanted, scene.base_of(asked.query["contract"]))
    return [
        {
            "time": each.at_ms / 1_000,
            "change": str(each.amount),
            "balance": "1000",
            "type": "fund",
            "text": scene.ids[each.base],
            "contract": scene.ids[each.base],
        }
        for each in shown
    ]


def _book(scene: Scene, _asked: Asked) -> Any:
    asks, bids = (
        [{"p": price, "s": int(size)} for price, size in scene.levels(side)]
        for side in (ASKS, BIDS)
    )
    now_s = scene.now_ms / 1_000
    return {"id": 123456, "current": now_s, "update": now_s, "asks": asks, "bids": bids}


_ROUTES: Mapping[str, Speak] = {
    "/api/v4/spot/time": lambda scene, _asked: {"server_time": scene.now_ms},
    "/api/v4/futures/usdt/contracts": lambda scene, _asked: [
        _contract(scene, base) for base in scene.contracts
    ],
    "/api/v4/futures/usdt/order_book": _book,
    "/api/v4/futures/usdt/tickers": lambda scene, _asked: [
        _ticker(scene, base) for base in scene.contracts
    ],
    "/api/v4/futures/usdt/accounts": lambda scene, _asked: _account(scene),
    "/api/v4/futures/usdt/positions": lambda scene, _asked: (
        [_position(scene)] if scene.held else []
    ),
    "/api/v4/futures/usdt/orders": _orders,
    "/api/v4/futures/usdt/my_trades_timerange": _trades,
    "/api/v4/futures/usdt/account_book": _bookings,
    # Markets that the desk does not trade.
    "/api/v4/spot/currency_pairs": lambda _scene, _asked: [],
    "/api/v4/margin/currency_pairs": lambda _scene, _asked: [],
    "/api/v4/futures/btc/contracts": lambda _scene, _asked: [],
    "/api/v4/delivery/usdt/contracts": lambda _scene, _asked: [],
    "/api/v4/options/underlyings": lambda _scene, _asked: [],
}


def _refuse(_scene: Scene, asked: Asked) -> tuple[int, Any] | None:
    if not asked.path.startswith(_PRIVATE):
        return None
    return 401, {"label": "INVALID_KEY", "message": "Invalid key provided"}


def _tell(scene: Scene, said: Any) -> list[Any]:
    if said.get("channel") not in ("futures.tickers", "futures.book_ticker"):
        return []
    frames = []
    for market_id in said["payload"]:
        base = scene.base_of(market_id)
        prices, stamp = scene.prices[base], scene.now_ms
        result: Any = [_ticker(scene, base)]
        if said["channel"] == "futures.book_ticker":
            best = {"b": prices.bid, "B": 37000, "a": prices.ask, "A": 47061}
            result = {"t": stamp, "u": 2517661076, "s": market_id, **best}
        told = {"time": stamp // 1_000, "time_ms": stamp, "channel": said["channel"]}
        frames.append({**told, "event": "update", "result": result})
    return frames


GATE = Tongue(
    routes=_ROUTES,
    refuse=_refuse,
    accept=lambda said: {
        "time": 1545404023,
        "id": said.get("id"),
        "channel": said.get("channel"),
        "event": "subscribe",
        "result": {"status": "success"},
    },
    tell=_tell,
)
