"""Rows laid out for a terminal or a pipe, no number of which is ever cut off."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from rebalancer.cli.output import NONE

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
        made: list[Segment] = []
        for part in self._laid_out(console, options):
            made += [part] if isinstance(part, Segment) else console.render(part, options)
        yield from without_ends(made)

    def _laid_out(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._title:
            yield Text(self._title, style="bold")
        count, width, wide = len(self._columns), options.max_width, self._widths[-1]
        words = (word for row in self._rows for word in row[-1].split())
        longest = max(map(cell_len, words), default=0)
        least = max(longest, min(wide, _WORDS_LEAST, -(-wide // 2)))
        if self._is_number(-1):
            least = wide
        elif longest == wide and not console.is_terminal:
            # One word to a cell, an id: nothing of it wraps, and a pipe has no edge.
            width = max(width, self._width_of(count))
        if self._width_of(count - 1) + _GAP + least <= width:
            yield from console.render(self._table(count), options.update(width=width))
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


def without_ends(made: Iterable[Segment]) -> Iterator[Segment]:
    """Yield what was laid out, no line of which ends in blanks."""
    for line in Segment.split_lines(made):
        yield from _without_end(line)
        yield Segment.line()


def _without_end(line: list[Segment]) -> list[Segment]:
    """Return a line without the blanks that would fill its last column: files keep none."""
    kept = list(line)
    while kept and not kept[-1].text.strip(" "):
        kept.pop()
    if kept:
        last = kept.pop()
        kept.append(Segment(last.text.rstrip(" "), last.style, last.control))
    return kept
