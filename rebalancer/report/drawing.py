"""How charts look and what becomes of them: one style, thinned lines, SVG and PNG.

matplotlib is the extra `[report]`, imported here and in `charts.py` only. Floats begin here:
nothing that is drawn is counted with again.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from rebalancer.core.instant import to_datetime

INK, MUTED, RULE = "#1d2733", "#68737f", "#d8dde3"
NAVY, AMBER, TEAL, RED, SLATE = "#17426b", "#d98a1f", "#2a8c82", "#b8402f", "#8a9bab"
#: colours of the causes, told apart by people who do not see red or green, too
CAUSE_COLOURS = {
    "fees": "#d98a1f",
    "funding": "#17426b",
    "slippage": "#b8402f",
    "management_fee": "#7a5195",
    "basis": "#5aa9a0",
    "rounding": "#a8b3be",
    "timing": "#4d7fb2",
}
#: a line of so many points shows all that a page can
POINTS_MAX = 1_600
WIDE, HALF = (10.4, 3.2), (5.15, 2.9)
PNG_DPI = 160
_STYLE: Any = {
    "font.size": 9.0,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "#e8ebef",
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 3.0,
    "ytick.major.size": 0.0,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.3,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "none",
    "axes.unicode_minus": False,
}


@dataclass(frozen=True)
class Chart:
    """A finished chart and what it shows, in words for those who cannot see it."""

    name: str
    figure: Figure
    alt: str

    @cached_property
    def svg(self) -> str:
        """The chart as an SVG element; the same figures give the same bytes."""
        made = io.StringIO()
        # Two charts of one page must not share the name of a part.
        with mpl.rc_context({**_STYLE, "svg.hashsalt": self.name}):
            FigureCanvasSVG(self.figure)
            self.figure.savefig(made, format="svg", metadata={"Date": None, "Creator": None})
        text = made.getvalue()
        body = text[text.index("<svg") :]
        body = re.sub(r'(id="|href="#|url\(#)', rf"\1{self.name}-", body)
        opening = f'<svg role="img" aria-label="{self.alt}" '
        return re.sub(r'\s(?:width|height)="[\d.]+pt"', "", body.replace("<svg ", opening, 1))

    def png(self) -> bytes:
        """Return the chart as a picture."""
        made = io.BytesIO()
        with mpl.rc_context(_STYLE):
            FigureCanvasAgg(self.figure)
            self.figure.savefig(made, format="png", dpi=PNG_DPI, metadata={"Software": None})
        return made.getvalue()


def canvas(size: tuple[float, float]) -> tuple[Figure, Axes]:
    """Return an empty figure in the style of the report and its axes."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        return figure, figure.subplots()


def style() -> AbstractContextManager[None]:
    """Return the style as a context, for what is added to a figure later."""
    return mpl.rc_context(_STYLE)


def dates(axes: Axes) -> None:
    """Write dates in the fewest words."""
    locator = AutoDateLocator(minticks=3, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))
    axes.margins(x=0.01)


def instants(times_ms: Iterable[int]) -> Any:
    """Return times as matplotlib takes them."""
    return [to_datetime(at_ms) for at_ms in times_ms]


def thinned(times_ms: Sequence[int], values: Sequence[Decimal | None]) -> tuple[Any, list[float]]:
    """Return a line of at most `POINTS_MAX` points that keeps every low and every high.

    What is None is a gap and drawn as one.
    """
    known = [
        (at_ms, float("nan") if value is None else float(value))
        for at_ms, value in zip(times_ms, values, strict=True)
    ]
    width = -(-len(known) // (POINTS_MAX // 2))
    if width > 1:
        kept: list[tuple[int, float]] = []
        for begin in range(0, len(known), width):
            bucket = known[begin : begin + width]
            ends = {min(bucket, key=lambda each: each[1]), max(bucket, key=lambda each: each[1])}
            kept += sorted(ends)
        known = kept
    return instants(at_ms for at_ms, _ in known), [value for _, value in known]
