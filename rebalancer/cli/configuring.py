"""Commands that look at the configuration: nothing is changed and no venue is asked."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rebalancer.cli.exits import told
from rebalancer.cli.operating import is_running
from rebalancer.cli.options import AsJson, ConfigPath, load_config
from rebalancer.cli.output import console, print_json
from rebalancer.core.money import counted

if TYPE_CHECKING:
    from rebalancer.settings.showing import Setting

Origin = Annotated[bool, typer.Option("--origin", help="Say where each value was written.")]
Changed = Annotated[bool, typer.Option("--changed", help="Leave out what is at its default.")]


@told
def check(config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Read the configuration and say whether a desk could run with it, on this machine.

    Everything is looked at that a start looks at before it asks a venue: keys and secrets, files,
    addresses, and whether the store goes with it.
    """
    from rebalancer.preparing import (  # noqa: PLC0415 - not needed to print --help
        prepare,
        refuse_taken,
        refuse_unfit_store,
    )

    settings = load_config(config)
    refuse_unfit_store(settings)
    prepare(settings)
    if not is_running(settings.desk.control_socket):
        refuse_taken(settings)
    if as_json:
        print_json(
            {
                "ok": True,
                "mode": str(settings.mode),
                "digest": settings.digest,
                "funds": list(settings.funds),
            }
        )
        return
    names = ", ".join(settings.funds)
    typer.echo(f"good: mode {settings.mode}, {counted(len(settings.funds), 'fund')} ({names})")
    typer.echo(f"digest {settings.digest}")


@told
def show(
    config: ConfigPath = None,
    origin: Origin = False,
    changed: Changed = False,
    as_json: AsJson = False,
) -> None:
    """Print every setting in force, after defaults, environment and credentials, as TOML."""
    from rebalancer.settings.showing import settings_in_force  # noqa: PLC0415 - as above

    found = settings_in_force(config, os.environ)
    load_config(config)  # a document is shown only when a desk could run with it
    if changed:
        found = tuple(setting for setting in found if setting.place is not None)
    if as_json:
        print_json([_setting_document(setting) for setting in found])
        return
    out = console()
    for setting in found:
        unset = setting.written is None
        comment = "" if not setting.secret else "set, hidden"
        if origin:
            place = "default" if setting.place is None else str(setting.place)
            comment = f"{comment}, {place}" if comment else place
        line = f"# {setting.key}" if unset else f"{setting.key} = {setting.written}"
        out.print(
            f"{line}  # {comment}" if comment else line,
            style="dim" if setting.place is None else None,
            markup=False,
            soft_wrap=True,
        )


@told
def schema() -> None:
    """Print the JSON Schema of the configuration file, for editors that check while one types."""
    from rebalancer.settings.schema import document  # noqa: PLC0415 - as above

    typer.echo(document(), nl=False)


def _setting_document(setting: Setting) -> dict[str, Any]:
    return {
        "key": setting.key,
        "value": "hidden" if setting.secret else setting.written,
        "origin": "default" if setting.place is None else str(setting.place),
    }
