"""The two public documents as an outside program asks for them: text in, a document out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rebalancer.configured import desk_of, paper_costs_of
from rebalancer.feeds.candles import read_history
from rebalancer.settings.loading import parse
from rebalancer.sim.backtest import backtest
from rebalancer.sim.plan import plan
from rebalancer.sim.snapshot import read_snapshot

BTC, ETH, SOL = "BTC/USDT:USDT", "ETH/USDT:USDT", "SOL/USDT:USDT"


def planned(config: str, snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `rebalancer plan --snapshot` answers."""
    return plan(read_snapshot(json.dumps(snapshot), desk_of(parse(config))))


def replayed(
    config: str, prices: Mapping[str, Path], funding: Mapping[str, Path] | None = None
) -> dict[str, Any]:
    """Return what `rebalancer backtest` answers."""
    settings = parse(config)
    paid = funding or {}
    histories = {name: read_history(name, path, paid.get(name)) for name, path in prices.items()}
    return backtest(desk_of(settings), histories, paper_costs_of(settings)).document()
