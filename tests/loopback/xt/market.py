"""XT's public routes: what is listed and what it costs."""

from __future__ import annotations

from itertools import islice
from typing import Any

from tests.loopback.instruments import Instrument, Level
from tests.loopback.xt import shapes
from tests.loopback.xt.request import Request, native

FUNDING_SPAN_MS = 8 * 3_600_000
INTERVALS_MS = {"1m": 60_000, "5m": 300_000, "15m": 900_000, "1h": 3_600_000, "1d": 86_400_000}


def spot_time(request: Request) -> Any:
    """GET time of the spot host: the only clock that ccxt asks for."""
    return {"serverTime": request.now_ms}


def spot_symbols(request: Request) -> Any:
    """GET symbol of the spot host: none."""
    return {"time": request.now_ms, "version": "0", "symbols": []}


def spot_currencies(request: Request) -> Any:
    """GET currencies of the spot host: none."""
    return {"time": request.now_ms, "version": "0", "currencies": []}


def nothing(_request: Request) -> Any:
    """An empty list: chains of the spot host, symbols of the inverse one."""
    return []


def symbol_list(request: Request) -> Any:
    """GET symbol/list."""
    return [shapes.symbol_detail(each, number) for number, each in enumerate(request.listed(), 1)]


def symbol_detail(request: Request) -> Any:
    """GET symbol/detail."""
    instrument = request.instrument()
    number = [each.name for each in request.listed()].index(instrument.name) + 1
    return shapes.symbol_detail(instrument, number)


def ticker(request: Request) -> Any:
    """GET q/ticker."""
    return shapes.ticker(request.instrument(), request.now_ms)


def tickers(request: Request) -> Any:
    """GET q/tickers."""
    return [shapes.ticker(each, request.now_ms) for each in request.listed()]


def aggregate(request: Request) -> Any:
    """GET q/agg-ticker."""
    return shapes.aggregate(request.instrument(), request.now_ms)


def aggregates(request: Request) -> Any:
    """GET q/agg-tickers."""
    return [shapes.aggregate(each, request.now_ms) for each in request.listed()]


def _book(instrument: Instrument, now_ms: int) -> shapes.Document:
    bid, ask = instrument.best_bid, instrument.best_ask
    return {
        "s": native(instrument.name),
        "t": now_ms,
        "ap": shapes.plain(ask.price),
        "aq": shapes.plain(ask.contracts),
        "bp": shapes.plain(bid.price),
        "bq": shapes.plain(bid.contracts),
    }


def book(request: Request) -> Any:
    """GET q/ticker/book."""
    return _book(request.instrument(), request.now_ms)


def books(request: Request) -> Any:
    """GET q/ticker/books."""
    return [_book(each, request.now_ms) for each in request.listed()]


def price(instrument: Instrument, value: Any, now_ms: int) -> shapes.Document:
    """Return one price, as mark and index routes and streams show it."""
    return {"s": native(instrument.name), "p": shapes.plain(value), "t": now_ms}


def marks(request: Request) -> Any:
    """GET q/mark-price: all."""
    return [price(each, each.mark, request.now_ms) for each in request.listed()]


def mark(request: Request) -> Any:
    """GET q/symbol-mark-price: one."""
    instrument = request.instrument()
    return price(instrument, instrument.mark, request.now_ms)


def indexes(request: Request) -> Any:
    """GET q/index-price: all."""
    return [price(each, each.index, request.now_ms) for each in request.listed()]


def index(request: Request) -> Any:
    """GET q/symbol-index-price: one."""
    instrument = request.instrument()
    return price(instrument, instrument.index, request.now_ms)


def depth(request: Request) -> Any:
    """GET q/depth."""
    instrument = request.instrument()
    level = request.integer("level", 50)

    def side(levels: Any) -> list[list[str]]:
        rows: list[Level] = list(islice(levels, level))
        return [[shapes.plain(row.price), shapes.plain(row.contracts)] for row in rows]

    return {
        "t": request.now_ms,
        "s": native(instrument.name),
        "u": request.core.next_id,
        "b": side(instrument.depth.bids(instrument.last, instrument.tick)),
        "a": side(instrument.depth.asks(instrument.last, instrument.tick)),
    }


def klines(request: Request) -> Any:
    """GET q/kline: flat candles at the present price up to now, newest first."""
    instrument = request.instrument()
    span = INTERVALS_MS.get(request.text("interval"), 60_000)
    newest = request.now_ms - request.now_ms % span
    last = shapes.plain(instrument.last)
    candle = {"s": native(instrument.name), "a": "1", "v": last}
    candle |= dict.fromkeys(("o", "c", "h", "l"), last)
    count = min(request.integer("limit", 500), 1500)
    start = request.integer("startTime", 0)
    instants = (newest - span * number for number in range(count))
    return [candle | {"t": at} for at in instants if at >= start]


def next_funding_ms(now_ms: int) -> int:
    """Return the next instant at which the venue settles funding."""
    return now_ms - now_ms % FUNDING_SPAN_MS + FUNDING_SPAN_MS


def funding_rate(request: Request) -> Any:
    """GET q/funding-rate."""
    instrument = request.instrument()
    return {
        "symbol": native(instrument.name),
        "fundingRate": shapes.plain(instrument.funding_rate),
        "nextCollectionTime": next_funding_ms(request.now_ms),
        "collectionInternal": 8,
    }


def funding_records(request: Request) -> Any:
    """GET q/funding-rate-record: settlements so far, newest first."""
    instrument = request.instrument()
    rows = [row for row in request.core.fundings if row.instrument == instrument.name]
    return request.scroll(
        request.window(rows, lambda row: row.at_ms),
        lambda row: {
            "id": str(row.at_ms),
            "symbol": native(row.instrument),
            "fundingRate": shapes.plain(row.rate),
            "createdTime": row.at_ms,
            "collectionInternal": 8,
        },
    )


def _brackets(instrument: Instrument) -> shapes.Document:
    symbol = native(instrument.name)
    bracket = {
        "symbol": symbol,
        "bracket": 1,
        "maxNominalValue": "100000000",
        "maintMarginRate": shapes.plain(instrument.maintenance_rate),
        "startMarginRate": shapes.plain(instrument.maintenance_rate * 2),
        "maxStartMarginRate": None,
        "maxLeverage": str(instrument.max_leverage),
        "minLeverage": "1",
    }
    return {"symbol": symbol, "leverageBrackets": [bracket]}


def bracket(request: Request) -> Any:
    """GET leverage/bracket/detail."""
    return _brackets(request.instrument())


def brackets(request: Request) -> Any:
    """GET leverage/bracket/list."""
    return [_brackets(each) for each in request.listed()]
