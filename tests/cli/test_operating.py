"""Commands for a running desk: what they send, how they end, and what they say when none runs."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rebalancer.cli import operating
from tests.cli.conftest import Run

COMMANDS = {
    "rebalance": ["rebalance", "BTC3L"],
    "halt": ["halt", "BTC3L", "--reason", "drill"],
    "resume": ["resume", "BTC3L", "--reason", "over"],
}
ALL = pytest.mark.parametrize("command", COMMANDS)


class Desk:
    """Something that listens where a desk would, and answers what it is told to."""

    def __init__(self, path: Path) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answer = b'{"ok": true, "at_ms": 1, "run_id": null}\n'
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._server.accept()
            with connection:
                line = connection.makefile("rb").readline()
                if line == b"stop\n":
                    return
                if not line:
                    continue  # somebody only looked whether one is there
                self.asked.append(json.loads(line))
                connection.sendall(self.answer)

    def close(self, path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(str(path))
            last.sendall(b"stop\n")
        self._thread.join(5)
        self._server.close()


@pytest.fixture
def desk(folder: Path) -> Iterator[Desk]:
    listening = Desk(folder / "desk.sock")
    yield listening
    listening.close(folder / "desk.sock")


@ALL
def test_a_command_reaches_the_desk_with_its_reason(run: Run, desk: Desk, command: str) -> None:
    answer = run(*COMMANDS[command])
    assert (answer.code, answer.err) == (0, "")
    (asked,) = desk.asked
    reason = {"rebalance": "manual rebalance", "halt": "drill", "resume": "over"}[command]
    assert asked == {"command": command, "fund": "BTC3L", "reason": reason}


def test_what_a_rebalance_leads_to_is_said(run: Run, desk: Desk) -> None:
    answer = run("rebalance", "BTC3L")
    assert answer.out == "BTC3L: taken; the run opens with the next fresh price\n"
    desk.answer = (
        b'{"ok": true, "run_id": "BTC3L-000002", "delta_units": {"BTC/USDT:USDT": "-1.5"}}\n'
    )
    answer = run("rebalance", "BTC3L")
    assert answer.out == "BTC3L: run BTC3L-000002 opened, delta -1.500000 BTC\n"


def test_what_halt_and_resume_lead_to_is_said(run: Run, desk: Desk) -> None:
    assert run(*COMMANDS["halt"]).out == "BTC3L: halted\n"
    assert run(*COMMANDS["resume"]).out == "BTC3L: active\n"


@ALL
def test_the_answer_as_a_document(run: Run, desk: Desk, command: str) -> None:
    answer = run(*COMMANDS[command], "--json")
    assert answer.json == {"at_ms": 1, "run_id": None}


@ALL
def test_a_refusal_has_its_own_code_and_the_desks_own_words(
    run: Run, desk: Desk, command: str
) -> None:
    desk.answer = b'{"ok": false, "error": "BTC3L is halted: drill"}\n'
    answer = run(*COMMANDS[command])
    assert (answer.code, answer.sentence) == (4, "BTC3L is halted: drill")
    answer = run(*COMMANDS[command], "--json")
    assert (answer.out, answer.fatal["code"]) == ("", 4)


@ALL
@pytest.mark.parametrize("left_over", [False, True], ids=["nothing", "a socket left over"])
def test_without_a_desk_the_code_is_six(
    run: Run, folder: Path, command: str, left_over: bool
) -> None:
    if left_over:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(folder / "desk.sock"))
    answer = run(*COMMANDS[command])
    assert answer.code == 6
    assert "start one with: rebalancer run" in answer.sentence
    assert run(*COMMANDS[command], "--json").fatal["code"] == 6


@pytest.mark.parametrize("said", [b"", b'{"ok": tr', b"hello\n", b"[]\n", b"{}\n"])
def test_a_desk_that_dies_in_the_middle_of_its_answer(run: Run, desk: Desk, said: bytes) -> None:
    desk.answer = said
    answer = run("rebalance", "BTC3L")
    assert answer.code == 6
    assert "desk.sock" in answer.sentence


def test_a_desk_that_does_not_answer_is_not_waited_for_for_ever(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operating, "ANSWER_SECONDS", 0.05)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(folder / "desk.sock"))
        silent.listen()
        answer = run("rebalance", "BTC3L")
    assert answer.code == 6
    assert "did not answer" in answer.sentence


@pytest.mark.parametrize("command", ["halt", "resume"])
def test_who_stops_or_starts_trading_has_to_say_why(run: Run, command: str) -> None:
    answer = run(command, "BTC3L")
    assert answer.code == 2
    assert "--reason" in answer.err


@ALL
def test_a_reason_in_no_encoding_is_sent_as_it_can_be(run: Run, desk: Desk, command: str) -> None:
    answer = run(*COMMANDS[command][:2], "--reason", "caf\udce9")
    assert answer.code == 0
    assert desk.asked[0]["reason"] == "caf\udce9"


@pytest.mark.parametrize(
    ("options", "asked", "said"),
    [
        (["--desk"], {"scope": "desk", "name": ""}, "the desk"),
        (["--account", "main"], {"scope": "account", "name": "main"}, "account main"),
        (["--contract", "X/USDT:USDT"], {"scope": "contract", "name": "X/USDT:USDT"}, None),
    ],
)
def test_a_halt_and_a_resume_may_be_about_more_than_a_fund(
    run: Run, desk: Desk, options: list[str], asked: dict[str, str], said: str | None
) -> None:
    what = said or "contract X/USDT:USDT"
    assert run("halt", *options, "--reason", "drill").out == f"{what}: halted\n"
    answer = run("halt", *options, "--reduce-only", "--reason", "drill")
    assert answer.out == f"{what}: only reducing\n"
    assert run("resume", *options, "--reason", "over").out == f"{what}: active\n"
    assert desk.asked == [
        {"command": command, "reason": reason} | asked
        for command, reason in (("halt", "drill"), ("reduce", "drill"), ("resume", "over"))
    ]


@pytest.mark.parametrize("named", [[], ["BTC3L", "--desk"], ["--desk", "--account", "main"]])
@pytest.mark.parametrize("command", ["halt", "resume"])
def test_a_halt_and_a_resume_are_about_exactly_one_thing(
    run: Run, desk: Desk, command: str, named: list[str]
) -> None:
    answer = run(command, *named, "--reason", "drill")
    assert answer.code == 2
    assert answer.sentence == "name one of: a fund, --account, --contract or --desk"
    assert desk.asked == []


@pytest.mark.parametrize("command", ["adopt", "explain"])
def test_a_break_is_ended_by_its_number(run: Run, desk: Desk, command: str) -> None:
    answer = run(command, "3", "--reason", "moved by hand")
    assert answer.out.startswith(f"break 3: {command}ed; ")
    assert desk.asked == [{"command": command, "break": "3", "reason": "moved by hand"}]
    assert run(command, "x", "--reason", "y").code == 2
    assert run(command, "3").code == 2


def test_an_order_is_settled_by_what_it_filled(run: Run, desk: Desk) -> None:
    said = ("settle", "r1", "--filled", "2", "--reason", "by its history")
    assert run(*said, "--price", "90.5").out == "order r1: over, 2 filled in all\n"
    sent = {"command": "settle", "order": "r1", "filled": "2", "fee": "0", "price": "90.5"}
    assert desk.asked == [sent | {"reason": "by its history"}]
    assert run(*said, "--fee", "x").sentence == "--fee: 'x' is not a decimal number"
    assert run("settle", "r1", "--reason", "x").code == 2
    assert len(desk.asked) == 1


def test_a_break_is_adopted_at_a_price(run: Run, desk: Desk) -> None:
    assert run("adopt", "3", "--price", "90.5", "--reason", "it was settled").code == 0
    assert desk.asked[0]["price"] == "90.5"
    for price, why in {"x": "'x' is not a decimal number", "0": "0 must be above zero"}.items():
        answer = run("adopt", "3", "--price", price, "--reason", "it was settled")
        assert (answer.code, answer.sentence) == (2, f"--price: {why}")
    assert len(desk.asked) == 1
