"""History through the desk's own engine, from the command line; and how little a start loads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import PRICES, Run
from tests.factories import BTC

#: what a replay of candles has no use for, and some other command has
NOT_FOR_A_REPLAY = {
    "ccxt", "fastapi", "httpx", "numpy", "pickle", "rich", "sqlalchemy", "structlog",
    "rebalancer.bootstrap", "rebalancer.desk", "rebalancer.store", "rebalancer.live",
}  # fmt: skip
#: a process of its own, for in this one other tests have loaded everything
LOADED = """
import contextlib, io, json, sys
from rebalancer.cli.app import main
sys.argv = ["rebalancer", "backtest", "--prices", sys.argv[1], "--json"]
with contextlib.redirect_stdout(io.StringIO()) as told, contextlib.suppress(SystemExit):
    main()
print(json.dumps([json.loads(told.getvalue())["bars"], *sys.modules]))
"""


@pytest.mark.usefixtures("prices")
def test_a_backtest_loads_no_other_command_and_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED, PRICES], capture_output=True, text=True, check=True
    )
    bars, *loaded = json.loads(done.stdout)
    assert bars == 48
    assert not NOT_FOR_A_REPLAY.intersection(loaded)
    assert {name.removeprefix("rebalancer.cli.") for name in loaded if ".cli." in name} == {
        "app", "exits", "loading", "options", "output", "plan_words", "replaying",
    }  # fmt: skip


@pytest.mark.usefixtures("prices")
def test_the_document(run: Run) -> None:
    answer = run("backtest", "--prices", PRICES, "--json")
    assert (answer.code, answer.err) == (0, "")
    document = answer.json
    assert (document["version"], document["bars"]) == (1, 48)
    assert document["funds"]["BTC3L"]["start_nav"] == "100"
    assert [one["trigger"] for one in document["funds"]["BTC3L"]["rebalances"]]


@pytest.mark.usefixtures("prices")
def test_people_see_a_table(run: Run) -> None:
    answer = run("backtest", "--prices", PRICES)
    assert answer.code == 0
    assert "BTC3L" in answer.out


@pytest.mark.usefixtures("prices")
def test_a_checkpoint_stands_until_all_has_been_told(run: Run, folder: Path) -> None:
    answer = run("backtest", "--prices", PRICES, "--json", "--checkpoint", "c")
    assert answer.json == run("backtest", "--prices", PRICES, "--json").json
    assert [path.name for path in folder.glob("c*")] == ["config.toml"]


@pytest.mark.usefixtures("prices")
def test_a_contract_nobody_holds_is_left_out_and_said(run: Run) -> None:
    other = "ETH/USDT:USDT=prices.csv"
    answer = run("backtest", "--prices", PRICES, "--prices", other, "--json")
    assert answer.code == 0
    assert "ETH/USDT:USDT: no fund holds it" in answer.err
    assert answer.json["bars"] == 48


@pytest.mark.usefixtures("prices")
def test_a_spot_beside_the_perpetual_moves_the_formula_alone(run: Run, folder: Path) -> None:
    marks, spot = ("--prices", PRICES), ("--prices", f"{BTC}@spot=spot.csv")
    (folder / "spot.csv").write_text("timestamp,close\n2026-01-01T00:00:00Z,50000\n")
    left_out = run("backtest", *marks, *spot, "--json")
    assert f"--prices {BTC}@spot: no fund that holds it has that price_source" in left_out.err
    file = folder / "config.toml"
    file.write_text(file.read_text().replace("[defaults]", '[defaults]\nprice_source = "spot"'))
    fund = run("backtest", *marks, *spot, "--json").json["funds"]["BTC3L"]
    assert (fund["final_formula_nav"], fund["final_nav"] != "100") == ("100", True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--prices", "prices.csv"], 'write "BTC/USDT:USDT=FILE.csv"'),
        (["--prices", f"{BTC}="], 'write "BTC/USDT:USDT=FILE.csv"'),
        (["--prices", PRICES, "--prices", PRICES], "given twice"),
        (["--prices", PRICES, "--funding", "ETH/USDT:USDT=f.csv"], "its prices are missing"),
        (["--prices", PRICES, "--funding", f"{BTC}=none.csv"], "none.csv"),
        (["--prices", PRICES, "--checkpoint", "prices.csv"], "is no checkpoint"),
        (["--prices", PRICES, "--fast", "--checkpoint", "c"], "--fast is over in seconds"),
        (["--prices", f"{BTC}@spot=prices.csv"], f"its marks are missing, give {BTC}=FILE too"),
        (["--prices", f"{BTC}@bid=prices.csv"], "beside the mark there are index, spot, last"),
    ],
)
@pytest.mark.usefixtures("prices")
def test_options_that_make_no_sense(run: Run, options: list[str], words: str) -> None:
    answer = run("backtest", *options)
    assert answer.code == 2
    assert words in answer.sentence
