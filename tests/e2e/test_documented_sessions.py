"""The terminal sessions of the documentation, carried out on a real desk: it prints what they show.

What no two runs share (times, digests, ids) is masked in both. To write a page's output anew after
a change: REWRITE_SESSIONS=1 pytest tests/e2e/test_documented_sessions.py, and look at the diff.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rebalancer.cli.app import app
from tests.e2e.process import Desk, running, wait_until

DOCS = Path(__file__).parents[2] / "docs"
CONSOLE = re.compile(r"^```console\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
TOML = re.compile(r"^```toml\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
#: what differs from run to run, each with what stands for it
MASKS = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "<time>"),
    (re.compile(r"\b\d+[dhms](\d+[dhms])*\b"), "<time>"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "<digest>"),
    (re.compile(r"(--confirm )[0-9a-f]{12}\b"), r"\1DIGEST"),
    (re.compile(r"\br[0-9a-z]{25}\b"), "<order id>"),
    (re.compile(r" +$", re.MULTILINE), ""),
)
#: what the test needs of a desk beside what a page says
MORE = """
[log]
format = "json"

[desk]
view_interval = "200ms"
"""
#: what a page says whose sessions need a running desk of the page's own configuration
RUNS_BESIDE = "It runs in another terminal: `rebalancer run`."
PAGES = sorted(
    page.relative_to(DOCS).as_posix()
    for page in DOCS.rglob("*.md")
    if RUNS_BESIDE in page.read_text(encoding="utf-8")
)


def masked(text: str) -> str:
    """Return a session without what no two runs share."""
    for pattern, stands in MASKS:
        text = pattern.sub(stands, text)
    # A time that is masked no longer has its width, and neither has the line around it.
    return re.sub(r"(<time>|<order id>|DIGEST) +", r"\1 ", re.sub(r"  +", "  ", text))


def commands(block: str) -> list[str]:
    """Return what a person types in a session."""
    return [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]


def played(line: str, folder: Path, digest: str) -> str:
    """Return what one command prints, as a terminal shows it."""
    words = shlex.split(line.replace("DIGEST", digest))
    if words[0] == "rebalancer":
        done = CliRunner().invoke(app, words[1:])
        assert done.exception is None or isinstance(done.exception, SystemExit)
        printed = done.output  # both streams, as a terminal shows them
    else:
        printed = subprocess.run(
            words, cwd=folder, capture_output=True, text=True, check=True, timeout=10
        ).stdout
    shown = "".join(f"{each.rstrip()}\n" for each in printed.splitlines())
    return f"$ {line}\n{shown}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    for name in list(os.environ):
        if name.startswith("REBALANCER"):
            monkeypatch.delenv(name)
    return tmp_path


def settled(desk: Desk, folder: Path, funds: int) -> None:
    """Wait until the desk runs, and every fund has its first exposure and was shown once since."""
    desk.wait_for("ready")

    def shown() -> bool:
        done = CliRunner().invoke(app, ["status"])
        lines = [line for line in done.stdout.splitlines()[1:] if "active" in line]
        return len(lines) == funds and not any(" -  " in line for line in lines)

    wait_until(shown, "every fund at its target")


@pytest.mark.parametrize("page", PAGES)
def test_a_session_prints_what_its_page_shows(page: str, folder: Path) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    configuration = TOML.search(text)
    assert configuration is not None, "a page with a session begins with its configuration"
    written = configuration.group(1)
    (folder / "config.toml").write_text(written + '\n[log]\nformat = "json"\n')
    blocks = CONSOLE.findall(text)
    answers = []
    with running(folder) as desk:
        settled(desk, folder, len(re.findall(r"^\[funds\.\w+\]$", written, re.MULTILINE)))
        said = ""
        for block in blocks:
            played_block = ""
            for line in commands(block):
                digests = re.findall(r"--confirm ([0-9a-f]{12})", said)
                played_block += played(line, folder, digests[-1] if digests else "")
                said += played_block
            answers.append(played_block)
    if os.environ.get("REWRITE_SESSIONS"):
        for block, answer in zip(blocks, answers, strict=True):
            text = text.replace(f"```console\n{block}```\n", f"```console\n{answer}```\n", 1)
        (DOCS / page).write_text(text, encoding="utf-8")
        return
    for block, answer in zip(blocks, answers, strict=True):
        assert masked(answer) == masked(block)


def test_there_are_sessions_and_a_mask_hides_only_what_differs() -> None:
    assert "how-to/plan-and-apply.md" in PAGES
    one, other = "at 2026-01-02T02:30:00Z NAV 115", "at 2026-01-02T02:30:01.5Z NAV 115"
    assert masked(one) == masked(other)
    assert masked(one) != masked(other.replace("115", "116"))
