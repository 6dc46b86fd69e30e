"""Closed forms of the literature, which the engine has to reproduce by trading."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest

from rebalancer.core.instant import HOUR_MS, parse
from rebalancer.core.methodology import Fixed
from rebalancer.feeds.candles import History, PricePoint
from tests.factories import BTC, D, desk, dice_of, fund, only, planned, replayed, snapshot

HOURS = 24 * 30
VOLATILITY = 0.8
HOURLY = Fixed(times_of_day_ms=tuple(hour * HOUR_MS for hour in range(24)), utc_offset_ms=0)
LEVERAGES = (2, 3, -1, -2, -3)


@pytest.mark.parametrize("seed", range(3))
def test_a_path_gives_the_nav_of_avellaneda_and_zhang(seed: int) -> None:
    """field.md c9: L_T / L_0 = (S_T / S_0)^b exp((b - b^2) / 2 V_T), V_T the realized variance.

    Hourly resets, 80 % volatility, 30 days; stated error about 0.3 %.
    """
    dice, price, points = dice_of(seed), 100.0, []
    variance = 0.0
    for hour in range(HOURS + 1):
        points.append(PricePoint(parse("2026-01-01T00:00:00Z") + hour * HOUR_MS, D(str(price))))
        step = dice.gauss(0, VOLATILITY / math.sqrt(365 * 24))
        if hour < HOURS:
            price *= math.exp(step)
            variance += step * step
    known = desk(*(fund(f"X{b}", b, methodology=only(fixed=HOURLY)) for b in LEVERAGES))
    told = replayed(known, History.observed(BTC, points)).document()["funds"]
    for b in LEVERAGES:
        grown = float(told[f"X{b}"]["final_nav"]) / 100
        closed = b * math.log(price / 100) + (b - b * b) / 2 * variance
        assert math.log(grown) == pytest.approx(closed, abs=0.003), f"{b}x"


@pytest.mark.parametrize(("leverage", "flow"), [(2, 2), (3, 6), (-1, 2), (-2, 6), (-3, 12)])
@pytest.mark.parametrize("move", ["0.05", "-0.04", "0.001"])
def test_the_days_flow_is_m_squared_less_m_times_the_move(
    leverage: int, flow: int, move: str
) -> None:
    """field.md c2 (Cheng and Madhavan): dN = (M^2 - M) E_0 r, to the last digit."""
    held = leverage * D(100)
    price = D(100) * (1 + D(move))
    document = snapshot(
        {
            "X": {
                "shares": "1",
                "cash": str(D(100) - held),
                "units": {BTC: str(held / 100)},
                "last_rebalance": {
                    "at": "2026-01-01T02:30:00Z",
                    "nav": "100",
                    "prices": {BTC: "100"},
                },
            }
        },
        str(price),
    )
    plan = planned(desk(fund("X", leverage)), document)["funds"]["X"]
    assert Decimal(plan["delta_notional"][BTC]) == flow * 100 * D(move)
