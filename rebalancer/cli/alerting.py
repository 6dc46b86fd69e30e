"""Commands about alerts: what is open now, and whether a test arrives."""

from __future__ import annotations

import typer

from rebalancer.cli.exits import told
from rebalancer.cli.operating import ask
from rebalancer.cli.options import AsJson, ConfigPath
from rebalancer.cli.output import console, print_json, table


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
            each["since"],
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
