"""What every test gets: no way out to a network, and logs as nobody has set them up yet."""

from __future__ import annotations

import gc
import ipaddress
import logging
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest
import structlog

from rebalancer import logs
from tests.shared_data import SHARED

#: so many tests may be skipped: of those that read the shared data, none where the folder is there;
#: of those that need a real PostgreSQL; and of all others, for want of a program or a package
SKIPS_MAX = {"data": 0 if SHARED.is_dir() else 160, "postgres": 90, "": 40}

#: how long an example takes says how busy the machine is
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")

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


@pytest.fixture(autouse=True)
def _own_logs() -> Iterator[None]:
    """Take back what a command of the test set up for its whole process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in logs.QUIET:
        logging.getLogger(name).setLevel(logging.NOTSET)
    structlog.reset_defaults()


def pytest_collection_finish() -> None:
    """Have the collector of garbage pass over what stays to the end: 9,000 tests, every module."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that skipped more than it may: a green run must have run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return  # a worker of a parallel run: the controller counts for all
    skipped = Counter(_needs(report) for report in reporter.stats.get("skipped", ()))
    for needs, count in skipped.items():
        if count > SKIPS_MAX[needs]:
            of = f"that need {needs} " if needs else ""
            told = f"\n{count} tests {of}were skipped, {SKIPS_MAX[needs]} may be"
            reporter.write_line(told, red=True)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _needs(report: pytest.TestReport | pytest.CollectReport) -> str:
    return next((mark for mark in SKIPS_MAX if mark in report.keywords), "")
