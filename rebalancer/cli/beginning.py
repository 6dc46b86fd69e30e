"""The first configuration: a few questions, or as many options, and a file that explains itself."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from rebalancer.cli.exits import told
from rebalancer.cli.options import spread
from rebalancer.cli.output import note
from rebalancer.errors import ConfigRefused, InputRefused

SIMULATED = "simulated"
_FUND = re.compile(r"^([A-Za-z0-9_-]+)=([+-]?[0-9.]+)(?:@(\S+))?$")
_BASE = re.compile(r"^([A-Z]+)")


@dataclass(frozen=True, slots=True)
class Answers:
    """What a first configuration is made of; each part is asked for where nobody said it."""

    prices: Annotated[
        str,
        typer.Option(
            "--prices", help='"simulated", or the exchange whose public prices are used: xt, bybit.'
        ),
    ] = SIMULATED
    fund: Annotated[
        list[str] | None,
        typer.Option(
            "--fund",
            help="NAME=LEVERAGE, or NAME=LEVERAGE@CONTRACT; once per fund. "
            "Default: BTC3L=3 and BTC3S=-3.",
            show_default=False,
        ),
    ] = None
    time: Annotated[str, typer.Option("--time", help="Of the daily rebalance.")] = "10:30:00"
    utc_offset: Annotated[str, typer.Option("--utc-offset", help="Of that time.")] = "+08:00"
    store: Annotated[str, typer.Option("--store", help="File for all that the desk knows.")] = (
        "rebalancer.db"
    )


#: where a simulated market begins, by base coin; others at 100
_START_PRICES = {"BTC": 60_000, "ETH": 3_000}
DEFAULT_FUNDS = ("BTC3L=3", "BTC3S=-3")
NOTHING_SAID = Answers()


@told
@spread
def init(
    out: Annotated[
        Path, typer.Argument(help="The new file; an existing one is never overwritten.")
    ] = Path("config.toml"),
    answers: Answers = NOTHING_SAID,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
) -> None:
    """Write a first configuration with comments: a paper desk, asked for in five questions."""
    if out.exists() or out.is_symlink():
        raise InputRefused(
            f"{out}: exists already and is left as it is; name another file, or edit it and run: "
            "rebalancer config check"
        )
    if not yes and interactive():
        answers = _asked(answers)
    text = configuration(answers)
    _refuse_bad(text)
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise InputRefused(f"{out}: cannot be written: {error.strerror}") from None
    other = "" if out == Path("config.toml") else f" --config {out}"
    typer.echo(f"written: {out}")
    note(f"next: rebalancer doctor{other}, then: rebalancer run{other}")


def interactive() -> bool:
    """Whether a person is there to answer."""
    return sys.stdin.isatty()


def _asked(given: Answers) -> Answers:
    """Ask for each part; an empty line keeps what stands in brackets."""
    note("A paper desk: it trades on paper until you say otherwise. Enter keeps what is in [].")
    prices = _ask("Prices: simulated, or of the exchange (xt, binanceusdm, bybit)", given.prices)
    funds = _ask(
        "Funds, as NAME=LEVERAGE with spaces between", " ".join(given.fund or DEFAULT_FUNDS)
    )
    time = _ask("Daily rebalance at", given.time)
    utc_offset = _ask("at this offset from UTC", given.utc_offset)
    store = _ask("File for all that the desk knows", given.store)
    said = replace(given, prices=prices.lower(), fund=funds.split())
    return replace(said, time=time, utc_offset=utc_offset, store=store)


def _ask(question: str, default: str) -> str:
    answer: str = typer.prompt(question, default=default, err=True)
    return answer.strip()


def configuration(answers: Answers) -> str:
    """Return the file; raises InputRefused for a part that cannot be."""
    funds = [_fund(each) for each in answers.fund or DEFAULT_FUNDS]
    contracts = list(dict.fromkeys(contract for _, _, contract in funds))
    simulated = answers.prices == SIMULATED
    parts = [
        _HEAD.format(store=answers.store),
        _simulated(contracts) if simulated else _EXCHANGE.format(venue=answers.prices),
        _ACCOUNT.format(venue="paper" if simulated else answers.prices),
        *(_CONTRACT.format(contract=each) for each in (contracts if simulated else ())),
        _DEFAULTS.format(time=answers.time, utc_offset=answers.utc_offset),
        _FUNDS,
        *(_FUND_TABLE.format(name=n, leverage=m, contract=c) for n, m, c in funds),
        _TAIL,
    ]
    return "\n".join(parts)


def _simulated(contracts: list[str]) -> str:
    prices = {each: _START_PRICES.get(each.partition("/")[0], 100) for each in contracts}
    return _SIMULATED + "".join(f'"{each}" = {price}\n' for each, price in prices.items())


def _fund(said: str) -> tuple[str, str, str]:
    """Return name, leverage and contract of one fund."""
    found = _FUND.match(said)
    if found is None:
        raise InputRefused(f"fund {said!r}: write NAME=LEVERAGE, such as BTC3L=3 or BTC3S=-3")
    name, leverage, contract = found.groups()
    base = _BASE.match(name)
    if contract is None and base is None:
        raise InputRefused(f"fund {said!r}: which contract? write {said}@BTC/USDT:USDT")
    return name, leverage.removeprefix("+"), contract or f"{base and base.group(1)}/USDT:USDT"


def _refuse_bad(text: str) -> None:
    """Raise InputRefused unless a desk could run with the text."""
    from rebalancer.preparing import prepare  # noqa: PLC0415 - not needed to print --help
    from rebalancer.settings import parse  # noqa: PLC0415 - as above

    try:
        prepare(parse(text, "these answers"))
    except ConfigRefused as refused:
        raise InputRefused(f"nothing was written: {refused}") from None


_HEAD = """\
# The desk's configuration, begun by `rebalancer config init`. It is yours: nothing rewrites it.
# Every setting there is, with its default: config.example.toml, or `rebalancer config show`.
# After an edit: `rebalancer config check`; on a running desk `rebalancer config diff`, then
# `rebalancer reload`.

