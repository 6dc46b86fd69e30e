"""Every venue that is spoken here, by ccxt's name."""

from __future__ import annotations

from collections.abc import Mapping

from tests.spoken.bitget import BITGET
from tests.spoken.bybit import BYBIT
from tests.spoken.gate import GATE
from tests.spoken.hyperliquid import HYPERLIQUID
from tests.spoken.kucoin import KUCOIN
from tests.spoken.mexc import MEXC
from tests.spoken.okx import OKX
from tests.spoken.server import Tongue

TONGUES: Mapping[str, Tongue] = {
    "bybit": BYBIT,
    "okx": OKX,
    "gate": GATE,
    "bitget": BITGET,
    "kucoinfutures": KUCOIN,
    "mexc": MEXC,
    "hyperliquid": HYPERLIQUID,
}
