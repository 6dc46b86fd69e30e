"""The table of venues: nine rows of facts, each with where it comes from.

To add a venue is to add a row, a reader in `answers.py`, its codes, ids, lookups and limits in the
modules beside this one, and its golden requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from rebalancer.venues.facts_coins import BINANCE, BITGET, BYBIT, HYPERLIQUID
from rebalancer.venues.facts_contracts import GATE, KUCOIN, MEXC, OKX, XT
from rebalancer.venues.facts_shape import VenueFacts

__all__ = ["FACTS", "VenueFacts"]

_ROWS = (BINANCE, BYBIT, OKX, GATE, XT, BITGET, KUCOIN, MEXC, HYPERLIQUID)
#: by ccxt's name of the venue
FACTS: Mapping[str, VenueFacts] = MappingProxyType({row.venue_id: row for row in _ROWS})
