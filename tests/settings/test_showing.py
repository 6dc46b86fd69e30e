"""The configuration in force, written out again: it has to mean the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalancer.core.instant import parse_duration, parse_time_of_day
from rebalancer.settings import load, parse
from rebalancer.settings.showing import (
    Setting,
    duration_in_full,
    settings_in_force,
    time_of_day,
)

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = [
    ROOT / "config.example.toml",
    ROOT / "rebalancer" / "cli" / "demo.toml",
    *sorted((ROOT / "docs" / "example").glob("*.toml")),
]


FUND = """\
[accounts.main]

[funds.A]
account = "main"
target_leverage = 3
basket = { "BTC/USDT:USDT" = 1 }
description = "a \\"quote\\", a \\u007f and an \u00e4"
"""


def document(settings: tuple[Setting, ...]) -> str:
    return "\n".join(f"{each.key} = {each.written}" for each in settings if each.written)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_means_the_same_when_written_out_in_full(path: Path) -> None:
    assert parse(document(settings_in_force(path, {}))).digest == load(path, {}).digest


@pytest.mark.parametrize(
    "rules",
    [
        "",
        "[funds.A.rules.leverage_cap]\nupper = 4",
        "[funds.A.rules.fixed]\ntimes = ['00:00', '23:59:59']\nutc_offset = '-03:30'",
        "[funds.A.rules.price_move]\nenabled = false\n[funds.A.rules.emergency]\nratio = 1.5",
        "[funds.A.rules.emergency]\nenabled = false",
    ],
)
def test_writing_a_rule_out_turns_no_rule_on_or_off(tmp_path: Path, rules: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(FUND + rules)
    assert parse(document(settings_in_force(path, {}))).digest == load(path, {}).digest


@given(st.integers(0, 366 * 86_400_000))
def test_a_duration_is_written_with_nothing_left_out(length_ms: int) -> None:
    assert parse_duration(duration_in_full(length_ms)) == length_ms


@given(st.integers(0, 86_399))
def test_a_time_of_day_is_written_as_it_is_read(second: int) -> None:
    assert parse_time_of_day(time_of_day(second * 1_000)) == second * 1_000
