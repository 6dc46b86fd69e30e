"""Every real price and funding file that the shared data folder has."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebalancer.feeds.candles import History, merge, read_funding, read_history
from tests.shared_data import PERP, needs

LENGTH_MS = {"1m": 60_000, "5m": 300_000, "1h": 3_600_000, "8h": 28_800_000}
FILES = sorted(PERP.glob("*.csv*"))
PRICES = [path for path in FILES if "_funding_" not in path.name]
FUNDING = [path for path in FILES if "_funding_" in path.name]

pytestmark = needs(PERP)


def named(path: Path) -> str:
    return path.name.partition(".")[0]


@pytest.mark.parametrize("path", PRICES, ids=named)
def test_a_real_price_file_reads_whole_and_without_gaps(path: Path) -> None:
    history = read_history("X/USDT:USDT", path)
    length = next(name for name in path.name.split("_") if name in LENGTH_MS)
    assert history.rows > 1_000
    assert history.interval_ms == LENGTH_MS[length]
    assert history.gaps == 0
    assert all(0 < low <= high for low, high in zip(history.lows, history.highs, strict=True))


@pytest.mark.parametrize("path", FUNDING, ids=named)
def test_a_real_funding_file_reads_whole(path: Path) -> None:
    points = read_funding(path)
    assert len(points) > 80
    assert max(abs(point.rate) for point in points) < 1


def test_five_coins_on_one_grid_merge_to_one_moment_a_minute() -> None:
    span = "2025-05-05_2025-06-02"
    histories: list[History] = [
        read_history(
            f"{coin}/USDT:USDT",
            PERP / f"binance_{coin}USDT_1m_{span}.csv.gz",
            PERP / f"binance_{coin}USDT_funding_{span}.csv",
        )
        for coin in ("BTC", "ETH", "SOL", "BNB", "XRP")
    ]
    moments = list(merge(histories))
    minutes = [moment for moment in moments if moment.prices]
    assert all(len(moment.prices) == len(histories) for moment in minutes)
    assert len(minutes) == histories[0].rows
    settled = sum(len(moment.funding) for moment in moments)
    assert settled == sum(len(history.funding) for history in histories)
