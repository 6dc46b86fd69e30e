"""What makes an examination of a venue quick where nobody minds how much is asked of it."""

from __future__ import annotations

from typing import Any

import pytest

from rebalancer.doctor import examination
from rebalancer.exchanges import open_streams
from rebalancer.venues import exchange_account, live_dry_run
from tests.unlimited import unlimited


def _unthrottled(venue_id: str, endpoint: str) -> Any:
    exchange = open_streams(venue_id, endpoint)
    exchange.enableRateLimit = False
    return exchange


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for nothing but answers and prices."""
    monkeypatch.setattr(exchange_account, "EMPTY_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr("rebalancer.venues.ccxt_client.QUESTION_SECONDS", 5.0)
    monkeypatch.setattr("rebalancer.doctor.streams.POLL_SECONDS", 2.0)
    # ccxt's own throttle makes MEXC wait for five seconds after its list of contracts.
    monkeypatch.setattr(examination, "open_streams", _unthrottled)


@pytest.fixture
def unlimited_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep to no window of the venue."""
    monkeypatch.setattr(live_dry_run, "limiter_of", unlimited)
