"""What every test gets: no way out to a network."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import Any

import pytest

#: only what needs the shared histories or a real PostgreSQL may be skipped, and no more than this
SKIPS_MAX = 100

_REAL_CONNECT = socket.socket.connect
_REAL_CONNECT_EX = socket.socket.connect_ex


def refuse_outside(family: int, address: Any) -> None:
    """Raise unless `address` is this machine itself: loopback or a Unix socket."""
    if family not in (socket.AF_INET, socket.AF_INET6):
        return
    host = str(address[0])
    try:
        inside = ipaddress.ip_address(host).is_loopback
    except ValueError:
        inside = host in {"localhost", ""}
    if not inside:
        raise AssertionError(f"a test reached out to {host}: tests talk to this machine only")


def _guarded(real: Callable[..., Any]) -> Callable[..., Any]:
    def connect(self: socket.socket, address: Any) -> Any:
        refuse_outside(self.family, address)
        return real(self, address)

    return connect


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", _guarded(_REAL_CONNECT))
    monkeypatch.setattr(socket.socket, "connect_ex", _guarded(_REAL_CONNECT_EX))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that skipped more than it may: a green run must have run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return  # a worker of a parallel run: the controller counts for all
    skipped = len(reporter.stats.get("skipped", ()))
    if skipped > SKIPS_MAX:
        reporter.write_line(f"{skipped} tests were skipped, {SKIPS_MAX} may be", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
