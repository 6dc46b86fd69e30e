"""Commands that explain the program: pages, the manual, and completion for a shell."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated, Any

import typer

from rebalancer import __version__
from rebalancer.cli.exits import told
from rebalancer.cli.loading import COMPLETE
from rebalancer.cli.options import AsJson
from rebalancer.cli.output import console, print_json, table
from rebalancer.cli.pages import KINDS, Page, page_of, pages

Topic = Annotated[
    list[str] | None,
    typer.Argument(help="A page, or a command. Default: list the pages.", show_default=False),
]


class Shell(StrEnum):
    """A shell that can complete."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@told
def help_(context: typer.Context, topic: Topic = None, as_json: AsJson = False) -> None:
    """Show a page of the documentation, or the help of a command."""
    words = topic or []
    if not words:
        _list(as_json=as_json)
        return
    command = _command(context, words)
    if command is not None:
        typer.echo(command)
        return
    page = page_of(" ".join(words))
    if as_json:
        print_json({"topic": page.topic, "kind": page.kind, "title": page.title, "text": page.text})
        return
    _show(page)


def _list(*, as_json: bool) -> None:
    found = pages()
    if as_json:
        print_json(
            [{"topic": each.topic, "kind": each.kind, "title": each.title} for each in found]
        )
        return
    out = console()
    for kind, purpose in KINDS.items():
        rows = [[each.topic, each.title] for each in found if each.kind == kind]
        if rows:
            out.print(table(f"{kind}: {purpose}", ("", ""), rows, heads=False))
    out.print("Show one: rebalancer help TOPIC. All commands: rebalancer --help")


def _command(context: typer.Context, words: list[str]) -> str | None:
    """Return the help of a command that is called so; None where it is none."""
    found: Any = context.find_root().command
    at = context.find_root()
    for word in words:
        commands = getattr(found, "commands", {})
        if word not in commands:
            return None
        found = commands[word]
        at = typer.Context(found, info_name=word, parent=at)
    return str(found.get_help(at))


def _show(page: Page) -> None:
    """Print a page: set on a terminal, as it is written through a pipe."""
    if not sys.stdout.isatty():
        typer.echo(page.text, nl=False)
        return
    from rich.markdown import Markdown  # noqa: PLC0415 - slow, and for terminals only

    out = console()
    with out.pager(styles=out.is_terminal and not out.no_color):
        out.print(Markdown(page.text))


@told
def man(context: typer.Context) -> None:
    """Print the manual page (roff): rebalancer man | man -l -."""
    from rebalancer.cli.manual import manual  # noqa: PLC0415 - needed here only

    typer.echo(manual(context.find_root().command), nl=False)


@told
def completion(
    shell: Annotated[Shell, typer.Argument(help="bash, zsh or fish.", show_default=False)],
) -> None:
    """Print what has a shell complete commands: source <(rebalancer completion bash)."""
    from typer._completion_shared import (  # noqa: PLC0415 - it has no public name
        get_completion_script,
    )

    typer.echo(
        get_completion_script(prog_name="rebalancer", complete_var=COMPLETE, shell=str(shell))
    )


@told
def version(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the version."""
    if as_json:
        print_json({"version": __version__})
    else:
        typer.echo(f"rebalancer {__version__}")
