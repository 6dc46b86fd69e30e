"""The doctor: looks at everything that a desk needs, and says how to mend what is not good."""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.segment import Segments
from rich.table import Table
from rich.text import Text

from rebalancer.cli.exits import Exit, told
from rebalancer.cli.listing import without_ends
from rebalancer.cli.options import AsJson, ConfigPath, load_config
from rebalancer.cli.output import console, print_json
from rebalancer.errors import ConfigRefused

if TYPE_CHECKING:
    from rich.console import Console

    from rebalancer.doctor.findings import Finding
    from rebalancer.settings import Config

#: how each level is shown
_STYLES = {"ok": "green", "skip": "dim", "warn": "yellow", "fail": "bold red"}
_WORDS = {"ok": "ok", "skip": "skip", "warn": "warn", "fail": "FAIL"}
_CHECK_COLUMNS = 14
#: least and most columns for the part of the desk
_WHERE_COLUMNS, _WHERE_COLUMNS_MAX = 13, 24

StreamSeconds = Annotated[
    float,
    typer.Option("--wait", min=1, max=120, help="Seconds to wait for a first price by stream."),
]


@told
def doctor(wait: StreamSeconds = 10.0, config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Look at everything the desk needs, and say how to mend what is not good. Changes nothing."""
    from rebalancer import logs  # noqa: PLC0415 - not needed to print --help
    from rebalancer.doctor.findings import (  # noqa: PLC0415 - as above
        Finding,
        Level,
        count_by_level,
    )

    # What goes wrong on the way becomes a line of its own.
    logs.configure(level="error")
    out = None if as_json else console()
    try:
        settings = load_config(config)
    except ConfigRefused as refused:
        fix = "correct the file, then: rebalancer config check"
        findings = [
            Finding(Level.FAIL, "here", "configuration", line, fix)
            for line in str(refused).splitlines()
        ]
        for finding in findings:
            _show(out, finding)
        _end(out, findings, mode=None)
        raise typer.Exit(Exit.USAGE) from None
    findings = asyncio.run(_examine(settings, config, wait, out))
    _end(out, findings, mode=str(settings.mode))
    if count_by_level(findings)[Level.FAIL]:
        raise typer.Exit(Exit.FAILED)


async def _examine(
    settings: Config, file: Path | None, wait: float, out: Console | None
) -> list[Finding]:
    from rebalancer.clock import WallClock  # noqa: PLC0415 - as above
    from rebalancer.doctor.examination import Examination  # noqa: PLC0415 - as above
    from rebalancer.settings.loading import (  # noqa: PLC0415 - as above
        CONFIG_VARIABLE,
        DEFAULT_PATH,
    )

    examination = Examination(
        config=settings,
        clock=WallClock(),
        stream_seconds=wait,
        file=file or Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_PATH),
        environ=os.environ,
    )
    longest = max((len(name) + len("accounts.") for name in settings.accounts), default=0)
    columns = min(max(longest, _WHERE_COLUMNS), _WHERE_COLUMNS_MAX)
    findings = []
    async with aclosing(examination.findings()) as coming:
        async for finding in coming:
            findings.append(finding)
            _show(out, finding, columns)
    return findings


def _show(out: Console | None, finding: Finding, where_columns: int = _WHERE_COLUMNS) -> None:
    """Print one line as soon as it is known; JSON waits for the end."""
    if out is None:
        return
    line = Table.grid(padding=(0, 1))
    for width in (4, where_columns, _CHECK_COLUMNS):
        line.add_column(width=width, no_wrap=True, overflow="ellipsis")
    line.add_column(overflow="fold")
    level = str(finding.level)
    said = Text(finding.seen, style="dim" if level == "skip" else "")
    if finding.fix:
        said.append(f"\n-> {finding.fix}", style="bold")
    line.add_row(Text(_WORDS[level], style=_STYLES[level]), finding.where, finding.check, said)
    out.print(Segments(without_ends(out.render(line))), end="")


def _end(out: Console | None, findings: list[Finding], *, mode: str | None) -> None:
    from rebalancer.doctor.findings import Level, count_by_level  # noqa: PLC0415 - as above

    counts = count_by_level(findings)
    if out is None:
        document: dict[str, Any] = {
            "ok": not counts[Level.FAIL],
            "mode": mode,
            "counts": {str(level): count for level, count in counts.items()},
            "findings": [finding.document() for finding in findings],
        }
        print_json(document)
        return
    out.print()
    verdict = "The desk can start" if not counts[Level.FAIL] else "Not yet"
    out.print(
        f"{verdict}: {counts[Level.OK]} ok, {counts[Level.WARN]} to look at, "
        f"{counts[Level.FAIL]} failed, {counts[Level.SKIP]} skipped."
    )
