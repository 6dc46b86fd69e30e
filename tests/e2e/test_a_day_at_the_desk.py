"""The daemon as an operator knows it: started, asked, told, stopped, started again."""

from __future__ import annotations

import shutil
import signal
import socket
import sqlite3
import stat
import time
from decimal import Decimal
from pathlib import Path

import pytest

from rebalancer.core.run import RunStatus
from rebalancer.store.reader import open_reader
from tests.e2e.conftest import CONFIG
from tests.e2e.process import PATIENCE_SECONDS, Desk, command, running, wait_until

pytest_plugins = ["tests.store.postgres"]


def has_traded(desk: Desk, url: str = "") -> None:
    """Wait until both funds are launched and have runs behind them."""
    desk.wait_for("ready")
    with open_reader(url or f"sqlite:///{desk.folder}/desk.db") as reader:
        wait_until(
            lambda: [run.status for run in reader.runs()].count(RunStatus.DONE) >= 3,
            "three runs are done",
        )


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A desk that has traded and was stopped; nobody may change it."""
    folder = tmp_path_factory.mktemp("stopped")
    (folder / "config.toml").write_text(CONFIG)
    with running(folder) as desk:
        has_traded(desk)
        assert desk.end() == 0
    return folder


@pytest.fixture
def traded(stopped: Path, tmp_path: Path) -> Path:
    """A copy of it, to change."""
    return Path(shutil.copytree(stopped, tmp_path / "traded"))


def run_by_hand(folder: Path, fund: str) -> str:
    """Have the fund rebalanced; return the run's id. A run under way may take the wish over."""
    opened: list[str] = []

    def asked() -> list[str]:
        taken = command(folder, "rebalance", fund, "--reason", "drill", "--json")
        assert taken.code == 0
        opened.extend([taken.json["run_id"]] if taken.json["run_id"] else [])
        return opened

    wait_until(asked, f"a run of {fund} opens at the operator's word")
    return opened[0]


def test_started_asked_told_and_stopped(folder: Path) -> None:
    with running(folder) as desk:
        desk.wait_for("ready")
        assert stat.S_IMODE((folder / "desk.sock").stat().st_mode) == 0o600
        has_traded(desk)

        status = command(folder, "status", "--json")
        assert status.json["running"] is True
        assert set(status.json["funds"]) == {"BTC3L", "BTC1S"}
        navs = command(folder, "nav", "--json").json
        assert all(Decimal(fund["nav"]) > 0 for fund in navs.values())
        people = command(folder, "status")
        assert "the desk runs (paper)" in people.err
        # What a shell or an edited file says counts from the next start.
        other = {"REBALANCER__MODE": "dry-run"}
        assert command(folder, "status", "--json", **other).json["mode"] == "paper"
        assert "the desk runs (paper)" in command(folder, "nav", **other).err
        assert "BTC3L" in people.out
        plan = command(folder, "plan", "--json")
        assert (plan.code, plan.json["version"]) == (0, 1)

        by_hand = run_by_hand(folder, "BTC3L")
        assert command(folder, "halt", "BTC1S", "--reason", "drill").out == "BTC1S: halted\n"
        refused = command(folder, "rebalance", "BTC1S")
        assert (refused.code, refused.sentence[:21]) == (4, "BTC1S is halted: dril")
        assert command(folder, "resume", "BTC1S", "--reason", "over").code == 0
        assert command(folder, "halt", "BTC9L", "--reason", "x").code == 4
        assert desk.events("control_connection") == [], "looking whether it runs is no news"

        began = time.monotonic()
        assert desk.end(signal.SIGTERM) == 0
        assert time.monotonic() - began < 5
        assert "SIGTERM: stopping" in desk.said
        assert "Traceback" not in desk.said
    assert not (folder / "desk.sock").exists()
    assert command(folder, "rebalance", "BTC3L").code == 6
    after = command(folder, "status")
    assert "no desk runs" in after.err
    runs = command(folder, "history", "--json", "-n", "10000").json
    triggers = {run["run_id"]: run["trigger"] for run in runs}
    assert (triggers["BTC3L-000001"], triggers[by_hand]) == ("launch", "manual")


