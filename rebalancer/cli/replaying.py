"""The command that replays history, and what others share of it: files of prices, and progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from rebalancer.cli.exits import told
from rebalancer.cli.options import AsJson, ConfigPath, load_config, spread
from rebalancer.cli.output import base_of, console, money, nav, note, print_json, table
from rebalancer.cli.plan_words import deltas, written_times
from rebalancer.core.money import counted
from rebalancer.errors import InputRefused

if TYPE_CHECKING:
    from rebalancer.core.fund import PriceSource
    from rebalancer.feeds.candles import History
    from rebalancer.settings import Config
    from rebalancer.sim.backtest import Outcome

#: of what is replayed: a moment of a history, or one of many settings
Part = TypeVar("Part")
Prices = Annotated[
    list[str],
    typer.Option(
        "--prices",
        help='"BTC/USDT:USDT=FILE.csv"; once per contract. "BTC/USDT:USDT@spot=FILE.csv" beside it '
        "where the fund's price_source, here spot, has prices of its own.",
    ),
]
Funding = Annotated[
    list[str] | None,
    typer.Option("--funding", help='"BTC/USDT:USDT=FILE.csv"; optional.', show_default=False),
]


@dataclass(frozen=True, slots=True)
class Way:
    """How a history is replayed."""

    fast: Annotated[
        bool,
        typer.Option("--fast", help="By arrays where every rule is known, with the same result."),
    ] = False
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint",
            help="Note in this file where the replay stands; the same command goes on from there.",
            show_default=False,
        ),
    ] = None


BY_ENGINE = Way()


@told
@spread
def backtest(
    prices: Prices,
    funding: Funding = None,
    runs: Annotated[bool, typer.Option("--runs", help="Show every rebalance.")] = False,
    way: Way = BY_ENGINE,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Replay price histories through the desk's own engine."""
    settings = load_config(config)
    if way.fast and way.checkpoint is not None:
        raise InputRefused("--checkpoint: --fast is over in seconds; leave one of the two out")
    histories = histories_of(settings, prices, funding or [])
    result = _by_arrays(settings, histories) if way.fast else _by_engine(settings, histories, way)
    for name, history in _named(histories):
        if history.gaps:
            note(f"{name}: {counted(history.gaps, 'gap')} in {history.rows} rows")
    if as_json:
        print_json(result.document())
    else:
        if runs:
            _print_runs(result)
        _print_backtest(result, histories)
    if way.checkpoint is not None:
        way.checkpoint.unlink(missing_ok=True)  # not before everything has been told


def _by_engine(settings: Config, histories: Mapping[str, History], way: Way) -> Outcome:
    from rebalancer.configured import desk_of, paper_costs_of  # noqa: PLC0415 - not for --help

    desk, costs = desk_of(settings), paper_costs_of(settings)
    if way.checkpoint is None:
        from rebalancer.sim.backtest import backtest as replay  # noqa: PLC0415 - as above

        return replay(desk, histories, costs, watch=progress)
    from rebalancer.sim.checkpoint import Checkpoint, resumable_backtest  # noqa: PLC0415 - as above

    checkpoint = Checkpoint(way.checkpoint, time.monotonic, note)
    return resumable_backtest(desk, histories, costs, checkpoint, watch=progress)


def _by_arrays(settings: Config, histories: Mapping[str, History]) -> Outcome:
    """Run the fast path, and say of which funds the engine had to replay what."""
    from rebalancer.configured import desk_of, paper_costs_of  # noqa: PLC0415 - not for --help

    try:
        from rebalancer.fast.backtest import fast_backtest  # noqa: PLC0415 - an extra
        from rebalancer.fast.tape import Tapes  # noqa: PLC0415 - as above
    except ImportError as missing:
        raise InputRefused(
            f"--fast needs {missing.name}: install the desk with its extra, rebalancer[sim]"
        ) from None
    result = fast_backtest(desk_of(settings), Tapes(histories), paper_costs_of(settings))
    note(f"{len(result.columns)} of {len(result.funds)} funds by arrays, equal to the engine")
    for name, reason in result.replayed.items():
        note(f"{name} by the engine: {reason}")
    return result


def histories_of(
    settings: Config, prices: Sequence[str], funding: Sequence[str]
) -> dict[str, History]:
    """Read the files that the options name, for every contract that a fund holds."""
    from rebalancer.feeds.candles import read_history  # noqa: PLC0415 - not needed to print --help

    funding_files = _files(funding, "--funding")
    price_files = _files(prices, "--prices")
    for symbol in funding_files:
        if symbol not in price_files:
            raise InputRefused(f"--funding {symbol}: its prices are missing, give --prices too")
    held = {symbol for fund in settings.funds.values() for symbol in fund.symbols}
    apart = _apart(settings, price_files)
    for symbol in price_files:
        if symbol not in held and "@" not in symbol:
            note(f"--prices {symbol}: no fund holds it, so it is left out")
    return {
        symbol: replace(
            read_history(symbol, path, funding_files.get(symbol)), apart=apart.get(symbol, {})
        )
        for symbol, path in price_files.items()
        if symbol in held
    }


