"""What a fresh reader of the backtest document found: each test quotes the sentence it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.oracle.documents import BTC, replayed

COARSE = f"""
[contracts."{BTC}"]
lot = 1
[accounts.main]
[funds.L]
account = "main"
target_leverage = 3
initial_shares = 1
basket = {{ "{BTC}" = 1 }}
"""


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def runs_of(config: str, path: Path, **funding: Path) -> list[tuple[str, str]]:
    paid = {BTC: funding["funding"]} if funding else None
    found: list[dict[str, Any]] = replayed(config, {BTC: path}, paid)["funds"]["L"]["rebalances"]
    return [(run["at"], run["trigger"]) for run in found]


@pytest.mark.parametrize(
    "rule", ["rules.leverage_cap]\nupper = 3.5", "rules.emergency]\nratio = 1.2"]
)
def test_a_price_rule_looks_once_at_each_close(tmp_path: Path, rule: str) -> None:
    """Rules and the gap rule see closes only: no run between two closes, cool-down over or not."""
    path = written(
        tmp_path / "prices.csv",
        "timestamp,close",
        "2026-01-05T12:00:00Z,1000",
        "2026-01-05T12:05:00Z,900",
        "2026-01-05T12:10:00Z,900",
        "2026-01-05T12:15:00Z,1000",
    )
    config = COARSE + f"[funds.L.rules.fixed]\n[funds.L.{rule}"
    assert [at for at, _ in runs_of(config, path)] == [
        "2026-01-05T12:05:00Z",
        "2026-01-05T12:10:00Z",
    ]


def test_a_time_without_an_offset_is_utc(tmp_path: Path) -> None:
    """`timestamp`: ISO 8601; histories are written in UTC, with the offset or without."""
    lines = ("2026-01-05 02:29:00,100", "2026-01-05 02:30:00,110", "2026-01-05 02:31:00,110")
    path = written(tmp_path / "prices.csv", "timestamp,close", *lines)
    assert runs_of(COARSE, path) == [("2026-01-05T02:30:00Z", "fixed")]


def test_an_empty_cell_of_a_funding_file_charges_nothing(tmp_path: Path) -> None:
    """Funding is charged once per non-empty cell or row of the funding file."""
    prices = written(
        tmp_path / "prices.csv", "timestamp,close", "1767571200000,100", "1767600000000,100"
    )
    funding = written(
        tmp_path / "funding.csv",
        "funding_time_ms,funding_rate",
        "1767571260000,",
        "1767600000000,0.001",
    )
    found = replayed(COARSE.replace("lot = 1", ""), {BTC: prices}, {BTC: funding})
    assert found["funds"]["L"]["costs"]["funding"] == "0.3"
