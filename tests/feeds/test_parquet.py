"""A history as a Parquet file is the history of the CSV file with the same cells."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from rebalancer.errors import InputRefused
from rebalancer.feeds.candles import read_funding, read_history

arrow = pytest.importorskip("pyarrow", reason="needs the extra parquet")
parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra parquet")

BTC = "BTC/USDT:USDT"
TIMES_MS = [1_767_225_600_000, 1_767_225_660_000, 1_767_225_720_000]
BARS = {
    "open_time_ms": TIMES_MS,
    "open": [100.0, 100.5, 102.0],
    "high": [101.0, 103.0, 102.0],
    "low": [99.0, 100.5, 101.0],
    "close": [100.5, 102.1, 101.25],
}


def written(path: Path, columns: dict[str, Any]) -> Path:
    parquet.write_table(arrow.table(columns), path)
    return path


def as_csv(path: Path, columns: dict[str, Any]) -> Path:
    lines = [
        ",".join(columns),
        *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True)),
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_bars_are_those_of_the_csv_file(tmp_path: Path) -> None:
    read = read_history(BTC, written(tmp_path / "btc.parquet", BARS))
    assert read == read_history(BTC, as_csv(tmp_path / "btc.csv", BARS))
    assert read.closes[1] == Decimal("102.1")  # not the digits of the nearest binary fraction


def test_times_and_exact_decimals_are_taken_as_such(tmp_path: Path) -> None:
    columns = {
        "timestamp": [datetime(2026, 1, 1, 0, minute, tzinfo=UTC) for minute in range(3)],
        "close": [Decimal("100.5"), Decimal("102.1"), Decimal("101.25")],
    }
    read = read_history(BTC, written(tmp_path / "btc.parquet", columns))
    assert list(read.times_ms) == TIMES_MS
    assert list(read.closes) == columns["close"]


def test_times_finer_than_a_millisecond_are_cut_to_it(tmp_path: Path) -> None:
    times = arrow.array([at * 1_000_000 + 1 for at in TIMES_MS], arrow.timestamp("ns", "UTC"))
    columns = {"timestamp": times, "close": [100.5, 102.1, 101.25]}
    assert list(read_history(BTC, written(tmp_path / "b.parquet", columns)).times_ms) == TIMES_MS


def test_floats_of_32_bits_are_written_in_their_own_fewest_digits(tmp_path: Path) -> None:
    columns = {"timestamp": TIMES_MS, "close": arrow.array([100.5, 102.1, 1e-7], arrow.float32())}
    read = read_history(BTC, written(tmp_path / "btc.parquet", columns))
    assert list(read.closes) == [Decimal("100.5"), Decimal("102.1"), Decimal("1e-7")]


def test_funding_is_settled_where_there_is_a_rate(tmp_path: Path) -> None:
    columns = {"funding_time_ms": TIMES_MS, "funding_rate": [0.0001, None, -0.00005]}
    points = read_funding(written(tmp_path / "funding.parquet", columns))
    assert [(point.at_ms, str(point.rate)) for point in points] == [
        (TIMES_MS[0], "0.0001"),
        (TIMES_MS[2], "-0.00005"),
    ]


def test_what_is_wrong_is_named_with_its_row(tmp_path: Path) -> None:
    columns = BARS | {"close": [100.5, float("nan"), 101.25]}
    path = written(tmp_path / "btc.parquet", columns)
    with pytest.raises(InputRefused, match=r"btc\.parquet:3: close: 'nan' is not a finite number"):
        read_history(BTC, path)


def test_a_file_that_is_cut_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "btc.parquet", BARS)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputRefused, match=r"btc\.parquet: the Parquet file is damaged"):
        read_history(BTC, path)


def test_without_the_package_the_remedy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "btc.parquet", BARS)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputRefused, match=r"install rebalancer\[parquet\]"):
        read_history(BTC, path)
