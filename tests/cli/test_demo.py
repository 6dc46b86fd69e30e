"""The demo as people meet it: piped, on a terminal, and interrupted."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path

import pytest

from tests.e2e.process import PATIENCE_SECONDS, command, environment
from tests.e2e.warm import PROGRAM

#: a simulated day in less than three seconds
FAST = ("--speed", "36000", "--seed", "7")
SUMMARY = re.compile(r"The desk lived (\d+d\d+h|\d+h\d+m) of simulated time")


def fixed_runs(shown: str) -> dict[str, int]:
    """Return from the summary how many fixed runs each fund had."""
    table = shown[shown.index("The desk lived") :]
    rows = re.findall(r"^(BTC3L|BTC3S|ETH2L|ETH1S)\s+(?:\S+\s+){4}(\d+)\s", table, re.MULTILINE)
    return {name: int(count) for name, count in rows}


def test_piped_it_tells_the_story_and_ends_by_itself(tmp_path: Path) -> None:
    began = time.monotonic()
    answer = command(tmp_path, "demo", "--for", "8s", *FAST)
    assert (answer.code, answer.err) == (0, "")
    assert 7.5 < time.monotonic() - began < 20
    assert "\x1b" not in answer.out
    assert SUMMARY.search(answer.out)
    counts = fixed_runs(answer.out)
    assert set(counts) == {"BTC3L", "BTC3S", "ETH2L", "ETH1S"}
    assert min(counts.values()) >= 2
    assert re.search(r"\d+ (price_move|emergency)", answer.out)
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"], "it leaves nothing"


def test_an_interrupt_ends_it_with_the_summary(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*PROGRAM, "demo", *FAST],
        cwd=tmp_path,
        env=environment(PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert "launch" in first
    assert process.returncode == 0
    assert SUMMARY.search(out) or "simulated time" in out
    assert "Traceback" not in err
    assert err.splitlines() == ["SIGINT: stopping; ctrl-c interrupts that"]


class Terminal:
    """A terminal of 100 columns, and the program on it."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.shown = b""
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        coloured = {key: value for key, value in environment().items() if key != "NO_COLOR"}
        self.process = subprocess.Popen(
            [*PROGRAM, *arguments],
            cwd=folder,
            env=coloured,
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)

    def read_until(self, enough: bytes | None) -> None:
        """Read until `enough` was shown, or to the end."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while enough is None or enough not in self.shown:
            assert time.monotonic() < deadline, self.shown[-500:]
            if select.select([self._master], [], [], 0.1)[0]:
                try:
                    piece = os.read(self._master, 65_536)
                except OSError:  # the other side is closed
                    piece = b""
                self.shown += piece
                if not piece:
                    break

    def close(self) -> None:
        """End the program where it still lives."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait(PATIENCE_SECONDS)
        os.close(self._master)


@pytest.fixture
def hidden_and_back() -> re.Pattern[bytes]:
    """A cursor that was hidden and shown again, with nothing hidden afterwards."""
    return re.compile(rb"\x1b\[\?25l.*\x1b\[\?25h(?!.*\x1b\[\?25l)", re.DOTALL)


def test_on_a_terminal_it_draws_frames_and_gives_the_cursor_back(
    tmp_path: Path, hidden_and_back: re.Pattern[bytes]
) -> None:
    terminal = Terminal(tmp_path, "demo", "--for", "3s", *FAST)
    try:
        terminal.read_until(None)
        assert terminal.process.wait(PATIENCE_SECONDS) == 0
    finally:
        terminal.close()
    assert terminal.shown.count(b" PAPER ") > 5, "frames"
    assert b"ctrl-c ends the demo" in terminal.shown
    assert hidden_and_back.search(terminal.shown)
    after = terminal.shown[terminal.shown.rindex(b"\x1b[?25h") :]
    assert b"of simulated time" in after, "the summary stays on the screen"


def test_ctrl_c_on_a_terminal_gives_the_cursor_back_too(
    tmp_path: Path, hidden_and_back: re.Pattern[bytes]
) -> None:
    terminal = Terminal(tmp_path, "demo", *FAST)
    try:
        terminal.read_until(b" PAPER ")
        terminal.process.send_signal(signal.SIGINT)
        terminal.read_until(None)
        assert terminal.process.wait(PATIENCE_SECONDS) == 0
    finally:
        terminal.close()
    assert hidden_and_back.search(terminal.shown)
    assert b"of simulated time" in terminal.shown
    assert b"Traceback" not in terminal.shown
