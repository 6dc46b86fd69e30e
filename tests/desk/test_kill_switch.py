"""The kill switch: a file that every start and every send looks at."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from rebalancer.core.records import (
    IntentCreated,
    OrderMoved,
    Record,
    RunMoved,
    ScopeChanged,
    TradingState,
)
from rebalancer.core.run import RunStatus
from rebalancer.core.scope import Scope
from rebalancer.desk.kill_switch import KillSwitch
from rebalancer.errors import InputRefused
from rebalancer.store.memory import MemoryStore
from tests.desk.rig import of
from tests.desk.test_control import Running
from tests.desk.test_daemon import Endless, at, world
from tests.factories import NOON


@pytest.fixture
def switch(tmp_path: Path) -> KillSwitch:
    return KillSwitch(tmp_path / "desk.db.killed")


def test_it_is_set_once_and_keeps_its_first_reason(switch: KillSwitch) -> None:
    assert switch.reason() is None
    assert switch.set("prices look wrong", NOON)
    assert not switch.set("another", NOON)
    assert switch.reason() == "prices look wrong (set 2026-01-01T12:00:00Z)"
    assert switch.release()
    assert not switch.release()
    assert switch.reason() is None


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"{}", b'{"reason": 1}'])
def test_whatever_is_in_the_file_it_stands(switch: KillSwitch, content: bytes) -> None:
    switch.path.write_bytes(content)
    assert switch.reason() is not None


def test_a_folder_that_cannot_be_looked_into_counts_as_set(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "Not a directory" in str(KillSwitch(tmp_path / "file" / "killed").reason())


def test_a_full_disk_does_not_undo_it(switch: KillSwitch, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    assert switch.set("prices look wrong", NOON)
    assert "stands" in str(switch.reason())


def test_where_it_cannot_be_set_the_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="nowhere/killed: No such file"):
        KillSwitch(tmp_path / "nowhere" / "killed").set("x", NOON)


async def test_a_desk_that_starts_under_it_halts_before_anything_else(switch: KillSwitch) -> None:
    here, store = world(), MemoryStore()
    switch.set("prices look wrong", NOON)
    daemon = await here.wake(store, [at(0, 100), at(1, 84), at(2, 84)], kill_switch=switch)
    await daemon.run(asyncio.Event())
    (halted,) = of(store.records, ScopeChanged)
    assert (halted.scope, halted.state) == (Scope.DESK, TradingState.HALTED)
    assert "prices look wrong" in halted.reason
    assert here.sent == []
    assert "desk_halted" in {alert.name for alert in here.alerts}


class Sets(MemoryStore):
    """Sets the switch while the first order is committed, as somebody might at that instant."""

    def __init__(self, switch: KillSwitch) -> None:
        super().__init__()
        self._switch = switch

    async def commit(
        self, records: Sequence[Record], meanwhile: Callable[[], None] | None = None
    ) -> None:
        await super().commit(records, meanwhile)
        if of(records, IntentCreated):
            self._switch.set("now", NOON)


async def test_an_order_that_is_committed_but_not_sent_never_leaves(switch: KillSwitch) -> None:
    here, store = world(), Sets(switch)
    moments = [at(0, 100), at(1, 100), at(2, 84), at(3, 84)]
    daemon = await here.wake(store, moments, kill_switch=switch)
    await daemon.run(asyncio.Event())
    assert of(store.records, IntentCreated)
    assert here.sent == []
    assert {each.outcome for each in of(store.records, OrderMoved)} == {"never_sent"}
    assert {each.status for each in of(store.records, RunMoved)} == {RunStatus.HALTED}
    assert len(of(store.records, ScopeChanged)) == 1


async def test_nothing_leaves_after_the_release_until_the_desk_is_resumed(
    switch: KillSwitch, tmp_path: Path
) -> None:
    here, store, path = world(), MemoryStore(), tmp_path / "desk.sock"
    switch.set("drill", NOON)
    daemon = await here.wake(store, control=path, kill_switch=switch)
    daemon.watcher._feed = Endless(daemon)
    stop = asyncio.Event()
    task = asyncio.create_task(daemon.run(stop))
    while not path.exists():  # noqa: ASYNC110 - a socket has no event
        await asyncio.sleep(0.005)
    hand = Running(daemon, store, path)
    resume: dict[str, Any] = {"command": "resume", "scope": "desk", "reason": "over"}
    refused = await hand.ask(**resume)
    assert "the kill switch is set: drill" in refused["error"]
    assert (await hand.ask(command="rebalance", fund="BTC3L"))["ok"] is False
    assert "is halted already" in (await hand.ask(command="halt", scope="desk"))["error"]
    switch.release()
    assert (await hand.ask(command="rebalance", fund="BTC3L"))["error"].startswith("the desk is")
    assert here.sent == []
    assert (await hand.ask(**resume))["ok"] is True
    async with asyncio.timeout(10):
        while not here.sent:  # noqa: ASYNC110 - what a test waits for has no event
            await asyncio.sleep(0.005)
    stop.set()
    await task
