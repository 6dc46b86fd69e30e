"""The program as a process of its own, in a folder of its own; ended by whoever started it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.e2e.warm import Begun, Process, copied

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
    with TemporaryDirectory() as written:
        out, err = Path(written, "out"), Path(written, "err")
        environ = environment(**more)
        process = copied(
            Begun(arguments=arguments, folder=folder, environ=environ, out=out, err=err)
        )
        try:
            code = process.wait(PATIENCE_SECONDS)
        finally:
            process.kill()
        return Answer(code, out.read_text("utf-8"), err.read_text("utf-8"))


def wait_until(holds: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until `holds`, or fail with `what`."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain: {what}")
        time.sleep(0.02)


class Desk:
    """A desk that runs, and its log."""

    def __init__(
        self, folder: Path, begin: Callable[[Begun], Process] = copied, /, **more: str
    ) -> None:
        self.folder = folder
        self._log = folder / "desk.log"
        self._begin = self._log.stat().st_size if self._log.exists() else 0
        self.process = begin(
            Begun(
                arguments=["run"],
                folder=folder,
                environ=environment(**more),
                out=Path(os.devnull),
                err=self._log,
            )
        )

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.pid

    @property
    def said(self) -> str:
        """Everything this desk wrote down so far."""
        if not self._log.exists():
            return ""
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
        return self.process.wait(seconds)


@contextlib.contextmanager
def running(
    folder: Path, begin: Callable[[Begun], Process] = copied, /, **more: str
) -> Iterator[Desk]:
    """Run a desk; it is killed at the end where it still lives."""
    desk = Desk(folder, begin, **more)
    try:
        yield desk
    finally:
        desk.end(signal.SIGKILL)
