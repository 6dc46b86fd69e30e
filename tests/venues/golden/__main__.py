"""Compares the golden requests and the page of venues with the code; `--write` writes them anew."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from rebalancer.venues.facts import FACTS
from rebalancer.venues.facts_page import page
from tests.venues.golden import proofs
from tests.venues.golden.recorder import as_text, file_of, requests_of
from tests.venues.golden.shapes import as_markdown

PAGE = Path(__file__).resolve().parents[3] / "docs" / "venues.md"


def main(arguments: list[str]) -> int:
    """Return 0 when nothing differs, or when what differs was written."""
    wanted = {file_of(venue): as_text(asyncio.run(requests_of(venue))) for venue in FACTS}
    wanted[PAGE] = page(as_markdown(), proofs.as_markdown())
    differing = [
        path
        for path, text in wanted.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path in differing:
        print(f"{path.name} differs")  # noqa: T201
        if "--write" in arguments:
            path.write_text(wanted[path], encoding="utf-8")
    return 0 if "--write" in arguments or not differing else 1


sys.exit(main(sys.argv[1:]))
