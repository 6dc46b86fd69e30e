"""The pages to look things up in, made from the program: `python -m tests.docs.reference --write`.

commands.md comes from the commands themselves, configuration.md from the example that a test holds
complete. A test holds the pages equal to what this module makes.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typer.main import get_command

from rebalancer.cli.app import app
from rebalancer.cli.exits import Exit

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "reference"
EXAMPLE = ROOT / "config.example.toml"
NOTICE = "<!-- Made by `python -m tests.docs.reference --write`; a test holds it. -->\n"
TABLE = re.compile(r"^\[([^]]+)\]$")
KEY = re.compile(r'^(#?)("?[A-Za-z_][^=# ]*"?) = (.+)$')
MULTILINE = '"""'


def commands_page() -> str:
    """Return the reference of every command."""
    lines = ["# Commands", "", NOTICE, "Data goes to standard output, messages to standard error."]
    for words, command in _leaves(get_command(app), ()):
        lines += ["", f"## {' '.join(words)}", "", *_of_command(words, command)]
    lines += ["", "## Exit codes", "", "| code | name |", "| --- | --- |"]
    lines += [f"| {code.value} | {code.name.lower()} |" for code in Exit]
    return "\n".join(lines) + "\n"


def _leaves(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield words, command
        return
    for name, each in inner.items():
        if not each.hidden:
            yield from _leaves(each, (*words, name))


def _of_command(words: tuple[str, ...], command: Any) -> list[str]:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    usage = " ".join(["rebalancer", *words, *(_argument(each) for each in arguments)])
    lines = [f"    {usage}{' [OPTIONS]' if options else ''}", ""]
    lines.append(" ".join(inspect.cleandoc(command.help or "").replace("\b", "").split()))
    if options:
        lines += ["", "| option | meaning |", "| --- | --- |"]
        lines += [f"| {_names(each)} | {_cell(each.help or '')} |" for each in options]
    return lines


def _argument(argument: Any) -> str:
    name = argument.name.upper() + ("..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _names(option: Any) -> str:
    return ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])


@dataclass
class Setting:
    """Keys of one table that share one explanation."""

    text: list[str]
    keys: list[str] = field(default_factory=list)


@dataclass
class Table:
    """One table of the file."""

    name: str
    intro: list[str]
    settings: list[Setting] = field(default_factory=list)


def configuration_page() -> str:
    """Return the reference of every setting."""
    lines = ["# Settings", "", NOTICE]
    lines += [
        "A value behind a key is its default where it is written `key = value`; a key without"
    ]
    lines += ["one says its default, or that there is none, in its explanation."]
    for table in _tables(EXAMPLE.read_text(encoding="utf-8")):
        if table.settings:
            lines += ["", f"## [{table.name}]", ""]
            lines += [" ".join(table.intro), ""] if table.intro else []
            lines += ["| key | meaning |", "| --- | --- |"]
            lines += [_row(each) for each in table.settings]
    return "\n".join(lines) + "\n"


def _row(setting: Setting) -> str:
    return f"| {'<br>'.join(setting.keys)} | {_cell(' '.join(setting.text))} |"


def _tables(example: str) -> list[Table]:
    """Return the tables of the example; a comment right above a header or a key explains it."""
    tables = [Table("top level", [])]
    comment: list[str] = []
    inside = False
    for line in example.splitlines():
        if inside:
            inside = MULTILINE not in line
        elif header := TABLE.match(line):
            tables.append(Table(header[1], comment))
            comment = []
        elif key := KEY.match(line):
            inside = key[3].count(MULTILINE) == 1
            settings = tables[-1].settings
            if comment or not settings:
                settings.append(Setting(comment))
                comment = []
            settings[-1].keys.append(f"`{key[2]} = {key[3]}`" if key[1] else f"`{key[2]}`")
        else:
            comment = [*comment, line[2:].strip()] if line.startswith("# ") else []
    return tables


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


PAGES = {"commands.md": commands_page, "configuration.md": configuration_page}


def main() -> None:
    """Write the pages anew."""
    FOLDER.mkdir(exist_ok=True)
    for name, made in PAGES.items():
        (FOLDER / name).write_text(made(), encoding="utf-8")


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    main()
