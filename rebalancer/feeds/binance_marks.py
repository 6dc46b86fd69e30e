"""Binance's mark prices read in the fewest steps, where ccxt builds a whole ticker for each.

The connection, its subscriptions and its pings stay ccxt's. Only what becomes of a message is ours:
the three fields that the desk wants, kept under the names that ccxt gives them. Whatever does not
look as Binance documents it goes to ccxt's own reading, which is the fallback here and the oracle
in a test. Prices stay text: what makes a number of them is the feed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

try:
    from orjson import loads  # ccxt brings it where it can be had
except ImportError:  # pragma: no cover - the platforms without it
    from json import loads  # type: ignore[assignment]

#: how an array of mark prices begins; no price in it is a number, so any parser is exact
ARRAY_BEGIN = '[{"e":"markPriceUpdate"'
#: from so many contracts on one stream of all marks costs less than a stream of each
ALL_FROM = 40

__all__ = ["ALL_FROM", "ARRAY_BEGIN", "decode", "loads", "quicken"]


def decode(rows: Sequence[Mapping[str, Any]], symbols: Mapping[str, str]) -> dict[str, Any]:
    """Return the wanted fields of mark price updates by unified symbol, others left out.

    `symbols` are unified symbols by the venue's id. KeyError or TypeError where a row is not as
    documented.
    """
    found = {}
    for row in rows:
        symbol = symbols.get(row["s"])
        if symbol is not None and row["e"] == "markPriceUpdate":
            found[symbol] = {
                "symbol": symbol,
                "timestamp": row["E"],
                "markPrice": row["p"],
                "indexPrice": row["i"],
            }
    return found


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
