"""Binance's stream frames: marks, best bids and asks, tickers; order and account updates."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from tests.loopback.accounts import IncomeKind, Margin, Position
from tests.loopback.binance import shapes
from tests.loopback.binance.listening import listener
from tests.loopback.binance.market import next_funding_ms
from tests.loopback.binance.request import native
from tests.loopback.dialect import Channel
from tests.loopback.happenings import (
    Happening,
    LeverageMoved,
    OrderMoved,
    Priced,
    WalletMoved,
)
from tests.loopback.instruments import ZERO, Instrument
from tests.loopback.matching import Core
from tests.loopback.orders import Book

_PRIVATE = "account:"


def opened(core: Core, channel: Channel, now_ms: int) -> bool:
    """Subscribe to what the address names: /ws/NAME, ?streams=A/B, or a listen key."""
    key = channel.query.get("listenKey", "")
    tail = channel.path.rpartition("/ws/")[2] if "/ws/" in channel.path else ""
    account = listener(core, key or tail, now_ms)
    if account is not None:
        channel.topics.add(_PRIVATE + account.name)
        return True
    if key:
        return False
    names = [*channel.query.get("streams", "").split("/"), tail]
    channel.topics.update(name for name in names if "@" in name or name.startswith("!"))
    return True


def received(channel: Channel, frame: str) -> Iterable[Any]:
    """Answer a client's frame."""
    try:
        request = json.loads(frame)
        method, names = request["method"], request.get("params", [])
    except (ValueError, KeyError, TypeError, AttributeError):
        yield {"error": {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}}
        return
    names = [name for name in names if not str(name).startswith(_PRIVATE)]
    answer: Any = None
    if method == "SUBSCRIBE":
        channel.topics.update(names)
    elif method == "UNSUBSCRIBE":
        channel.topics.difference_update(names)
    elif method == "LIST_SUBSCRIPTIONS":
        answer = sorted(name for name in channel.topics if not name.startswith(_PRIVATE))
    yield {"result": answer, "id": request.get("id")}


def told(core: Core, channel: Channel, happened: Happening, now_ms: int) -> Iterable[Any]:
    """Yield what a stream is told of a happening."""
    if isinstance(happened, Priced):
        yield from _prices(core, channel, [core.instruments[happened.instrument]], now_ms)
    elif isinstance(happened, LeverageMoved) and happened.book is not Book.NET:
        return  # the venue's leverage is the symbol's: tell it once
    elif _PRIVATE + happened.account in channel.topics:
        yield _private(core, happened)


def beat(core: Core, channel: Channel, now_ms: int) -> Iterable[Any]:
    """Yield the prices that a stream asked for."""
    return _prices(core, channel, list(core.instruments.values()), now_ms)


def _prices(
    core: Core, channel: Channel, instruments: list[Instrument], now_ms: int
) -> Iterator[Any]:
    for name, suffix, shape in _SHAPES:
        everyone = {f"!{name}{suffix}", f"!{name}{suffix}@1s"}
        for topic in sorted(everyone & channel.topics):
            documents = [shape(core, instrument, now_ms) for instrument in instruments]
            if suffix:
                yield _wrapped(channel, topic, documents)
            else:
                yield from (_wrapped(channel, topic, document) for document in documents)
        for instrument in instruments:
            symbol = native(instrument.name).lower()
            own = {f"{symbol}@{name}", f"{symbol}@{name}@1s"}
            for topic in sorted(own & channel.topics):
                yield _wrapped(channel, topic, shape(core, instrument, now_ms))


def _wrapped(channel: Channel, topic: str, document: Any) -> Any:
    if channel.path.startswith("/stream") or channel.path.endswith("/stream"):
        return {"stream": topic, "data": document}
    return document


def _mark(_core: Core, instrument: Instrument, now_ms: int) -> shapes.Document:
    return {
        "e": "markPriceUpdate",
        "E": now_ms,
        "s": native(instrument.name),
        "p": shapes.money(instrument.mark),
        "i": shapes.money(instrument.index),
        "P": shapes.money(instrument.index),
        "r": shapes.money(instrument.funding_rate),
        "T": next_funding_ms(now_ms),
    }


def _book(core: Core, instrument: Instrument, now_ms: int) -> shapes.Document:
    bid, ask = instrument.best_bid, instrument.best_ask
    return {
        "e": "bookTicker",
        "u": core.next_id,
        "E": now_ms,
        "T": now_ms,
        "s": native(instrument.name),
        "b": shapes.stepped(bid.price, instrument.tick),
        "B": shapes.stepped(bid.contracts, instrument.lot),
        "a": shapes.stepped(ask.price, instrument.tick),
        "A": shapes.stepped(ask.contracts, instrument.lot),
    }


