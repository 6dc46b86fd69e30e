"""Random desks and histories, one of each seed: every rule that the fast path knows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from rebalancer.core.calendar import WEEKDAYS, Roll
from rebalancer.core.fees import ManagementFee
from rebalancer.core.fund import Account, Execution, Fund, NavKind
from rebalancer.core.instant import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from rebalancer.core.methodology import (
    Destination,
    Elapsed,
    Emergency,
    Fixed,
    Goal,
    LeverageBand,
    LeverageCap,
    Methodology,
    PriceMove,
    Ratio,
    Side,
)
from rebalancer.core.state import Desk
from rebalancer.errors import ConfigRefused
from rebalancer.feeds.candles import FundingPoint, History, PricePoint, read_history
from rebalancer.venues.paper import PaperCosts
from tests.factories import BTC, ETH, NOON, D, contract, desk, dice_of, fund, only
from tests.shared_data import PERP

#: every price history that is shared
FILES = sorted(
    path for pattern in ("*_1h_*", "*_8h_*", "*_5m_*", "*_1m_*") for path in PERP.glob(pattern)
)
INTERVALS_MS = (MINUTE_MS, 5 * MINUTE_MS, HOUR_MS, 8 * HOUR_MS, DAY_MS)
LEVERAGES = ("3", "3", "2", "5", "-1", "-2", "-3", "1", "0.5", "1.25", "-5")


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
    """Return the case of a seed; the same in every run. Odd ones are simple enough to sketch."""
    dice = dice_of(seed)
    interval_ms = dice.choice(INTERVALS_MS)
    bars = dice.randint(20, 250)
    symbols = [BTC] if dice.random() < 0.7 else [BTC, ETH]
    simple = seed % 2 == 1
    histories = {
        symbol: _history(dice, symbol, interval_ms, bars, simple=simple) for symbol in symbols
    }
    accounts = ["main"] if dice.random() < 0.7 else ["main", "other"]
    draw = _simple_fund if simple else _fund
    funds = [draw(dice, f"F{n}", symbols, accounts) for n in range(dice.randint(1, 5))]
    funds = [_patient(dice_of(seed * 10 + n), each) for n, each in enumerate(funds)]
    held = {symbol for fund in funds for symbol in fund.symbols}
    return Case(
        Desk(
            funds={fund.name: fund for fund in funds},
            accounts={name: Account(name=name) for name in accounts},
            contracts={symbol: _contract(dice, symbol, simple=simple) for symbol in sorted(held)},
        ),
        {symbol: history for symbol, history in histories.items() if symbol in held},
        {name: _costs(dice) for name in accounts},
    )


def _history(dice: Random, symbol: str, interval_ms: int, bars: int, *, simple: bool) -> History:
    """A walk with jumps, gaps and round prices that meet edges exactly; none of it if `simple`."""
    at_ms = NOON + dice.randrange(0, DAY_MS, MINUTE_MS) + dice.choice((0, 0, 17 * SECOND_MS))
    step, digits = dice.choice((0.001, 0.01, 0.04)), 4 if simple else dice.choice((0, 1, 1, 4))
    price, points = float(dice.choice((100, 200, 30_000))), []
    if simple:
        price *= dice.uniform(0.9, 1.1)
    for _ in range(bars):
        points.append(PricePoint(at_ms, max(D(f"{price:.{digits}f}"), D(1).scaleb(-digits))))
        jumps = not simple and dice.random() < 0.01
        jump = dice.choice((0.85, 1.15, 0.9, 1.1, 0.6, 1.4)) if jumps else 1.0
        price *= jump * 2.718281828 ** dice.gauss(0, step)
        gap = dice.randint(2, 40) if not simple and dice.random() < 0.01 else 1
        at_ms += gap * interval_ms
    return History.observed(symbol, points, _funding(dice, points))


def _funding(dice: Random, points: list[PricePoint]) -> list[FundingPoint]:
    if dice.random() < 0.3:
        return []
    first_ms, last_ms = points[0].at_ms, points[-1].at_ms
    every_ms = dice.choice((HOUR_MS, 8 * HOUR_MS, 8 * HOUR_MS))
    times_ms = range(first_ms // every_ms * every_ms, last_ms + 2 * every_ms, every_ms)
    return [FundingPoint(at, D(f"{dice.gauss(0.0001, 0.0005):.8f}")) for at in times_ms]


def _contract(dice: Random, symbol: str, *, simple: bool) -> Any:
    return contract(
        symbol,
        contract_size=dice.choice(("1", "0.1") if simple else ("1", "0.001", "0.1")),
        lot=dice.choice(("0.001", "0.01") if simple else ("1", "0.001", "0.000000001", "0.01")),
        min_amount=dice.choice(("0", "0", "0.01", "3")),
        min_notional=dice.choice(("0", "5", "100")),
    )


def _costs(dice: Random) -> PaperCosts:
    return PaperCosts(
        fee_bps=D(dice.choice(("0", "4", "5.5"))),
        slippage_bps=D(dice.choice(("0", "1", "2.5"))),
        funding=dice.random() < 0.9,
    )


def _fund(dice: Random, name: str, symbols: list[str], accounts: list[str]) -> Fund:
    account = "" if dice.random() < 0.1 else dice.choice(accounts)
    fee = ManagementFee(daily=D(dice.choice(("0.003", "0.0001"))))
    while True:
        target = D(dice.choice(LEVERAGES))
        try:
            return Fund(
                name=name,
                account=account,
                target_leverage=target,
                basket={dice.choice(symbols): D(1)},
                methodology=_rules(dice, target),
                initial_nav=D(dice.choice(("100", "1"))),
                initial_shares=D(dice.choice(("10000", "1", "1234.5"))),
                nav_boundary_ms=dice.choice((16 * HOUR_MS, 0, 9_000_000)),
                size_from=dice.choice((NavKind.ACCOUNT, NavKind.ACCOUNT, NavKind.FORMULA)),
                formula_base=dice.choice((NavKind.FORMULA, NavKind.FORMULA, NavKind.ACCOUNT)),
                management_fee=fee if dice.random() < 0.5 else None,
                execution=Execution(min_notional=D(dice.choice(("0", "0", "50")))),
            )
        except ConfigRefused:
            continue  # rules that contradict each other: throw again


def _simple_fund(dice: Random, name: str, symbols: list[str], accounts: list[str]) -> Fund:
    """Draw a fund until it is one that runs to its target by price, leverage and time of day."""
    while True:
        drawn = _fund(dice, name, symbols, accounts)
        rules = drawn.methodology
        fixed = rules.fixed and replace(rules.fixed, skip_below_move=None, skip_within=None)
        if rules.leverage_band is None and not drawn.index_only:
            return replace(
                drawn,
                size_from=NavKind.ACCOUNT,
                formula_base=NavKind.FORMULA,
                methodology=replace(rules, fixed=fixed, elapsed=None),
            )


def _patient(dice: Random, drawn: Fund) -> Fund:
    """Give the rules of a fund cool-downs, calendars and a catch-up of their own, now and then."""
    chosen = drawn.methodology
    fixed, move, band = chosen.fixed, chosen.price_move, chosen.leverage_band
    if fixed is not None and dice.random() < 0.3:
        fixed = replace(fixed, catch_up_ms=dice.choice((MINUTE_MS, HOUR_MS, DAY_MS)))
    if fixed is not None and dice.random() < 0.3:
        fixed = replace(fixed, calendar=WEEKDAYS, roll=dice.choice(tuple(Roll)))
    if move is not None and dice.random() < 0.5:
        move = replace(move, cooldown_ms=dice.choice((10 * MINUTE_MS, 3 * HOUR_MS, 30 * HOUR_MS)))
    if band is not None and dice.random() < 0.5:
        band = replace(band, cooldown_ms=5 * HOUR_MS)
    rules = replace(chosen, fixed=fixed, price_move=move, leverage_band=band)
    return replace(drawn, methodology=rules)


def _rules(dice: Random, target: Decimal) -> Methodology:
    size = abs(target)
    band = None
    if dice.random() < 0.3:
        width = D(dice.choice(("0.05", "0.2", "0.6")))
        band = LeverageBand(
            lower=size * (1 - width / 2), upper=size * (1 + width), goal=_goal(dice, banded=True)
        )
    banded = band is not None
    return Methodology(
        fixed=_fixed(dice, banded=banded) if dice.random() < 0.8 else None,
        price_move=PriceMove(
            threshold=D(dice.choice(("0.15", "0.1", "0.05", "0.02"))),
            side=dice.choice(tuple(Side)),
            goal=_goal(dice, banded=banded),
        )
        if dice.random() < 0.7
        else None,
        leverage_band=band,
        leverage_cap=LeverageCap(
            upper=size * D(dice.choice(("1.1", "1.5", "2"))), goal=_goal(dice, banded=banded)
        )
        if dice.random() < 0.3
        else None,
        elapsed=Elapsed(days=dice.choice((1, 3))) if dice.random() < 0.1 else None,
        emergency=Emergency(level=Ratio(numerator=size * dice.choice((4, 8)), denominator=D(3)))
        if dice.random() < 0.7
        else None,
    )


def _fixed(dice: Random, *, banded: bool) -> Fixed:
    times = (9_000_000,) if dice.random() < 0.6 else (0, 8 * HOUR_MS, 16 * HOUR_MS + 60_000)
    return Fixed(
        times_of_day_ms=times,
        utc_offset_ms=dice.choice((0, 8 * HOUR_MS)),
        skip_below_move=D("0.01") if dice.random() < 0.2 else None,
        skip_within=(D("2.9"), D("3.1")) if dice.random() < 0.2 else None,
        goal=_goal(dice, banded=banded),
    )


def _goal(dice: Random, *, banded: bool) -> Goal:
    if not banded or dice.random() < 0.5:
        return Goal()
    if dice.random() < 0.5:
        return Goal(Destination.EDGE)
    return Goal(Destination.RECENTRE, D(dice.choice(("0.05", "0.5", "1"))))
