"""Binance's public routes: what is listed, what it costs, and the venue's clock."""

from __future__ import annotations

from itertools import islice
from typing import Any

from tests.loopback.binance import shapes
from tests.loopback.binance.budget import LIMITS
from tests.loopback.binance.request import Request, native
from tests.loopback.instruments import Instrument

FUNDING_SPAN_MS = 8 * 3_600_000
DAY_MS = 86_400_000
INTERVALS_MS = {"1m": 60_000, "5m": 300_000, "15m": 900_000, "1h": 3_600_000, "1d": DAY_MS}


def ping(_request: Request) -> Any:
    """GET ping."""
    return {}


def time(request: Request) -> Any:
    """GET time."""
    return {"serverTime": request.now_ms}


def exchange_info(request: Request) -> Any:
    """GET exchangeInfo."""
    instruments = request.core.instruments.values()
    quotes = sorted({instrument.quote for instrument in instruments})
    return {
        "timezone": "UTC",
        "serverTime": request.now_ms,
        "futuresType": "U_MARGINED",
        "rateLimits": list(LIMITS),
        "exchangeFilters": [],
        "assets": [
            {"asset": quote, "marginAvailable": True, "autoAssetExchange": "-10000"}
            for quote in quotes
        ],
        "symbols": [shapes.symbol_info(instrument) for instrument in instruments],
    }


def next_funding_ms(now_ms: int) -> int:
    """Return the next instant at which the venue settles funding."""
    return now_ms - now_ms % FUNDING_SPAN_MS + FUNDING_SPAN_MS


def premium_index(request: Request) -> Any:
    """GET premiumIndex: one with a symbol, else all."""

    def shape(instrument: Instrument) -> shapes.Document:
        return {
            "symbol": native(instrument.name),
            "markPrice": shapes.money(instrument.mark),
            "indexPrice": shapes.money(instrument.index),
            "estimatedSettlePrice": shapes.money(instrument.index),
            "lastFundingRate": shapes.money(instrument.funding_rate),
            "interestRate": "0.00010000",
            "nextFundingTime": next_funding_ms(request.now_ms),
            "time": request.now_ms,
        }

    return _one_or_all(request, shape)


def book_ticker(request: Request) -> Any:
    """GET ticker/bookTicker: one with a symbol, else all."""

    def shape(instrument: Instrument) -> shapes.Document:
        bid, ask = instrument.best_bid, instrument.best_ask
        return {
            "symbol": native(instrument.name),
            "bidPrice": shapes.stepped(bid.price, instrument.tick),
            "bidQty": shapes.stepped(bid.contracts, instrument.lot),
            "askPrice": shapes.stepped(ask.price, instrument.tick),
            "askQty": shapes.stepped(ask.contracts, instrument.lot),
            "time": request.now_ms,
            "lastUpdateId": request.core.next_id,
        }

    return _one_or_all(request, shape)


def price_ticker(request: Request) -> Any:
    """GET ticker/price: one with a symbol, else all."""

    def shape(instrument: Instrument) -> shapes.Document:
        return {
            "symbol": native(instrument.name),
            "price": shapes.stepped(instrument.last, instrument.tick),
            "time": request.now_ms,
        }

    return _one_or_all(request, shape)


def day_ticker(request: Request) -> Any:
    """GET ticker/24hr: a day on which the price was always the present one."""

    def shape(instrument: Instrument) -> shapes.Document:
        last = shapes.stepped(instrument.last, instrument.tick)
        turnover = instrument.notional(instrument.lot * 1000, instrument.last)
        return {
            "symbol": native(instrument.name),
            "priceChange": "0.00",
            "priceChangePercent": "0.000",
            "weightedAvgPrice": last,
            "lastPrice": last,
            "lastQty": shapes.stepped(instrument.lot, instrument.lot),
            "openPrice": last,
            "highPrice": last,
            "lowPrice": last,
            "volume": "1000.000",
            "quoteVolume": shapes.money(turnover),
            "openTime": request.now_ms - DAY_MS,
            "closeTime": request.now_ms,
            "firstId": 1,
            "lastId": 1000,
            "count": 1000,
        }

    return _one_or_all(request, shape)


def depth(request: Request) -> Any:
    """GET depth."""
    instrument = request.instrument()
    limit = request.integer("limit", 500)

    def side(levels: Any) -> list[list[str]]:
        return [
            [
                shapes.stepped(level.price, instrument.tick),
                shapes.stepped(level.contracts, instrument.lot),
            ]
            for level in islice(levels, limit)
        ]

    book = instrument.depth
    return {
        "lastUpdateId": request.core.next_id,
        "E": request.now_ms,
        "T": request.now_ms,
        "bids": side(book.bids(instrument.last, instrument.tick)),
        "asks": side(book.asks(instrument.last, instrument.tick)),
    }


def klines(request: Request) -> Any:
    """GET klines: flat candles at the present price up to now."""
    instrument = request.instrument()
    span = INTERVALS_MS.get(request.text("interval"), 60_000)
    limit = min(request.integer("limit", 500), 1500)
    newest = request.now_ms - request.now_ms % span
    first = max(request.integer("startTime", 0), newest - (limit - 1) * span)
    last = shapes.stepped(instrument.last, instrument.tick)
    start = first + -first % span
    return [
        [at, last, last, last, last, "1.000", at + span - 1, last, 1, "0.500", last, "0"]
        for at in range(start, newest + 1, span)
    ]


def funding_rates(request: Request) -> Any:
    """GET fundingRate: settlements so far."""
    names = {instrument.name for instrument in request.chosen()}
    rows = [row for row in request.core.fundings if row.instrument in names]
    return [
        {
            "symbol": native(row.instrument),
            "fundingTime": row.at_ms,
            "fundingRate": shapes.money(row.rate),
            "markPrice": shapes.money(row.mark),
        }
        for row in request.page(rows, lambda row: row.at_ms, 100)
    ]


def funding_info(request: Request) -> Any:
    """GET fundingInfo."""
    return [
        {
            "symbol": native(name),
            "adjustedFundingRateCap": "0.02000000",
            "adjustedFundingRateFloor": "-0.02000000",
            "fundingIntervalHours": 8,
            "disclaimer": False,
            "updateTime": 0,
        }
        for name in request.core.instruments
    ]


def _one_or_all(request: Request, shape: Any) -> Any:
    if request.params.get("symbol"):
        return shape(request.instrument())
    return [shape(instrument) for instrument in request.core.instruments.values()]
