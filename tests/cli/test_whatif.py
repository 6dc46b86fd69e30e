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
    assert "old" in answer.err


@pytest.mark.parametrize("shock", ["BTC/USDT:USDT", "-20%", "BTC/USDT:USDT=-0.2", "X=abc%"])
def test_a_shock_in_other_words_is_refused(run: Run, shock: str) -> None:
    answer = run("simulate", "--shock", shock)
    assert answer.code == 2
    assert "--shock" in answer.sentence


def test_a_contract_named_twice_is_refused(run: Run) -> None:
    answer = run("simulate", "--shock", f"{BTC}=-1%", "--shock", f"{BTC}=-2%")
    assert "stands twice" in answer.sentence
