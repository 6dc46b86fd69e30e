"""Two perpetuals per venue, as ccxt describes them: the least that building a request needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rebalancer.core.contract import Contract
from rebalancer.exchanges import contract_of

#: venue -> (id of BTC, id of ETH, quote, (contract size, lot, tick) of BTC, the same of ETH)
_TRAITS: Mapping[str, tuple[str, str, str, tuple[str, str, str], tuple[str, str, str]]] = {
    "binanceusdm": ("BTCUSDT", "ETHUSDT", "USDT", ("1", "0.001", "0.1"), ("1", "0.001", "0.01")),
    "bybit": ("BTCUSDT", "ETHUSDT", "USDT", ("1", "0.001", "0.1"), ("1", "0.01", "0.01")),
    "okx": (
        *("BTC-USDT-SWAP", "ETH-USDT-SWAP", "USDT"),
        ("0.01", "0.01", "0.1"),
        ("0.1", "0.01", "0.01"),
    ),
    "gate": ("BTC_USDT", "ETH_USDT", "USDT", ("0.0001", "1", "0.1"), ("0.01", "1", "0.01")),
    "xt": ("btc_usdt", "eth_usdt", "USDT", ("0.0001", "1", "0.1"), ("0.01", "1", "0.01")),
    "bitget": ("BTCUSDT", "ETHUSDT", "USDT", ("1", "0.0001", "0.1"), ("1", "0.01", "0.01")),
    "kucoinfutures": ("XBTUSDTM", "ETHUSDTM", "USDT", ("0.001", "1", "0.1"), ("0.01", "1", "0.01")),
    "mexc": ("BTC_USDT", "ETH_USDT", "USDT", ("0.0001", "1", "0.1"), ("0.01", "1", "0.01")),
    "hyperliquid": ("0", "1", "USDC", ("1", "0.00001", "0.1"), ("1", "0.0001", "0.01")),
}
#: what single venues read from the market beside ccxt's own fields
_INFO = {"orderTypes": ["LIMIT", "MARKET"], "enable_decimal": False}


def _market(venue_id: str, base: str, market_id: str, sizes: tuple[str, str, str]) -> Any:
    quote = _TRAITS[venue_id][2]
    contract_size, lot, tick = sizes
    lower = venue_id in ("gate", "xt")
    return {
        "id": market_id,
        "symbol": f"{base}/{quote}:{quote}",
        "base": base,
        "quote": quote,
        "settle": quote,
        # Hyperliquid's orders name a contract by its number, which ccxt keeps as the base id.
        "baseId": market_id if venue_id == "hyperliquid" else base,
        "quoteId": quote.lower() if lower else quote,
        "settleId": quote.lower() if lower else quote,
        "type": "swap",
        "spot": False,
        "margin": False,
        "swap": True,
        "future": False,
        "option": False,
        "contract": True,
        "linear": True,
        "inverse": False,
        "active": True,
        "contractSize": contract_size,
        "precision": {"amount": lot, "price": tick},
        "limits": {"amount": {"min": lot}, "price": {}, "cost": {}, "leverage": {}},
        "info": _INFO,
    }


def markets_of(venue_id: str) -> list[dict[str, Any]]:
    """Return BTC and ETH as ccxt describes them at `venue_id`."""
    btc_id, eth_id, _, btc, eth = _TRAITS[venue_id]
    return [_market(venue_id, "BTC", btc_id, btc), _market(venue_id, "ETH", eth_id, eth)]


def contracts_of(venue_id: str) -> tuple[Contract, Contract]:
    """Return BTC and ETH as the desk knows them at `venue_id`."""
    btc, eth = (contract_of(market, venue_id) for market in markets_of(venue_id))
    return btc, eth
