"""The sweep command: the same history under other settings, side by side."""

from __future__ import annotations

import os
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rebalancer.cli.exits import told
from rebalancer.cli.options import AsJson, ConfigPath, spread
from rebalancer.cli.output import NONE, console, money, nav, note, print_json, table
from rebalancer.cli.replaying import Funding, Prices, histories_of, progress
from rebalancer.core.money import counted
from rebalancer.errors import InputRefused

if TYPE_CHECKING:
    from rebalancer.fast.tape import Tapes
    from rebalancer.settings import Config
    from rebalancer.sim.sweep import Setting

Sets = Annotated[
    list[str],
    typer.Option(
        "--set", help='"funds.BTC3L.rules.price_move.threshold=0.10,0.15"; keys make a grid.'
    ),
]
ByEngine = Annotated[
    bool, typer.Option("--engine", help="Every point by the engine, none by arrays.")
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        help="Address of a Dask cluster that has the desk and the files.", show_default=False
    ),
]
Frontier = Annotated[
    bool, typer.Option("--frontier", help="Cost against tracking error, and what theory says.")
]
Navs = Annotated[
    Path | None,
    typer.Option(
        help="Write the NAV of every fund at every bar there, a NumPy file for each point.",
        show_default=False,
    ),
]
Jobs = Annotated[int | None, typer.Option(min=1, help="Processes. Default: all cores.")]


#: of a setting that changes nothing of a fund
_ANY = "any"
#: who played a fund (`sim/summary.py`), as a person is told
MEANINGS = {
    "sketch": "by compiled floats: the engine's runs, and figures within a billionth of its",
    "columns": "by exact arrays, equal to the engine",
    "engine": "by the engine",
}


@dataclass(frozen=True, slots=True)
class Replayed:
    """One point, run wherever there is a core: everything in it can be handed to a process."""

    config: Path | None
    prices: tuple[str, ...]
    funding: tuple[str, ...]
    #: every point by the engine, also where arrays would find the same
    by_engine: bool = False
    #: where the NAVs at every bar are written, a file for each of all `points`
    navs: Path | None = None
    points: tuple[tuple[Setting, ...], ...] = ()

    def __call__(self, point: tuple[Setting, ...]) -> dict[str, Any]:
        """Replay the history at `point` and return the figures of each fund."""
        from rebalancer.configured import desk_of, paper_costs_of  # noqa: PLC0415 - not for --help
        from rebalancer.sim.backtest import backtest  # noqa: PLC0415 - as above
        from rebalancer.sim.summary import summaries_of  # noqa: PLC0415 - as above
        from rebalancer.sim.sweep import figures  # noqa: PLC0415 - as above

        settings = self.settings(point)
        desk, costs = desk_of(settings), paper_costs_of(settings)
        tapes = None if self.by_engine else _tapes(self)
        if tapes is None:
            return figures(summaries_of(backtest(desk, _histories(self), costs)))
        from rebalancer.fast.series import write_navs  # noqa: PLC0415 - an extra
        from rebalancer.fast.sketch import sketch  # noqa: PLC0415 - as above

        drawn = sketch(desk, tapes, costs, navs=self.navs is not None)
        if self.navs is not None:
            write_navs(self.navs / f"{self.points.index(point) + 1:04}.npz", drawn)
        return figures(drawn.summaries())

    def settings(self, point: tuple[Setting, ...]) -> Config:
        """Return the configuration at `point`; raises ConfigRefused."""
        from rebalancer.settings import load  # noqa: PLC0415 - not needed to print --help

        return load(self.config, os.environ, {_path(key): value for key, value in point})


@cache
def _tapes(replayed: Replayed) -> Tapes | None:
    """Return the files as arrays, made once for each process; None without the extra."""
    try:
        from rebalancer.fast.tape import Tapes  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    return Tapes(_histories(replayed))


