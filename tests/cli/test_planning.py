"""Commands that compute without trading, and everything that can be wrong with their input."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import PRICES, Answer, Run
from tests.factories import BTC, holding, snapshot


@pytest.fixture
def document() -> dict[str, Any]:
    """The plan example of the specification, with two funds."""
    return snapshot({"BTC3L": holding(), "BTC1S": holding(leverage=-1)}, "105")


class TestPlan:
    def test_the_worked_example_comes_out(
        self, run: Run, folder: Path, document: dict[str, Any]
    ) -> None:
        (folder / "s.json").write_text(json.dumps(document))
        answer = run("plan", "--snapshot", "s.json", "--json")
        assert (answer.code, answer.err) == (0, "")
        fund = answer.json["funds"]["BTC3L"]
        assert fund["nav"] == "115"
        assert fund["leverage"] == "2.739130434782608696"
        assert fund["delta_notional"] == {BTC: "30"}
        assert answer.json["version"] == 1

    def test_a_snapshot_may_come_through_a_pipe(self, run: Run, document: dict[str, Any]) -> None:
        answer = run("plan", "--snapshot", "-", "--json", stdin=json.dumps(document))
        assert answer.json["funds"]["BTC3L"]["nav"] == "115"

    def test_only_the_funds_asked_for_are_shown(self, run: Run, document: dict[str, Any]) -> None:
        text = json.dumps(document)
        answer = run("plan", "BTC1S", "--snapshot", "-", "--json", stdin=text)
        assert list(answer.json["funds"]) == ["BTC1S"]

    def test_people_see_orders_and_reasons(self, run: Run, document: dict[str, Any]) -> None:
        answer = run("plan", "--snapshot", "-", stdin=json.dumps(document))
        assert answer.code == 0
        assert "fixed" in answer.out
        assert "order 1 on main: buy" in answer.out

    def test_a_fund_worth_nothing_can_be_shown(self, run: Run, document: dict[str, Any]) -> None:
        document["prices"][BTC] = "66"
        answer = run("plan", "--snapshot", "-", stdin=json.dumps(document))
        assert answer.code == 0
        assert "gap" in answer.out

    def test_it_needs_no_store_and_leaves_none(
        self, run: Run, folder: Path, document: dict[str, Any]
    ) -> None:
        run("plan", "--snapshot", "-", stdin=json.dumps(document))
        assert os.listdir(folder) == ["config.toml"]  # noqa: PTH208 - names are enough


def spoilt(folder: Path, kind: str, broken: str) -> str:
    """Leave something that cannot be read under a name, and return the name."""
    path = folder / f"spoilt-{kind}"
    if kind == "directory":
        path.mkdir()
    elif kind == "binary":
        path.write_bytes(bytes(range(256)) * 10)
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "broken":
        path.write_text(broken)
    elif kind == "loop":
        path.symlink_to(path)
    return path.name


SPOILT = pytest.mark.parametrize(
    "kind", ["missing", "directory", "binary", "empty", "broken", "loop"]
)


def told(answer: Answer, name: str) -> None:
    """Check that the person learns in one sentence which file it is."""
    assert answer.code == 2
    assert name in answer.sentence


class TestSpoiltFiles:
    @SPOILT
    def test_a_snapshot(self, run: Run, folder: Path, kind: str) -> None:
        name = spoilt(folder, kind, '{"as_of": "2026-01-02T02:30:00Z", "prices": ')
        told(run("plan", "--snapshot", name), name)

    @SPOILT
    def test_a_price_file(self, run: Run, folder: Path, kind: str) -> None:
        name = spoilt(folder, kind, "timestamp,close\n2026-01-01T00:00:00Z,abc\n")
        told(run("backtest", "--prices", f"{BTC}={name}"), name)

    @SPOILT
    @pytest.mark.usefixtures("prices")
    def test_a_funding_file(self, run: Run, folder: Path, kind: str) -> None:
        name = spoilt(folder, kind, "funding_time_ms,funding_rate\n1,x\n")
        told(run("backtest", "--prices", PRICES, "--funding", f"{BTC}={name}"), name)

    @pytest.mark.parametrize("kind", ["missing", "directory", "binary", "broken", "loop"])
    @pytest.mark.parametrize(
        "command",
        [
            ["config", "check"],
            ["status"],
            ["nav"],
            ["history"],
            ["plan"],
            ["run"],
            ["backtest", "--prices", PRICES],
            ["rebalance", "BTC3L"],
            ["halt", "BTC3L", "--reason", "x"],
            ["resume", "BTC3L", "--reason", "x"],
        ],
        ids=lambda command: command[0],
    )
    def test_a_configuration(self, run: Run, folder: Path, kind: str, command: list[str]) -> None:
        name = spoilt(folder, kind, "[accounts.main\n")
        told(run(*command, "--config", name), name)

    def test_garbage_through_a_pipe(self, run: Run) -> None:
        told(run("plan", "--snapshot", "-", stdin=bytes(range(256))), "-")

    @pytest.mark.parametrize(
        "change",
        [
            {"prices": {BTC: "nan"}},
            {"prices": {}},
            {"funds": {"BTC9L": {}}},
            {"as_of": "tomorrow"},
            {"surprise": 1},
            {"funds": []},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_a_snapshot_that_says_something_impossible(
        self, run: Run, document: dict[str, Any], change: dict[str, Any]
    ) -> None:
        answer = run("plan", "--snapshot", "-", stdin=json.dumps(document | change))
        assert answer.code == 2
        assert answer.sentence

    def test_scripts_read_the_refusal_as_a_document(self, run: Run) -> None:
        answer = run("plan", "--snapshot", "missing.json", "--json")
        assert answer.out == ""
        assert answer.fatal["message_type"] == "exit_error"
        assert answer.fatal["code"] == answer.code == 2
        assert "missing.json" in answer.fatal["message"]