def test_it_goes_on_where_it_stopped(folder: Path) -> None:
    with running(folder) as desk:
        has_traded(desk)
        assert desk.end(signal.SIGINT) == 0
    before = command(folder, "history", "--json", "-n", "1000").json
    with running(folder) as desk:
        desk.wait_for("ready")
        (recovered,) = desk.events("recovered")
        assert recovered["funds"] == 2
        assert recovered["records"] > 0
        assert desk.end() == 0
    after = command(folder, "history", "--json", "-n", "1000").json
    assert {run["run_id"] for run in before} <= {run["run_id"] for run in after}
    assert [run["trigger"] for run in after].count("launch") == 2


def test_a_second_interrupt_does_not_wait_for_orders_on_their_way(folder: Path) -> None:
    slow = CONFIG.replace('latency = "5m"', 'latency = "999h"')
    (folder / "config.toml").write_text(slow)
    with running(folder) as desk:
        desk.wait_for("order_sent")
        desk.process.send_signal(signal.SIGINT)
        desk.wait_for("stopping")
        began = time.monotonic()
        assert desk.end(signal.SIGINT) == 130
        assert time.monotonic() - began < 5
    with running(folder) as desk:
        desk.wait_for("ready")
        assert desk.events("recovered")[0]["open_orders"] >= 1


def test_a_second_desk_on_the_same_store_is_refused_and_told_who_is_there(folder: Path) -> None:
    with running(folder) as desk:
        desk.wait_for("ready")
        second = command(folder, "run")
        assert second.code == 4
        assert f"another desk (pid {desk.pid}) already runs on" in second.sentence
        assert desk.process.poll() is None
        assert command(folder, "halt", "BTC3L", "--reason", "it still answers").code == 0


def test_a_second_desk_with_a_store_of_its_own_does_not_take_the_socket(folder: Path) -> None:
    with running(folder) as desk:
        desk.wait_for("ready")
        second = command(
            folder,
            "run",
            REBALANCER__STORE__URL="sqlite:///other.db",
            REBALANCER__DESK__CONTROL_SOCKET="desk.sock",
        )
        assert second.code == 2
        assert "something listens on" in second.sentence
        assert command(folder, "halt", "BTC3L", "--reason", "it still answers").code == 0


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("UPDATE journal SET body = replace(body, '\"3', '\"4')", "does not"),
        ("DELETE FROM journal WHERE seq = 4", "record 4 is missing"),
        ("UPDATE journal SET hash = 'x' WHERE seq = 1", "record 1 does not"),
    ],
    ids=["rewritten", "shortened", "hash"],
)
def test_a_journal_that_was_tampered_with_is_not_traded_on(
    traded: Path, damage: str, words: str
) -> None:
    with sqlite3.connect(traded / "desk.db") as database:
        for event in ("update", "delete"):
            database.execute(f"DROP TRIGGER journal_refuses_{event}")
        database.execute(damage)
    database.close()
    refused = command(traded, "run")
    assert refused.code == 4
    assert words in refused.sentence
    assert "order_sent" not in refused.err
    assert words in command(traded, "plan").sentence


def test_a_journal_cut_short_in_the_middle_of_the_file_is_refused(traded: Path) -> None:
    path = traded / "desk.db"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused = command(traded, "run")
    assert refused.code == 1
    assert "desk.db" in refused.sentence


def test_a_fund_that_trades_cannot_be_deleted_from_the_configuration(traded: Path) -> None:
    (traded / "config.toml").write_text(CONFIG.replace("[funds.BTC1S]", "[funds.BTC2S]"))
    refused = command(traded, "run")
    assert refused.code == 2
    assert refused.sentence.startswith("funds.BTC1S: the store has this fund")


CANARY = "canary-of-a-key-that-is-nowhere-else"


