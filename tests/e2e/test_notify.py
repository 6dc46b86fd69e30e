"""What a service manager hears from the program itself, from its start to its end."""

from __future__ import annotations

import contextlib
import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.process import running, wait_until
from tests.e2e.test_reload import DESK
from tests.e2e.warm import fresh

WATCHDOG_SECONDS = 1.0


class Manager:
    """The notification socket of a service manager, and when what arrived there."""

    def __init__(self, path: Path) -> None:
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._listening.bind(str(path))
        self._listening.setblocking(False)
        self.heard: list[list[str]] = []

    def listen(self) -> list[list[str]]:
        """Return every datagram so far, as its lines."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.heard.append(self._listening.recv(4_096).decode().splitlines())
        return self.heard

    def count(self, state: str) -> int:
        """Return how often a state was told."""
        return sum(state in lines for lines in self.listen())

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.close()


def test_ready_then_alive_silent_while_the_store_stands_still_and_stopping_at_the_end(
    tmp_path: Path, manager: Manager
) -> None:
    (tmp_path / "config.toml").write_text(DESK, encoding="utf-8")
    told = {
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "WATCHDOG_USEC": str(int(WATCHDOG_SECONDS * 1_000_000)),
    }
    with running(tmp_path, fresh, **told) as desk:
        desk.wait_for("ready")
        assert manager.listen()[0][0] == "READY=1"
        assert len(desk.events("recovered")) == 1, "ready is the last step of the recovery"
        wait_until(lambda: manager.count("WATCHDOG=1") >= 2, "it beats")

        other = sqlite3.connect(tmp_path / "desk.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")  # as a disk that hangs: no write comes through
        time.sleep(WATCHDOG_SECONDS)  # a beat that was on its way may still arrive
        before = manager.count("WATCHDOG=1")
        time.sleep(1.5 * WATCHDOG_SECONDS)
        assert manager.count("WATCHDOG=1") == before
        other.execute("ROLLBACK")
        other.close()
        wait_until(lambda: manager.count("WATCHDOG=1") > before, "it beats again")
        assert desk.end() == 0

    ready, *_, last = [lines for lines in manager.listen() if "STATUS=" not in lines]
    assert ready[1].startswith("STATUS=paper, 1 fund")
    assert last[0] == "STOPPING=1"
    statuses = [line for lines in manager.heard for line in lines if line.startswith("STATUS=")]
    assert any("next fixed rebalance 20" in status for status in statuses)