@cache
def _histories(replayed: Replayed) -> Mapping[str, Any]:
    """Read the files once for each process."""
    return histories_of(replayed.settings(()), replayed.prices, replayed.funding)


@dataclass(frozen=True, slots=True)
class Where:
    """Who works on a sweep, and what is shown of it."""

    jobs: Jobs = None
    scheduler: Scheduler = None
    engine: ByEngine = False
    #: show cost against tracking error beside the theoretical curve
    frontier: Frontier = False
    navs: Navs = None


@spread
@told
def sweep(
    prices: Prices,
    change: Sets,
    funding: Funding = None,
    *,
    where: Where,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Replay the same history under other settings: NAV, runs, costs and tracking, side by side."""
    from rebalancer.sim.frontier import frontier as frontier_of  # noqa: PLC0415 - as below
    from rebalancer.sim.sweep import grid  # noqa: PLC0415 - not needed to print --help
    from rebalancer.sim.sweep import sweep as swept  # noqa: PLC0415 - as above

    points = grid(alternatives_of(change))
    if where.navs is not None:
        _make_ready(where.navs, where)
    given = (config, tuple(prices), tuple(funding or ()), where.engine, where.navs)
    replayed = Replayed(*given, points)
    for point in points:
        replayed.settings(point)  # whatever cannot be is refused before anything is replayed
    processes = where.jobs or os.cpu_count() or 1
    place = where.scheduler or counted(min(processes, len(points)), "core")
    note(f"{counted(len(points), 'point')} on {place}")
    if not where.engine and where.scheduler is None:
        _say_what_takes_long()
    document = swept(points, replayed, processes, where.scheduler, progress)
    _say_who_computed(document)
    if where.frontier:
        funds = replayed.settings(points[0]).funds
        targets = {name: float(fund.target_leverage) for name, fund in funds.items()}
        document["frontier"] = frontier_of(document["points"], targets)
    if as_json:
        print_json(document)
    elif where.frontier:
        _print_frontier(document)
    else:
        _print(document)


def _make_ready(folder: Path, where: Where) -> None:
    """Make the folder of the NAVs; InputRefused where nothing could be written there."""
    if where.engine or where.scheduler is not None:
        raise InputRefused(
            "--navs: only arrays on this machine tell them; leave out --engine and --scheduler"
        )
    if find_spec("numba") is None:
        raise InputRefused("--navs needs numba: install the desk with its extra, rebalancer[sim]")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputRefused(f"--navs {folder}: cannot be made: {error.strerror}") from None


def _say_what_takes_long() -> None:
    """Explain the wait of a first sweep, whose functions are compiled and kept."""
    try:
        from rebalancer.fast.compiled import bar_at  # noqa: PLC0415 - an extra
    except ImportError:
        return
    kept: str = bar_at.stats.cache_path or ""
    if not any(Path(kept).glob("compiled.*.nbi")):
        note("the first sweep compiles what computes it, once: that takes half a minute or longer")


def _say_who_computed(document: Mapping[str, Any]) -> None:
    funds = [each for point in document["points"] for each in point["funds"].items()]
    ways = Counter(fund["by"] for _, fund in funds)
    for way, meaning in MEANINGS.items():
        if ways[way]:
            note(f"{ways[way]} of {len(funds)} funds {meaning}")
    ended = Counter(name for name, fund in funds if fund["final_formula_nav"] == "0")
    for name, count in ended.items():
        points = counted(len(document["points"]), "point")
        note(f"{name} was ended by the gap rule at {count} of {points}")
    for name, reason in dict.fromkeys((name, fund["engine"]) for name, fund in funds):
        if reason is not None:
            note(f"{name} by the engine: {reason}")


def alternatives_of(given: Sequence[str]) -> dict[str, list[str]]:
    """Read KEY=V1,V2 options; a list in brackets is one value. InputRefused names the remedy."""
    found: dict[str, list[str]] = {}
    for each in given:
        key, equals, values = each.partition("=")
        if not equals or not values.strip():
            raise InputRefused(
                f'--set {each!r}: write it as "funds.BTC3L.rules.price_move.threshold=0.10,0.15"'
            )
        _path(key)
        found.setdefault(key.strip(), []).extend(_parts(values))
    return found


def _parts(values: str) -> list[str]:
    """Split at the commas that stand in no list, table or text."""
    parts, depth, quoted = [""], 0, False
    for letter in values:
        quoted ^= letter == '"'
        depth += 0 if quoted else (letter in "[{") - (letter in "]}")
        if letter == "," and not (depth or quoted):
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def _path(key: str) -> tuple[str, ...]:
    """Return the parts of a key as TOML writes it."""
    try:
        table: Any = tomllib.loads(f"{key} = 0")
    except tomllib.TOMLDecodeError:
        raise InputRefused(
            f"--set {key!r}: is no key; write it as the file does, with dots"
        ) from None
    path = []
    while isinstance(table, dict):
        ((name, table),) = table.items()
        path.append(name)
    return tuple(path)


def _print(document: Mapping[str, Any]) -> None:
    points = document["points"]
    heads = _heads(points[0]["set"])
    told = [each for name in points[0]["funds"] for each in _told_of(name, points)]
    tracked = any(fund["mean_bp"] is not None for *_, fund in told)
    rows = [
        [
            *values,
            name,
            nav(None if fund["final_nav"] is None else Decimal(fund["final_nav"])),
            str(fund["fixed_runs"]),
            str(fund["other_runs"]),
            money(Decimal(fund["cost"])),
            *([_bp(fund["mean_bp"]), _bp(fund["tracking_error_bp"])] if tracked else []),
        ]
        for values, name, fund in told
    ]
    columns = (*heads, "fund", ">final NAV", ">fixed", ">other", ">cost")
    columns += (">bp a day", ">tracking bp") if tracked else ()
    console().print(table("The same history under other settings", columns, rows))
    if not tracked:
        note("no tracking: that takes two whole days of history")


def _told_of(
    name: str, points: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[list[str], str, Mapping[str, Any]]]:
    """Yield the values of each point with the fund's figures: once where no point changes them."""
    found = [(list(point["set"].values()), name, point["funds"][name]) for point in points]
    if len(found) > 1 and all(_same(fund, found[0][2]) for *_, fund in found):
        yield [_ANY] * len(points[0]["set"]), name, found[0][2]
    else:
        yield from found


def _same(fund: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    names = ("final_nav", "fixed_runs", "other_runs", "cost", "mean_bp", "tracking_error_bp")
    return all(fund[name] == other[name] for name in names)


def _print_frontier(document: Mapping[str, Any]) -> None:
    points = document["points"]
    heads, out = _heads(points[0]["set"]), console()
    for name, found in document["frontier"].items():
        if not found:
            out.print(f"{name}: no frontier; it takes three days, trades, and a fund that lives")
            continue
        alike = len(points) > 1 and len(list(_told_of(name, points))) == 1
        rows = [
            [
                *([_ANY] * len(heads) if alike else row["set"].values()),
                f"{row['error_a_year']:.3%}",
                f"{row['cost_a_year']:.3%}",
                NONE if row["theory_a_year"] is None else f"{row['theory_a_year']:.3%}",
                "efficient" if row["efficient"] else "",
            ]
            for row in (found[:1] if alike else found)
        ]
        columns = (*heads, ">tracking error", ">cost", ">least by theory", "")
        out.print(table(f"{name}: cost against tracking error, a year", columns, rows))


def _heads(keys: Iterable[str]) -> list[str]:
    """Return what the keys are called over their columns: as short as keeps them apart."""
    paths = [_path(key) for key in keys]
    lasts = Counter(path[-1] for path in paths)
    return [".".join(path[-1:] if lasts[path[-1]] == 1 else path[-2:]) for path in paths]


def _bp(value: str | None) -> str:
    return NONE if value is None else f"{Decimal(value):+.2f}"
