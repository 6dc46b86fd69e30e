"""Capital from the command line: one flow, or a file of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.test_operating import Desk, desk

__all__ = ["desk"]

DEALT = {
    "fund": "BTC3L",
    "key": "a",
    "status": "dealt",
    "nav": "115",
    "shares": "1",
    "cash": "115",
    "fee": "0",
}


def answering(listening: Desk, *flows: dict[str, str]) -> None:
    told = {"ok": True, "at_ms": 1, "run_id": None, "flows": flows}
    listening.answer = json.dumps(told).encode() + b"\n"


def test_a_subscription_and_a_redemption_reach_the_desk(run: Run, desk: Desk) -> None:
    answering(desk, DEALT)
    answer = run("subscribe", "BTC3L", "--amount", "115", "--key", "a", "--min-out", "0.9")
    assert (answer.code, answer.err) == (0, "")
    assert "dealt" in answer.out
    run("redeem", "BTC3L", "--shares", "0.5", "--key", "b")
    flow = {"fund": "BTC3L", "kind": "subscribe", "amount": "115", "key": "a", "min_out": "0.9"}
    other = flow | {"kind": "redeem", "amount": "0.5", "key": "b", "min_out": "0"}
    assert [asked["flows"] for asked in desk.asked] == [[flow], [other]]


def test_the_answer_as_a_document(run: Run, desk: Desk) -> None:
    answering(desk, DEALT)
    answer = run("subscribe", "BTC3L", "--amount", "115", "--key", "a", "--json")
    assert answer.json == {"at_ms": 1, "run_id": None, "flows": [DEALT]}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["subscribe", "BTC3L", "--amount", "1k"], "--amount: '1k' is not a decimal number"),
        (["redeem", "BTC3L", "--shares", "0"], "--shares: 0 must be above zero"),
        (
            ["redeem", "BTC3L", "--shares", "1", "--min-out", "x"],
            "--min-out: 'x' is not a decimal number",
        ),
    ],
)
def test_what_is_no_amount_is_refused_before_a_desk_is_asked(
    run: Run, desk: Desk, arguments: list[str], sentence: str
) -> None:
    answer = run(*arguments, "--key", "a")
    assert (answer.code, answer.sentence, desk.asked) == (2, sentence, [])


def test_what_is_no_amount_in_a_file_is_named_with_its_line(
    run: Run, desk: Desk, folder: Path
) -> None:
    (folder / "day.csv").write_text("fund,kind,amount\nBTC3L,subscribe,5\nBTC3L,redeem,five\n")
    answer = run("flows", "day.csv", "--batch", "1")
    assert answer.sentence == "day.csv:3: amount: 'five' is not a decimal number"
    assert (answer.code, desk.asked) == (2, [])


REFUSED = {"fund": "BTC3L", "key": "b", "status": "refused", "reason": "less than min_out"}
WAITING = {"fund": "BTC3L", "key": "c", "status": "waiting"}


@pytest.mark.parametrize(
    ("flows", "code"),
    [
        ([DEALT, WAITING, DEALT | {"status": "repeated"}], 0),
        ([DEALT, REFUSED], 3),
        ([REFUSED, WAITING], 3),
        ([REFUSED], 4),
        ([REFUSED, REFUSED], 4),
    ],
)
@pytest.mark.parametrize("form", ["for people", "--json"])
def test_the_exit_code_tells_whether_all_of_it_some_or_none_was_taken(
    run: Run, desk: Desk, folder: Path, flows: list[dict[str, str]], code: int, form: str
) -> None:
    answering(desk, *flows)
    (folder / "f.csv").write_text("fund,kind,amount\nBTC3L,subscribe,115\n", encoding="utf-8")
    options = [form] if form == "--json" else []
    answer = run("flows", "f.csv", "--batch", "today", *options)
    assert (answer.code, answer.err) == (code, "")
    assert all(each["status"] in answer.out for each in flows)


def test_a_file_is_sent_as_one_batch_with_keys_of_its_lines(
    run: Run, desk: Desk, folder: Path
) -> None:
    answering(desk, DEALT)
    (folder / "f.csv").write_text(
        "fund,kind,amount,key\nBTC3L,subscribe,115,\nBTC3L,redeem,2,mine\n", encoding="utf-8"
    )
    assert run("flows", str(folder / "f.csv"), "--batch", "today").code == 0
    (asked,) = desk.asked
    assert asked["batch"] == "today"
    assert [(each["key"], each["amount"]) for each in asked["flows"]] == [
        ("today/2", "115"),
        ("mine", "2"),
    ]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("fund,kind\n", "f.csv:1: the column amount is missing"),
        ("fund,kind,amount,x\n", "f.csv:1: unknown column 'x'"),
        ("fund,kind,amount\nA,redeem\n", "f.csv:2: does not have as many fields"),
        ("fund,kind,amount\nA,redeem,1,2\n", "f.csv:2: does not have as many fields"),
        ("fund,kind,amount\nA,redeem,\n", "f.csv:2: amount is empty"),
        ('fund,kind,amount\nA,"redeem,1\n', "is not CSV"),
    ],
)
def test_a_file_that_is_none_is_refused_with_its_line(
    run: Run, desk: Desk, folder: Path, content: str, sentence: str
) -> None:
    (folder / "f.csv").write_text(content, encoding="utf-8")
    answer = run("flows", str(folder / "f.csv"), "--batch", "today")
    assert (answer.code, desk.asked) == (2, [])
    assert sentence in answer.sentence


def test_a_file_that_is_not_there_and_a_batch_without_a_name(run: Run, desk: Desk) -> None:
    assert run("flows", "no.csv", "--batch", "x").code == 2
    assert run("flows", "no.csv", "--batch", " ").code == 2
