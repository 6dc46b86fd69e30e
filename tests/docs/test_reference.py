"""The reference is what the program is, and no page names a command that does not exist."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from rebalancer.cli.app import app
from tests.docs.page import ROOT, blocks
from tests.docs.reference import FOLDER, PAGES, configuration_page

EVERYWHERE = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "deploy/README.md"])
MENTION = re.compile(r"(?:`|^ *\$ |^ {4}|bin/)rebalancer ([a-z][^`\n|#]*)", re.MULTILINE)
#: programs of another machine, which no test can start here
ELSEWHERE = {"systemctl", "systemd-creds", "journalctl", "timedatectl", "export"}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_the_reference_is_what_the_program_makes(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == PAGES[name]()


def test_every_key_of_the_schema_is_in_the_reference_of_settings() -> None:
    schema = json.loads((ROOT / "docs" / "config.schema.json").read_text(encoding="utf-8"))
    keys = {
        key
        for name, table in schema["$defs"].items()
        for key, value in table.get("properties", {}).items()
        if "$ref" not in json.dumps(value) and name != "AccountTable"
    }
    keys -= {"secret", "effective"}  # never in the file; inside the list `changes`
    page = configuration_page()
    assert len(keys) > 60
    assert {key for key in keys if not re.search(rf"\b{key}\b", page)} == set()


@pytest.mark.parametrize("page", EVERYWHERE, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_names_a_command_or_an_option_that_does_not_exist(page: Path) -> None:
    wrong = [line for line in MENTION.findall(page.read_text(encoding="utf-8")) if not known(line)]
    assert wrong == []


def test_a_command_that_does_not_exist_would_be_found() -> None:
    assert not known("rebalence BTC3L")
    assert not known("status --wach")
    assert not known("config chekc")
    assert known("halt FUND | --account A --reason R")


@pytest.mark.parametrize("page", EVERYWHERE, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_is_for_another_machine_starts_known_programs_only(page: Path) -> None:
    lines = [
        line for block in blocks(page) if block.kind == "sh" for line in block.text.split("\n")
    ]
    assert {line.split()[0] for line in lines if line} <= ELSEWHERE


@pytest.mark.parametrize("page", EVERYWHERE, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def known(mention: str) -> bool:
    """Whether the words behind "rebalancer" name a command, and each option is one of its own."""
    words = shlex.split(mention.split(" | ", maxsplit=1)[0].rstrip(".,;:)& "), comments=True)
    command: Any = get_command(app)
    while words and getattr(command, "commands", None):
        command = command.commands.get(words.pop(0))
    if command is None:
        return False
    names = {name for option in getattr(command, "params", []) for name in option.opts}
    names |= {name for option in getattr(command, "params", []) for name in option.secondary_opts}
    return all(word.split("=")[0] in names | {"--help"} for word in words if word[:1] == "-")
