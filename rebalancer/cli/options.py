"""Options that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rebalancer.settings import Config

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
Reason = Annotated[str, typer.Option("--reason", help="Why; kept in the records.")]


def load_config(path: Path | None) -> Config:
    """Read the configuration from its file and the environment."""
    from rebalancer.settings import load  # noqa: PLC0415 - not needed to print --help

    return load(path, os.environ)
