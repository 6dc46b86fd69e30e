"""What commands print: tables for people on standard output, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from rebalancer.core.instant import SECOND_MS, duration, iso

#: shown where there is nothing to show
NONE = "-"


#: more columns than any table needs
_WIDEST = 1_000


class WholeTables(Console):
    """A console that never cuts a number off: a table that is too wide runs over the edge."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as `Console.print` does, a table at its least width at least."""
        before = self._width
        for each in objects:
            if isinstance(each, Table):
                room = self.options.update(width=_WIDEST)
                least = Measurement.get(self, room, each).minimum
                self._width = max(self.width, least)
        try:
            super().print(*objects, **options)
        finally:
            self._width = before


def console() -> Console:
    """Return a console on standard output; wide enough for whole tables where it is no terminal."""
    out = WholeTables(highlight=False)
    return out if out.is_terminal else WholeTables(highlight=False, width=120)


def print_json(document: Any) -> None:
    """Write `document` as JSON; decimals must be text by now."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def note(sentence: str) -> None:
    """Tell a person something beside the data, on standard error."""
    sys.stderr.write(f"{sentence}\n")


def table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, heads: bool = True
) -> Table:
    """Return a table; columns whose name begins with ">" are set flush right.

    Where the terminal is narrow only columns of words are broken: numbers, names and times are not.
    """
    made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    made.show_header = heads
    for place, name in enumerate(columns):
        right, words = name.startswith(">"), any(" " in row[place] for row in rows)
        made.add_column(
            name.removeprefix(">"),
            justify="right" if right else "left",
            no_wrap=right or not words,
            header_style="dim",
        )
    for row in rows:
        made.add_row(*row)
    return made


def money(value: Decimal | None, places: int = 2) -> str:
    """Write an amount with thousands separators."""
    if value is None:
        return NONE
    written = f"{value:,.{places}f}"
    return written.removeprefix("-") if not written.strip("-0.,") else written


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


def moment(at_ms: int | None) -> str:
    """Write an instant for a person: to the second; or a dash."""
    return NONE if at_ms is None else iso(at_ms - at_ms % SECOND_MS)


def share(ratio: Decimal | None) -> str:
    """Write a move of prices for a person: -33.3 %; or a dash where it is none that happens."""
    return NONE if ratio is None or abs(ratio) > 10 else f"{ratio * 100:+.1f} %"


def age(length_ms: int | None) -> str:
    """Write how old something is, or a dash."""
    return NONE if length_ms is None else duration(max(0, length_ms))


def base_of(symbol: str) -> str:
    """Return the base coin of a contract: BTC of BTC/USDT:USDT."""
    return symbol.partition("/")[0]