def _apart(
    settings: Config, price_files: Mapping[str, Path]
) -> dict[str, dict[PriceSource, History]]:
    """Read by contract the files of sources that have prices of their own: CONTRACT@SOURCE."""
    from rebalancer.core.fund import PriceSource  # noqa: PLC0415 - not needed to print --help
    from rebalancer.feeds.candles import read_history  # noqa: PLC0415 - as above

    sources = tuple(PriceSource)
    read = {
        (symbol, fund.price_source) for fund in settings.funds.values() for symbol in fund.symbols
    }
    apart: dict[str, dict[PriceSource, History]] = {}
    for named, path in price_files.items():
        symbol, at, source = named.rpartition("@")
        if not at:
            continue
        if source not in sources or source == PriceSource.MARK:
            others = ", ".join(each for each in sources if each is not PriceSource.MARK)
            raise InputRefused(f"--prices {named}: beside the mark there are {others}")
        if symbol not in price_files:
            raise InputRefused(f"--prices {named}: its marks are missing, give {symbol}=FILE too")
        if (symbol, source) in read:
            apart.setdefault(symbol, {})[PriceSource(source)] = read_history(symbol, path)
        else:
            note(f"--prices {named}: no fund that holds it has that price_source; it is left out")
    return apart


def _named(histories: Mapping[str, History]) -> Iterator[tuple[str, History]]:
    """Yield every history under the name that its option has."""
    for symbol, history in histories.items():
        yield symbol, history
        for source, other in history.apart.items():
            yield f"{symbol}@{source}", other


def _files(options: Iterable[str], name: str) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for option in options:
        symbol, equals, path = option.partition("=")
        if not equals or not symbol or not path:
            raise InputRefused(f'{name} {option!r}: write "BTC/USDT:USDT=FILE.csv"')
        if symbol in files:
            raise InputRefused(f"{name} {symbol}: given twice")
        files[symbol] = Path(path)
    return files


def progress(parts: Iterator[Part], total: int) -> Iterator[Part]:
    """Show how far a replay is, on a terminal."""
    if not sys.stderr.isatty():
        return parts
    from rich.console import Console  # noqa: PLC0415 - needed on a terminal only
    from rich.progress import track  # noqa: PLC0415 - as above

    bar = track(parts, "replaying", total=total, console=Console(stderr=True), transient=True)
    return iter(bar)


def _print_runs(result: Outcome) -> None:
    made = [
        (each["at"], name, each)
        for name, fund in result.document()["funds"].items()
        for each in fund["rebalances"]
    ]
    rows = [
        [
            at,
            name,
            each["trigger"],
            ", ".join(
                f"{base_of(symbol)} {money(Decimal(price))}"
                for symbol, price in each["prices"].items()
            ),
            f"{written_times(each['leverage_before'])} -> {written_times(each['leverage_after'])}",
            deltas(each),
            nav(Decimal(each["nav"])),
            money(Decimal(each["cost"])),
        ]
        for at, name, each in sorted(made, key=lambda run: run[0])
    ]
    columns = ("at", "fund", "trigger", ">price", ">leverage", ">delta", ">NAV", ">cost")
    console().print(table("Rebalances", columns, rows))


def _print_backtest(result: Outcome, histories: Mapping[str, History]) -> None:
    from rebalancer.core.methodology import Trigger  # noqa: PLC0415 - as above

    rows = []
    for name, found in result.funds.items():
        fund = found.document()
        counts = {
            trigger: found.count(trigger)
            for trigger in Trigger
            if trigger is not Trigger.FIXED and found.count(trigger)
        }
        costs = {key: Decimal(value) for key, value in fund["costs"].items()}
        rows.append(
            [
                name,
                nav(Decimal(fund["start_nav"])),
                nav(Decimal(fund["final_nav"])),
                nav(Decimal(fund["final_formula_nav"])),
                written_times(fund["final_leverage"]),
                str(found.count(Trigger.FIXED)),
                ", ".join(f"{count} {trigger}" for trigger, count in counts.items()) or "none",
                str(found.fixed.get("missed", 0)),
                money(costs["fees"]),
                money(costs["slippage"]),
                money(costs["funding"]),
            ]
        )
    columns = (
        "fund",
        ">start",
        ">NAV",
        ">formula NAV",
        ">leverage",
        ">fixed",
        "temporary",
        ">missed",
        ">fees",
        ">slippage",
        ">funding",
    )
    bars = ", ".join(f"{name} {history.rows} rows" for name, history in _named(histories))
    console().print(table(f"Replay of {bars}", columns, rows))
