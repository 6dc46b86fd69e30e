"""What commands print: tables for people on standard output, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.table import Table

from rebalancer.core.instant import duration, iso

#: shown where there is nothing to show
NONE = "-"


def console() -> Console:
    """Return a console on standard output; wide enough for whole tables where it is no terminal."""
    out = Console(highlight=False)
    return out if out.is_terminal else Console(highlight=False, width=120)


def print_json(document: Any) -> None:
    """Write `document` as JSON; decimals must be text by now."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def note(sentence: str) -> None:
    """Tell a person something beside the data, on standard error."""
    sys.stderr.write(f"{sentence}\n")


def table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, heads: bool = True
) -> Table:
    """Return a table; columns whose name begins with ">" are set flush right."""
    made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    made.show_header = heads
    for name in columns:
        right = name.startswith(">")
        made.add_column(
            name.removeprefix(">"),
            justify="right" if right else "left",
            no_wrap=right,
            header_style="dim",
        )
    for row in rows:
        made.add_row(*row)
    return made


def money(value: Decimal | None, places: int = 2) -> str:
    """Write an amount with thousands separators."""
    return NONE if value is None else f"{value:,.{places}f}"


def nav(value: Decimal | None) -> str:
    """Write a NAV with four decimals, or eight significant digits where it is small."""
    if value is None:
        return NONE
    return f"{value:,.4f}" if abs(value) >= 1 or value == 0 else f"{value:.8f}"


def times(value: Decimal | None) -> str:
    """Write a leverage: 2.7391x."""
    return NONE if value is None else f"{value:.4f}x"


def when(at_ms: int | None) -> str:
    """Write an instant, or a dash."""
    return NONE if at_ms is None else iso(at_ms)


def age(length_ms: int | None) -> str:
    """Write how old something is, or a dash."""
    return NONE if length_ms is None else duration(max(0, length_ms))


def base_of(symbol: str) -> str:
    """Return the base coin of a contract: BTC of BTC/USDT:USDT."""
    return symbol.partition("/")[0]
