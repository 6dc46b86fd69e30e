"""The folder of real price histories and recorded answers of venues that some tests read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(
    os.environ.get("REBALANCER_SHARED_DATA")
    or Path(__file__).resolve().parents[2] / "shared" / "data"
)
#: of perpetuals, of leveraged funds, and what venues answered
PERP = SHARED / "perp"
LEVERAGED = SHARED / "leveraged"
FIXTURES = SHARED / "ccxt-fixtures"


def needs(folder: Path) -> list[pytest.MarkDecorator]:
    """Return the marks of tests that read `folder`: skipped where it is absent."""
    absent = f"the shared data folder {folder.name} is absent"
    return [pytest.mark.data, pytest.mark.skipif(not folder.is_dir(), reason=absent)]
