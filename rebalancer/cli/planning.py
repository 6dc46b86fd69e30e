"""The command that shows what a rebalance would do, or what the rules ask for now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rebalancer.cli.exits import Exit, told
from rebalancer.cli.options import AsJson, ConfigPath, Reason, load_config, spread
from rebalancer.cli.output import (
    console,
    nav,
    print_json,
    table,
    target,
)
from rebalancer.cli.plan_words import deltas, trade_lines, written_times
from rebalancer.cli.proposing import has_orders, proposed, save, show
from rebalancer.cli.snapshots import SnapshotPath, taken_snapshot
from rebalancer.errors import InputRefused

if TYPE_CHECKING:
    from rebalancer.settings import Config

Funds = Annotated[list[str] | None, typer.Argument(help="Only these funds.", show_default=False)]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a plan is to be of, and what becomes of it."""

    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Write the plan to this new file, for `apply`.", show_default=False
        ),
    ] = None
    reason: Reason = "plan of an operator"
    due: Annotated[bool, typer.Option("--due", help="Only what the rules ask for now.")] = False
    no_book: Annotated[
        bool, typer.Option("--no-book", help="Estimate no costs: ask no venue for its order book.")
    ] = False
    detailed: Annotated[
        bool,
        typer.Option("--detailed-exitcode", help="End with 5 where something would be traded."),
    ] = False


ANYTHING = Wanted()


@told
@spread
def plan(
    funds: Funds = None,
    wanted: Wanted = ANYTHING,
    snapshot: SnapshotPath = None,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Show what a rebalance to target would do now: drift, orders, costs, margin after it.

    With --snapshot or --due it shows what the rules themselves ask for, and why.
    """
    settings = load_config(config)
    by_rules = wanted.due or snapshot is not None
    if by_rules and wanted.out is not None:
        raise InputRefused("--out: what rules ask for is done by the desk itself; plan without")
    if by_rules:
        document = _by_rules(settings, snapshot, funds or [])
    else:
        document = proposed(settings, funds or [], wanted.reason, book=not wanted.no_book)
    if as_json:
        print_json(document)
    elif by_rules:
        _print_plan(document)
    else:
        show(document)
    if wanted.out is not None:
        save(document, wanted.out, settings)
    if wanted.detailed and has_orders(document):
        raise typer.Exit(Exit.CHANGES)


def _by_rules(settings: Config, snapshot: Path | None, funds: Sequence[str]) -> dict[str, Any]:
    from rebalancer.sim.plan import plan as plan_of  # noqa: PLC0415 - not needed to print --help

    return _narrowed(plan_of(taken_snapshot(settings, snapshot)), funds)


def _narrowed(document: dict[str, Any], funds: Sequence[str]) -> dict[str, Any]:
    for name in funds:
        if name not in document["funds"]:
            known = ", ".join(document["funds"])
            raise InputRefused(f"there is no fund {name} in the plan; known are {known}")
    if funds:
        document["funds"] = {name: document["funds"][name] for name in funds}
    return document


def _print_plan(document: Mapping[str, Any]) -> None:
    out = console()
    rows = [
        [
            name,
            nav(Decimal(fund["nav"])),
            written_times(fund["leverage"]),
            target(Decimal(fund["target_leverage"])),
            fund["trigger"],
            deltas(fund),
            fund["reason"],
        ]
        for name, fund in document["funds"].items()
    ]
    columns = ("fund", ">NAV", ">leverage", ">target", "trigger", "delta", "why")
    out.print(table(f"Plan as of {document['as_of']}", columns, rows))
    print_orders(document)


def print_orders(document: Mapping[str, Any]) -> None:
    """Print what a plan would order, cross and skip, a line each."""
    out = console()
    for line in trade_lines(document):
        out.print(line)
    if not document["orders"]:
        out.print("no orders")
