"""Writes a report: one HTML file, and where asked its charts, tables and figures beside it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rebalancer.errors import InputRefused
from rebalancer.report.charts import causes, charts_of
from rebalancer.report.drawing import Chart
from rebalancer.report.figures import Report, day_document, run_document
from rebalancer.report.page import page


def write_report(report: Report, html: Path | None, folder: Path | None) -> list[Path]:
    """Write the file `html`, and PNG, SVG, CSV and JSON into `folder`; return what was written.

    In `folder`: `report.json`; per fund `FUND-days.csv`, `FUND-rebalances.csv`, `FUND-nav.csv` and
    each chart as `FUND-NAME.svg` and `.png`. Raises InputRefused where a file cannot be written.
    """
    for path in (html.parent if html else None, folder):
        _make(path)
    charts = {fund.name: charts_of(fund) for fund in report.funds}
    overview = causes(report.funds)
    content: dict[Path, bytes] = {}
    if html is not None:
        content[html] = page(report, charts, overview).encode()
    if folder is not None:
        content[folder / "report.json"] = _json(report.document())
        for fund in report.funds:
            content[folder / f"{fund.name}-days.csv"] = _csv([day_document(d) for d in fund.days])
            runs = [run_document(run) for run in fund.story.runs]
            content[folder / f"{fund.name}-rebalances.csv"] = _csv(runs)
            content[folder / f"{fund.name}-nav.csv"] = _csv(fund.samples_document())
        for chart in (*_flat(charts), *([overview] if overview else [])):
            content[folder / f"{chart.name}.svg"] = chart.svg.encode()
            content[folder / f"{chart.name}.png"] = chart.png()
    for path, what in content.items():
        _write(path, what)
    return [*content]


def _flat(charts: Mapping[str, Sequence[Chart]]) -> list[Chart]:
    return [chart for drawn in charts.values() for chart in drawn]


def _json(document: Any) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return rows with their names on top; nothing where there is no row."""
    made = io.StringIO()
    if rows:
        writer = csv.DictWriter(made, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return made.getvalue().encode()


def _make(folder: Path | None) -> None:
    """Make a folder before anything is drawn: what cannot be written is said at once."""
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputRefused(f"{folder}: cannot be made: {error.strerror}") from None


def _write(path: Path, what: bytes) -> None:
    try:
        path.write_bytes(what)
    except OSError as error:
        raise InputRefused(f"{path}: cannot be written: {error.strerror}") from None
