"""The report command: from a replay, from a store, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run

ROWS = "timestamp,close\n" + "".join(
    f"2026-01-{1 + n // 4:02}T{n % 4 * 6:02}:00:00Z,{100 + n % 3}\n" for n in range(24)
)
PRICES = ("--prices", "BTC/USDT:USDT=prices.csv")


@pytest.fixture
def prices(folder: Path) -> Path:
    """Six days of made-up prices."""
    (folder / "prices.csv").write_text(ROWS)
    return folder


def test_a_replay_is_reported_in_one_file(run: Run, prices: Path) -> None:
    answer = run("report", *PRICES, "--out", "r.html")
    assert (answer.code, answer.out) == (0, "")
    assert answer.err == "wrote r.html\n"
    page = (prices / "r.html").read_text()
    assert "BTC3L" in page
    assert "prices.csv" in page
    assert "looked at every 6h" in page


@pytest.mark.usefixtures("prices")
def test_figures_alone_need_no_file(run: Run, folder: Path) -> None:
    document = run("report", *PRICES, "--json").json
    assert set(document["funds"]) == {"BTC3L", "BTC1S"}
    assert document["funds"]["BTC3L"]["tracking"]["days"] == 5
    assert not (folder / "report.html").exists()


@pytest.mark.usefixtures("store")
def test_a_desk_is_reported_from_its_store(run: Run) -> None:
    document = run("report", "--json").json
    told = document["funds"]["BTC3L"]
    assert told["rebalances"]["price_move"] == 1
    assert told["tracking"] is None
    assert "desk in paper mode" in document["sources"][0]


def test_what_cannot_be_reported_is_refused(run: Run) -> None:
    assert "there is no store" in run("report").sentence
    assert "its prices are missing" in run("report", "--funding", "BTC/USDT:USDT=f.csv").sentence


@pytest.mark.usefixtures("prices")
def test_without_its_extra_the_report_says_what_to_install(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rebalancer.cli.reporting.find_spec", lambda _name: None)
    answer = run("report", *PRICES)
    assert answer.code == 2
    assert "pip install 'rebalancer[report]'" in answer.sentence
    assert run("report", *PRICES, "--json").code == 0
