"""The report command: what the funds did, for people, from a replay or from a desk's store."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rebalancer import __version__
from rebalancer.cli.exits import told
from rebalancer.cli.options import AsJson, ConfigPath, load_config
from rebalancer.cli.output import note, print_json
from rebalancer.cli.replaying import Funding, histories_of, progress
from rebalancer.cli.stored import opened
from rebalancer.errors import InputRefused

if TYPE_CHECKING:
    from rebalancer.report.figures import Report
    from rebalancer.report.story import Gatherer
    from rebalancer.settings import Config

#: a fund is looked at so many times at most, so that years of minutes stay a report
SAMPLES_MAX = 30_000
TITLE = "How the funds kept their promise"

Prices = Annotated[
    list[str] | None,
    typer.Option(
        "--prices",
        help='Replay "BTC/USDT:USDT=FILE.csv", once per contract. Default: the store of the desk.',
        show_default=False,
    ),
]
Out = Annotated[Path, typer.Option("--out", "-o", help="The HTML file; it loads nothing.")]
Folder = Annotated[
    Path | None,
    typer.Option("--files", help="Also write PNG, SVG, CSV and JSON there.", show_default=False),
]


@told
def report(
    prices: Prices = None,
    funding: Funding = None,
    out: Out = Path("report.html"),
    files: Folder = None,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Write what the funds did: tracking by cause, leverage, costs, decay, drawdowns.

    With --json the figures go to standard output, and no file is written unless --files asks.
    """
    settings = load_config(config)
    if prices:
        made = _replayed(settings, prices, funding or [])
    elif funding:
        raise InputRefused("--funding: its prices are missing, give --prices too")
    else:
        made = _stored(config)
    if not made.funds:
        raise InputRefused("no fund has a price yet, so there is nothing to report")
    if as_json:
        print_json(made.document())
    if as_json and files is None:
        return
    if find_spec("matplotlib") is None:
        raise InputRefused(
            "charts need matplotlib: pip install 'rebalancer[report]'; --json alone does without"
        )
    from rebalancer.report.writing import write_report  # noqa: PLC0415 - needs the extra

    written = write_report(made, None if as_json else out, files)
    note(f"wrote {', '.join(map(str, written[:1]))}" + _and_more(written[1:], files))


def _and_more(others: Sequence[Path], folder: Path | None) -> str:
    return f" and {len(others)} files in {folder}" if others else ""


def _replayed(settings: Config, prices: Sequence[str], funding: Sequence[str]) -> Report:
    from rebalancer.configured import desk_of, paper_costs_of  # noqa: PLC0415 - not for --help
    from rebalancer.core.instant import duration  # noqa: PLC0415 - as above
    from rebalancer.report.story import Gatherer  # noqa: PLC0415 - as above
    from rebalancer.sim.backtest import backtest  # noqa: PLC0415 - as above

    histories = histories_of(settings, prices, funding)
    desk, costs = desk_of(settings), paper_costs_of(settings)
    interval_ms = max((each.interval_ms for each in histories.values()), default=0)
    rows = max((each.rows for each in histories.values()), default=0)
    spacing_ms = interval_ms * -(-rows // SAMPLES_MAX)
    gatherer = Gatherer(desk, spacing_ms)
    backtest(desk, histories, costs, watch=progress, onlooker=gatherer)
    assumed = [
        f"{name}: fee {cost.fee_bps:f} bp, slippage {cost.slippage_bps:f} bp of what is traded"
        + (f", and {cost.impact_bps:f} bp of an order of a million" if cost.impact_bps else "")
        for name, cost in costs.items()
    ]
    sources = [
        "A replay of recorded prices through the desk's own decisions; its costs are assumed.",
        *(f"Prices: {given.partition('=')[0]}, {_file(given)}" for given in prices),
        *(f"Funding: {given.partition('=')[0]}, {_file(given)}" for given in funding),
        *(f"Costs of account {each}" for each in assumed),
        f"NAV and leverage are looked at every {duration(spacing_ms)}, and at every rebalance.",
    ]
    return _report(gatherer, sources)


def _file(given: str) -> str:
    return Path(given.partition("=")[2]).name


def _stored(config: Path | None) -> Report:
    from rebalancer.configured import desk_of  # noqa: PLC0415 - not needed to print --help
    from rebalancer.desk.recovery import refuse_lost_funds  # noqa: PLC0415 - as above
    from rebalancer.report.story import Gatherer  # noqa: PLC0415 - as above

    with opened(config) as (settings, reader):
        records = reader.records()
    desk = desk_of(settings)
    refuse_lost_funds(desk.funds, records)
    gatherer = Gatherer(desk)
    gatherer.records(records)
    count = f"{len(records):,}"
    whence = f"The records of a desk in {settings.mode} mode, {count} of them, their chain checked."
    known = (
        "NAV and leverage are those on record: daily NAVs and rebalances. What happened in between "
        "is not, so that shares of time and drawdowns are those of the recorded instants."
    )
    return _report(gatherer, [whence, known])


def _report(gatherer: Gatherer, sources: Sequence[str]) -> Report:
    from rebalancer.report.figures import Report, told_funds  # noqa: PLC0415 - not for --help

    return Report(TITLE, told_funds(gatherer.stories), sources, __version__)
