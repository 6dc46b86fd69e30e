"""The status that goes on: in place on a terminal, line by line for a program."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from rebalancer.core.order import Outcome
from rebalancer.core.records import Record
from rebalancer.store.sql import open_store
from tests.cli.conftest import Run
from tests.store.test_projections import evidence, intent

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Three looks, then ctrl-c."""
    found: list[float] = []

    def sleep(seconds: float) -> None:
        found.append(seconds)
        if len(found) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("rebalancer.cli.standing.time.sleep", sleep)
    return found


def test_a_program_gets_one_document_a_line_until_it_is_interrupted(
    run: Run, slept: list[float]
) -> None:
    answer = run("status", "--watch", "--every", "5s", "--json")
    documents = [json.loads(line) for line in answer.out.splitlines()]
    assert (answer.code, len(documents), slept) == (130, 3, [5.0, 5.0, 5.0])
    assert documents[0] == documents[2] == run("status", "--json").json


def test_through_a_pipe_it_is_printed_again_and_says_that_no_desk_runs(run: Run) -> None:
    answer = run("status", "--watch")
    assert answer.code == 130
    assert answer.out.count("no desk runs; this is what the store holds") == 3
    assert answer.out.count("BTC3L") == 3


def test_a_fixed_time_that_came_while_no_desk_ran_is_due(run: Run) -> None:
    (line,) = (each for each in run("status").out.splitlines() if each.startswith("BTC3L"))
    assert " due " in line


def test_on_a_terminal_it_is_drawn_in_place(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    answer = run("status", "--watch")
    assert answer.code == 130
    assert "\x1b[1A" in answer.out, "the cursor goes back up"


def test_a_pace_that_is_none(run: Run) -> None:
    answer = run("status", "--watch", "--every", "often")
    assert answer.code == 2
    assert "--every" in answer.sentence


def test_an_order_of_unknown_fate_is_told_behind_any_number_of_later_ones(
    run: Run, store: Path
) -> None:
    records: list[Record] = [intent("lost", 1_000), evidence("lost", Outcome.UNKNOWN)]
    for seq in range(1_001, 1_030):
        records += [intent(f"o{seq}", seq), evidence(f"o{seq}", Outcome.REJECTED)]

    async def order() -> None:
        written = open_store(f"sqlite:///{store}")
        await written.commit(records)
        await written.close()

    asyncio.run(order())
    assert run("status", "--json").json["unresolved_orders"] == ["lost"]
    assert "order lost on BTC/USDT:USDT for BTC3L is unknown" in run("status").err
