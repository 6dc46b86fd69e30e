"""The counterfactual command: one day under other rules, and what they cost on all others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rebalancer.cli.exits import told
from rebalancer.cli.options import AsJson, ConfigPath, load_config, spread
from rebalancer.cli.output import NONE, console, nav, print_json, table
from rebalancer.cli.replaying import Funding, Prices, histories_of
from rebalancer.errors import InputRefused

if TYPE_CHECKING:
    from rebalancer.core.state import Desk
    from rebalancer.feeds.candles import History
    from rebalancer.sim.backtest import Outcome


@dataclass(frozen=True, slots=True)
class Question:
    """Which fund, which day, and how often somebody looks."""

    fund: Annotated[str, typer.Option("--fund", help="The fund to put under other rules.")]
    day: Annotated[str, typer.Option("--day", help="The UTC day, 2020-03-12.")]
    every: Annotated[
        str | None,
        typer.Option(
            "--every",
            help="How often prices are looked at, 1h,4h,24h. Default: 1h,4h,8h,24h, those of them "
            "at which prices come.",
            show_default=False,
        ),
    ] = None


@spread
@told
def counterfactual(
    prices: Prices,
    question: Question,
    funding: Funding = None,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Show a day under other rules: which would have saved the fund, and what each costs."""
    from rebalancer.configured import desk_of, paper_costs_of  # noqa: PLC0415 - not for --help
    from rebalancer.core.instant import parse, parse_duration  # noqa: PLC0415 - as above
    from rebalancer.sim.counterfactual import counterfactual as asked  # noqa: PLC0415 - as above
    from rebalancer.sim.counterfactual import usual_intervals_ms  # noqa: PLC0415 - as above

    settings = load_config(config)
    desk, costs = desk_of(settings), paper_costs_of(settings)
    chosen = desk.funds.get(question.fund)
    if chosen is None:
        raise InputRefused(f"--fund {question.fund}: known are {', '.join(desk.funds)}")
    histories = histories_of(settings, prices, funding or [])
    mine = {symbol: histories[symbol] for symbol in chosen.symbols if symbol in histories}
    if len(mine) < len(chosen.symbols):
        raise InputRefused(f"--prices: {question.fund} holds {', '.join(chosen.symbols)}")
    intervals_ms = usual_intervals_ms(mine)
    if question.every is not None:
        intervals_ms = [parse_duration(each, "--every") for each in question.every.split(",")]

    def run(known: Desk, parts: Mapping[str, History]) -> Outcome:
        return outcome(known, parts, costs)

    document = asked(
        replace(desk, funds={question.fund: chosen}),
        mine,
        parse(f"{question.day}T00:00:00Z", "--day"),
        run,
        intervals_ms,
    )
    if as_json:
        print_json(document)
    else:
        _print(document)


def outcome(desk: Desk, histories: Mapping[str, History], costs: Mapping[str, Any]) -> Outcome:
    """Run a backtest by arrays where they are installed, else by the engine."""
    from rebalancer.sim.backtest import backtest  # noqa: PLC0415 - not needed to print --help

    try:
        from rebalancer.fast.backtest import fast_backtest  # noqa: PLC0415 - an extra
        from rebalancer.fast.tape import Tapes  # noqa: PLC0415 - as above
    except ImportError:
        return backtest(desk, histories, costs)
    return fast_backtest(desk, Tapes(histories), costs)


def _print(document: Mapping[str, Any]) -> None:
    rows = [
        [
            way["rule"],
            way["every"],
            _fate(way["saved"]),
            _nav(way["nav_before"]),
            _nav(way["nav_after"]),
            str(way["runs"]),
            NONE
            if way["ordinary_bp_a_day"] is None
            else f"{Decimal(way['ordinary_bp_a_day']):.2f}",
            way["ordinary_wiped"] or "",
        ]
        for way in document["ways"]
    ]
    columns = (
        "beside the daily run",
        "looks every",
        "fund",
        ">NAV before",
        ">NAV after",
        ">runs",
        ">bp on other days",
        "wiped later",
    )
    told = [n for n in range(len(columns)) if any(row[n] not in {"", NONE} for row in rows)]
    shown = [[row[n] for n in told] for row in rows]
    title = f"{document['fund']} on {document['day']}"
    console().print(table(title, [columns[n] for n in told], shown))


def _fate(saved: bool | None) -> str:
    return NONE if saved is None else "lives" if saved else "is wiped"


def _nav(value: str | None) -> str:
    return nav(None if value is None else Decimal(value))
