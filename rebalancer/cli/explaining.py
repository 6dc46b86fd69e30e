"""Commands that say why: the verdict of a fund at any time, and the prices that would change it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rebalancer.cli.breaking import end_break
from rebalancer.cli.exits import told
from rebalancer.cli.options import AsJson, ConfigPath, fund_names
from rebalancer.cli.output import (
    age,
    base_of,
    console,
    money,
    print_json,
    table,
    target,
    times,
)
from rebalancer.cli.output import nav as nav_text
from rebalancer.cli.reading import FundFilter
from rebalancer.cli.stored import opened
from rebalancer.core.instant import parse
from rebalancer.errors import InputRefused

if TYPE_CHECKING:
    from pathlib import Path

    from rebalancer.sim.explain import Past

Subject = Annotated[
    str,
    typer.Argument(
        help="Name of a fund; or, with --reason, the number of a break.", autocompletion=fund_names
    ),
]
At = Annotated[
    str | None, typer.Option("--at", help="Time in the past, 2026-01-02T02:30:00Z. Default: now.")
]
Why = Annotated[
    str | None,
    typer.Option("--reason", help="Close the break of this number: why nothing is booked."),
]


@told
def explain(
    subject: Subject,
    at: At = None,
    reason: Why = None,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Explain a fund's verdict, now or in the past; or close a break with a reason."""
    if reason is not None:
        if not subject.isdigit() or not int(subject):
            raise InputRefused(f"{subject!r} is not the number of a break")
        request = {"command": "explain", "break": str(int(subject)), "reason": reason}
        end_break(request, config, as_json=as_json)
        return
    from rebalancer.sim.explain import explain as explained  # noqa: PLC0415 - not for --help

    document = explained(_past(config, at), subject)
    if as_json:
        print_json(document)
        return
    verdict, out = document["verdict"], console()
    rule = "" if verdict["trigger"] == "none" else f"{verdict['trigger']}: "
    out.print(f"{subject} at {document['at']}: {rule}{verdict['reason']}")
    nav, formula_nav = (nav_text(_number(document[name])) for name in ("nav", "formula_nav"))
    out.print(
        f"NAV {nav}, formula NAV {formula_nav}, leverage {times(_number(document['leverage']))} "
        f"of {target(_number(document['target_leverage']))}, {document['trading']}"
    )
    for symbol, price in document["prices"].items():
        told_by = document["price_source"]
        out.print(f"{symbol}: {told_by} {price['price']}, {age(price['age_ms'])} old")
    for rule, due in document["due"].items():
        out.print(f"{rule} is due {due}")
    _print_triggers([{"fund": subject} | each for each in document["triggers"]])


@told
def triggers(
    fund: FundFilter = None, at: At = None, config: ConfigPath = None, as_json: AsJson = False
) -> None:
    """List the exact prices at which each rule of each fund would fire, the nearest first."""
    from rebalancer.sim.explain import trigger_document, triggers_of  # noqa: PLC0415 - as above

    past = _past(config, at)
    if fund is not None and fund not in past.state.funds:
        known = ", ".join(past.state.funds)
        raise InputRefused(f"there is no fund {fund}; the configuration has {known}")
    found = [
        {"fund": name} | trigger_document(each)
        for name, state in past.state.funds.items()
        if fund in (None, name)
        for each in triggers_of(past, state)
    ]
    if as_json:
        print_json({"version": 1, "triggers": found})
    else:
        _print_triggers(found)


def _past(config: Path | None, at: str | None) -> Past:
    from rebalancer.configured import desk_of  # noqa: PLC0415 - as above
    from rebalancer.desk.recovery import refuse_lost_funds  # noqa: PLC0415 - as above
    from rebalancer.sim.explain import desk_at  # noqa: PLC0415 - as above

    with opened(config) as (settings, reader):
        records, prices, views = reader.records(), reader.prices(), reader.views()
    desk = desk_of(settings)
    refuse_lost_funds(desk.funds, records)
    told_ms = max((view.at_ms for view in views), default=0)
    # The desk saves one price age per fund; a contract is as old as its oldest fund says.
    ages: dict[str, int] = {}
    for view in views:
        if view.price_at_ms is not None and view.fund in desk.funds:
            for symbol in desk.funds[view.fund].symbols:
                ages[symbol] = min(ages.get(symbol, view.price_at_ms), view.price_at_ms)
    last_ms = max((record.at_ms for record in records), default=0)
    at_ms = max(told_ms, last_ms) if at is None else parse(at, "--at")
    known = {symbol: (price, ages.get(symbol, told_ms)) for symbol, price in prices.items()}
    return desk_at(desk, records, at_ms, known)


def _print_triggers(found: list[dict[str, Any]]) -> None:
    rows = [
        [
            each["fund"],
            each["trigger"],
            each["fires"],
            ", ".join(
                f"{base_of(symbol)} {money(Decimal(price))}"
                for symbol, price in each["prices"].items()
            ),
            each["source"],
            f"{Decimal(each['move']) * 100:+.2f} %",
        ]
        for each in found
    ]
    columns = ("fund", "rule", "fires", ">price", "source", ">distance")
    console().print(table("", columns, nearest_only(rows)))


def nearest_only(rows: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """Leave the first of what fires alike: both NAVs can end a fund, at nearly one price."""
    told: dict[tuple[str, ...], Sequence[str]] = {}
    for row in rows:
        contracts = (each.partition(" ")[0] for each in row[3].split(", "))
        told.setdefault((*row[:3], *contracts), row)
    return [*told.values()]


def _number(written: str | None) -> Decimal | None:
    return None if written is None else Decimal(written)
