"""Commands for capital: subscribe to a fund, redeem its shares, or hand in a file of both."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from rebalancer.cli.exits import Exit, told
from rebalancer.cli.operating import ask
from rebalancer.cli.options import AsJson, ConfigPath, FundName
from rebalancer.cli.output import console, money, nav, print_json, table
from rebalancer.core.money import number, positive
from rebalancer.errors import InputRefused

COLUMNS = ("fund", "kind", "amount", "key", "min_out")
_NEEDED = COLUMNS[:3]

Key = Annotated[
    str,
    typer.Option("--key", help="The holder's key: the same key is the same request."),
]
MinOut = Annotated[
    str, typer.Option("--min-out", help="Fewest shares, or least cash, that is acceptable.")
]


@told
def subscribe(
    fund: FundName,
    amount: Annotated[str, typer.Option("--amount", help="Cash, in quote currency.")],
    key: Key,
    min_out: MinOut = "0",
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Have the running desk issue shares of a fund for cash, at its account NAV."""
    _refuse_no_number(amount, "--amount", min_out, "--min-out")
    _send(config, [_flow(fund, "subscribe", amount, key, min_out)], as_json=as_json)


@told
def redeem(
    fund: FundName,
    shares: Annotated[str, typer.Option("--shares", help="Shares given back.")],
    key: Key,
    min_out: MinOut = "0",
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Have the running desk take back shares of a fund for cash, at its account NAV."""
    _refuse_no_number(shares, "--shares", min_out, "--min-out")
    _send(config, [_flow(fund, "redeem", shares, key, min_out)], as_json=as_json)


@told
def flows(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV with fund, kind (subscribe or redeem), amount and optionally key, min_out.",
            show_default=False,
        ),
    ],
    batch: Annotated[
        str, typer.Option("--batch", help="Id of the file: handed in twice it counts once.")
    ],
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Hand the running desk a file of subscriptions and redemptions: all of it, or nothing."""
    if not batch.strip():
        raise InputRefused("--batch: must not be empty")
    _send(config, list(_read(file, batch)), batch=batch, as_json=as_json)


def _refuse_no_number(amount: str, amount_at: str, min_out: str, min_out_at: str) -> None:
    """Raise InputRefused that names the place, before a desk is asked."""
    positive(amount, amount_at)
    number(min_out, min_out_at)


def _flow(fund: str, kind: str, amount: str, key: str, min_out: str) -> dict[str, str]:
    return {"fund": fund, "kind": kind, "amount": amount, "key": key, "min_out": min_out}


def _read(file: Path, batch: str) -> Iterator[dict[str, str]]:
    """Yield the rows; a row without a key of its own is known by the batch and its line."""
    try:
        content = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputRefused(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputRefused(f"{file}: is not UTF-8 text") from None
    rows = csv.DictReader(io.StringIO(content), strict=True)
    try:
        _refuse_header(file, rows.fieldnames or ())
        for row in rows:
            yield _read_row(row, f"{file}:{rows.line_num}", f"{batch}/{rows.line_num}")
    except csv.Error as error:
        raise InputRefused(f"{file}:{rows.line_num}: is not CSV: {error}") from None


def _refuse_header(file: Path, header: Any) -> None:
    for name in _NEEDED:
        if name not in header:
            raise InputRefused(f"{file}:1: the column {name} is missing")
    for name in header:
        if name not in COLUMNS:
            raise InputRefused(f"{file}:1: unknown column {name!r}; known are {', '.join(COLUMNS)}")


def _read_row(row: Mapping[Any, Any], where: str, key: str) -> dict[str, str]:
    if None in row or None in row.values():
        raise InputRefused(f"{where}: does not have as many fields as the first line")
    values = {str(name): str(value).strip() for name, value in row.items()}
    for name in _NEEDED:
        if not values[name]:
            raise InputRefused(f"{where}: {name} is empty")
    amount, min_out = values["amount"], values.get("min_out") or "0"
    _refuse_no_number(amount, f"{where}: amount", min_out, f"{where}: min_out")
    return _flow(values["fund"], values["kind"], amount, values.get("key") or key, min_out)


def _send(
    config: Path | None, requests: list[dict[str, str]], *, as_json: bool, batch: str = ""
) -> None:
    answer = ask(config, {"command": "flows", "flows": requests, "batch": batch})
    _show(answer["flows"]) if not as_json else print_json(answer)
    code = _code([each["status"] for each in answer["flows"]])
    if code is not Exit.DONE:
        raise typer.Exit(code)


def _code(statuses: Sequence[str]) -> Exit:
    """All of it taken, now or before, is success; some of it is partial; none of it is refused."""
    refused = statuses.count("refused")
    if not refused:
        return Exit.DONE
    return Exit.REFUSED if refused == len(statuses) else Exit.PARTIAL


def _show(dealt: Sequence[Mapping[str, Any]]) -> None:
    rows = [
        [
            str(each["fund"]),
            str(each["key"]),
            str(each["status"]),
            str(each.get("shares", "")),
            *(_amount(each, name) for name in ("cash", "fee")),
            nav(Decimal(each["nav"])) if "nav" in each else "",
            str(each.get("reason", "")),
        ]
        for each in dealt
    ]
    columns = ("fund", "key", "status", ">shares", ">cash", ">fee", ">NAV", "why")
    console().print(table("Flows", columns, rows))


def _amount(flow: Mapping[str, Any], name: str) -> str:
    return money(Decimal(flow[name])) if name in flow else ""
