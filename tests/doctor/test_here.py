"""What the doctor sees of this machine, without changing a thing."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from rebalancer.doctor import here
from rebalancer.doctor.findings import Finding, Level
from rebalancer.doctor.here import examine_clock, examine_here, examine_listener, examine_socket
from rebalancer.settings.config import Address
from rebalancer.store.sql import open_store


def by_check(folder: Path, store: str = "desk.db") -> dict[str, Finding]:
    found = examine_here(f"sqlite:///{folder / store}", folder / "d.sock", {})
    return {finding.check: finding for finding in found}


def test_an_empty_folder_is_good_and_stays_empty(tmp_path: Path) -> None:
    found = by_check(tmp_path)
    assert {found[name].level for name in ("store", "disk", "control socket")} == {Level.OK}
    assert "the first start makes it" in found["store"].seen
    assert list(tmp_path.iterdir()) == []


async def test_a_store_that_a_desk_holds_is_named_with_its_pid(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'desk.db'}")
    try:
        seen = by_check(tmp_path)["store"]
        assert (seen.level, f"pid {os.getpid()} runs on it" in seen.seen) == (Level.OK, True)
    finally:
        await store.close()
    assert "no desk runs on it" in by_check(tmp_path)["store"].seen
    again = open_store(f"sqlite:///{tmp_path / 'desk.db'}")
    await again.close()


def test_a_store_that_cannot_be_is_told_with_a_remedy(tmp_path: Path) -> None:
    nowhere = by_check(tmp_path, "missing/desk.db")["store"]
    assert (nowhere.level, "there is no such folder" in nowhere.seen) == (Level.FAIL, True)
    assert "store.url" in nowhere.fix
    (tmp_path / "text.db").write_text("this is no database, and is longer than a header is")
    assert by_check(tmp_path, "text.db")["store"].level is Level.FAIL


def test_a_control_socket_that_could_not_be_made(tmp_path: Path) -> None:
    assert examine_socket(tmp_path / ("x" * 108)).level is Level.FAIL
    missing = examine_socket(tmp_path / "run" / "d.sock")
    assert missing.fix == f"make it: mkdir -p {tmp_path / 'run'}"
    (tmp_path / "file").touch()
    assert "is no socket" in examine_socket(tmp_path / "file").seen


def test_a_control_socket_that_is_there_is_a_desk_or_its_rest(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "d.sock"))
        assert examine_socket(tmp_path / "d.sock").level is Level.OK


@pytest.mark.parametrize(
    ("state", "level"), [(0, Level.OK), (4, Level.OK), (5, Level.WARN), (-1, Level.SKIP)]
)
def test_the_kernel_says_whether_the_clock_is_kept(
    monkeypatch: pytest.MonkeyPatch, state: int, level: Level
) -> None:
    monkeypatch.setattr(here, "kernel_clock_state", lambda: state)
    assert examine_clock().level is level


def test_the_kernel_is_asked_and_sets_nothing() -> None:
    assert here.kernel_clock_state() in range(-1, 6)


def test_an_address_that_another_program_has_is_no_address_for_a_desk() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        address = Address(*other.getsockname())
        other.listen()
        taken = examine_listener("listen", address, runs=False)
        assert (taken.level, taken.check) == (Level.FAIL, "listen")
        assert "Address already in use" in taken.seen
        assert taken.fix == "choose another port in api.listen, or end what uses it"
        assert examine_listener("listen", address, runs=True).level is Level.OK
    assert examine_listener("listen", address, runs=False).level is Level.OK


def test_an_address_that_is_not_of_this_machine_fails_though_a_desk_runs() -> None:
    nowhere = examine_listener("listen", Address("192.0.2.1", 8765), runs=True)
    assert nowhere.level is Level.FAIL


def test_the_listeners_of_a_configuration_are_among_what_is_examined(tmp_path: Path) -> None:
    found = examine_here(
        f"sqlite:///{tmp_path / 'desk.db'}",
        tmp_path / "d.sock",
        {"public_listen": Address("127.0.0.1", 0)},
    )
    assert {each.check: each.level for each in found}["public_listen"] is Level.OK
