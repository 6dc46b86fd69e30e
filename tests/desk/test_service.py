"""What systemd is told, and when it is told nothing so that it acts."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rebalancer.desk.service import Heartbeat, ServiceManager


@pytest.fixture
def told(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket of a service manager."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        yield listening


def heard(listening: socket.socket) -> list[str]:
    """Everything that arrived, one line each."""
    lines = []
    while True:
        try:
            lines += listening.recv(4_096).decode().splitlines()
        except BlockingIOError:
            return lines


class TestServiceManager:
    def test_states_arrive_at_the_socket_of_the_environment(self, told: socket.socket) -> None:
        manager = ServiceManager.of({"NOTIFY_SOCKET": told.getsockname()})
        manager.tell("READY=1", "STATUS=paper")
        assert heard(told) == ["READY=1", "STATUS=paper"]

    def test_an_abstract_address_is_understood(self) -> None:
        name = f"rebalancer-test-{os.getpid()}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
            listening.bind("\0" + name)
            listening.setblocking(False)
            ServiceManager.of({"NOTIFY_SOCKET": "@" + name}).tell("READY=1")
            assert heard(listening) == ["READY=1"]

    def test_without_a_socket_nobody_is_told(self) -> None:
        manager = ServiceManager.of({})
        assert not manager.listens
        manager.tell("READY=1")

    def test_one_that_went_away_is_no_error(self, tmp_path: Path) -> None:
        ServiceManager(str(tmp_path / "gone")).tell("READY=1")

    @pytest.mark.parametrize(
        ("micros", "seconds"), [("30000000", 30.0), ("0", None), ("soon", None), ("", None)]
    )
    def test_the_watchdog_says_in_microseconds_what_it_wants(
        self, micros: str, seconds: float | None
    ) -> None:
        manager = ServiceManager.of({"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": micros})
        assert manager.watchdog_seconds == seconds


def test_a_watchdog_of_another_process_is_not_ours() -> None:
    """The environment is handed on to children, with the number of the process it is meant for."""
    told = {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "30000000"}
    mine, other = str(os.getpid()), str(os.getppid())
    assert ServiceManager.of({**told, "WATCHDOG_PID": mine}).watchdog_seconds == 30.0
    assert ServiceManager.of({**told, "WATCHDOG_PID": other}).watchdog_seconds is None


class Desk:
    """Parts that advance, or do not."""

    def __init__(self, told: socket.socket) -> None:
        self.steps = self.woken = 0
        self.saves = True
        self.heart = Heartbeat(
            ServiceManager(told.getsockname(), 30.0),
            {"loop": lambda: self.steps, "schedule": lambda: self.woken},
            self._save,
            lambda: "paper",
        )

    async def _save(self) -> bool:
        return self.saves

    async def beat(self, *, steps: int = 1, woken: int = 1) -> None:
        """Go on by so much, then beat."""
        self.steps += steps
        self.woken += woken
        await self.heart.beat()


class TestHeartbeat:
    async def test_a_desk_that_advances_is_alive(self, told: socket.socket) -> None:
        desk = Desk(told)
        await desk.beat()
        await desk.beat()
        assert heard(told) == ["WATCHDOG=1", "STATUS=paper"] * 2

    @pytest.mark.parametrize("stuck", ["steps", "woken"])
    async def test_one_part_that_stands_still_is_enough_to_be_silent(
        self, told: socket.socket, stuck: str
    ) -> None:
        desk = Desk(told)
        await desk.beat()
        await desk.beat(**{stuck: 0})
        assert heard(told) == ["WATCHDOG=1", "STATUS=paper", "STATUS=paper"]
        await desk.beat()
        assert heard(told) == ["WATCHDOG=1", "STATUS=paper"], "it goes on: alive again"

    async def test_a_store_that_takes_nothing_is_enough_too(self, told: socket.socket) -> None:
        desk = Desk(told)
        desk.saves = False
        await desk.beat()
        assert heard(told) == ["STATUS=paper"]


def test_a_reload_is_told_with_the_clock_that_systemd_compares(told: socket.socket) -> None:
    """sd_notify(3): RELOADING=1 comes with MONOTONIC_USEC, and READY=1 follows."""
    ServiceManager.of({"NOTIFY_SOCKET": told.getsockname()}).tell_reloading()
    reloading, stamp, _status = heard(told)
    assert reloading == "RELOADING=1"
    assert 0 < int(stamp.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1_000
