"""What the README shows is what the program prints."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from typer.testing import CliRunner

from rebalancer.cli.app import COMMANDS, app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def shown_commands() -> list[tuple[str, str]]:
    """Return each "$ rebalancer ..." of the README with the output printed under it."""
    pattern = re.compile(r"^    \$ rebalancer (.+)\n((?:    .*\n)+)", re.MULTILINE)
    return [
        (command, "\n".join(line[4:].rstrip() for line in block.splitlines()))
        for command, block in pattern.findall(README)
    ]


def test_the_output_of_each_shown_command_is_the_real_one(monkeypatch):
    monkeypatch.chdir(ROOT)
    shown = shown_commands()
    assert len(shown) == 2
    for command, expected in shown:
        result = CliRunner().invoke(app, shlex.split(command))
        assert result.exit_code == 0
        printed = "\n".join(line.rstrip() for line in result.stdout.splitlines())
        assert printed == expected


def test_every_command_in_the_table_exists():
    table = README.split("| | command | what it does |")[1].split("\n\n")[0]
    named = set(re.findall(r"`(?:config )?([a-z][a-z-]*)", table))
    behind_config = {"init", "check", "diff", "schema", "show"}
    assert named == {*COMMANDS} - {"config"} | behind_config


def test_every_linked_file_exists():
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
