"""Commands about what is told to the outside: open alerts, a test, and events told again."""

from __future__ import annotations

from typing import Annotated

import typer

from rebalancer.cli.exits import told
from rebalancer.cli.operating import ask
from rebalancer.cli.options import AsJson, ConfigPath
from rebalancer.cli.output import console, moment, print_json, table
from rebalancer.core.instant import parse, parse_duration


@told
def alerts(config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Show the alerts whose cause lasts, the gravest first; the desk must run."""
    answer = ask(config, {"command": "alerts"})
    if as_json:
        print_json({"alerts": answer["alerts"]})
        return
    if not answer["alerts"]:
        typer.echo("no alert is open")
        return
    columns = ("since", "severity", "alert", "subject", ">times", "what")
    rows = [
        [
            moment(parse(each["since"])),
            each["severity"],
            each["name"],
            each["subject"],
            str(each["count"]),
            each["text"],
        ]
        for each in answer["alerts"]
    ]
    console().print(table("", columns, rows))


@told
def send_test(config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Raise an alert that means nothing, to see where it arrives."""
    answer = ask(config, {"command": "alert-test"})
    if as_json:
        print_json({"text": answer["text"]})
    else:
        typer.echo(f"raised: {answer['text']}")


@told
def replay(
    name: Annotated[str, typer.Argument(help="The receiver: X of [webhooks.X].")],
    since: Annotated[str, typer.Option("--since", help="How far back: 2h, 3d; a week.")] = "1d",
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Send a receiver again what it was told, under the same ids; the desk must run."""
    length_ms = parse_duration(since, "--since")
    answer = ask(config, {"command": "webhook-replay", "name": name, "length_ms": length_ms})
    if as_json:
        print_json({"count": answer["count"]})
    else:
        typer.echo(f"{answer['count']} events go to {name} again")
