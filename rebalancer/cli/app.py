"""The command line: every command of the program, none of them heavy to list."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from rebalancer import __version__
from rebalancer.cli import (
    alerting,
    applying,
    backing_up,
    beginning,
    breaking,
    configuring,
    consolidating,
    counterfactual,
    examining,
    explaining,
    flows,
    following,
    helping,
    killing,
    operating,
    planning,
    reading,
    reloading,
    reporting,
    setting_modes,
    standing,
    states,
    sweeping,
    tokens,
    verifying,
    whatif,
)
from rebalancer.cli.exits import told
from rebalancer.cli.helping import COMPLETE
from rebalancer.cli.output import print_json

#: more than any command needs to say what it does
SENTENCE_CHARACTERS_MAX = 400


class WholeSentences(TyperGroup):
    """A group that lists its commands with what each does in whole, not up to the line's end."""

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


app = typer.Typer(
    name="rebalancer",
    cls=WholeSentences,
    help="The rebalancing desk of a leveraged-token platform.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,  # `completion` prints the script and changes no file
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 done, 1 failed, 2 wrong input, 3 partly done, 4 refused, 5 the plan has "
    "orders (--detailed-exitcode), 6 no desk runs, 130 interrupted; any other is a failure.",
)
token_app = typer.Typer(
    cls=WholeSentences, help="Tokens of the HTTP interface.", no_args_is_help=True
)
webhook_app = typer.Typer(
    cls=WholeSentences, help="What other programs are told.", no_args_is_help=True
)
alert_app = typer.Typer(cls=WholeSentences, help="Try the way of an alert.", no_args_is_help=True)
config_app = typer.Typer(
    cls=WholeSentences, help="Begin a configuration, and look at it.", no_args_is_help=True
)

app.command()(operating.run)
app.command()(operating.demo)
app.command()(planning.plan)
app.command()(applying.apply)
app.command()(operating.rebalance)
app.command()(flows.subscribe)
app.command()(flows.redeem)
app.command()(flows.flows)
app.command()(consolidating.consolidate)
app.command()(consolidating.cancel)
app.command()(states.close)
app.command()(states.halt)
app.command("pause", help="The same as halt.")(states.halt)
app.command()(states.flatten)
app.command()(states.resume)
app.command()(killing.kill)
app.command()(reloading.reload)
app.command()(verifying.verify)
app.command()(backing_up.backup)
app.command()(backing_up.restore)
app.command()(backing_up.upgrade)
app.command()(breaking.breaks)
app.command()(breaking.adopt)
app.command()(explaining.explain)
app.command()(explaining.triggers)
app.command()(standing.status)
app.command()(reading.nav)
app.command()(reading.history)
app.command()(consolidating.series)
app.command()(following.schedule)
app.command()(following.orders)
app.command()(following.events)
app.command()(planning.backtest)
app.command()(reporting.report)
app.command()(whatif.simulate)
app.command()(sweeping.sweep)
app.command()(counterfactual.counterfactual)
app.command()(examining.doctor)
app.command("set-modes")(setting_modes.set_modes)
app.command()(alerting.alerts)
app.command("help")(helping.help_)
app.command()(helping.man)
app.command()(helping.completion)
app.add_typer(alert_app, name="alert")
app.add_typer(webhook_app, name="webhook")
webhook_app.command("replay")(alerting.replay)
alert_app.command("test")(alerting.send_test)
app.add_typer(token_app, name="token")
token_app.command("create")(tokens.create)
token_app.command("list")(tokens.list_tokens)
token_app.command("revoke")(tokens.revoke)
app.add_typer(config_app, name="config")
config_app.command("init")(beginning.init)
config_app.command("check")(configuring.check)
config_app.command("show")(configuring.show)
config_app.command("schema")(configuring.schema)
config_app.command("diff")(reloading.diff)


@app.command()
@told
def version(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the version."""
    if as_json:
        print_json({"version": __version__})
    else:
        typer.echo(f"rebalancer {__version__}")


def main() -> None:
    """Run the command line, or complete it for a shell that asks."""
    if COMPLETE in os.environ:
        from typer._completion_classes import (  # noqa: PLC0415 - for shells; it has no public name
            completion_init,
        )

        completion_init()
    app()


if __name__ == "__main__":
    main()
