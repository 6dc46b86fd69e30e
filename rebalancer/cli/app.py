"""The command line: every command of the program, none of them loaded before it is asked for."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from rebalancer import __version__
from rebalancer.cli.exits import told
from rebalancer.cli.loading import COMPLETE, Command, Group, Listed, lazily

#: in the order in which they are listed
COMMANDS: Mapping[str, Command | Group] = {
    "run": Command("operating", "run"),
    "demo": Command("operating", "demo"),
    "plan": Command("planning", "plan"),
    "apply": Command("applying", "apply"),
    "rebalance": Command("operating", "rebalance"),
    "subscribe": Command("flows", "subscribe"),
    "redeem": Command("flows", "redeem"),
    "flows": Command("flows", "flows"),
    "consolidate": Command("consolidating", "consolidate"),
    "cancel": Command("consolidating", "cancel"),
    "close": Command("states", "close"),
    "halt": Command("states", "halt"),
    "pause": Command("states", "halt", help="The same as halt."),
    "flatten": Command("states", "flatten"),
    "resume": Command("states", "resume"),
    "kill": Command("killing", "kill"),
    "reload": Command("reloading", "reload"),
    "verify": Command("verifying", "verify"),
    "backup": Command("backing_up", "backup"),
    "restore": Command("backing_up", "restore"),
    "upgrade": Command("backing_up", "upgrade"),
    "breaks": Command("breaking", "breaks"),
    "adopt": Command("breaking", "adopt"),
    "settle": Command("breaking", "settle"),
    "explain": Command("explaining", "explain"),
    "triggers": Command("explaining", "triggers"),
    "status": Command("standing", "status"),
    "nav": Command("reading", "nav"),
    "history": Command("reading", "history"),
    "series": Command("consolidating", "series"),
    "schedule": Command("following", "schedule"),
    "orders": Command("following", "orders"),
    "events": Command("following", "events"),
    "backtest": Command("replaying", "backtest"),
    "report": Command("reporting", "report"),
    "simulate": Command("whatif", "simulate"),
    "sweep": Command("sweeping", "sweep"),
    "counterfactual": Command("counterfactual", "counterfactual"),
    "doctor": Command("examining", "doctor"),
    "set-modes": Command("setting_modes", "set_modes"),
    "alerts": Command("alerting", "alerts"),
    "help": Command("helping", "help_"),
    "man": Command("helping", "man"),
    "completion": Command("helping", "completion"),
    "version": Command("helping", "version"),
    "alert": Group(
        "Try the way of an alert.",
        {
            "test": Command("alerting", "send_test"),
        },
    ),
    "webhook": Group(
        "What other programs are told.",
        {
            "replay": Command("alerting", "replay"),
        },
    ),
    "token": Group(
        "Tokens of the HTTP interface.",
        {
            "create": Command("tokens", "create"),
            "list": Command("tokens", "list_tokens"),
            "revoke": Command("tokens", "revoke"),
        },
    ),
    "config": Group(
        "Begin a configuration, and look at it.",
        {
            "init": Command("beginning", "init"),
            "check": Command("configuring", "check"),
            "show": Command("configuring", "show"),
            "schema": Command("configuring", "schema"),
            "diff": Command("reloading", "diff"),
        },
    ),
}


class Program(Listed):
    """The program itself, whose commands typer is not told of: it would load them all."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given | {"commands": lazily(COMMANDS)})


app = typer.Typer(
    name="rebalancer",
    cls=Program,
    help="The rebalancing desk of a leveraged-token platform.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,  # `completion` prints the script and changes no file
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 done, 1 failed, 2 wrong input, 3 partly done, 4 refused, 5 the plan has "
    "orders (--detailed-exitcode), 6 no desk runs, 130 interrupted; any other is a failure.",
)


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rebalancer {__version__}")
        raise typer.Exit


@app.callback()
def program(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Do nothing before a command: what has this is a program of commands, though none is told."""


def main() -> None:
    """Run the command line, or complete it for a shell that asks."""
    if COMPLETE in os.environ:
        from typer._completion_classes import (  # noqa: PLC0415 - for shells; it has no public name
            completion_init,
        )

        completion_init()
    try:
        told(
            app
        )()  # each command tells its own errors: what is left is help that cannot be written
    except typer.Exit as ended:
        sys.exit(ended.exit_code)
    finally:
        # What is left dies with the process: looking through it for cycles would take a fifth of
        # what a small command takes in all.
        gc.freeze()
