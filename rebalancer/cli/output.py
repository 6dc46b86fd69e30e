"""What commands print: tables for people on standard output, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from rebalancer.core.instant import SECOND_MS, duration, iso

#: shown where there is nothing to show
NONE = "-"


#: between two columns, and before what stands under its row
_GAP, _INDENT = 2, 4
#: words in the last column are broken into lines of so much at least, else they go under their row
_WORDS_LEAST = 24


class WholeTables(Console):
    """A console that never cuts a number off: a table that is too wide runs over the edge."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as `Console.print` does, and crop nothing."""
        super().print(*objects, crop=False, **options)


class Listing:
    """Rows under their heads, laid out for the width there is; no number and no name is broken.

    What of the last column finds too little room there stands under its row, indented. Where more
    than that has no room, whole columns go there, each cell behind the name of its column.
    """

    def __init__(
        self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, heads: bool
    ) -> None:
        self._title = title
        self._columns = columns
        self._rows = rows
        self._heads = heads
        cells = [
            [name.removeprefix(">"), *(row[n] for row in rows)] for n, name in enumerate(columns)
        ]
        self._widths = [max(map(cell_len, each)) for each in cells]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._title:
            yield Text(self._title, style="bold")
        count, width, wide = len(self._columns), options.max_width, self._widths[-1]
        least = wide if self._is_number(-1) else min(wide, _WORDS_LEAST, -(-wide // 2))
        if self._width_of(count - 1) + _GAP + least <= width:
            yield self._table(count)
            return
        kept = max((n for n in range(1, count) if self._width_of(n) <= width), default=1)
        yield from self._with_rest_below(console, options, kept)

    def _with_rest_below(
        self, console: Console, options: ConsoleOptions, kept: int
    ) -> RenderResult:
        words = [word for row in self._rows for cell in row for word in cell.split()]
        longest = max(map(cell_len, words), default=0)
        own = options.update(width=max(options.max_width, self._width_of(kept), _INDENT + longest))
        lines = iter(console.render_lines(self._table(kept), own, pad=False))
        if self._heads:
            yield from (*next(lines), Segment.line())
        for row, line in zip(self._rows, lines, strict=True):
            yield from (*line, Segment.line())
            rest = self._rest(row, kept)
            if rest:
                yield from console.render(Padding(rest, (0, 0, 0, _INDENT)), own)

    def _rest(self, row: Sequence[str], kept: int) -> Text:
        """Return what stands under a row: words alone, or cells behind their columns' names."""
        if kept == len(self._columns) - 1 and not self._is_number(-1):
            return Text(row[-1])
        cells = [
            Text.assemble((name.removeprefix(">"), "dim"), " " if name else "", cell)
            for name, cell in zip(self._columns[kept:], row[kept:], strict=True)
            if cell not in {"", NONE}
        ]
        return Text(" " * _GAP).join(cells)

    def _is_number(self, place: int) -> bool:
        return self._columns[place].startswith(">")

    def _width_of(self, count: int) -> int:
        """Return how wide the first so many columns are."""
        return sum(self._widths[:count]) + _GAP * (count - 1)

    def _table(self, count: int) -> Table:
        made = Table(box=None, pad_edge=False, show_header=self._heads)
        for place, name in enumerate(self._columns[:count]):
            right = self._is_number(place)
            whole = right or place < len(self._columns) - 1
            made.add_column(
                name.removeprefix(">"),
                justify="right" if right else "left",
                no_wrap=whole,
                min_width=self._widths[place] if whole else None,
                header_style="dim",
            )
        for row in self._rows:
            made.add_row(*row[:count])
        return made


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
) -> Listing:
    """Return a table; columns whose name begins with ">" are set flush right."""
    return Listing(title, columns, rows, heads=heads)


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


def shares(value: Decimal) -> str:
    """Write shares with the eight decimals that there are at most."""
    return f"{value:,.8f}".rstrip("0").rstrip(".")


def times(value: Decimal | None) -> str:
    """Write a leverage: 2.7391x."""
    return NONE if value is None else f"{value:.4f}x"


def target(leverage: Decimal | None) -> str:
    """Write a leverage that somebody chose, with the digits that it has: 3x, -1.25x."""
    return NONE if leverage is None else f"{leverage:f}x"


def when(at_ms: int | None) -> str:
    """Write an instant, or a dash."""
    return NONE if at_ms is None else iso(at_ms)


def moment(at_ms: int | None) -> str:
    """Write an instant for a person: to the second; or a dash."""
    return NONE if at_ms is None else iso(at_ms - at_ms % SECOND_MS)


def short(value: Decimal) -> str:
    """Write any number with the digits that people read: six decimals, or six digits under 1."""
    places = 6 if abs(value) >= 1 or not value else 5 - value.adjusted()
    written = f"{value:.{places}f}"
    return written.rstrip("0").rstrip(".") if "." in written else written


def share(ratio: Decimal | None) -> str:
    """Write a move of prices for a person: -33.3 %; or a dash where it is none that happens."""
    return NONE if ratio is None or abs(ratio) > 10 else f"{ratio * 100:+.1f} %"


def age(length_ms: int | None) -> str:
    """Write how old something is, or a dash."""
    return NONE if length_ms is None else duration(max(0, length_ms))


def base_of(symbol: str) -> str:
    """Return the base coin of a contract: BTC of BTC/USDT:USDT."""
    return symbol.partition("/")[0]
