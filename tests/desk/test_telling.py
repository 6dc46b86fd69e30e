"""What a person sees of a desk in its log."""

from __future__ import annotations

import asyncio

import structlog
from structlog.testing import capture_logs

from rebalancer.desk.telling import RunLog
from rebalancer.store.memory import MemoryStore
from tests.desk.test_daemon import at, world
from tests.factories import BTC


async def test_launches_and_runs_are_told_as_they_come_and_end() -> None:
    here, store = world(), MemoryStore()
    daemon = await here.wake(store, [at(0, 100), at(1, 84), at(2, 84)], publishers=[RunLog()])
    structlog.reset_defaults()  # the other tests of this folder are quiet
    with capture_logs() as logs:
        await daemon.run(asyncio.Event())
    told = [line for line in logs if line["event"].startswith(("launched", "run_"))]
    assert [(line["event"], line["fund"]) for line in told] == [
        ("launched", "BTC3L"),
        ("run_opened", "BTC3L"),
        ("launched", "BTC1S"),
        ("run_opened", "BTC1S"),
        ("run_done", "BTC3L"),
        ("run_done", "BTC1S"),
        ("run_opened", "BTC3L"),
        ("run_done", "BTC3L"),
    ]
    opened, done = told[-2:]
    assert (opened["trigger"], opened["delta"]) == ("price_move", {BTC: "-11428.571429"})
    assert done["leverage"].startswith(("3.0", "2.9"))
    assert len(done["nav"].partition(".")[2]) == 4
