"""How figures, tables and charts are written in the page."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from html import escape

from rebalancer.core.instant import to_datetime
from rebalancer.report.drawing import Chart

NONE = "-"
#: a NAV below this is shown by its significant digits, and a loss beyond this as one
_SMALL, _NEARLY_ALL = Decimal("0.001"), Decimal("-0.99995")


def figure(chart: Chart | None, title: str, note: str = "") -> str:
    """Return a chart with its title and a note below; nothing without a chart."""
    if chart is None:
        return ""
    below = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<h3>{escape(title)}</h3><figure>{chart.svg}</figure>{below}"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, sum_row: bool = False) -> str:
    """Return a table; columns whose head begins with "<" are set flush left."""
    kinds = [' class="text"' if head.startswith("<") else "" for head in heads]
    top = "".join(
        f"<th{kind}>{head.removeprefix('<')}</th>" for head, kind in zip(heads, kinds, strict=True)
    )
    body = []
    for number, row in enumerate(rows, 1):
        last = ' class="sum"' if sum_row and number == len(rows) else ""
        cells = "".join(
            f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(row, kinds, strict=True)
        )
        body.append(f"<tr{last}>{cells}</tr>")
    return (
        f'<div class="scroll"><table><thead><tr>{top}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def nav(value: Decimal) -> str:
    """Write a NAV with four decimals, or its significant digits where it is small."""
    if value >= 1 or not value:
        return f"{value:,.4f}"
    return f"{value:.4f}" if value >= _SMALL else f"{value:.3g}"


def percent(value: Decimal | None) -> str:
    """Write a part of one as per cent, with its sign."""
    if value is None:
        return NONE
    if -1 < value < _NEARLY_ALL:
        return "< -99.99 %"
    return f"{_unsigned_zero(f'{value * 100:+,.2f}')} %"


def _unsigned_zero(shown: str) -> str:
    """Return 0.00 for +0.00 and -0.00: what does not show has no sign."""
    return shown if shown.strip("+-0.,") else shown.lstrip("+-")


def share(value: Decimal | None) -> str:
    """Write a share of time."""
    return NONE if value is None else f"{value * 100:.1f} %"


def bp(value: Decimal | None, sign: str = "+") -> str:
    """Write basis points."""
    return NONE if value is None else _unsigned_zero(f"{value:{sign},.2f}")


def times(value: Decimal | None) -> str:
    """Write a multiple."""
    return NONE if value is None else f"{value:,.2f}x"


def money(value: Decimal) -> str:
    """Write an amount."""
    return f"{value:,.2f}"


def day_of(at_ms: int) -> str:
    """Write a date."""
    return f"{to_datetime(at_ms):%Y-%m-%d}"


def minute(at_ms: int) -> str:
    """Write an instant to the minute."""
    return f"{to_datetime(at_ms):%Y-%m-%d %H:%M}"


def clock(at_ms: int) -> str:
    """Write a time of day."""
    return f"{to_datetime(at_ms):%H:%M}"
