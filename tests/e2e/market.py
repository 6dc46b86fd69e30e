"""A loopback exchange as a process of its own, moved by its control paths."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
#: it ends by itself, whatever becomes of the test
LIFE_SECONDS = 120


class Market:
    """The exchange, and what it says of itself."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        self.port: int = json.loads(process.stdout.readline())["port"]

    @property
    def address(self) -> str:
        """Where it begins."""
        return f"http://127.0.0.1:{self.port}"

    def tell(self, command: str, **wish: Any) -> dict[str, Any]:
        """Have it do something; returns its state after that."""
        request = urllib.request.Request(  # noqa: S310 - our own server on this machine
            f"{self.address}/-/{command}", json.dumps(wish).encode(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
            state: dict[str, Any] = json.load(answer)
        return state

    def price(self, last: str) -> None:
        """Move bitcoin."""
        self.tell("price", instrument="BTC/USDT", last=last)

    @property
    def account(self) -> dict[str, Any]:
        """Its only account."""
        (account,) = self.tell("state")["accounts"].values()
        return dict(account)

    def held(self, contract_size: Decimal) -> Decimal:
        """Return the base coins that the account holds, both books together."""
        sizes = (Decimal(size) for size in self.account["positions"].values())
        return sum(sizes, Decimal(0)) * contract_size


@contextlib.contextmanager
def market(venue: str, seconds: int = LIFE_SECONDS) -> Iterator[Market]:
    """Run one; it is ended with the test."""
    given = ["--venue", venue, "--seconds", str(seconds), "--beat-ms", "200"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.loopback", *given],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Market(process)
    finally:
        process.kill()
        process.communicate()
