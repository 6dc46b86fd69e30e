"""The kill command with a desk that answers, one that hangs, none, and a broken configuration."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from rebalancer.cli import killing
from rebalancer.desk.kill_switch import KillSwitch
from rebalancer.errors import InputRefused
from rebalancer.store.locks import FileLock
from tests.cli.conftest import CONFIG, Run
from tests.cli.test_operating import Desk, desk

__all__ = ["desk"]
KILL = ["kill", "--reason", "prices look wrong"]


def switch(folder: Path) -> Path:
    return folder / "desk.db.killed"


def test_without_a_desk_the_switch_is_set_and_keeps_the_next_one_from_trading(
    run: Run, folder: Path
) -> None:
    answer = run(*KILL)
    assert answer.code == 0
    assert answer.out.splitlines() == [
        f"kill switch set: {switch(folder)}",
        "no desk answers; one that starts will send no order",
    ]
    assert json.loads(switch(folder).read_text())["reason"] == "prices look wrong"
    assert run(*KILL, "--json").json == {
        "switch": str(switch(folder)),
        "set": True,
        "desk": "gone",
    }


def test_a_desk_that_answers_is_halted_as_well(run: Run, folder: Path, desk: Desk) -> None:
    answer = run(*KILL)
    assert "the desk has halted: no order leaves any more, NAVs go on" in answer.out
    asked = {"command": "halt", "scope": "desk", "reason": "kill: prices look wrong"}
    assert desk.asked == [asked]
    desk.answer = b'{"ok": false, "error": "the desk is halted already: x"}\n'
    assert run(*KILL, "--json").json["desk"] == "halted"


def test_a_desk_that_hangs_is_told_apart_and_may_be_ended(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(killing, "ANSWER_SECONDS", 0.05)
    ended: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: ended.append((pid, number)))
    lock = FileLock(folder / "desk.db")
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(folder / "desk.sock"))
        silent.listen()
        answer = run(*KILL)
        assert answer.code == 0
        assert f"kill -9 {os.getpid()}" in answer.out
        assert ended == []
        answer = run(*KILL, "--end-process")
    lock.release()
    assert ended == [(os.getpid(), 9)]
    assert "was ended" in answer.out
    assert "the kill switch stood already: prices look wrong" in answer.out


def test_a_desk_whose_socket_is_gone_is_found_by_its_lock(run: Run, folder: Path) -> None:
    lock = FileLock(folder / "desk.db")
    assert run(*KILL, "--json").json["desk"] == "silent"
    lock.release()


def test_a_release_says_that_the_desk_stays_halted(run: Run, folder: Path) -> None:
    run(*KILL)
    answer = run("kill", "--release")
    assert answer.code == 0
    assert "rebalancer resume --desk" in answer.out
    assert not switch(folder).exists()
    answer = run("kill", "--release")
    assert (answer.code, answer.sentence) == (
        4,
        f"the kill switch is not set: there is no {switch(folder)}",
    )


@pytest.mark.parametrize("reason", [[], ["--reason", " "]])
def test_a_kill_has_to_say_why(run: Run, folder: Path, reason: list[str]) -> None:
    assert run("kill", *reason).code == 2
    assert not switch(folder).exists()


@pytest.mark.parametrize(
    "broken",
    [
        CONFIG + "\n[nonsense]\nkey = 1\n",
        CONFIG.replace("target_leverage = 3", "target_leverage = 0"),
    ],
)
def test_a_configuration_that_cannot_run_still_says_where_the_switch_is(
    run: Run, folder: Path, broken: str
) -> None:
    (folder / "config.toml").write_text(broken)
    assert run(*KILL).code == 0
    assert switch(folder).exists()


def test_the_store_of_the_environment_counts_beside_a_configuration_that_cannot_run(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "config.toml").write_text(CONFIG + "\n[nonsense]\nkey = 1\n")
    monkeypatch.setenv("REBALANCER__STORE__URL", f"sqlite:///{folder}/other.db")
    assert run(*KILL).code == 0
    assert (folder / "other.db.killed").exists()
    assert not switch(folder).exists()


@pytest.mark.parametrize("text", ["not = = toml", None])
def test_without_any_configuration_the_file_can_be_named(
    run: Run, folder: Path, text: str | None
) -> None:
    if text is None:
        (folder / "config.toml").unlink()
    else:
        (folder / "config.toml").write_text(text)
    answer = run(*KILL)
    assert answer.code == 2
    assert "--switch STORE.db.killed" in answer.err
    assert run(*KILL, "--switch", str(switch(folder))).code == 0
    assert switch(folder).exists()


def test_a_switch_that_cannot_be_set_is_no_success(run: Run, folder: Path) -> None:
    answer = run(*KILL, "--switch", str(folder / "nowhere" / "x"))
    assert answer.code == 1
    assert "could NOT be set" in answer.out
    assert "no desk answers; one that starts WILL send orders" in answer.out


def test_a_desk_that_neither_answers_nor_finds_a_switch_is_said_to_trade_on(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise InputRefused("desk.db.killed: Permission denied")

    monkeypatch.setattr(KillSwitch, "set", refuse)
    lock = FileLock(folder / "desk.db")
    answer = run(*KILL)
    lock.release()
    assert answer.code == 1
    assert f"the desk (pid {os.getpid()}) did not answer; it GOES ON TRADING" in answer.out
    assert f"kill -9 {os.getpid()}" in answer.out


def test_a_desk_of_another_user_is_neither_halted_nor_called_gone(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(os, "kill", refuse)
    lock = FileLock(folder / "desk.db")
    answer = run(*KILL)
    assert answer.code == 0  # the switch stands
    assert "this user may not command the desk at desk.sock" in answer.out
    assert "it finds the switch before its next order" in answer.out
    assert run(*KILL, "--json").json["desk"] == "barred"
    answer = run(*KILL, "--end-process")
    lock.release()
    assert "is another user's and could NOT be ended" in answer.out


def test_a_store_on_a_server_has_its_switch_beside_the_socket(run: Run, folder: Path) -> None:
    url = 'url = "postgresql://desk@db/desk"\n\n[desk]\ncontrol_socket = "here.sock"'
    text = CONFIG.replace('url = "sqlite:///desk.db"', url)
    (folder / "config.toml").write_text(text)
    assert run(*KILL).code == 0
    assert (folder / "here.sock.killed").exists()
