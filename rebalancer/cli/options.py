"""Options that several commands share."""

from __future__ import annotations

import functools
import inspect
import os
import tomllib
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

if TYPE_CHECKING:
    from rebalancer.settings import Config


def fund_names(incomplete: str) -> list[str]:
    """Return the funds of the file that would be read, for a shell that completes a line."""
    path = Path(os.environ.get("REBALANCER_CONFIG") or "config.toml")
    try:
        funds = tomllib.loads(path.read_text(encoding="utf-8"))["funds"]
        return [name for name in funds if name.startswith(incomplete)]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return []  # nobody may be disturbed while typing


ConfigPath = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="Configuration file. Default: $REBALANCER_CONFIG, else config.toml.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
FundName = Annotated[
    str,
    typer.Argument(
        help="Name of the fund.",
        show_default=False,
        autocompletion=fund_names,
    ),
]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept in the records.")]


@dataclass(frozen=True, slots=True)
class Consent:
    """What stands in for a person who would be asked before live orders leave."""

    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Ask nothing; live orders need --confirm, too.")
    ] = False
    confirm: Annotated[
        list[str] | None,
        typer.Option(
            "--confirm",
            help="What live orders are meant for, named again; once for each fund.",
            show_default=False,
        ),
    ] = None


#: nothing was said yet
MEANT = Consent()


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command each field of its dataclass parameters as an option of its own."""
    known = inspect.signature(command, eval_str=True)
    groups: dict[str, Callable[..., Any]] = {
        name: _class_of(each.annotation)
        for name, each in known.parameters.items()
        if is_dataclass(each.annotation)
    }

    @functools.wraps(command)
    def wrapped(**given: Any) -> None:
        gathered = {
            name: kind(**{each.name: given.pop(each.name) for each in _fields(kind)})
            for name, kind in groups.items()
        }
        command(**given, **gathered)

    listed: list[inspect.Parameter] = []
    for name, each in known.parameters.items():
        listed += _options(groups[name]) if name in groups else [_by_name(each)]
    typer_looks_here: Any = wrapped
    typer_looks_here.__signature__ = known.replace(parameters=listed)
    return wrapped


def _class_of(annotation: Any) -> Callable[..., Any]:
    found: Callable[..., Any] = annotation
    return found


def _fields(group: Any) -> tuple[Field[Any], ...]:
    return fields(group)


def _options(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if each.default is MISSING else each.default,
            annotation=hints[each.name],
        )
        for each in _fields(group)
    ]


def _by_name(parameter: inspect.Parameter) -> inspect.Parameter:
    return parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)


def load_config(path: Path | None) -> Config:
    """Read the configuration from its file and the environment."""
    from rebalancer.settings import load  # noqa: PLC0415 - not needed to print --help

    return load(path, os.environ)
