"""XT's stream frames: tickers, marks and indexes by topic; orders, trades, positions, balances.

Public streams are opened at /ws/market, private ones at /ws/user, where a subscription carries the
listen key. A text `ping` is answered `pong`. ccxt reads only the ticker topics and the four private
ones; its reading of a private order has the literal status "state", which is ccxt's, not ours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tests.loopback.accounts import Account
from tests.loopback.dialect import Channel
from tests.loopback.happenings import Happening, OrderMoved, Priced, WalletMoved
from tests.loopback.instruments import Instrument
from tests.loopback.matching import Core
from tests.loopback.xt import shapes
from tests.loopback.xt.account import account_info, listener
from tests.loopback.xt.market import price
from tests.loopback.xt.request import Request, native

PRIVATE_TOPICS = frozenset({"order", "trade", "position", "balance"})


def opened(channel: Channel) -> bool:
    """Admit the two addresses there are."""
    return channel.path.endswith(("/market", "/user"))


def received(core: Core, channel: Channel, frame: str) -> Iterable[Any]:
    """Answer a client's frame."""
    if frame == "ping":
        yield "pong"
        return
    try:
        request = json.loads(frame)
        method, names, number = request["method"], request["params"], request.get("id")
    except (ValueError, KeyError, TypeError):
        yield {"id": None, "code": 400, "msg": "invalid frame"}
        return
    if channel.path.endswith("/user"):
        keys = [name.partition("@")[2] for name in names]
        if any(listener(core, key) is None for key in keys):
            yield {"id": number, "code": 401, "msg": "invalid_listen_key"}
            return
    if method == "SUBSCRIBE":
        channel.topics.update(names)
    elif method == "UNSUBSCRIBE":
        channel.topics.difference_update(names)
    else:
        yield {"id": number, "code": 400, "msg": "invalid method"}
        return
    yield {"id": number, "code": 0, "msg": "success", "sessionId": "5e1597ff-00000001"}


def told(core: Core, channel: Channel, happened: Happening, now_ms: int) -> Iterable[Any]:
    """Yield what a stream is told of a happening."""
    if isinstance(happened, Priced):
        yield from _prices(channel, [core.instruments[happened.instrument]], now_ms)
    elif channel.path.endswith("/user"):
        for topic, key in (name.split("@", 1) for name in sorted(channel.topics)):
            account = listener(core, key)
            if account is not None and account.name == happened.account:
                yield from _private(core, account, topic, happened, now_ms)


def beat(core: Core, channel: Channel, now_ms: int) -> Iterable[Any]:
    """Yield the prices that a stream asked for."""
    return _prices(channel, list(core.instruments.values()), now_ms)


def _prices(channel: Channel, instruments: list[Instrument], now_ms: int) -> Iterator[Any]:
    for topic, shape in _TOPICS.items():
        for instrument in instruments:
            event = f"{topic}@{native(instrument.name)}"
            if event in channel.topics:
                yield {"topic": topic, "event": event, "data": shape(instrument, now_ms)}
    for topic, shape in (("tickers", _ticker), ("agg_tickers", _aggregate)):
        if topic in channel.topics:
            data = [shape(instrument, now_ms) for instrument in instruments]
            yield {"topic": topic, "event": topic, "data": data}


def _ticker(instrument: Instrument, now_ms: int) -> shapes.Document:
    document = shapes.ticker(instrument, now_ms)
    document["ch"] = document.pop("r")
    return document


def _aggregate(instrument: Instrument, now_ms: int) -> shapes.Document:
    document = shapes.aggregate(instrument, now_ms)
    document["ch"] = document.pop("r")
    return document


def _mark(instrument: Instrument, now_ms: int) -> shapes.Document:
    return price(instrument, instrument.mark, now_ms)


def _index(instrument: Instrument, now_ms: int) -> shapes.Document:
    return price(instrument, instrument.index, now_ms)


def _funding(instrument: Instrument, now_ms: int) -> shapes.Document:
    rate = shapes.plain(instrument.funding_rate)
    return {"s": native(instrument.name), "r": rate, "t": now_ms}


_TOPICS: Mapping[str, Callable[[Instrument, int], shapes.Document]] = {
    "ticker": _ticker,
    "agg_ticker": _aggregate,
    "mark_price": _mark,
    "index_price": _index,
    "fund_rate": _funding,
}


def _private(
    core: Core, account: Account, topic: str, happened: Happening, now_ms: int
) -> Iterator[Any]:
    number = account_info(Request(core=core, params={}, now_ms=now_ms, owner=account))["accountId"]
    event = f"{topic}@{number}"
    if topic == "order" and isinstance(happened, OrderMoved):
        yield {"topic": topic, "event": event, "data": _order(core, account, happened)}
    elif topic == "trade" and isinstance(happened, OrderMoved) and happened.trade is not None:
        yield {"topic": topic, "event": event, "data": _trade(happened)}
    elif topic == "position" and isinstance(happened, WalletMoved):
        for held in happened.positions:
            data = shapes.position(core, account, held)
            data |= {"accountId": number, "accountType": 0, "underlyingType": "U_BASED"}
            yield {"topic": topic, "event": event, "data": data}
    elif topic == "balance" and isinstance(happened, WalletMoved):
        data = shapes.balance(core, account) | {"underlyingType": 2}
        yield {"topic": topic, "event": event, "data": data}


def _order(core: Core, account: Account, happened: OrderMoved) -> shapes.Document:
    instrument = core.instruments[happened.order.request.instrument]
    document = shapes.order(happened.order, instrument, account)
    kept = ("symbol", "orderId", "origQty", "avgPrice", "price", "executedQty", "orderSide",
            "positionSide", "marginFrozen", "sourceType", "sourceId", "state",
            "clientOrderId")  # fmt: skip
    return {name: document[name] for name in kept} | {"createTime": document["createdTime"]}


def _trade(happened: OrderMoved) -> shapes.Document:
    trade = happened.trade
    if trade is None:
        return {}
    return {
        "symbol": native(trade.instrument),
        "orderSide": trade.side.value,
        "positionSide": trade.book.value,
        "orderId": str(trade.order_id),
        "price": shapes.plain(trade.price),
        "quantity": shapes.plain(trade.contracts),
        "marginUnfrozen": "0",
        "timestamp": trade.at_ms,
    }
