"""The table of promises names functions and tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENT = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`((?:tests/)?[a-z_/]+\.py):([A-Za-z_0-9]+)`", DOCUMENT)))


def test_every_promise_has_a_test() -> None:
    rows = [line for line in DOCUMENT.splitlines() if re.match(r"\| (I\d|nothing leaves)", line)]
    assert len(rows) > 20
    assert all("`tests/" in row for row in rows)


@pytest.mark.parametrize(("path", "name"), NAMED, ids=str)
def test_what_the_table_names_is_there(path: str, name: str) -> None:
    file = ROOT / path if path.startswith("tests/") else ROOT / "rebalancer" / path
    assert re.search(rf"(?:def|class) {name}\b", file.read_text(encoding="utf-8"))
