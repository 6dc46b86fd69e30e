"""How the prices of a venue are asked for: which question of ccxt brings which source.

ccxt's tickers carry everything at most venues; what differs elsewhere stands in one table.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from rebalancer.core.fund import PriceSource

Tickers = Mapping[str, Any]
Ask = Callable[[Any, Sequence[str]], Awaitable[Tickers]]
"""Asks an exchange of ccxt for some symbols and returns tickers in its unified shape."""

UNIFIED: Mapping[PriceSource, str] = MappingProxyType(
    {
        PriceSource.MARK: "markPrice",
        PriceSource.INDEX: "indexPrice",
        PriceSource.LAST: "last",
    }
)
"""The fields of ccxt's tickers."""

RAW: Mapping[str, Mapping[PriceSource, str]] = MappingProxyType(
    {
        "xt": {PriceSource.MARK: "m", PriceSource.INDEX: "i"},
        "mexc": {PriceSource.MARK: "fairPrice", PriceSource.INDEX: "indexPrice"},
        "bitget": {PriceSource.MARK: "markPrice", PriceSource.INDEX: "indexPrice"},
        "hyperliquid": {PriceSource.MARK: "markPx", PriceSource.INDEX: "oraclePx"},
    }
)
"""The venue's own names of the prices that ccxt leaves in `info`."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question, and what its answer has."""

    ask: Ask
    sources: frozenset[PriceSource]


async def _tickers(exchange: Any, symbols: Sequence[str]) -> Tickers:
    found: Tickers = await exchange.fetch_tickers(symbols)
    return found


async def _swap_tickers(exchange: Any, symbols: Sequence[str]) -> Tickers:
    # Left to itself ccxt asks for the spot markets each time as well.
    found: Tickers = await exchange.fetch_tickers(symbols, {"type": "swap"})
    return found


async def _marks(exchange: Any, symbols: Sequence[str]) -> Tickers:
    found: Tickers = await exchange.fetch_mark_prices(symbols)
    return found


async def _binance_marks(exchange: Any, symbols: Sequence[str]) -> Tickers:
    # Those of all contracts come at once, and weigh ten times as much as that of one.
    if len(symbols) > 1:
        return await _marks(exchange, symbols)
    return {symbols[0]: await exchange.fetch_mark_price(symbols[0])}


async def _binance_lasts(exchange: Any, symbols: Sequence[str]) -> Tickers:
    # The tickers of a day weigh twenty times as much.
    told = await exchange.fetch_last_prices(symbols)
    return {name: {**each, "last": each["price"]} for name, each in told.items()}


async def _okx_indices(exchange: Any, symbols: Sequence[str]) -> Tickers:
    # ccxt has no question for them; an index is named after its coins, not after a contract.
    markets = [exchange.market(symbol) for symbol in symbols]
    told: dict[str, Mapping[str, Any]] = {}
    for quote in sorted({market["quote"] for market in markets}):
        answer = await exchange.publicGetMarketIndexTickers({"quoteCcy": quote})
        told |= {row["instId"]: row for row in answer["data"]}
    found = {}
    for market in markets:
        if (row := told.get(f"{market['base']}-{market['quote']}")) is not None:
            stamp = int(row["ts"])
            found[market["symbol"]] = {"indexPrice": row["idxPx"], "timestamp": stamp, "info": row}
    return found


_MARK, _INDEX, _LAST = (
    frozenset({source}) for source in (PriceSource.MARK, PriceSource.INDEX, PriceSource.LAST)
)
_USUAL = (Question(_tickers, frozenset(UNIFIED)),)
_APART: Mapping[str, tuple[Question, ...]] = MappingProxyType(
    {
        "binanceusdm": (
            Question(_binance_marks, _MARK | _INDEX),
            Question(_binance_lasts, _LAST),
        ),
        "okx": (
            Question(_marks, _MARK),
            Question(_okx_indices, _INDEX),
            Question(_tickers, _LAST),
        ),
        "hyperliquid": (Question(_swap_tickers, frozenset(UNIFIED)),),
    }
)


def questions(venue_id: str) -> tuple[Question, ...]:
    """Return what to ask a venue, by ccxt's name, for every source there is."""
    return _APART.get(venue_id, _USUAL)
