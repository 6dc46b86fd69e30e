"""A page of the documentation, taken apart, and carried out line by line in a folder of its own.

Blocks count by the word behind their fence:

console     commands behind "$ ", and under each what it prints. "..." stands for anything, spaces
            do not count, "[exit code 4]" is the last line of one that does not end with 0.
toml NAME   the file NAME. Without a name: settings that fit into the configuration in force.
csv NAME    the file NAME.
sh          for another machine: not carried out, but only known programs and commands stand there.
text        nothing to carry out.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from typer.testing import CliRunner

from rebalancer.cli.app import app
from rebalancer.settings import parse
from tests.e2e.process import Desk, environment

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(\w+)?(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FIRST_DAY = ROOT / "docs" / "tutorial" / "first-day.md"
#: what the pages call the address of the interface; the desk of a test gets a free port
WRITTEN_PORT = "8765"
PATIENCE_SECONDS = 60.0
#: what a command says can only come true after a while; those that read are asked again
READING = {
    *("status", "nav", "history", "schedule", "orders", "events", "explain", "series", "triggers"),
    *("plan", "simulate", "--preview"),
}
#: a test does not wait five seconds for each look at a desk
IMPATIENT = {"REBALANCER__DESK__VIEW_INTERVAL": "200ms"}
EXIT_CODE = re.compile(r"\[exit code (\d+)\]$")


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    kind: str
    name: str
    text: str


@dataclass(frozen=True)
class Command:
    """One command of a console block and what the page says it prints."""

    line: str
    expected: str
    code: int = 0

    @property
    def reads(self) -> bool:
        """Whether it changes nothing, so that it may be given again."""
        return bool(READING & set(self.line.split()))


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page in their order."""
    found = FENCE.findall(page.read_text(encoding="utf-8"))
    return [Block(kind or "text", name, text) for kind, name, text in found]


def commands(block: Block) -> list[Command]:
    """Return the commands of a console block, each with what it prints."""
    told = []
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        line, _, rest = part.replace("\\\n", " ").partition("\n")
        *shown, last = rest.rstrip("\n").split("\n")
        ended = EXIT_CODE.match(last)
        expected = "\n".join(shown if ended else [*shown, last])
        told.append(Command(line, expected, int(ended[1]) if ended else 0))
    return told


def same(expected: str, printed: str) -> bool:
    """Whether what was printed is what the page shows; spaces and line ends do not count."""
    pieces = [" ".join(piece.split()) for piece in expected.split("...")]
    pattern = ".*".join(re.escape(piece) for piece in pieces)
    return re.fullmatch(rf"\s*{pattern}\s*", " ".join(printed.split()), re.DOTALL) is not None


@dataclass
class Reader:
    """Somebody who does what a page says, in a folder of their own."""

    folder: Path
    port: int
    #: what the page's reader has in the environment: keys perhaps, and little patience
    environment: dict[str, str] = field(default_factory=lambda: dict(IMPATIENT))
    desks: list[Desk] = field(default_factory=list)

    def follow(self, page: Path) -> int:
        """Carry a page out; returns how many commands it had."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / "docs").symlink_to(ROOT / "docs")
        (self.folder / "config.example.toml").symlink_to(ROOT / "config.example.toml")
        count = 0
        if page != FIRST_DAY and "config.toml" not in {block.name for block in blocks(page)}:
            self._begin_as_on_the_first_day()
        for block in blocks(page):
            if block.kind == "toml" and not block.name:
                self._try_settings(block.text)
            elif block.kind in {"toml", "csv"}:
                (self.folder / block.name).write_text(self._here(block.text))
            elif block.kind == "console":
                for each in commands(block):
                    self._carry_out(each)
                    count += 1
        return count

    def _begin_as_on_the_first_day(self) -> None:
        (first,) = [block for block in blocks(FIRST_DAY) if block.name == "config.toml"]
        (self.folder / "config.toml").write_text(self._here(first.text))

    def _here(self, text: str) -> str:
        return text.replace(WRITTEN_PORT, str(self.port))

    def _try_settings(self, text: str) -> None:
        """Read settings together with the configuration of the page, whose tables they extend."""
        parse(
            (self.folder / "config.toml").read_text(),
            overrides=tomllib.loads(self._here(text), parse_float=Decimal),
        )

    def _carry_out(self, command: Command) -> None:
        if command.line == "rebalancer run":
            for before in self.desks:  # where a page starts the desk anew, the first one was killed
                before.process.kill()
                before.process.wait()
            self.desks.append(Desk(self.folder, **self.environment))
            self.desks[-1].wait_for("ready", seconds=PATIENCE_SECONDS)
            return
        deadline = time.monotonic() + (PATIENCE_SECONDS if command.reads else 0)
        while True:
            code, out, err = self._printed_by(self._here(command.line))
            expected = self._here(command.expected)
            if code == command.code and (same(expected, out + err) or same(expected, err + out)):
                return
            if time.monotonic() > deadline:
                shown = f"$ {command.line}\n{command.expected}"
                raise AssertionError(f"the page:\n{shown}\n\nhere:\n{out}{err}")
            time.sleep(0.2)

    def _printed_by(self, line: str) -> tuple[int, str, str]:
        """Return the exit code, the data and the messages of a command."""
        words = shlex.split(line)
        if words[0] == "rebalancer" and not {"|", ">", "&&"} & set(words):
            with contextlib.chdir(self.folder), _wide_enough():
                done = CliRunner().invoke(app, words[1:], env=self.environment)
            return done.exit_code, done.stdout, done.stderr
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        ran = subprocess.run(
            ["sh", "-c", line],
            cwd=self.folder,
            env=environment(PATH=path, COLUMNS="200", **self.environment),
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        return ran.returncode, ran.stdout, ran.stderr

    def leave(self) -> None:
        """End every desk that still runs."""
        for desk in self.desks:
            if desk.process.poll() is None:
                desk.process.terminate()
            desk.process.wait(PATIENCE_SECONDS)


@contextlib.contextmanager
def _wide_enough() -> Iterator[None]:
    """Let no column of a table be broken."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "200"
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
