"""Random cases, one of each seed: a desk and what happens to it.

Odd seeds are simple enough to sketch. Half of either kind goes from crash to crash, with rules that
fire again while they cool, edges that are met exactly, and accounts that come near their margin.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from random import Random

from rebalancer.core.contract import Contract
from rebalancer.core.fees import ManagementFee
from rebalancer.core.fund import Account, Fund
from rebalancer.core.instant import DAY_MS, HOUR_MS, MINUTE_MS
from rebalancer.core.methodology import Destination, Goal, LeverageBand
from rebalancer.core.state import Desk
from rebalancer.feeds.candles import History, read_history
from rebalancer.venues.paper import PaperCosts
from tests.factories import BTC, ETH, D, contract, desk, dice_of, fund, only
from tests.fast.funds import any_fund, hurried, margined, meeting, patient, simple_fund, whole
from tests.fast.histories import crashes, walk
from tests.shared_data import PERP

#: every price history that is shared
FILES = sorted(
    path for pattern in ("*_1h_*", "*_8h_*", "*_5m_*", "*_1m_*") for path in PERP.glob(pattern)
)
INTERVALS_MS = (MINUTE_MS, 5 * MINUTE_MS, HOUR_MS, 8 * HOUR_MS, DAY_MS)
CRASH_INTERVALS_MS = (MINUTE_MS, MINUTE_MS, 5 * MINUTE_MS, HOUR_MS)
#: how many lots the exposure of a fund is at its start
LOTS = (4, 40, 40, 5_000, 5_000, 10**6)


@dataclass(frozen=True)
class Case:
    """What one seed makes."""

    desk: Desk
    histories: dict[str, History]
    costs: dict[str, PaperCosts]


def real_case(path: Path, rows: int | None = None) -> Case:
    """Return long and short funds over the first `rows` of a shared history, or all of it."""
    span = path.name.partition(".")[0].split("_", 3)[-1].removeprefix("mark_")
    funding = path.with_name(f"{'_'.join(path.name.split('_')[:2])}_funding_{span}.csv")
    whole = read_history(BTC, path, funding if funding.is_file() else None)
    part = replace(whole, times_ms=whole.times_ms[:rows], closes=whole.closes[:rows])
    last_ms = part.times_ms[-1]
    part = replace(part, funding=[each for each in whole.funding if each.at_ms <= last_ms])
    band = LeverageBand(lower=D("1.5"), upper=D("2.5"), goal=Goal(Destination.EDGE))
    slow = LeverageBand(
        lower=D("2.5"), upper=D("3.6"), goal=Goal(Destination.RECENTRE, speed=D("0.3"))
    )
    known = desk(
        fund("THREE", 3, management_fee=ManagementFee(daily=D("0.003"))),
        fund("SHORT", -3),
        # An account of its own: what trades together with it is not sketched.
        fund("EDGE", 2, methodology=only(leverage_band=band), account="other"),
        fund("SLOW", 3, methodology=only(leverage_band=slow), account=""),
        contracts=[contract(lot="0.001", min_notional=5)],
    )
    accounts = {name: Account(name=name) for name in ("main", "other")}
    return Case(
        replace(known, accounts=accounts),
        {BTC: part},
        dict.fromkeys(accounts, PaperCosts(fee_bps=D(4), slippage_bps=D(1))),
    )


def case_of(seed: int) -> Case:
    """Return the case of a seed; the same in every run."""
    dice, simple = dice_of(seed), seed % 2 == 1
    return _crashing(dice, simple=simple) if seed % 4 > 1 else _walking(dice, seed, simple=simple)


def _walking(dice: Random, seed: int, *, simple: bool) -> Case:
    interval_ms = dice.choice(INTERVALS_MS)
    symbols = [BTC] if dice.random() < 0.7 else [BTC, ETH]
    histories = {symbol: walk(dice, symbol, interval_ms, simple=simple) for symbol in symbols}
    accounts = ["main"] if dice.random() < 0.7 else ["main", "other"]
    funds = _funds(dice, symbols, accounts, most=5, simple=simple)
    funds = [patient(dice_of(seed * 10 + n), each) for n, each in enumerate(funds)]
    held = sorted({symbol for fund in funds for symbol in fund.symbols})
    return _case(
        dice,
        funds,
        {symbol: histories[symbol] for symbol in held},
        {symbol: _contract(dice, symbol, simple=simple) for symbol in held},
        {name: Account(name=name) for name in accounts},
    )


def _crashing(dice: Random, *, simple: bool) -> Case:
    interval_ms = dice.choice(CRASH_INTERVALS_MS)
    symbols = [BTC] if dice.random() < 0.8 else [BTC, ETH]
    accounts = ["main"] if dice.random() < 0.7 else ["main", "other"]
    funds = _funds(dice, symbols, accounts, most=3, simple=simple)
    funds = [hurried(dice, each, interval_ms) for each in funds]
    first: dict[str, list[Decimal]] = {}
    kind, margin, lot = dice.random(), D("0.01"), D(0)
    if kind < 0.2:
        funds[0], part = meeting(dice, funds[0])
        first = {funds[0].symbols[0]: [D(100), D(100), D("100.01"), 100 * part]}
    elif kind < 0.3:
        funds, margin, part = margined(dice, funds)
        first = {funds[0].symbols[0]: [D(100), D(100), 100 * part]}
    elif kind < 0.4:
        funds[0], part, lot = whole(dice, funds[0])
        first = {funds[0].symbols[0]: [D(100), D(100), 100 * part]}
        del funds[1:]
    held = sorted({symbol for fund in funds for symbol in fund.symbols})
    histories = {
        symbol: crashes(dice, symbol, interval_ms, first.get(symbol, ()), simple=simple)
        for symbol in held
    }
    contracts = {
        symbol: _coarse(
            dice, [fund for fund in funds if symbol in fund.symbols], histories[symbol].closes[0]
        )
        for symbol in held
    }
    if lot:
        contracts = {symbol: contract(symbol, lot=f"{lot:f}") for symbol in held}
    owners = {
        name: Account(name=name, initial_margin=margin, maintenance_margin=margin / 2)
        for name in accounts
    }
    return _case(dice, funds, histories, contracts, owners)


def _case(
    dice: Random,
    funds: list[Fund],
    histories: dict[str, History],
    contracts: dict[str, Contract],
    accounts: dict[str, Account],
) -> Case:
    return Case(
        Desk(funds={fund.name: fund for fund in funds}, accounts=accounts, contracts=contracts),
        histories,
        {name: _costs(dice) for name in accounts},
    )


def _funds(
    dice: Random, symbols: list[str], accounts: list[str], *, most: int, simple: bool
) -> list[Fund]:
    draw = simple_fund if simple else any_fund
    return [draw(dice, f"F{n}", symbols, accounts) for n in range(dice.randint(1, most))]


def _contract(dice: Random, symbol: str, *, simple: bool) -> Contract:
    return contract(
        symbol,
        contract_size=dice.choice(("1", "0.1") if simple else ("1", "0.001", "0.1")),
        lot=dice.choice(("0.001", "0.01") if simple else ("1", "0.001", "0.000000001", "0.01")),
        min_amount=dice.choice(("0", "0", "0.01", "3")),
        min_notional=dice.choice(("0", "5", "100")),
    )


def _coarse(dice: Random, funds: list[Fund], price: Decimal) -> Contract:
    """Return a contract whose lots are large beside the smallest of `funds`, or not."""
    worth = min(
        fund.initial_nav * fund.initial_shares * abs(fund.target_leverage) for fund in funds
    )
    lot = D(f"{worth / price / dice.choice(LOTS):.1g}")
    return contract(
        funds[0].symbols[0],
        lot=f"{lot:f}",
        min_amount=f"{lot * dice.choice((0, 0, 1, 3)):f}",
        min_notional=dice.choice(("0", f"{lot * price * 2:.2f}", f"{worth / 20:.2f}")),
    )


def _costs(dice: Random) -> PaperCosts:
    return PaperCosts(
        fee_bps=D(dice.choice(("0", "4", "5.5"))),
        slippage_bps=D(dice.choice(("0", "1", "2.5"))),
        funding=dice.random() < 0.9,
    )