def _day(_core: Core, instrument: Instrument, now_ms: int) -> shapes.Document:
    last = shapes.stepped(instrument.last, instrument.tick)
    return {
        "e": "24hrTicker",
        "E": now_ms,
        "s": native(instrument.name),
        "p": "0.00",
        "P": "0.000",
        "w": last,
        "c": last,
        "Q": shapes.stepped(instrument.lot, instrument.lot),
        "o": last,
        "h": last,
        "l": last,
        "v": "1000.000",
        "q": shapes.money(instrument.notional(instrument.lot * 1000, instrument.last)),
        "O": now_ms - 86_400_000,
        "C": now_ms,
        "F": 1,
        "L": 1000,
        "n": 1000,
    }


def _mini(core: Core, instrument: Instrument, now_ms: int) -> shapes.Document:
    day = _day(core, instrument, now_ms)
    return {"e": "24hrMiniTicker", **{name: day[name] for name in "Escohlvq"}}


#: name of a stream, what the stream of all adds to it, and its frame
_SHAPES = (
    ("markPrice", "@arr", _mark),
    ("bookTicker", "", _book),
    ("ticker", "@arr", _day),
    ("miniTicker", "@arr", _mini),
)


def _private(core: Core, happened: OrderMoved | WalletMoved | LeverageMoved) -> shapes.Document:
    if isinstance(happened, OrderMoved):
        return _order_update(core, happened)
    if isinstance(happened, WalletMoved):
        return _account_update(core, happened)
    return {
        "e": "ACCOUNT_CONFIG_UPDATE",
        "E": happened.at_ms,
        "T": happened.at_ms,
        "ac": {"s": native(happened.instrument), "l": happened.leverage},
    }


def _order_update(core: Core, happened: OrderMoved) -> shapes.Document:
    order, trade = happened.order, happened.trade
    request = order.request
    instrument = core.instruments[request.instrument]
    last = ZERO if trade is None else trade.contracts
    document = {
        "s": native(request.instrument),
        "c": request.client_order_id,
        "S": request.side.value,
        "o": request.kind.value,
        "f": request.force.value,
        "q": shapes.stepped(request.contracts, instrument.lot),
        "p": shapes.stepped(request.price or ZERO, instrument.tick),
        "ap": shapes.money(order.average),
        "sp": "0",
        "x": happened.execution.value,
        "X": order.status.value,
        "i": order.order_id,
        "l": shapes.stepped(last, instrument.lot),
        "z": shapes.stepped(order.filled, instrument.lot),
        "L": shapes.stepped(ZERO if trade is None else trade.price, instrument.tick),
        "T": happened.at_ms,
        "t": 0 if trade is None else trade.trade_id,
        "b": "0",
        "a": "0",
        "m": trade is not None and trade.maker,
        "R": request.reduce_only,
        "wt": "CONTRACT_PRICE",
        "ot": request.kind.value,
        "ps": request.book.value,
        "cp": False,
        "pP": False,
        "si": 0,
        "ss": 0,
        "rp": shapes.money(ZERO if trade is None else trade.realized),
        "V": "NONE",
        "pm": "NONE",
        "gtd": 0,
    }
    if trade is not None:
        document |= {"N": instrument.quote, "n": shapes.money(trade.fee)}
    return {"e": "ORDER_TRADE_UPDATE", "T": happened.at_ms, "E": happened.at_ms, "o": document}


def _account_update(core: Core, happened: WalletMoved) -> shapes.Document:
    reason = "ORDER" if happened.reason is None else happened.reason.value
    wallet = shapes.money(happened.wallet)
    change = shapes.money(happened.amount)
    positions = happened.positions
    if happened.reason is IncomeKind.FUNDING_FEE:
        positions = ()  # the venue names no position with a cross funding fee
    return {
        "e": "ACCOUNT_UPDATE",
        "T": happened.at_ms,
        "E": happened.at_ms,
        "a": {
            "B": [{"a": "USDT", "wb": wallet, "cw": wallet, "bc": change}],
            "P": [_position(core, happened.account, position) for position in positions],
            "m": reason,
        },
    }


def _position(core: Core, name: str, position: Position) -> shapes.Document:
    account = next(each for each in core.accounts.values() if each.name == name)
    instrument = core.instruments[position.instrument]
    cross = account.margin(position.instrument, position.book) is Margin.CROSS
    return {
        "s": native(position.instrument),
        "pa": shapes.stepped(position.contracts, instrument.lot),
        "ep": shapes.money(position.entry),
        "bep": shapes.money(position.entry),
        "cr": shapes.money(position.realized),
        "up": shapes.money(position.unrealized(instrument)),
        "mt": "cross" if cross else "isolated",
        "iw": "0",
        "ps": position.book.value,
    }
