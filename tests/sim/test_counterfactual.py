"""The same day under other rules: what a fund sees in time saves it."""

from __future__ import annotations

from collections.abc import Mapping

from rebalancer.core.instant import HOUR_MS, parse
from rebalancer.core.state import Desk
from rebalancer.feeds.candles import History
from rebalancer.sim.backtest import Outcome, backtest
from rebalancer.sim.counterfactual import counterfactual, thinned
from rebalancer.venues.paper import PaperCosts
from tests.factories import BTC, D, desk, fund, history

DAY = "2026-01-03"


def run(known: Desk, histories: Mapping[str, History]) -> Outcome:
    return backtest(known, histories, {"main": PaperCosts(fee_bps=D(5))})


def crash() -> History:
    """100 for two days, then a fall of 40 % within ten hours, then days that swing."""
    prices = [100] * 48 + [100 - 4 * n for n in range(11)] + [60] * 13
    prices += [60 + n % 5 for n in range(120)]
    return history(
        [(f"2026-01-{1 + n // 24:02}T{n % 24:02}:00:00Z", each) for n, each in enumerate(prices)]
    )


def test_a_threshold_seen_every_hour_saves_and_one_seen_once_a_day_does_not() -> None:
    told = counterfactual(
        desk(fund("BTC3L")),
        {BTC: crash()},
        parse(f"{DAY}T00:00:00Z"),
        run,
        [HOUR_MS, 24 * HOUR_MS],
    )
    fate = {(way["rule"], way["every"]): way["saved"] for way in told["ways"]}
    assert fate["price_move 15 %", "1h"] is True
    assert fate["leverage_cap 4.00", "1h"] is True
    assert fate["daily only", "1h"] is False
    assert fate["price_move 15 %", "1d"] is False
    costs = {way["rule"]: way["ordinary_bp_a_day"] for way in told["ways"] if way["every"] == "1h"}
    assert D(costs["price_move 5 %"]) >= D(costs["daily only"]) > 0


def test_somebody_who_looks_every_four_hours_sees_a_quarter() -> None:
    seen = thinned(crash(), 4 * HOUR_MS)
    assert seen.rows == crash().rows // 4
    assert all(at_ms % (4 * HOUR_MS) == 0 for at_ms in seen.times_ms)
