"""A replay of made-up weeks with a crash in them, followed by a gatherer."""

from __future__ import annotations

import pytest

from rebalancer.report.figures import FundFigures, told_funds
from rebalancer.report.story import Gatherer
from rebalancer.sim.backtest import Result, backtest
from rebalancer.venues.paper import PaperCosts
from tests.factories import BTC, D, desk, dice_of, fund, history

COSTS = {"main": PaperCosts(fee_bps=D(4), slippage_bps=D(2))}


def weeks(days: int = 21) -> list[tuple[str, str]]:
    """Return hourly prices of made-up days; on the tenth the price falls by 24 % in six hours."""
    dice, price, told = dice_of(7), 50_000.0, []
    for hour in range(days * 24):
        price *= 1 + dice.gauss(0, 0.006) - (0.045 if 224 <= hour < 230 else 0)
        told.append((f"2026-03-{1 + hour // 24:02}T{hour % 24:02}:00:00Z", f"{price:.1f}"))
    return told


def followed() -> tuple[Result, Gatherer]:
    """Replay the weeks with a long and a short fund, funding every eight hours."""
    known = desk(fund(), fund("BTC3S", -3))
    rows = weeks()
    funding = [(at, "0.0001") for at, _ in rows if at[11:13] in ("00", "08", "16")]
    gatherer = Gatherer(known)
    made = history(rows, funding=funding)
    return backtest(known, {BTC: made}, COSTS, onlooker=gatherer), gatherer


@pytest.fixture(scope="session")
def replay() -> tuple[Result, Gatherer]:
    """The replay and who followed it; read only."""
    return followed()


@pytest.fixture(scope="session")
def long_fund(replay: tuple[Result, Gatherer]) -> FundFigures:
    """The figures of BTC3L."""
    return told_funds(replay[1].stories)[0]
