"""Binance's mark prices read in the fewest steps, where ccxt builds a whole ticker for each.

The connection, its subscriptions and its pings stay ccxt's. Only what becomes of a message is ours:
its rows are kept as they came, with the venue's own names. Whatever does not look as Binance
documents it goes to ccxt's own reading, which is the fallback here and the oracle in a test. Prices
stay text: what makes a number of them is the feed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rebalancer.core.fund import PriceSource
from rebalancer.feeds.live import Names

try:
    from orjson import loads  # ccxt brings it where it can be had
except ImportError:  # pragma: no cover - the platforms without it
    from json import loads  # type: ignore[assignment]

#: how an array of mark prices begins; no price in it is a number, so any parser is exact
ARRAY_BEGIN = '[{"e":"markPriceUpdate"'
#: from so many contracts on one stream of all marks costs less than a stream of each
ALL_FROM = 40

#: what the rows call what a feed wants
NAMES = Names("E", {PriceSource.MARK: "p", PriceSource.INDEX: "i"})

__all__ = ["ALL_FROM", "ARRAY_BEGIN", "NAMES", "as_sent", "decode", "loads", "quicken", "reads"]


def reads(venue_id: str, method: str) -> bool:
    """Say whether a stream of ccxt.pro is one whose messages are read here."""
    return (venue_id, method) == ("binanceusdm", "watch_mark_prices")


def decode(rows: Sequence[Mapping[str, Any]], symbols: Mapping[str, str]) -> dict[str, Any]:
    """Return mark price updates by unified symbol, those of other contracts left out.

    `symbols` are unified symbols by the venue's id. KeyError or TypeError where a row is not as
    documented.
    """
    found = {}
    for row in rows:
        symbol = symbols.get(row["s"])
        if symbol is not None and row["e"] == "markPriceUpdate":
            found[symbol] = row
    return found


def as_sent(told: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a row as it is, and a ticker that ccxt read under the venue's names."""
    if "e" in told:
        return told
    return {"E": told["timestamp"], "p": told["markPrice"], "i": told["indexPrice"]}


def quicken(client: Any) -> None:
    """Let a client of ccxt.pro for Binance USD-M read mark prices by `decode`."""
    symbols = {
        market["id"]: symbol
        for symbol, market in client.markets.items()
        if market.get("swap") and market.get("linear")
    }
    channel = client.options["tickerChannelsMap"].get("markPriceUpdate", "markPriceUpdate")
    one, every = f"markPrice:{channel}@", f"markPrices:{channel}"
    slowly = client.handle_mark_prices

    def handle(socket: Any, message: Any) -> None:
        try:
            told = decode(message if isinstance(message, list) else [message], symbols)
        except (KeyError, TypeError):
            slowly(socket, message)
            return
        client.tickers.update(told)
        waiting = socket.futures
        for name in [name for name in waiting if name.startswith(one)]:
            ticker = told.get(name.removeprefix(one))
            if ticker is not None:
                socket.resolve(ticker, name)
        if told and every in waiting:
            socket.resolve(told, every)

    client.handle_mark_prices = handle
