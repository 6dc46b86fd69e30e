"""The status that goes on: in place on a terminal, line by line for a program."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Run

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
