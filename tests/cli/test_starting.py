"""A start under a service manager: what is waited out, and what ends it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from rebalancer.cli import starting
from rebalancer.cli.starting import run_desk
from rebalancer.desk.service import ServiceManager
from rebalancer.errors import (
    BrokenInvariant,
    ConfigRefused,
    StoreRefused,
    StoreTaken,
    StoreUnavailable,
    VenueUnavailable,
)


class Manager(ServiceManager):
    """A service manager that keeps what it was told."""

    def __init__(self, *, listens: bool = True) -> None:
        super().__init__("@nobody" if listens else None)
        self.said: list[str] = []

    def tell(self, *states: str) -> None:
        self.said += states


@dataclass
class Desk:
    """A desk whose start, or run, ends as it is told."""

    ends: Exception | None = None
    ready: bool = False
    manager: Any = None

    async def run(self, _stop: asyncio.Event) -> None:
        if self.ends is not None:
            raise self.ends


@dataclass
class Opening:
    """Hands out what stands in `answers`, one after the other."""

    answers: list[Desk | Exception]
    opened: list[Desk] = field(default_factory=list)

    async def __call__(self) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        self.opened.append(answer)
        return answer


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "PAUSES_SECONDS", (0.001, 0.002))


async def test_an_outage_of_the_venue_is_waited_out_and_said_each_time() -> None:
    manager, good = Manager(), Desk()
    outage = VenueUnavailable("binance did not answer")
    opening = Opening([outage, Desk(ends=outage), outage, good])
    await run_desk(opening, manager, asyncio.Event())
    assert opening.opened[-1] is good
    assert good.manager is manager
    waits = [each for each in manager.said if each.startswith("EXTEND_TIMEOUT_USEC=")]
    assert waits == [f"EXTEND_TIMEOUT_USEC={90_000_000 + extra}" for extra in (1_000, 2_000, 2_000)]
    assert manager.said[0] == "STATUS=waiting for the venue: binance did not answer"


async def test_a_store_that_is_away_is_waited_for_too() -> None:
    """Ten starts in a row that fail are the last ones, and a server is not up again so soon."""
    manager, good = Manager(), Desk()
    outage = StoreUnavailable("postgresql://desk@db/desk: connection refused")
    await run_desk(Opening([outage, Desk(ends=outage), good]), manager, asyncio.Event())
    assert good.manager is manager
    assert manager.said[0] == f"STATUS=waiting for the store: {outage}"


async def test_a_store_is_another_desks_for_as_long_as_a_server_takes_to_miss_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken, good = StoreTaken("another desk (pid 7) already runs"), Desk()
    await run_desk(Opening([taken, taken, good]), Manager(), asyncio.Event())
    assert good.manager is not None
    monkeypatch.setattr(starting, "TAKEN_SECONDS", 0.0)
    with pytest.raises(StoreTaken):
        await run_desk(Opening([taken, Desk()]), Manager(), asyncio.Event())
    with pytest.raises(StoreTaken):
        await run_desk(Opening([taken, Desk()]), Manager(listens=False), asyncio.Event())


async def test_a_store_that_no_waiting_helps_ends_the_start() -> None:
    opening = Opening([StoreRefused("a newer layout"), Desk()])
    with pytest.raises(StoreRefused):
        await run_desk(opening, Manager(), asyncio.Event())


async def test_without_a_service_manager_the_first_outage_is_told_and_ends_it() -> None:
    opening = Opening([VenueUnavailable("binance did not answer")])
    with pytest.raises(VenueUnavailable):
        await run_desk(opening, Manager(listens=False), asyncio.Event())


async def test_a_desk_that_was_ready_is_not_opened_again_behind_its_back() -> None:
    ended = Desk(ends=VenueUnavailable("x"), ready=True)
    with pytest.raises(VenueUnavailable):
        await run_desk(Opening([ended, Desk()]), Manager(), asyncio.Event())


async def test_a_stop_ends_the_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "PAUSES_SECONDS", (60.0,))
    stop = asyncio.Event()
    opening = Opening([VenueUnavailable("x")])
    waiting = asyncio.create_task(run_desk(opening, Manager(), stop))
    await asyncio.sleep(0)
    stop.set()
    async with asyncio.timeout(10):
        await waiting


async def test_records_that_do_not_hold_are_refused_for_good_with_the_remedy() -> None:
    opening = Opening([BrokenInvariant("record 7 does not match its hash")])
    with pytest.raises(StoreRefused, match=r"record 7 .*`rebalancer restore FILE`"):
        await run_desk(opening, Manager(), asyncio.Event())


async def test_a_promise_broken_by_a_running_desk_is_no_matter_of_its_store() -> None:
    """It starts again from its records, which do hold."""
    with pytest.raises(BrokenInvariant):
        await run_desk(Opening([Desk(ends=BrokenInvariant("x"))]), Manager(), asyncio.Event())


async def test_a_wrong_configuration_is_not_tried_again() -> None:
    with pytest.raises(ConfigRefused):
        await run_desk(Opening([ConfigRefused("x"), Desk()]), Manager(), asyncio.Event())
