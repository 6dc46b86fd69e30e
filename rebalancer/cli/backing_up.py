"""The backup command: one file with everything in it, while the desk runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rebalancer.cli.exits import told
from rebalancer.cli.options import AsJson, ConfigPath, load_config
from rebalancer.cli.output import print_json

NewFile = Annotated[Path, typer.Argument(help="The file to make.", show_default=False)]


@told
def backup(file: NewFile, config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Copy the store into a new file, whole at one instant, beside a running desk or without."""
    from rebalancer.store.backup import back_up  # noqa: PLC0415 - not needed to print --help

    size_bytes = back_up(load_config(config).store_url, file)
    if as_json:
        print_json({"version": 1, "file": str(file), "size_bytes": size_bytes})
    else:
        typer.echo(f"{file}: {size_bytes} bytes; how it is restored is in docs/runbook.md")
