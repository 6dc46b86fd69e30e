"""Commands that follow what happens: what comes next, what was ordered, what was recorded."""

from __future__ import annotations

import json
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rebalancer.cli.exits import told
from rebalancer.cli.operating import is_running
from rebalancer.cli.options import AsJson, ConfigPath
from rebalancer.cli.output import (
    NONE,
    age,
    console,
    largest,
    moment,
    money,
    print_json,
    short,
    table,
    when,
)
from rebalancer.cli.places import Places
from rebalancer.cli.reading import FundFilter, Limit
from rebalancer.cli.stored import desk_now_ms, opened, opened_alone
from rebalancer.core.instant import iso, parse_duration
from rebalancer.core.money import text
from rebalancer.errors import InputRefused

if TYPE_CHECKING:
    from rebalancer.core.fund import Fund
    from rebalancer.store.reader import SqlReader
    from rebalancer.store.rows import FixedRow, JournalRow, OrderRow

Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, to ctrl-c.")]
Compare = Annotated[
    str | None,
    typer.Option(
        "--compare",
        help="Another store, of a dry run or of a live desk: run by run what each did.",
        show_default=False,
    ),
]
Within = Annotated[
    str, typer.Option("--within", help="With --compare: runs so near belong together.")
]
POLL_SECONDS = 0.5
#: of an instant to the millisecond, so that what follows stands in columns
_INSTANT_WIDTH = 24
#: what goes on in the next line of a terminal stands behind so many blanks
_INDENT = 4
#: of a digest, enough to tell two apart; programs get all of it
_DIGEST_WIDTH = 12


@told
def schedule(
    fund: FundFilter = None, limit: Limit = 10, config: ConfigPath = None, as_json: AsJson = False
) -> None:
    """Show the next fixed rebalances, and what became of each fund's last one."""
    with opened(config) as (settings, reader):
        running = is_running(settings.desk.control_socket)
        views = reader.views()
        now_ms = desk_now_ms(Places.of(settings), views, running=running)
        # One that is launched and has no next time is ended, flat or nobody's.
        idle = [each.fund for each in views if each.equity is not None and not each.next_fixed_ms]
        chosen = _chosen(settings.funds, fund)
        last = {name: next(iter(reader.fixed(name, 1)), None) for name in chosen}
    runs = {name: each for name, each in chosen.items() if name not in idle}
    coming = sorted(_coming(runs, now_ms, limit))[:limit]
    if as_json:
        print_json([_due_document(due_ms, name, last[name]) for due_ms, name in coming])
        return
    rows = [
        [
            when(due_ms),
            age(due_ms - now_ms),
            name,
            NONE if (row := last[name]) is None else when(row.due_ms),
            NONE if row is None else str(row.settlement),
            # A run was opened because the time had come: only what came in between is worth a word.
            "" if row is None or row.settlement == "run" else row.reason,
        ]
        for due_ms, name in coming
    ]
    columns = ("next", ">in", "fund", "last", "result", "reason")
    console().print(table("", columns, rows))


def _chosen(funds: Mapping[str, Fund], fund: str | None) -> dict[str, Fund]:
    if fund is not None and fund not in funds:
        raise InputRefused(f"there is no fund {fund}; the configuration has {', '.join(funds)}")
    return {name: each for name, each in funds.items() if fund in (None, name)}


def _coming(funds: Mapping[str, Fund], after_ms: int, limit: int) -> Iterator[tuple[int, str]]:
    for name, fund in funds.items():
        rule, due_ms = fund.methodology.fixed, after_ms
        for _ in range(limit if rule is not None else 0):
            assert rule is not None  # noqa: S101 - for the type checker; the range is empty
            due_ms = rule.next_due_ms(due_ms)
            yield due_ms, name


def _due_document(due_ms: int, fund: str, last: FixedRow | None) -> dict[str, Any]:
    return {
        "due": iso(due_ms),
        "fund": fund,
        "last": None
        if last is None
        else {"due": iso(last.due_ms), "result": str(last.settlement), "reason": last.reason},
    }


