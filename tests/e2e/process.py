"""The program as a process of its own, in a folder of its own; ended by whoever started it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAM = [sys.executable, "-m", "rebalancer"]
PATIENCE_SECONDS = 60.0


def environment(**more: str) -> dict[str, str]:
    """Return this environment without anything that is meant for the program."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("REBALANCER")}
    return kept | {"NO_COLOR": "1", "TERM": "xterm"} | more


@dataclass(frozen=True)
class Answer:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The document on standard output."""
        return json.loads(self.out)

    @property
    def sentence(self) -> str:
        """What a person is told on failure: one sentence, and never a traceback."""
        assert "Traceback" not in self.out + self.err, self.err
        (line,) = [line for line in self.err.splitlines() if line.startswith("rebalancer: ")]
        return line.removeprefix("rebalancer: ")


def command(folder: Path, *arguments: str, **more: str) -> Answer:
    """Run a command to its end."""
    done = subprocess.run(
        [*PROGRAM, *arguments],
        cwd=folder,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def wait_until(holds: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until `holds`, or fail with `what`."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain: {what}")
        time.sleep(0.02)


class Desk:
    """A desk that runs, and its log."""

    def __init__(self, folder: Path, **more: str) -> None:
        self.folder = folder
        self._log = folder / "desk.log"
        with self._log.open("ab") as log:
            self._begin = log.tell()
            self.process = subprocess.Popen(
                [*PROGRAM, "run"],
                cwd=folder,
                env=environment(**more),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.pid

    @property
    def said(self) -> str:
        """Everything this desk wrote down so far."""
        with self._log.open("rb") as log:
            log.seek(self._begin)
            return log.read().decode()

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """Return what it logged, or the events of one name."""
        lines = [line for line in self.said.splitlines() if line.startswith("{")]
        found = []
        for line in lines:
            with contextlib.suppress(ValueError):  # the last line may be half written
                found.append(json.loads(line))
        return [event for event in found if name in (None, event["event"])]

    def wait_for(self, name: str, count: int = 1, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until it has logged an event so many times."""
        wait_until(
            lambda: len(self.events(name)) >= count or self.process.poll() is not None,
            f"{name} in the log",
            seconds,
        )
        assert len(self.events(name)) >= count, f"it ended before: {self.said[-2_000:]}"

    def end(self, number: int = signal.SIGTERM, seconds: float = PATIENCE_SECONDS) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.wait(seconds)

    def wait(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Wait for its end and return the exit code."""
        code = self.process.wait(seconds)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@contextlib.contextmanager
def running(folder: Path, **more: str) -> Iterator[Desk]:
    """Run a desk; it is killed at the end where it still lives."""
    desk = Desk(folder, **more)
    try:
        yield desk
    finally:
        if desk.process.poll() is None:
            desk.end(signal.SIGKILL)
        elif desk.process.stdout is not None:
            desk.process.stdout.close()