def test_a_dry_run_writes_down_what_it_would_send_and_holds_no_key(folder: Path) -> None:
    keys = {f"REBALANCER__ACCOUNTS__MAIN__{name}": CANARY for name in ("API_KEY", "SECRET")}
    with running(folder, REBALANCER__MODE="dry-run", **keys) as desk:
        desk.wait_for("would_send", count=3)
        status = command(folder, "status", "--json", REBALANCER__MODE="dry-run", **keys)
        assert status.json["mode"] == "dry-run"
        inherited = Path(f"/proc/{desk.pid}/net")
        assert inherited.exists()
        assert sockets_of(desk) == {"unix"}
        assert desk.end() == 0
        sent = desk.events("would_send")
    assert {event["contract"] for event in sent} == {"BTC/USDT:USDT"}
    assert len({event["order"] for event in sent}) == len(sent)
    for path in folder.iterdir():
        assert CANARY.encode() not in path.read_bytes(), path.name


def sockets_of(desk: Desk) -> set[str]:
    """Return of which kinds the sockets are that the process has open."""
    folder = Path(f"/proc/{desk.pid}")
    mine = set()
    for each in (folder / "fd").iterdir():
        try:
            place = str(each.readlink())
        except OSError:  # closed meanwhile
            continue
        if place.startswith("socket:["):
            mine.add(place[8:-1])
    kinds = set()
    for kind in ("tcp", "tcp6", "udp", "udp6", "unix"):
        table = (folder / "net" / kind).read_text()
        inodes = {word for line in table.splitlines()[1:] for word in line.split()}
        if mine & inodes:
            kinds.add(kind)
    return kinds


def test_a_replay_runs_to_the_end_of_its_file_and_ends_well(folder: Path) -> None:
    rows = [f"{1_767_225_600_000 + n * 1_800_000},{100 + n % 9}" for n in range(97)]
    (folder / "btc.csv").write_text("timestamp,close\n" + "\n".join(rows) + "\n")
    files = '{"BTC/USDT:USDT": "btc.csv"}'
    replay = {
        "REBALANCER__FEED__SOURCE": "replay",
        "REBALANCER__FEED__SPEED": "100000",
        "REBALANCER__FEED__FILES": files,
    }
    with running(folder, **replay) as desk:
        assert desk.wait() == 0
        assert "Traceback" not in desk.said
        assert desk.events("fixed_missed") == []
    runs = command(folder, "history", "--json", "-n", "1000").json
    assert {"launch", "fixed"} <= {run["trigger"] for run in runs}
    assert all(run["at"].startswith("2026-01-0") for run in runs)


@pytest.mark.postgres
def test_a_desk_on_postgresql(folder: Path, postgres_url: str) -> None:
    where = {"REBALANCER__STORE__URL": postgres_url, "REBALANCER__DESK__CONTROL_SOCKET": "pg.sock"}
    with running(folder, **where) as desk:
        has_traded(desk, postgres_url)
        assert command(folder, "halt", "BTC3L", "--reason", "drill", **where).code == 0
        second = command(folder, "run", **where)
        assert second.code == 4
        assert f"(pid {desk.pid})" in second.sentence
        assert desk.end() == 0
    with running(folder, **where) as desk:
        desk.wait_for("ready")
        assert desk.events("recovered")[0]["funds"] == 2
        assert desk.end() == 0


def test_the_service_manager_hears_of_every_stage(folder: Path) -> None:
    """sd_notify(3), with the real process: ready after reconciliation, alive, stopping."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(folder / "notify"))
        manager.settimeout(PATIENCE_SECONDS)
        address = {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "2400000"}
        with running(folder, **address) as desk:
            ready, status = manager.recv(4_096).decode().splitlines()
            assert ready == "READY=1"
            assert status.startswith("STATUS=paper, 2 funds")
            assert desk.events("ready")
            while "WATCHDOG=1" not in manager.recv(4_096).decode():
                pass  # a beat in a slow moment tells its status only
            assert desk.end(signal.SIGTERM) == 0
        while not (last := manager.recv(4_096).decode()).startswith("STOPPING=1"):
            assert last.startswith(("WATCHDOG=1", "STATUS="))
