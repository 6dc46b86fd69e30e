"""A sweep: every combination, each by the engine, and what tracking means."""

from __future__ import annotations

from typing import Any

import pytest

from rebalancer.core.records import NavStruck
from rebalancer.errors import InputRefused
from rebalancer.sim.summary import days_of, summaries_of
from rebalancer.sim.sweep import Setting, figures, grid, sweep, tracking
from tests.factories import BTC, DUE, D, desk, fund, history, replayed

DAY = 86_400_000


def struck(day: int, nav: str, price: str) -> NavStruck:
    return NavStruck(
        at_ms=DUE + day * DAY,
        fund="BTC3L",
        boundary_ms=DUE + day * DAY,
        nav=D(nav),
        formula_nav=D(nav),
        equity=D(nav),
        shares=D(1),
        marks={BTC: D(price)},
    )


def test_a_grid_has_every_combination_and_the_last_key_changes_fastest() -> None:
    points = grid({"a": ["1", "2"], "b": ["x", "y"]})
    assert [dict(point) for point in points] == [
        {"a": "1", "b": "x"},
        {"a": "1", "b": "y"},
        {"a": "2", "b": "x"},
        {"a": "2", "b": "y"},
    ]


def test_tracking_is_what_a_day_differs_from_m_times_the_underlying() -> None:
    """+1 % and the fund +2.9 %, then +1 % and the fund +2.8 %: 10 and 20 bp short."""
    first, second = D(100) * D("1.029"), D(100) * D("1.029") * D("1.028")
    days = [struck(0, "100", "100"), struck(1, str(first), "101"), struck(2, str(second), "102.01")]
    found = tracking(fund(), days_of(fund(), days))
    assert found is not None
    assert (found.days, found.mean_bp) == (2, D(-15))
    assert found.error_bp == pytest.approx(D("7.0710678"), abs=D("1e-6"))


def test_with_fewer_than_three_strikes_there_is_nothing_to_compare() -> None:
    days = days_of(fund(), [struck(0, "100", "100"), struck(1, "103", "101")])
    assert tracking(fund(), days) is None


def test_days_end_where_a_fund_is_worth_nothing() -> None:
    days = [struck(0, "100", "100"), struck(1, "0", "50"), struck(2, "0", "60")]
    assert days_of(fund(), days) == [(-1.0, -0.5)]


def test_the_figures_are_those_of_the_backtest() -> None:
    hours = [(f"2026-01-{1 + n // 24:02}T{n % 24:02}:00:00Z", 100 + n % 5) for n in range(96)]
    result = replayed(desk(fund()), history(hours), fee_bps=D(5))
    told, document = figures(summaries_of(result))["BTC3L"], result.document()["funds"]["BTC3L"]
    assert told["final_nav"] == document["final_nav"]
    assert told["fixed_runs"] + told["other_runs"] == len(document["rebalances"])
    assert D(told["cost"]) == sum(D(each) for each in document["costs"].values())
    assert told["days"] == 3


def squared(point: tuple[Setting, ...]) -> dict[str, Any]:
    return {"X": {"square": str(int(dict(point)["n"]) ** 2)}}


@pytest.mark.parametrize("processes", [1, 2])
def test_points_come_back_in_their_order_however_many_processes_work(processes: int) -> None:
    told = sweep(grid({"n": ["1", "2", "3"]}), squared, processes)
    assert [(each["set"]["n"], each["funds"]["X"]["square"]) for each in told["points"]] == [
        ("1", "1"),
        ("2", "4"),
        ("3", "9"),
    ]


def test_points_are_run_by_an_existing_cluster() -> None:
    """One worker in this process, spoken to over the loopback."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address=None,
    ) as cluster:
        told = sweep(grid({"n": ["2", "3"]}), squared, 1, cluster.scheduler_address)
    assert [each["funds"]["X"]["square"] for each in told["points"]] == ["4", "9"]


def test_a_cluster_that_does_not_answer_is_refused_in_a_sentence() -> None:
    with pytest.raises(InputRefused, match="no cluster answers"):
        sweep(grid({"n": ["2"]}), squared, 1, "nonsense://127.0.0.1:1")
