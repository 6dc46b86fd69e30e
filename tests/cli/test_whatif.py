"""The what-if command, over a snapshot and over the store of a desk that ran."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.factories import BTC, holding, snapshot


def test_over_a_snapshot_people_see_rules_trades_and_footing(run: Run, folder: Path) -> None:
    document = snapshot({"BTC3L": holding(), "BTC1S": holding(leverage=-1)}, "100")
    (folder / "s.json").write_text(json.dumps(document))
    answer = run("simulate", "--shock", f"{BTC}=-16%", "--snapshot", "s.json")
    assert answer.code == 0
    assert "After BTC/USDT:USDT -16.00 %" in answer.out
    assert "100.0000 -> 52.0000" in answer.out
    assert "maintenance" in answer.out
    assert "order 1 on main: sell" in answer.out
    assert "at or below" in answer.out


@pytest.mark.usefixtures("store")
def test_over_the_store_of_a_desk(run: Run) -> None:
    answer = run("simulate", "--shock", f"{BTC}=+20%", "--json")
    assert set(answer.json["funds"]) == {"BTC3L", "BTC1S"}
    assert answer.json["shocks"] == {BTC: "0.2"}
    assert "as the desk last saved it, " in answer.err


@pytest.mark.parametrize("shock", ["BTC/USDT:USDT", "-20%", "BTC/USDT:USDT=-0.2", "X=abc%"])
def test_a_shock_in_other_words_is_refused(run: Run, shock: str) -> None:
    answer = run("simulate", "--shock", shock)
    assert answer.code == 2
    assert "--shock" in answer.sentence


def test_a_contract_named_twice_is_refused(run: Run) -> None:
    answer = run("simulate", "--shock", f"{BTC}=-1%", "--shock", f"{BTC}=-2%")
    assert "stands twice" in answer.sentence


def test_a_ladder_shows_who_fires_where(run: Run, folder: Path) -> None:
    document = snapshot({"BTC3L": holding(), "BTC1S": holding(leverage=-1)}, "100")
    (folder / "s.json").write_text(json.dumps(document))
    told = run("simulate", "--ladder", "20", "--snapshot", "s.json")
    assert (told.code, told.err) == (0, "")
    assert "1 price_move" in told.out
    assert "-20 %" in told.out
    rungs = run("simulate", "--ladder", "20", "--snapshot", "s.json", "--json").json["rungs"]
    assert [rung["shock"] for rung in rungs][:2] == ["-0.2", "-0.19"]
    assert len(rungs) == 41


@pytest.mark.parametrize("options", [[], ["--ladder", "9", "--shock", f"{BTC}=-1%"]])
def test_one_of_shock_and_ladder_is_asked_for(run: Run, options: list[str]) -> None:
    assert "give --shock or --ladder" in run("simulate", *options).sentence
