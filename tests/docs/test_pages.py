"""Every page of the documentation does what it says: its commands, its files, its settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.docs.page import ROOT, Reader, blocks
from tests.e2e.market import market
from tests.e2e.test_documented_sessions import RUNS_BESIDE
from tests.e2e.test_live_desk import KEYS

#: a page waits for a desk to start, and the first one for a day of its market
pytestmark = pytest.mark.timeout(300)
#: what a page says whose desk trades on a venue
TRADES = 'venue = "binanceusdm"'
PAGES = sorted(
    page
    for folder in ("tutorial", "how-to", "explanation")
    for page in (ROOT / "docs" / folder).glob("*.md")
    # Whole sessions are held to the letter by tests/e2e/test_documented_sessions.py.
    if RUNS_BESIDE not in page.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_shows_is_what_happens(page: Path, reader: Reader) -> None:
    shown = sum(block.kind == "console" for block in blocks(page))
    with _venue_of(page, reader):
        assert reader.follow(page) >= shown


@contextmanager
def _venue_of(page: Path, reader: Reader) -> Iterator[None]:
    """Have a simulator stand for the venue that a page trades on, and give its reader keys."""
    if TRADES not in page.read_text(encoding="utf-8"):
        yield
        return
    with market("binance") as traded:
        reader.environment |= KEYS | {"REBALANCER__ACCOUNTS__MAIN__ENDPOINT": traded.address}
        yield
        reader.leave()
