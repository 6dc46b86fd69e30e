"""The example of each family, from its start to a rebalance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rebalancer.configured import desk_of, paper_costs_of
from rebalancer.core.instant import DAY_MS, HOUR_MS, iso, parse
from rebalancer.feeds.candles import History, PricePoint
from rebalancer.settings import load
from rebalancer.sim.backtest import backtest
from tests.factories import BTC, D

EXAMPLES = Path(__file__).parents[2] / "docs" / "example"
START = parse("2026-01-05T00:00:00Z")


def played(name: str, prices: dict[str, list[tuple[int, str]]]) -> dict[str, Any]:
    """Replay an example over prices that are known so many milliseconds after the start."""
    config = load(EXAMPLES / f"{name}.toml", {})
    histories = {
        symbol: History.observed(symbol, [PricePoint(START + at, D(each)) for at, each in row], [])
        for symbol, row in prices.items()
    }
    document = backtest(desk_of(config), histories, paper_costs_of(config)).document()
    funds: dict[str, Any] = document["funds"]
    return funds


def test_leveraged_tokens_rebalance_at_their_time_and_on_the_losing_side() -> None:
    hours = {0: "100", 6: "116", 20: "116", 26: "116", 27: "116"}
    steps = [(at * HOUR_MS, hours.get(at, "100" if at < 6 else "116")) for at in range(28)]
    steps.append((2 * HOUR_MS + HOUR_MS // 2, "100"))
    funds = played("leveraged-tokens", {BTC: sorted(steps)})
    long = [(each["at"], each["trigger"]) for each in funds["BTC3L"]["rebalances"]]
    short = [(each["at"], each["trigger"]) for each in funds["BTC3S"]["rebalances"]]
    first, last = ("2026-01-05T02:30:00Z", "fixed"), ("2026-01-06T02:30:00Z", "fixed")
    assert long == [first, last]
    assert short == [first, ("2026-01-05T06:00:00Z", "price_move"), last]


def test_the_etf_mends_a_breach_of_friday_on_wednesday_over_a_holiday() -> None:
    days = [(day * DAY_MS + 12 * HOUR_MS, "100" if day < 4 else "90") for day in range(12)]
    (run,) = played("etf-125", {BTC: days})["ETF125"]["rebalances"]
    # Breached on Friday the 9th; Monday is closed, so Wednesday is the second business day.
    assert (run["at"], run["trigger"]) == ("2026-01-14T16:30:00Z", "leverage_band")
    assert D(run["leverage_before"]) > D("1.27")
    assert D(run["leverage_after"]) == pytest.approx(D("1.25"), abs=D("1e-3"))


def test_the_note_takes_a_new_member_and_is_rebalanced_after_90_days() -> None:
    days = range(130)
    flat = [(day * DAY_MS, "100") for day in days]
    rising = [(day * DAY_MS, str(100 + day)) for day in days]
    told = played("note", {"AAA": flat, "BBB": rising, "CCC": flat, "DDD": rising[20:]})["NOTE"]
    # 7 February is a Saturday; 90 days after the 9th is 10 May, a Sunday
    assert [(each["at"], each["trigger"]) for each in told["rebalances"]] == [
        ("2026-02-09T00:00:00Z", "reconstitution"),
        ("2026-05-11T00:00:00Z", "elapsed"),
    ]
    assert set(told["rebalances"][0]["delta_units"]) == {"AAA", "BBB", "CCC", "DDD"}
    assert told["costs"]["fees"] == "0"
    assert iso(START) == "2026-01-05T00:00:00Z"