# paper: orders are filled here from the price; dry-run: written down; live: sent, with real money.
mode = "paper"

[store]
# All that the desk knows. Keep it, back it up (`rebalancer backup`), give each mode one of its own.
url = "sqlite:///{store}"
"""
_SIMULATED = """\
[feed]
# A market that does not exist. For real prices name an exchange in [accounts.main] and drop this.
source = "simulated"
# Simulated seconds per real second: with 3600 an hour passes in each.
speed = 1

[feed.prices]
# Where it begins.
"""
_EXCHANGE = """\
[feed]
# The public prices of this exchange; no key is needed.
source = "ccxt"
venue = "{venue}"
"""
_ACCOUNT = """\
[accounts.main]
# Where orders would go. Keys never stand in this file, and paper needs none.
venue = "{venue}"

[accounts.main.paper]
# What trading costs on paper, in basis points of what is traded.
fee_bps = 5
slippage_bps = 2
"""
_CONTRACT = """\
[contracts."{contract}"]
# Smallest step of an order, in coins. A real venue tells its own.
lot = 0.001
"""
_DEFAULTS = """\
# What all funds have in common; a fund may say otherwise.
[defaults]
account = "main"
# In quote currency per share, and the shares at the start: together what the fund begins with.
initial_nav = 100
initial_shares = 10000

[defaults.rules.fixed]
# Back to target every day at this time.
times = ["{time}"]
utc_offset = "{utc_offset}"

[defaults.rules.price_move]
# And at once when the price moved this far against the holders since the last time. Default: the
# smaller of 15 % and 45 % divided by the leverage.
side = "losing"
"""
_FUNDS = """\
# One table per fund: the signed multiple of the day's return that it promises, and on what.
"""
_FUND_TABLE = """\
[funds.{name}]
target_leverage = {leverage}
basket = {{ "{contract}" = 1 }}
"""
_TAIL = """\
# What the funds are worth for everybody who asks, and a page for you: take the # away.
#[api]
#listen = "127.0.0.1:8765"
"""
