"""The program in a copy of a process that has imported it already: a start without a second of it.

What is done here is what `python -m rebalancer` does. `fresh` starts it as anybody would.
"""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Protocol

PROGRAM = [sys.executable, "-m", "rebalancer"]
_COPIES = get_context("forkserver")
#: what the commands import when they are given
_COPIES.set_forkserver_preload(
    [
        __name__,
        "rebalancer.cli.app",
        "rebalancer.cli.starting",
        "rebalancer.bootstrap",
        "rebalancer.settings.in_force",
        "rebalancer.store.sql",
        "rebalancer.store.reader",
    ]
)


class Process(Protocol):
    """What the tests use of subprocess.Popen."""

    @property
    def pid(self) -> int:
        """Its number."""

    def poll(self) -> int | None:
        """Return its exit code; minus the signal that ended it; None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return the same; TimeoutExpired where it does not come."""

    def send_signal(self, sig: int) -> None:
        """Send a signal, unless it has ended."""

    def terminate(self) -> None:
        """Send SIGTERM."""

    def kill(self) -> None:
        """Send SIGKILL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """How the program is started: `rebalancer ARGUMENTS` in a folder, its words kept in files."""

    arguments: Sequence[str]
    folder: Path
    environ: Mapping[str, str]
    out: Path
    err: Path


def fresh(begun: Begun) -> Process:
    """Start the program as anybody would."""
    with begun.out.open("ab") as out, begun.err.open("ab") as err:
        return subprocess.Popen(
            [*PROGRAM, *begun.arguments],
            cwd=begun.folder,
            env=begun.environ,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )


def copied(begun: Begun) -> Process:
    """Start the program in a copy of a process that has imported it."""
    return _Copy(begun)


class _Copy:
    def __init__(self, begun: Begun) -> None:
        self._process: ForkServerProcess = _COPIES.Process(
            target=_be_the_program, args=(begun,), daemon=True
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired(f"a copy, pid {self.pid}", timeout or 0.0)
        return code

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _be_the_program(begun: Begun) -> None:
    os.chdir(begun.folder)
    os.environ.clear()
    os.environ.update(begun.environ)
    for path, number in ((begun.out, 1), (begun.err, 2)):
        told = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(told, number)
        os.close(told)
    sys.argv = ["rebalancer", *begun.arguments]
    runpy.run_module("rebalancer", run_name="__main__", alter_sys=True)
