"""The what-if command: what the desk would do, and how it would stand, after a shock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rebalancer.cli.exits import told
from rebalancer.cli.explaining import nearest_only
from rebalancer.cli.options import AsJson, ConfigPath, load_config
from rebalancer.cli.output import (
    NONE,
    base_of,
    console,
    money,
    nav,
    note,
    print_json,
    table,
)
from rebalancer.cli.plan_words import written_times
from rebalancer.cli.planning import print_orders
from rebalancer.cli.snapshots import SnapshotPath, taken_snapshot
from rebalancer.core.instant import duration
from rebalancer.core.money import counted
from rebalancer.errors import InputRefused

if TYPE_CHECKING:
    from rebalancer.sim.snapshot import Snapshot

Shocks = Annotated[
    list[str] | None,
    typer.Option("--shock", help='"BTC/USDT:USDT=-20%"; once per contract.', show_default=False),
]
Ladder = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=99,
        help="Every price from so many % down to so many up, in steps of one: who fires where.",
        show_default=False,
    ),
]


@told
def simulate(
    shock: Shocks = None,
    ladder: Ladder = None,
    snapshot: SnapshotPath = None,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Show what a shock would do to the live book: rules that fire, orders, margin, distances."""
    from rebalancer.sim.shock import simulate as simulated  # noqa: PLC0415 - not for --help

    if bool(shock) is (ladder is not None):
        raise InputRefused("give --shock or --ladder, one of the two")
    shocks = shocks_of(shock or [])
    taken = taken_snapshot(load_config(config), snapshot)
    document = simulated(taken, shocks) if ladder is None else _rungs(taken, ladder)
    if as_json:
        print_json(document)
    elif ladder is None:
        _print(document)
    else:
        _print_ladder(document)


def _rungs(taken: Snapshot, most_percent: int) -> dict[str, Any]:
    try:
        from rebalancer.fast.ladder import ladder as climbed  # noqa: PLC0415 - an extra
    except ImportError as missing:
        raise InputRefused(
            f"--ladder needs {missing.name}: install the desk with its extra, rebalancer[sim]"
        ) from None
    percents = range(-most_percent, most_percent + 1)
    return climbed(taken, [Decimal(percent) / 100 for percent in percents])


def _print_ladder(document: Mapping[str, Any]) -> None:
    for name, reason in document["left_out"].items():
        note(f"{name} is left out: {reason}; use --shock")
    rows = []
    for rung in document["rungs"]:
        bought, sold = _bought_and_sold(rung["fixed_run"])
        fires = ", ".join(f"{len(names)} {rule}" for rule, names in rung["fires"].items())
        worst = nav(Decimal(rung["least_nav"]))
        rows.append([f"{Decimal(rung['shock']) * 100:+.0f} %", fires or NONE, worst, bought, sold])
    columns = (">all prices", "funds that fire", ">lowest NAV", ">a fixed run buys", ">sells")
    console().print(
        table(f"A ladder of shocks, {counted(document['funds'], 'fund')}", columns, rows)
    )


def _bought_and_sold(orders: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    notionals = [Decimal(order["notional"]) for order in orders]
    bought = sum((each for each in notionals if each > 0), Decimal(0))
    sold = sum((-each for each in notionals if each < 0), Decimal(0))
    return money(bought), money(sold)


def shocks_of(given: Sequence[str]) -> dict[str, Decimal]:
    """Read "BTC/USDT:USDT=-20%" as -0.2; raises InputRefused with the remedy."""
    from rebalancer.core.money import number  # noqa: PLC0415 - not needed to print --help

    found: dict[str, Decimal] = {}
    for each in given:
        symbol, separator, size = each.rpartition("=")
        percent = size.strip().removesuffix("%")
        if not separator or percent == size.strip():
            raise InputRefused(f'--shock {each!r}: write it as "BTC/USDT:USDT=-20%"')
        if symbol in found:
            raise InputRefused(f"--shock: {symbol} stands twice")
        found[symbol] = number(percent, f"--shock {symbol}") / 100
    return found


def _print(document: Mapping[str, Any]) -> None:
    out = console()
    shocks = ", ".join(
        f"{symbol} {Decimal(move) * 100:+f} %" for symbol, move in document["shocks"].items()
    )
    delevered = any(fund["delever_ms"] for fund in document["funds"].values())
    rows = [
        [
            name,
            f"{nav(Decimal(fund['nav_before']))} -> {nav(Decimal(fund['nav']))}",
            f"{written_times(fund['leverage_before'])} -> {written_times(fund['leverage'])}",
            fund["trigger"],
            ", ".join(
                f"{money(Decimal(notional))} {base_of(symbol)}"
                for symbol, notional in fund["delta_notional"].items()
                if Decimal(notional)
            )
            or NONE,
            *([duration(fund["delever_ms"] or 0)] if delevered else []),
            fund["reason"],
        ]
        for name, fund in document["funds"].items()
    ]
    takes = [">takes"] if delevered else []
    columns = ("fund", ">NAV", ">leverage", "trigger", ">to trade", *takes, "why")
    out.print(table(f"After {shocks or 'no shock'}, as of {document['as_of']}", columns, rows))
    print_orders(document)
    fires = [
        _rule(name, each) for name, fund in document["funds"].items() for each in fund["triggers"]
    ]
    rule_heads = ("fund", "rule", "fires", ">price", ">from before", "reached")
    title = "Rules and the prices at which they fire"
    out.print(table(title, rule_heads, nearest_only(fires)))
    footing = []
    for name, account in document["accounts"].items():
        footing.append(_footing(name, "", account))
        footing += [_footing("", fund, each) for fund, each in account["funds"].items()]
    heads = (
        "account",
        "fund",
        ">equity",
        ">exposure",
        ">initial",
        ">maintenance",
        ">liquidation",
    )
    out.print(
        table(
            "Footing right after it, before any trade: margins, and where liquidation comes",
            heads,
            footing,
        )
    )


def _rule(fund: str, each: Mapping[str, Any]) -> list[str]:
    reached = {True: "yes", False: "no", None: "its members move apart"}
    return [
        fund,
        each["trigger"],
        each["fires"],
        ", ".join(f"{base_of(name)} {money(Decimal(at))}" for name, at in each["prices"].items()),
        f"{Decimal(each['move']) * 100:+.2f} %",
        reached[each["reached"]],
    ]


def _footing(account: str, fund: str, each: Mapping[str, Any]) -> list[str]:
    move = each["liquidation_move"]
    return [
        account,
        fund,
        money(Decimal(each["equity"])),
        money(Decimal(each["exposure"])),
        money(Decimal(each["initial_margin"])),
        money(Decimal(each["maintenance_margin"])),
        NONE if move is None else f"{Decimal(move) * 100:+.2f} %",
    ]
