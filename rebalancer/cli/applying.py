"""The apply command: has the running desk carry out a plan, and says what became of it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rebalancer.cli.exits import Exit, told
from rebalancer.cli.operating import ask_surely
from rebalancer.cli.options import MEANT, AsJson, ConfigPath, Consent, load_config, spread
from rebalancer.cli.output import console, money, note, print_json, table, times
from rebalancer.cli.proposing import show
from rebalancer.cli.reading import run_document
from rebalancer.core.instant import parse_duration
from rebalancer.errors import InputRefused

if TYPE_CHECKING:
    from rebalancer.settings import Config
    from rebalancer.store.rows import RunRow

KIND = "rebalancer-plan"
PLAN_BYTES_MAX = 4_000_000
_POLL_SECONDS = 0.2

PlanPath = Annotated[
    Path, typer.Argument(help="File of `plan --out`; - is standard input.", show_default=False)
]
Wait = Annotated[
    str, typer.Option("--wait", help="How long to wait for the end of its runs; 0s does not.")
]


@told
@spread
def apply(
    plan: PlanPath,
    consent: Consent = MEANT,
    wait: Wait = "60s",
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Have the running desk carry out exactly this plan; refused once anything moved on."""
    wait_ms = parse_duration(wait, "--wait")
    document = _read(plan)
    settings = load_config(config)
    if not as_json:
        show(document)
    answer = ask_surely(config, {"command": "apply", "plan": document}, consent)
    opened = {each["run_id"]: each["fund"] for each in answer["runs"]}
    runs = _ended(settings, opened, wait_ms / 1_000)
    if as_json:
        print_json(
            {"version": 1, "at_ms": answer["at_ms"], "runs": [run_document(run) for run in runs]}
        )
    else:
        _show(runs)
    raise typer.Exit(_code(runs, waited=wait_ms > 0))


def _read(path: Path) -> dict[str, Any]:
    """Read a plan; the desk looks closely, this refuses what is none at all."""
    try:
        if str(path) == "-":
            written = sys.stdin.read(PLAN_BYTES_MAX + 1)
        elif path.stat().st_size > PLAN_BYTES_MAX:
            raise InputRefused(f"{path}: is larger than any plan")
        else:
            written = path.read_text(encoding="utf-8")
        document = json.loads(written)
    except OSError as error:
        raise InputRefused(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise InputRefused(f"{path}: is no plan: not JSON") from None
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise InputRefused(f"{path}: is no plan; make one with: rebalancer plan --out FILE")
    return document


def _ended(settings: Config, opened: Mapping[str, str], seconds: float) -> list[RunRow]:
    """Return the runs once all are over, or as they stand when the time is up."""
    from rebalancer.store.reader import open_reader  # noqa: PLC0415 - not needed to print --help

    deadline = time.monotonic() + seconds
    with open_reader(settings.store_url) as reader:
        while True:
            rows = [
                row
                for fund in dict.fromkeys(opened.values())
                for row in reader.runs(fund, limit=20)
                if row.run_id in opened
            ]
            over = len(rows) == len(opened) and all(row.ended_ms is not None for row in rows)
            if over or time.monotonic() >= deadline:
                return rows
            time.sleep(_POLL_SECONDS)


def _code(runs: Sequence[RunRow], *, waited: bool) -> Exit:
    """All done is success, some of them partial; who does not wait is told that it was taken."""
    done = [run for run in runs if run.status == "done"]
    if len(done) == len(runs) or not waited:
        return Exit.DONE
    return Exit.PARTIAL if done or any(run.ended_ms is None for run in runs) else Exit.FAILED


def _show(runs: Sequence[RunRow]) -> None:
    rows = [
        [
            run.fund,
            run.run_id,
            str(run.status),
            f"{times(run.leverage_before)} -> {times(run.leverage_after)}",
            money(run.cost),
        ]
        for run in runs
    ]
    console().print(table("Applied", ("fund", "run", "status", ">leverage", ">cost"), rows))
    if any(run.ended_ms is None for run in runs):
        note("not all of it is over; see: rebalancer history")
