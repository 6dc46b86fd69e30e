"""Help is for people in a hurry: nothing heavy is imported to print it."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from typing import Any

import pytest
from typer.testing import CliRunner

from rebalancer.cli.app import COMMANDS as KNOWN
from rebalancer.cli.app import app

HEAVY = ("ccxt", "sqlalchemy", "alembic", "apscheduler", "structlog")
COMMANDS = [
    [],
    *[[name] for name in KNOWN],
    ["config", "check"],
]
#: one process for all, for a start is most of what each would take
LOADED = """
import contextlib, io, json, sys
from rebalancer.cli.app import main
found = {{}}
for arguments in {commands!r}:
    sys.argv = ["rebalancer", *arguments, "--help"]
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        main()
    loaded = [name for name in {heavy!r} if name in sys.modules]
    found[" ".join(arguments)] = [shown.getvalue()[:17], loaded]
print(json.dumps(found))
"""


def timed(*arguments: str) -> float:
    """Return how many seconds a Python process takes."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, timeout=60)
    return time.perf_counter() - began


@pytest.fixture(scope="module")
def loaded() -> dict[str, list[Any]]:
    """Help of each command: how it begins, and what heavy things are imported by then."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(heavy=HEAVY, commands=COMMANDS)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found: dict[str, list[Any]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("command", [" ".join(each) for each in COMMANDS])
def test_it_imports_nothing_heavy(loaded: dict[str, list[Any]], command: str) -> None:
    assert loaded[command] == ["Usage: rebalancer", []]


def test_every_command_is_looked_at() -> None:
    """The list above is read from the app: it must not be empty by an accident of its shape."""
    names = {each[0] for each in COMMANDS if each}
    assert {"run", "demo", "plan", "backtest", "status", "config"} <= names


def test_it_takes_a_fraction_of_importing_ccxt() -> None:
    """Both are measured here and now, alternately, so that a busy machine slows both."""
    timed("-m", "rebalancer", "--help")
    timed("-c", "import ccxt.pro")
    ratios: list[float] = []
    for _ in range(4):
        for _ in range(3):
            help_seconds = timed("-m", "rebalancer", "--help")
            ratios.append(help_seconds / timed("-c", "import ccxt.pro"))
        if statistics.median(ratios) <= 0.3:
            break
    sys.stdout.write(f"--help / import ccxt.pro = {statistics.median(ratios):.3f}\n")
    assert statistics.median(ratios) <= 0.3


def test_without_a_command_help_is_shown_and_the_exit_codes_are_named() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rebalancer"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"COLUMNS": "200"},
    )
    shown = done.stdout + done.stderr
    places = [shown.index(f" {code}") for code in ("0 done", "1 failed", "2 wrong", "4 refused")]
    assert all(before < after for before, after in pairwise(places))
    assert "130 interrupted" in " ".join(shown.split())


@pytest.mark.parametrize("group", [[], ["config"]])
def test_what_a_command_does_is_told_to_its_end(
    group: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    listed = CliRunner().invoke(app, [*group, "--help"]).stdout.partition("Commands:")[2]
    assert listed
    assert max(map(len, listed.splitlines())) <= 80
    assert not [line for line in listed.splitlines() if line.endswith("...")]
