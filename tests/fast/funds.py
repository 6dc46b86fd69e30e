"""Random funds: every rule that the fast path knows, and rules that lie close together."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from random import Random

from rebalancer.core.calendar import WEEKDAYS, Roll
from rebalancer.core.fees import ManagementFee
from rebalancer.core.fund import Execution, Fund, NavKind
from rebalancer.core.instant import DAY_MS, HOUR_MS, MINUTE_MS
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
from rebalancer.errors import ConfigRefused
from tests.factories import D, only

LEVERAGES = ("3", "3", "2", "5", "-1", "-2", "-3", "1", "0.5", "1.25", "-5")
HOURLY_MS = tuple(range(0, 24 * HOUR_MS, HOUR_MS))


def margined(dice: Random, funds: list[Fund]) -> tuple[list[Fund], Decimal, Decimal]:
    """Return funds that come near the margin of their account, its margin, and the way there.

    A large long without any protection, beside a small one that buys when the price has fallen by
    the part that is returned, where the large one leaves no margin for it.
    """
    target, margin = D(dice.choice((2, 3, 5))), D("0.48")
    asked = round(margin / target, 3)
    most = 1 / asked * D(dice.choice(("0.6", "1.1", "1.5")))
    part = round(most * (target - 1) / (target * (most - 1)), 4)
    large = replace(
        funds[0],
        target_leverage=target,
        methodology=only(fixed=Fixed()),
        initial_shares=D(10_000),
    )
    small = replace(
        large,
        name="SMALL",
        target_leverage=D("0.5"),
        methodology=only(price_move=PriceMove(threshold=D("0.05"), side=Side.BOTH)),
        initial_shares=D(dice.choice((1, 100, 10_000))),
    )
    return [large, small], asked, part


def any_fund(dice: Random, name: str, symbols: list[str], accounts: list[str]) -> Fund:
    """Draw a fund of any rules that the fast path knows."""
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


def simple_fund(dice: Random, name: str, symbols: list[str], accounts: list[str]) -> Fund:
    """Draw a fund until it is one that runs to its target by price, leverage and time of day."""
    strange = dice.random() < 0.1
    while True:
        drawn = any_fund(dice, name, symbols, accounts)
        if strange:
            return drawn  # and the sketch has to say so
        rules = drawn.methodology
        fixed = rules.fixed and replace(rules.fixed, skip_below_move=None, skip_within=None)
        if rules.leverage_band is None and not drawn.index_only:
            return replace(
                drawn,
                size_from=NavKind.ACCOUNT,
                formula_base=NavKind.FORMULA,
                methodology=replace(rules, fixed=fixed, elapsed=None),
            )


def patient(dice: Random, drawn: Fund) -> Fund:
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


def hurried(dice: Random, drawn: Fund, interval_ms: int) -> Fund:
    """Give the fund rules close to its target that cool for a few bars: they meet while they do."""
    while True:
        try:
            quick = replace(drawn, methodology=_close_rules(dice, drawn, interval_ms))
        except ConfigRefused:
            continue  # rules that contradict each other: throw again
        least = dice.choice((0, 0, 0, quick.initial_nav * quick.initial_shares / 50))
        return replace(quick, execution=Execution(min_notional=D(least)))


def meeting(dice: Random, drawn: Fund) -> tuple[Fund, Decimal]:
    """Return a fund with one rule, and the part of its first price that meets the edge exactly."""
    target = drawn.target_leverage
    losses = [D(each) for each in ("0.01", "0.02", "0.04", "0.05", "0.1", "0.2", "0.25")]
    loss = dice.choice([each for each in losses if abs(target) * each < D("0.75")])
    part = 1 - loss.copy_sign(target)
    exposure, equity = abs(target) * part, 1 - abs(target) * loss
    ratio = Ratio(numerator=exposure, denominator=equity)
    level, places = exposure / equity, 6
    exact = level == round(level, places) and level > abs(target)
    what = dice.choice(("move", "move", "emergency", "emergency", *("cap", "band") * exact))
    if what == "cap":
        return replace(drawn, methodology=only(leverage_cap=LeverageCap(upper=level))), part
    if what == "band":
        band = LeverageBand(lower=abs(target) / 2, upper=level)
        return replace(drawn, methodology=only(leverage_band=band)), part
    if what == "emergency" and level > abs(target):
        return replace(drawn, methodology=only(emergency=Emergency(level=ratio))), part
    return replace(drawn, methodology=only(price_move=PriceMove(threshold=loss))), part


def whole(dice: Random, drawn: Fund) -> tuple[Fund, Decimal, Decimal]:
    """Return a fund whose run trades a whole number of lots, and the price and the lot for that.

    The price is a part of its first one, which is 100, and meets the threshold of its only rule.
    """
    target = D(dice.choice((3, 2, -1, -2)))
    loss = D("0.2" if target > 0 else "0.25")
    part = 1 - loss.copy_sign(target)
    capital = D(dice.randint(1, 99)).scaleb(dice.choice((0, 2, 4)))
    fund = replace(
        drawn,
        target_leverage=target,
        initial_nav=D(1),
        initial_shares=capital,
        methodology=only(price_move=PriceMove(threshold=loss)),
    )
    units = abs(target * capital * ((1 - abs(target) * loss) / part - 1) / 100)
    lots = [units / count for count in range(1, 13)]
    return fund, part, dice.choice([lot for lot in lots if lot == round(lot, 8)])


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
        elapsed=Elapsed(days=dice.choice((1, 1, 3))) if dice.random() < 0.2 else None,
        emergency=Emergency(level=Ratio(numerator=size * dice.choice((4, 8)), denominator=D(3)))
        if dice.random() < 0.7
        else None,
    )


def _close_rules(dice: Random, drawn: Fund, interval_ms: int) -> Methodology:
    size, chosen = abs(drawn.target_leverage), drawn.methodology
    cools = [interval_ms * dice.choice((1, 1, 2, 3, 5, 8)) for _ in range(3)]
    emergency_ms = interval_ms * dice.choice((1, 2, 3, 5))
    fixed = chosen.fixed
    if dice.random() < 0.3:
        fixed = Fixed(times_of_day_ms=dice.choice((HOURLY_MS, (9_000_000,))))
    return replace(
        chosen,
        fixed=fixed,
        emergency=Emergency(
            level=Ratio(numerator=size * dice.choice((103, 106, 110, 130)), denominator=D(100)),
            cooldown_ms=emergency_ms,
        )
        if dice.random() < 0.8
        else None,
        leverage_cap=LeverageCap(
            upper=size * D(dice.choice(("1.02", "1.05", "1.1", "1.2"))), cooldown_ms=cools[0]
        )
        if dice.random() < 0.5
        else None,
        price_move=PriceMove(
            threshold=D(dice.choice(("0.01", "0.02", "0.05"))),
            side=dice.choice(tuple(Side)),
            cooldown_ms=cools[1],
        )
        if dice.random() < 0.5
        else None,
        leverage_band=LeverageBand(
            lower=size * D(dice.choice(("0.5", "0.9", "0.97"))),
            upper=size * D(dice.choice(("1.03", "1.1", "1.5"))),
            cooldown_ms=cools[2],
        )
        if chosen.leverage_band is None and dice.random() < 0.4
        else chosen.leverage_band,
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
