"""Commands for the store as a whole: copied, put back, brought up to date."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rebalancer.cli.exits import told
from rebalancer.cli.options import AsJson, ConfigPath, load_config
from rebalancer.cli.output import print_json
from rebalancer.core.instant import iso

NewFile = Annotated[Path, typer.Argument(help="The file to make.", show_default=False)]
Backup = Annotated[Path, typer.Argument(help="The backup to put back.", show_default=False)]
BackedUp = Annotated[
    bool, typer.Option("--backed-up", help="On a server: you made a backup yourself.")
]


@told
def backup(file: NewFile, config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Copy the store into a new file, whole at one instant, beside a running desk or without."""
    from rebalancer.store.backup import back_up  # noqa: PLC0415 - not needed to print --help

    size_bytes = back_up(load_config(config).store_url, file)
    if as_json:
        print_json({"version": 1, "file": str(file), "size_bytes": size_bytes})
    else:
        typer.echo(f"{file}: {size_bytes} bytes; put it back with: rebalancer restore {file}")


@told
def restore(file: Backup, config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Put a backup in the place of the store; the desk then trades only after your word."""
    from rebalancer.clock import WallClock  # noqa: PLC0415 - not needed to print --help
    from rebalancer.desk.kill_switch import KillSwitch  # noqa: PLC0415 - as above
    from rebalancer.store import restore as store  # noqa: PLC0415 - as above

    settings, now_ms = load_config(config), WallClock().now_ms()
    switch = KillSwitch(settings.kill_switch)
    why = f"restored from {file}: compare it with the venue first"
    stamp = iso(now_ms).replace("-", "").replace(":", "")
    done = store.restore(settings.store_url, file, stamp, lambda: switch.set(why, now_ms))
    kept, last = done.kept, None if done.last_ms is None else iso(done.last_ms)
    if as_json:
        print_json(
            {
                "version": 1,
                "store": str(done.store),
                "records": done.records,
                "last_record_at": last,
                "kept": None if kept is None else str(kept),
                "kill_switch": str(switch.path),
            }
        )
        return
    typer.echo(f"{done.store}: {done.records} records, the last of {last or 'no time'}")
    if kept is not None:
        typer.echo(f"what it replaces is kept as {kept}")
    typer.echo(
        "Nothing is traded until: the desk is started and has asked the venue, `rebalancer kill "
        "--release`,\n`rebalancer breaks` shows none, `rebalancer resume --desk --reason WHY`."
    )


@told
def upgrade(
    backed_up: BackedUp = False, config: ConfigPath = None, as_json: AsJson = False
) -> None:
    """Bring the store to the layout of this program; a file is copied first. Needs no desk."""
    from rebalancer.store.sql import upgrade_store  # noqa: PLC0415 - not needed to print --help

    before, after = upgrade_store(load_config(config).store_url, backed_up=backed_up)
    if as_json:
        print_json({"version": 1, "before": before, "after": after})
    elif before == after:
        typer.echo(f"the store has layout {after}: nothing to do")
    else:
        typer.echo(f"the store is brought from layout {before} to {after}")
