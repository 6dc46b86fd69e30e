"""Commands about a configuration and the desk that runs: reload, and what a reload would do."""

from __future__ import annotations

import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from rebalancer.cli.exits import told
from rebalancer.cli.operating import ANSWER_SECONDS, ask_at
from rebalancer.cli.options import AsJson, ConfigPath, load_config
from rebalancer.cli.output import money, print_json
from rebalancer.errors import ConfigRefused

Confirm = Annotated[
    str, typer.Option("--confirm", help="The digest of a large change that is meant.")
]
#: names the socket where the file that should name it is broken, as in the systemd unit
SOCKET_VARIABLE = "REBALANCER__DESK__CONTROL_SOCKET"


@told
def reload(config: ConfigPath = None, confirm: Confirm = "", as_json: AsJson = False) -> None:
    """Have the running desk read its configuration anew; anything wrong changes nothing."""
    request = {"command": "reload", "confirm": confirm}
    try:
        answer = ask_at(load_config(config).desk.control_socket, request, ANSWER_SECONDS)
    except ConfigRefused:
        socket = os.environ.get(SOCKET_VARIABLE)
        if not socket:
            raise
        answer = ask_at(Path(socket), request, ANSWER_SECONDS)  # the desk tells it to all
    if as_json:
        print_json(answer)
    elif not answer["changed"]:
        typer.echo("nothing differs from what is in force")
    else:
        _print_differences(answer)
        for name in answer["waiting"]:
            typer.echo(
                f"{name}: keeps its former settings until its run is over or the next begins"
            )
        typer.echo(f"in force: digest {answer['digest']}")


@told
def diff(config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Say what the file would change in the running desk, and when; nothing is changed."""
    socket = load_config(config).desk.control_socket
    answer = ask_at(socket, {"command": "reload", "check": True}, ANSWER_SECONDS)
    if as_json:
        print_json(answer)
        return
    if not answer["differences"]:
        typer.echo("nothing differs from what is in force")
        return
    _print_differences(answer)
    for name, notional in answer["target_notional"].items():
        before, after = (money(Decimal(notional[key])) for key in ("before", "after"))
        typer.echo(f"{name}: target notional {before} -> {after}")
    for reason in answer["confirm"]:
        typer.echo(f"large: {reason}")
    word = f" --confirm {answer['digest'][:12]}" if answer["confirm"] else ""
    typer.echo(f"to take it over: rebalancer reload{word}")


def _print_differences(answer: Mapping[str, Any]) -> None:
    for each in answer["differences"]:
        before = "unset" if each["before"] is None else each["before"]
        after = "unset" if each["after"] is None else each["after"]
        place = f"  # {each['place']}" if each["place"] else ""
        typer.echo(f"{each['key']}: {before} -> {after} ({each['effect']}){place}")
