"""A running desk is flattened from the command line, on an exchange, and stays flat."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from rebalancer.clock import WallClock
from rebalancer.core.instant import HOUR_MS
from rebalancer.core.methodology import Trigger
from tests.e2e.market import market
from tests.e2e.process import command, running
from tests.e2e.test_live_desk import KEYS, KINDS, Place, done


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.venue))
def test_the_whole_desk_is_sold_at_the_exchange_by_one_command(kind: Any, tmp_path: Path) -> None:
    both = ["BTC1L", "BTC3S"]
    with market(kind.loopback) as traded:
        place = Place(tmp_path, kind, traded)
        place.configure(WallClock().now_ms() + 6 * HOUR_MS)
        with running(tmp_path, **KEYS) as desk:
            place.until(desk, lambda records: done(records, Trigger.LAUNCH) == both, "both launch")
            assert traded.held(kind.contract_size) != 0
            flatten = ("flatten", "--desk", "--reason", "drill", "--yes", "--confirm", "desk")
            assert command(tmp_path, *flatten, **KEYS).code == 0
            place.until(desk, lambda records: done(records, Trigger.WIND_DOWN) == both, "both flat")
            traded.price("56000")
            refused = command(tmp_path, *flatten, **KEYS)
            assert "all are already" in refused.sentence
            assert desk.end() == 0
        assert traded.held(kind.contract_size) == Decimal(0)
        assert command(tmp_path, "verify", **KEYS).code == 0
