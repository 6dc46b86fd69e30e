"""The same day under other rules: what a fund sees in time saves it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from rebalancer.core.instant import HOUR_MS, parse
from rebalancer.core.state import Desk
from rebalancer.errors import InputRefused
from rebalancer.feeds.candles import History
from rebalancer.sim.backtest import Outcome, backtest
from rebalancer.sim.counterfactual import counterfactual, thinned, usual_intervals_ms
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


@pytest.mark.parametrize(
    ("day", "every_ms", "words"),
    [
        ("2026-02-03", HOUR_MS, "2026-02-03: the prices go from 2026-01-01 to 2026-01-08"),
        (DAY, 0, "0ms: prices come every 1h; write multiples of it"),
        (DAY, HOUR_MS // 2, "30m: prices come every 1h; write multiples of it"),
        (DAY, HOUR_MS * 3 // 2, "1h30m: prices come every 1h; write multiples of it"),
    ],
)
def test_what_the_prices_cannot_show_is_refused(day: str, every_ms: int, words: str) -> None:
    with pytest.raises(InputRefused, match=words):
        counterfactual(desk(), {BTC: crash()}, parse(f"{day}T00:00:00Z"), run, [every_ms])


@pytest.mark.parametrize(
    ("spacing_hours", "looks_hours"), [(1, [1, 4, 8, 24]), (8, [8, 24]), (7, [7])]
)
def test_unless_told_it_looks_as_often_as_prices_come(
    spacing_hours: int, looks_hours: list[int]
) -> None:
    prices = replace(crash(), interval_ms=spacing_hours * HOUR_MS)
    assert usual_intervals_ms({BTC: prices}) == [hours * HOUR_MS for hours in looks_hours]