@told
def orders(
    limit: Limit = 20,
    compare: Compare = None,
    within: Within = "10m",
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Show the latest orders, newest first; or hold runs and orders against another store's."""
    within_ms = parse_duration(within, "--within")
    with opened_alone(config) as reader:
        if compare is not None:
            from rebalancer.cli import comparing  # noqa: PLC0415 - not needed to print --help

            sides = comparing.both(reader, compare, limit, within_ms)
            print_json(sides.document()) if as_json else comparing.show(sides)
            return
        found, views = reader.orders(limit), reader.views()
    if as_json:
        print_json([_order_document(order) for order in found])
        return
    # What is the same for all is left out, so that an id fits on the line.
    accounts = len({order.account for order in found}) > 1
    funds = len(views) > 1
    hedged = any(order.position_side != "net" for order in found)
    reasons = any(order.reason for order in found)
    rows = [
        [
            moment(order.created_ms),
            *([order.account] if accounts else []),
            *([largest(order.wanted)] if funds else []),
            order.contract,
            f"{order.side} {order.position_side}" if hedged else str(order.side),
            f"{order.contracts:f}",
            f"{order.filled_contracts:f}",
            money(order.limit_price),
            str(order.status),
            order.client_order_id,
            *([order.reason] if reasons else []),
        ]
        for order in found
    ]
    columns = ["at", *(["account"] if accounts else []), *(["for"] if funds else [])]
    columns += ["contract", "side", ">contracts", ">filled", ">limit", "status", "id"]
    columns += ["why"] if reasons else []
    console().print(table("", columns, rows))


def _order_document(order: OrderRow) -> dict[str, Any]:
    document = {part.name: _plain(getattr(order, part.name)) for part in fields(order)}
    document["at"] = iso(document.pop("created_ms"))
    return document


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return text(value)
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    return str(value) if isinstance(value, StrEnum) else value


@told
def events(
    limit: Limit = 20, follow: Follow = False, config: ConfigPath = None, as_json: AsJson = False
) -> None:
    """Show the latest records of the journal, oldest first, one line each."""
    width = console().width if sys.stdout.isatty() else None
    with opened_alone(config) as reader:
        for row in _rows(reader, limit, follow=follow):
            line = json.dumps(_event_document(row)) if as_json else _event_line(row, width)
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


def _rows(reader: SqlReader, limit: int, *, follow: bool) -> Iterator[JournalRow]:
    seen = max(0, reader.journal_end() - limit)
    while True:
        page = reader.journal(seen)
        yield from page
        if page:
            seen = page[-1].seq
        elif follow:
            time.sleep(POLL_SECONDS)
        else:
            return


def _event_document(row: JournalRow) -> dict[str, Any]:
    from rebalancer.store.codec import CODEC  # noqa: PLC0415 - not needed to print --help

    encoded = CODEC.encode(row.record)
    return {
        "seq": row.seq,
        "at": iso(encoded.at_ms),
        "kind": encoded.kind,
        "record": json.loads(encoded.body),
    }


def _event_line(row: JournalRow, width: int | None) -> str:
    """Return a record as a line; on a terminal it goes on indented where it has no room."""
    words = " ".join(_words(row.record))
    at, kind = iso(row.record.at_ms), type(row.record).__name__
    line = f"{at:<{_INSTANT_WIDTH}}  {row.seq:>6}  {kind:<16} {words}"
    if width is None:
        return line
    hanging = " " * _INDENT
    return textwrap.fill(
        line, width, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False
    )


def _words(noun: Any) -> Iterator[str]:
    """Yield the parts of a record that fit on a line: its names, numbers and reasons."""
    for part in fields(noun):
        value = getattr(noun, part.name)
        if is_dataclass(value):
            yield from _words(value)
        elif isinstance(value, Decimal):
            yield f"{part.name}={short(value)}"
        elif isinstance(value, Mapping):
            inner = ", ".join(f"{key}: {_brief(each)}" for key, each in value.items())
            if inner:
                yield f"{part.name}={{{inner}}}"
        elif part.name.endswith("digest") and value:
            yield f"{part.name}={value[:_DIGEST_WIDTH]}"
        elif isinstance(value, str) and value:
            yield f"{part.name}={value}" if part.name != "reason" else f"({value})"


def _brief(value: Any) -> Any:
    return short(value) if isinstance(value, Decimal) else value
