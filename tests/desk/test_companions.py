"""What runs beside the loop: an outage is told and waited out, anything else ends the desk."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from rebalancer.clock import VirtualClock
from rebalancer.core.actions import Alert, Severity
from rebalancer.desk import companions
from rebalancer.desk.companions import keep_up
from rebalancer.errors import BrokenInvariant, StoreUnavailable, VenueUnavailable
from rebalancer.store.memory import MemoryStore
from tests.desk.rig import until
from tests.desk.test_daemon import Endless, world


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let nobody wait; return how long each would have."""
    waited: list[float] = []

    class Hurried:
        """asyncio, in a hurry."""

        async def sleep(self, seconds: float) -> None:
            waited.append(seconds)
            await asyncio.sleep(0)

    monkeypatch.setattr(companions, "asyncio", Hurried())
    return waited


async def watched(fails: Callable[[int], BaseException | None], times: int) -> list[Alert]:
    """Keep a companion up that fails as `fails` says, and stops watching for good in the end."""
    told: list[Alert] = []
    runs = 0

    async def companion() -> None:
        nonlocal runs
        runs += 1
        error = fails(runs)
        if error is not None:
            raise error
        if runs > times:
            raise BrokenInvariant("the end of the test")

    with contextlib.suppress(BrokenInvariant):
        await keep_up("account main", companion, VirtualClock(7), told.append)
    return told


async def test_an_outage_is_told_and_waited_out_ever_longer(pauses: list[float]) -> None:
    def outage(run: int) -> BaseException | None:
        return VenueUnavailable("xt did not answer in time") if run <= 8 else None

    told = await watched(outage, 8)
    assert told[0] == Alert(
        7, Severity.WARNING, "watch_interrupted", "account main", "xt did not answer in time"
    )
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


@pytest.mark.parametrize(("lasted_ms", "pause"), [(120_000, 4.0), (120_001, 1.0)])
async def test_an_outage_after_two_good_minutes_is_a_new_one(
    pauses: list[float], lasted_ms: int, pause: float
) -> None:
    clock, runs = VirtualClock(), iter([0, 0, lasted_ms])

    async def companion() -> None:
        lasts_ms = next(runs, None)
        if lasts_ms is None:
            raise BrokenInvariant("the end of the test")
        clock.advance(lasts_ms)
        raise VenueUnavailable("away")

    with contextlib.suppress(BrokenInvariant):
        await keep_up("account main", companion, clock, lambda _alert: None)
    assert pauses == [1.0, 2.0, pause]


async def test_a_companion_that_just_stops_is_started_again_and_told_of(
    pauses: list[float],
) -> None:
    told = await watched(lambda _run: None, 2)
    assert [alert.text for alert in told] == ["it stopped watching"] * 2
    assert pauses == [1.0, 2.0]


@pytest.mark.parametrize("error", [BrokenInvariant("x"), StoreUnavailable("x"), KeyError("x")])
async def test_what_is_no_outage_of_the_venue_is_raised(error: BaseException) -> None:
    async def companion() -> None:
        raise error

    with pytest.raises(type(error)):
        await keep_up("account main", companion, VirtualClock(), lambda _alert: None)


async def test_a_broken_invariant_beside_the_loop_ends_the_desk() -> None:
    here, store = world(), MemoryStore()
    daemon = await here.wake(store)
    daemon.watcher._feed = Endless(daemon)

    async def broken() -> None:
        raise BrokenInvariant("what the account holds makes no sense")

    daemon.companions = {"account main": broken}
    with pytest.raises(BrokenInvariant, match="makes no sense"):
        await asyncio.wait_for(daemon.run(asyncio.Event()), 10)


async def test_an_outage_beside_the_loop_ends_nothing_and_is_alerted() -> None:
    here, store = world(), MemoryStore()
    daemon = await here.wake(store)
    daemon.watcher._feed = Endless(daemon)
    ended = asyncio.Event()

    async def away() -> None:
        raise VenueUnavailable("xt is under maintenance")

    async def watching() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    daemon.companions = {"markets of main": away, "account main": watching}
    stop = asyncio.Event()
    running = asyncio.create_task(daemon.run(stop))
    await until(
        lambda: [alert for alert in here.alerts if alert.name == "watch_interrupted"], "it is told"
    )
    assert not running.done()
    stop.set()
    await asyncio.wait_for(running, 10)
    assert ended.is_set()
