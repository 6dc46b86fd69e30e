"""A person at a terminal: the program on a pseudo-terminal, its questions answered one by one."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.e2e.process import PATIENCE_SECONDS, Answer, environment
from tests.e2e.warm import PROGRAM


def at_terminal(
    folder: Path, arguments: Sequence[str], answers: Sequence[tuple[str, str]] = (), **more: str
) -> Answer:
    """Run a command to its end; each of `answers` is typed once its question stands there.

    What it wrote is one stream, as a person sees it, and ends with lines as on any terminal.
    """
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, *arguments],
        cwd=folder,
        env=environment(**more),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        seen = ""
        for question, answer in answers:
            begun = len(seen)
            while question not in seen[begun:]:
                more_seen = _read(ours)
                assert more_seen, f"it never asked {question!r}: {seen}"
                seen += more_seen
            os.write(ours, f"{answer}\n".encode())
        while said := _read(ours):
            seen += said
        return Answer(process.wait(PATIENCE_SECONDS), seen.replace("\r\n", "\n"), "")
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _read(descriptor: int) -> str:
    """Return what comes next; nothing once the other end is closed, or nothing comes any more."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if select.select([descriptor], [], [], 0.5)[0]:
            try:
                return os.read(descriptor, 65_536).decode(errors="replace")
            except OSError:  # how Linux says that nobody holds the other end
                return ""
    return ""
