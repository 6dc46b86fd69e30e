"""The sweep command."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.factories import BTC

pytest_plugins = ["tests.fast.compiling"]
pytestmark = pytest.mark.usefixtures("compiled")

THRESHOLD = "funds.BTC3L.rules.price_move.threshold"


@pytest.fixture(autouse=True)
def prices(folder: Path) -> str:
    rows = [f"{1_767_225_600_000 + n * 3_600_000},{100 - 3 * (n % 7)}" for n in range(120)]
    (folder / "p.csv").write_text("timestamp,close\n" + "\n".join(rows) + "\n")
    return f"{BTC}=p.csv"


def test_thresholds_and_times_make_a_grid_of_replays(run: Run, prices: str) -> None:
    times = "funds.BTC3L.rules.fixed.times"
    answer = run(
        *("sweep", "--prices", prices, "--jobs", "1", "--json"),
        *("--set", f"{THRESHOLD}=0.10,0.20", "--set", f'{times}=["10:30", "22:30"]'),
    )
    assert answer.err.startswith("2 points"), answer.err
    points = answer.json["points"]
    assert [point["set"][THRESHOLD] for point in points] == ["0.10", "0.20"]
    others = [point["funds"]["BTC3L"]["other_runs"] for point in points]
    assert others[0] > others[1]
    assert points[0]["funds"]["BTC3L"]["fixed_runs"] > points[0]["funds"]["BTC1S"]["fixed_runs"]


def test_one_point_is_the_backtest_with_that_setting(run: Run, folder: Path, prices: str) -> None:
    swept = run("sweep", "--prices", prices, "--set", f"{THRESHOLD}=0.12", "--json").json
    text = (folder / "config.toml").read_text()
    (folder / "config.toml").write_text(f"{text}[funds.BTC3L.rules.price_move]\nthreshold = 0.12\n")
    alone = run("backtest", "--prices", prices, "--json").json
    nav = swept["points"][0]["funds"]["BTC1S"]["final_nav"]
    assert float(nav) == pytest.approx(float(alone["funds"]["BTC1S"]["final_nav"]), rel=1e-9)


def test_it_says_who_played_which_fund(run: Run, folder: Path, prices: str) -> None:
    text = (folder / "config.toml").read_text()
    elapsed = "[funds.BTC1S.rules.elapsed]\ndays = 3\n"
    (folder / "config.toml").write_text(text + elapsed)
    alone = run("sweep", "--prices", prices, "--set", f"{THRESHOLD}=0.12", "--json")
    assert "2 of 2 funds by exact arrays, equal to the engine" in alone.err
    (folder / "config.toml").write_text(text)
    swept = ("sweep", "--prices", prices, "--set", f"{THRESHOLD}=0.12", "--json")
    assert "2 of 2 funds by compiled floats: the engine's runs" in run(*swept).err
    assert "BTC1S by the engine: asked for" in run(*swept, "--engine").err
    limited = "[funds.BTC1S.limits]\nmax_runs_per_day = 3\n"
    (folder / "config.toml").write_text(text + limited)
    assert "BTC1S by the engine: limits" in run(*swept).err


def test_three_ways_show_the_same(run: Run, folder: Path, prices: str) -> None:
    swept = ("sweep", "--prices", prices, "--set", f"{THRESHOLD}=0.05", "--json")
    quick, exact = run(*swept).json, run(*swept, "--engine").json
    for name, told in exact["points"][0]["funds"].items():
        other = quick["points"][0]["funds"][name]
        assert (other["by"], told["by"]) == ("sketch", "engine")
        assert other["other_runs"] == told["other_runs"] > 0
        assert other["mean_bp"] == told["mean_bp"]
        assert float(other["final_nav"]) == pytest.approx(float(told["final_nav"]), rel=1e-9)
        assert other["economics"] == pytest.approx(told["economics"], rel=1e-9)


def test_navs_at_every_bar_come_as_a_file_for_each_point(
    run: Run, folder: Path, prices: str
) -> None:
    numpy = pytest.importorskip("numpy")
    answer = run(
        *("sweep", "--prices", prices, "--set", f"{THRESHOLD}=0.10,0.20", "--navs", "n", "--json"),
        *("--jobs", "1"),
    )
    assert sorted(path.name for path in (folder / "n").iterdir()) == ["0001.npz", "0002.npz"]
    with numpy.load(folder / "n" / "0002.npz") as file:
        navs = file["BTC3L"]["nav"]
    last = float(answer.json["points"][1]["funds"]["BTC3L"]["final_nav"])
    assert (len(navs), navs[-1]) == (120, pytest.approx(last))


@pytest.mark.parametrize("option", [["--engine"], ["--scheduler", "tcp://127.0.0.1:1"]])
def test_navs_of_what_keeps_none_are_refused(run: Run, prices: str, option: list[str]) -> None:
    swept = ("sweep", "--prices", prices, "--set", f"{THRESHOLD}=0.1", "--navs", "n", *option)
    assert "only arrays on this machine tell them" in run(*swept).sentence


def test_people_see_a_table(run: Run, prices: str) -> None:
    answer = run("sweep", "--prices", prices, "--set", f"{THRESHOLD}=0.12")
    assert [line.split()[:2] for line in answer.out.splitlines()[1:]] == [
        ["threshold", "fund"],
        ["0.12", "BTC3L"],
        ["0.12", "BTC1S"],
    ]
    assert "1 point on 1 core" in answer.err


def test_a_fund_that_no_setting_changes_is_told_once(run: Run, prices: str) -> None:
    sets = ("--set", f"{THRESHOLD}=0.05,0.10", "--set", "funds.BTC3L.initial_nav=50")
    lines = run("sweep", "--prices", prices, "--jobs", "1", *sets).out.splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [
        ["threshold", "initial_nav", "fund"],
        ["0.05", "50", "BTC3L"],
        ["0.10", "50", "BTC3L"],
        ["any", "any", "BTC1S"],
    ]


def test_lists_are_alternatives_as_plain_values_are(run: Run, prices: str) -> None:
    times = 'funds.BTC3L.rules.fixed.times=["10:30:00"],["00:00:00", "12:00:00"]'
    told = run("sweep", "--prices", prices, "--jobs", "1", "--set", times, "--json").json
    runs = [point["funds"]["BTC3L"]["fixed_runs"] for point in told["points"]]
    assert runs == [5, 9]


def test_a_fund_that_ended_is_said(run: Run, folder: Path) -> None:
    (folder / "fall.csv").write_text("timestamp,close\n2026-01-01,100\n2026-01-02,65\n")
    sets = ("--set", "funds.BTC3L.target_leverage=2,3", "--jobs", "1")
    answer = run("sweep", "--prices", f"{BTC}=fall.csv", *sets)
    assert "BTC3L was ended by the gap rule at 1 of 2 points" in answer.err


def test_a_history_too_short_to_track_says_so(run: Run, folder: Path) -> None:
    rows = (folder / "p.csv").read_text().splitlines()[:6]
    (folder / "short.csv").write_text("\n".join(rows) + "\n")
    swept = ("sweep", "--prices", f"{BTC}=short.csv", "--jobs", "1", "--set", f"{THRESHOLD}=0.12")
    answer = run(*swept)
    assert "tracking" not in answer.out
    assert "no tracking: that takes two whole days" in answer.err
    assert "BTC3L: no frontier; it takes three days" in run(*swept, "--frontier").out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("threshold", "write it as"),
        ("=1", "is no key"),
        ("a b=1", "is no key"),
        (f"{THRESHOLD}=0.9", "must stay under 0.75"),
        ("funds.BTC9L.target_leverage=3", "BTC9L"),
        ("funds.BTC3L.rules.fixed.times=10:30:00", 'such as ["a", "b"]'),
        (f"{THRESHOLD}=0.9", f"--set {THRESHOLD}: 0.9"),
        (f"{THRESHOLD}d=0.1", f"--set {THRESHOLD}d: unknown key; the nearest valid one is thresh"),
        (f"{THRESHOLD}.x=1", f"{THRESHOLD}: is a value and has no keys"),
        ("funds.btc3l.target_leverage=2", "no funds.btc3l; the nearest valid one is BTC3L"),
        ("fund=1", "--set fund: unknown key"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_replayed(
    run: Run, prices: str, change: str, words: str
) -> None:
    answer = run("sweep", "--prices", prices, "--set", change)
    assert answer.code == 2
    assert words in answer.err
    assert "REBALANCER__" not in answer.err


def test_a_value_set_is_stronger_than_the_environment(
    run: Run, prices: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept = ("sweep", "--prices", prices, "--set", "funds.BTC3L.initial_nav=50", "--json")
    alone = run(*swept).json
    monkeypatch.setenv("REBALANCER__FUNDS__BTC3L__INITIAL_NAV", "20")
    assert run(*swept).json == alone


def test_a_fast_backtest_says_who_computed_and_tells_the_same(run: Run, prices: str) -> None:
    fast = run("backtest", "--prices", prices, "--fast", "--json")
    assert "2 of 2 funds by arrays, equal to the engine" in fast.err
    assert fast.json == run("backtest", "--prices", prices, "--json").json


def test_a_frontier_sets_cost_against_error_beside_the_theory(run: Run, prices: str) -> None:
    swept = ("sweep", "--prices", prices, "--frontier", "--set", f"{THRESHOLD}=0.05,0.10,0.20")
    assert "least by theory" in run(*swept).out
