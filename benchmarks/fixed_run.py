"""How long a fixed run over 500 contracts takes, against the bound of the venue's own limits.

The loopback Binance enforces what Binance documents: 300 orders in 10 seconds, an order of a batch
counted as one, so the last of 500 cannot be taken before the tenth second. Ours is the real path
from committed actions on. Beside it ccxt in batches of five with its own throttle, one after
another as its user awaits them: a part is sent and the time scaled.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from benchmarks.burst import BATCH, guarded_venue, ours, throttled_batches, told, with_ccxt
from rebalancer import logs

CONTRACTS = 500
WINDOW_ORDERS = 300
WINDOW_MS = 10_000.0
BATCHES_SENT = 12


def run(say: Callable[[str], None] = print) -> None:
    """Measure and print the ratios."""
    logs.configure(level="error")
    bound_ms = (CONTRACTS - 1) // WINDOW_ORDERS * WINDOW_MS
    with guarded_venue(CONTRACTS) as address:
        begun_ns = asyncio.run(ours(address, CONTRACTS))
        mine_ms = (time.monotonic_ns() - begun_ns) / 1e6
        state = told(f"{address}/-/state", "POST")
    with guarded_venue(CONTRACTS) as address:
        sent = BATCHES_SENT * BATCH
        begun_ns = asyncio.run(with_ccxt(address, lambda there: throttled_batches(there, sent)))
        ccxt_ms = (time.monotonic_ns() - begun_ns) / 1e6 * CONTRACTS / sent
    say(f"A fixed run over {CONTRACTS} contracts at a venue that enforces its limits")
    say(
        f"  ours {mine_ms:,.0f} ms, {mine_ms / bound_ms:.2f} x the bound of {bound_ms:,.0f} ms; "
        f"{state['accounts']['demo']['orders']} taken, {state['violations']} violations"
    )
    say(
        f"  ccxt's batches of {BATCH} with its throttle {ccxt_ms:,.0f} ms, "
        f"{ccxt_ms / mine_ms:.2f} x ours (scaled from {BATCHES_SENT} batches)"
    )
