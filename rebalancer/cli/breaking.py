"""Commands about breaks: differences between a venue and the records, and what ends them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rebalancer.cli.exits import told
from rebalancer.cli.operating import ask
from rebalancer.cli.options import AsJson, ConfigPath, Reason, spread
from rebalancer.cli.output import console, moment, note, print_json, table, when
from rebalancer.cli.reading import Limit
from rebalancer.cli.stored import opened_alone
from rebalancer.core.money import number as exact
from rebalancer.core.money import positive, text

if TYPE_CHECKING:
    from rebalancer.store.rows import BreakRow

Number = Annotated[int, typer.Argument(help="Number of the break.", min=1)]
Price = Annotated[
    str | None,
    typer.Option(
        "--price",
        help="Price to book at, where the desk has none, or an old one: the contract is gone.",
        show_default=False,
    ),
]
OrderId = Annotated[str, typer.Argument(help="Id of the order.", show_default=False)]
Every = Annotated[bool, typer.Option("--all", help="Also those that ended.")]


@told
def breaks(
    every: Every = False, limit: Limit = 100, config: ConfigPath = None, as_json: AsJson = False
) -> None:
    """Show where a venue and the records differ, why, and the command that repairs it."""
    with opened_alone(config) as reader:
        found = reader.breaks(limit, still_open=not every)
    if as_json:
        print_json({"version": 1, "breaks": [_document(row) for row in found]})
        return
    if not found:
        note("no break is open")
        return
    rows = [
        [
            str(row.number),
            moment(row.found_ms),
            str(row.kind),
            row.account,
            row.contract,
            text(row.units),
            row.cause,
            row.repair if row.how is None else f"{row.how}: {row.end_reason}",
        ]
        for row in found
    ]
    columns = (">#", "found", "kind", "account", "contract", ">units", "cause", "repair")
    console().print(table("", columns, rows))


@told
def adopt(
    number: Number,
    reason: Reason,
    price: Price = None,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Have the running desk book a difference in position to its funds, at the mark."""
    request = {"command": "adopt", "break": str(number), "reason": reason}
    end_break(request | _at(price), config, as_json=as_json)


@dataclass(frozen=True, slots=True)
class Filling:
    """What an order traded, by the venue's own history."""

    filled: Annotated[
        str, typer.Option("--filled", help="Contracts filled in all, what is known included.")
    ]
    price: Annotated[
        str | None,
        typer.Option(
            "--price", help="Average price of what is not on record yet.", show_default=False
        ),
    ] = None
    fee: Annotated[str, typer.Option("--fee", help="Fee of the same, in quote currency.")] = "0"


@told
@spread
def settle(
    order: OrderId,
    reason: Reason,
    filling: Filling,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Tell the running desk what became of an order whose contract is listed no more."""
    numbers = {"filled": filling.filled, "fee": filling.fee}
    for name, value in numbers.items():
        exact(value, f"--{name}")
    request = {"command": "settle", "order": order, "reason": reason, **numbers}
    answer = ask(config, request | _at(filling.price))
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"order {order}: over, {filling.filled} filled in all")


def _at(price: str | None) -> dict[str, str]:
    if price is None:
        return {}
    positive(price, "--price")
    return {"price": price}


def end_break(request: dict[str, Any], config: Any, *, as_json: bool) -> None:
    """Have the running desk end a break: `adopt` books it, `explain` only closes it."""
    answer = ask(config, request)
    command, number = request["command"], request["break"]
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"break {number}: {command}ed; what it halted stays so until its resume")


def _document(row: BreakRow) -> dict[str, Any]:
    return {
        "number": row.number,
        "found_at": when(row.found_ms),
        "kind": str(row.kind),
        "account": row.account,
        "contract": row.contract,
        "units": text(row.units),
        "cause": row.cause,
        "repair": row.repair or None,
        "ended": None if row.how is None else str(row.how),
        "end_reason": row.end_reason,
        "ended_at": None if row.ended_ms is None else when(row.ended_ms),
    }
