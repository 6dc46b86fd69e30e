"""The same day under other rules: which rule, looked at how often, saves a fund, and what it costs.

One fund is put under one rule after another, and its prices are shown to it every hour, every four
hours and so on: a rule can only act on what it sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from rebalancer.core.fund import Fund
from rebalancer.core.instant import DAY_MS, HOUR_MS, duration, iso
from rebalancer.core.methodology import (
    Emergency,
    Fixed,
    LeverageBand,
    LeverageCap,
    Methodology,
    PriceMove,
    Ratio,
    Trigger,
)
from rebalancer.core.money import BPS, ZERO, text
from rebalancer.core.state import Desk
from rebalancer.errors import ConfigRefused, InputRefused
from rebalancer.feeds.candles import History
from rebalancer.sim.backtest import FundResult, Outcome

VERSION = 1
_USUAL_MS = (HOUR_MS, 4 * HOUR_MS, 8 * HOUR_MS, DAY_MS)

Run = Callable[[Desk, Mapping[str, History]], Outcome]
"""Runs a backtest of a desk over histories, by the engine or by arrays."""


@dataclass(frozen=True, slots=True)
class Way:
    """One rule beside the daily run, and how often prices are looked at."""

    name: str
    rules: Methodology
    every_ms: int


def ways(fund: Fund, intervals_ms: Sequence[int]) -> Iterator[Way]:
    """Yield every alternative of `fund`, its own rules first; those that cannot be are left out."""
    size = abs(fund.target_leverage)
    fixed = fund.methodology.fixed or Fixed()
    daily = Methodology(fixed=fixed)

    def at(ratio: str) -> Decimal:
        return size * Decimal(ratio)

    rules = {
        "as configured": fund.methodology,
        "daily only": daily,
        **{
            f"price_move {percent} %": replace(
                daily, price_move=PriceMove(threshold=Decimal(percent) / 100)
            )
            for percent in (5, 10, 15, 20)
        },
        f"leverage_cap {at('1.3333'):.2f}": replace(
            daily, leverage_cap=LeverageCap(upper=at("1.3333"))
        ),
        f"leverage_band {at('0.75'):.2f}-{at('1.25'):.2f}": replace(
            daily, leverage_band=LeverageBand(lower=at("0.75"), upper=at("1.25"))
        ),
        "emergency 4/3": replace(
            daily, emergency=Emergency(level=Ratio(numerator=4 * size, denominator=Decimal(3)))
        ),
    }
    for name, chosen in rules.items():
        try:
            replace(fund, methodology=chosen)
        except ConfigRefused:
            continue  # not with this leverage
        for every_ms in intervals_ms:
            yield Way(name, chosen, every_ms)


def thinned(history: History, every_ms: int) -> History:
    """Return the history as somebody sees it who looks at multiples of `every_ms` only."""
    seen = [place for place, at_ms in enumerate(history.times_ms) if at_ms % every_ms == 0]
    return replace(
        history,
        times_ms=[history.times_ms[place] for place in seen],
        closes=[history.closes[place] for place in seen],
        highs=[history.highs[place] for place in seen],
        lows=[history.lows[place] for place in seen],
        interval_ms=max(every_ms, history.interval_ms),
        apart={source: thinned(each, every_ms) for source, each in history.apart.items()},
    )


def usual_intervals_ms(histories: Mapping[str, History]) -> list[int]:
    """Return how often somebody may look at prices: hours and a day, where prices come so often."""
    spacing_ms = _spacing_ms(histories)
    usual = [each for each in _USUAL_MS if each % spacing_ms == 0]
    return usual or [spacing_ms]


def _spacing_ms(histories: Mapping[str, History]) -> int:
    return max(1, *(history.interval_ms for history in histories.values()))


def between(history: History, from_ms: int, until_ms: int) -> History:
    """Return the part of a history in [from_ms, until_ms)."""
    seen = [place for place, at_ms in enumerate(history.times_ms) if from_ms <= at_ms < until_ms]
    part = slice(seen[0], seen[-1] + 1) if seen else slice(0, 0)
    return replace(
        history,
        times_ms=history.times_ms[part],
        closes=history.closes[part],
        highs=history.highs[part],
        lows=history.lows[part],
        funding=[each for each in history.funding if from_ms <= each.at_ms < until_ms],
        apart={source: between(each, from_ms, until_ms) for source, each in history.apart.items()},
    )


def counterfactual(
    desk: Desk, histories: Mapping[str, History], day_ms: int, run: Run, intervals_ms: Sequence[int]
) -> dict[str, Any]:
    """Return the document: the UTC day from `day_ms` on under every way, for a desk of one fund.

    A way begins a day before, so that it meets the day as a fund that has been running. What it
    costs on ordinary days is told of the longer part of the history, before or after. Raises
    InputRefused for a day without prices, and for looks at instants that have none.
    """
    ((name, fund),) = desk.funds.items()
    whole = next(iter(histories.values()))
    begins_ms, ends_ms = whole.times_ms[0], whole.times_ms[-1] + 1
    if not begins_ms < day_ms + DAY_MS <= ends_ms + DAY_MS:
        span = f"{iso(begins_ms)[:10]} to {iso(ends_ms)[:10]}"
        raise InputRefused(f"{iso(day_ms)[:10]}: the prices go from {span}")
    spacing_ms = _spacing_ms(histories)
    for every_ms in intervals_ms:
        if every_ms <= 0 or every_ms % spacing_ms:
            raise InputRefused(
                f"{duration(every_ms)}: prices come every {duration(spacing_ms)}; "
                "write multiples of it"
            )
    later = ends_ms - day_ms > day_ms - begins_ms
    ordinary_ms = (day_ms + 2 * DAY_MS, ends_ms) if later else (begins_ms, day_ms - DAY_MS)
    told = []
    for way in ways(fund, intervals_ms):
        chosen = replace(desk, funds={name: replace(fund, methodology=way.rules)})
        seen = {each: thinned(history, way.every_ms) for each, history in histories.items()}
        lives = [
            _life(chosen, seen, span_ms, run)
            for span_ms in ((day_ms - DAY_MS, day_ms + DAY_MS + 1), ordinary_ms)
        ]
        told.append(
            {
                "rule": way.name,
                "every": duration(way.every_ms),
                **_of_day(lives[0], day_ms),
                **_of_ordinary(lives[1], ordinary_ms),
            }
        )
    return {"version": VERSION, "fund": name, "day": iso(day_ms)[:10], "ways": told}


def _life(
    desk: Desk, histories: Mapping[str, History], span_ms: tuple[int, int], run: Run
) -> FundResult | None:
    """Return what happened to the fund in a span; None where its prices say too little."""
    parts = {symbol: between(history, *span_ms) for symbol, history in histories.items()}
    if min(history.rows for history in parts.values()) < 2:
        return None
    return next(iter(run(desk, parts).funds.values()), None)


def _of_day(found: FundResult | None, day_ms: int) -> dict[str, Any]:
    if found is None or found.worth is None:
        return {"saved": None, "nav_before": None, "nav_after": None, "runs": 0}
    before = _nav_at(found, day_ms)
    return {
        "saved": not found.count(Trigger.GAP),
        "nav_before": text(before) if before is not None else None,
        "nav_after": text(found.worth.nav),
        "runs": sum(1 for each in found.rebalances if each.plan.opened_ms >= day_ms),
    }


def _nav_at(found: FundResult, at_ms: int) -> Decimal | None:
    """Return the last daily NAV up to an instant."""
    told = [(each.at_ms, each.nav) for each in found.strikes if each.at_ms <= at_ms]
    return told[-1][1] if told else None


def _of_ordinary(found: FundResult | None, span_ms: tuple[int, int]) -> dict[str, Any]:
    """Return what a day costs in trading, in basis points of the equity, and how it ended."""
    if found is None or found.worth is None or not found.strikes:
        return {"ordinary_bp_a_day": None, "ordinary_wiped": None}
    equity = sum((each.equity for each in found.strikes), ZERO) / len(found.strikes)
    days = Decimal(span_ms[1] - span_ms[0]) / DAY_MS
    spent = found.costs.fees + found.costs.slippage
    gone = next((each for each in found.rebalances if each.plan.trigger is Trigger.GAP), None)
    return {
        "ordinary_bp_a_day": text(spent / equity / days * BPS) if equity > 0 else None,
        "ordinary_wiped": None if gone is None else iso(gone.plan.opened_ms)[:10],
    }
