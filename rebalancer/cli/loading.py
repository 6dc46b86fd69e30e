"""Commands that are loaded when they are asked for: none pays for what the others import."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

#: set by a shell that wants a line completed
COMPLETE = "_REBALANCER_COMPLETE"
#: more than any command needs to say what it does
SENTENCE_CHARACTERS_MAX = 400


class Listed(TyperGroup):
    """A group that lists its commands with what each does in whole, not up to the line's end."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names, for which nothing has to be loaded."""
        del ctx
        return [*self.commands]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands."""
        known = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, each.get_short_help_str(limit=SENTENCE_CHARACTERS_MAX))
                    for name, each in known
                    if each is not None and not each.hidden
                ]
            )


@dataclass(frozen=True, slots=True)
class Command:
    """A command: the module beside this one that has it, and the name of its function there."""

    module: str
    function: str
    #: what it does, where that is not what its function says of itself
    help: str | None = None

    def made(self, name: str) -> Any:
        """Load it, and return what the command line calls."""
        alone = typer.Typer(
            rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False
        )
        function = getattr(import_module(f"rebalancer.cli.{self.module}"), self.function)
        alone.command(name, help=self.help)(function)
        return get_command(alone)


@dataclass(frozen=True, slots=True)
class Group:
    """Commands behind one word."""

    help: str
    commands: Mapping[str, Command]

    def made(self, name: str) -> Any:
        """Return what the command line calls, with no command loaded yet."""
        return Listed(
            name=name,
            help=self.help,
            no_args_is_help=True,
            rich_markup_mode=None,
            commands=lazily(self.commands),
        )


class _Lazily(Mapping[str, Any]):
    def __init__(self, known: Mapping[str, Command | Group]) -> None:
        self._known = known
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = self._known[name].made(name)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


def lazily(known: Mapping[str, Command | Group]) -> Any:
    """Return the commands of a group, each made when it is looked up and not before."""
    return _Lazily(known)
