"""The commands for the store as a whole: what they say, and what a script reads."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from rebalancer.desk.kill_switch import KillSwitch
from rebalancer.store.locks import FileLock
from tests.cli.conftest import Run

SWITCH = "desk.db.killed"


@contextlib.contextmanager
def held(store: Path) -> Iterator[None]:
    """Hold a store as a desk does."""
    lock = FileLock(store)
    try:
        yield
    finally:
        lock.release()


def test_a_backup_is_put_back_and_nothing_is_traded_before_somebody_says_so(
    store: Path, run: Run
) -> None:
    assert run("backup", "old.db").code == 0
    before = run("status", "--json").json
    done = run("restore", "old.db")
    assert done.code == 0
    first, second, *rest = done.out.splitlines()
    assert first.startswith(f"{store}: ")
    assert "records, the last of 20" in first
    assert second.startswith("what it replaces is kept as ")
    assert "rebalancer kill --release" in " ".join(rest)
    reason = KillSwitch(store.with_name(SWITCH)).reason()
    assert reason is not None
    assert reason.startswith("restored from old.db: compare it with the venue first")
    assert run("status", "--json").json["funds"] == before["funds"]


def test_a_script_reads_the_same(store: Path, run: Run) -> None:
    run("backup", "old.db")
    document = run("restore", "old.db", "--json").json
    assert document["version"] == 1
    assert document["store"] == str(store)
    assert document["kill_switch"] == str(store.with_name(SWITCH))
    assert Path(document["kept"]).exists()


def test_what_cannot_be_restored_halts_nobody(store: Path, run: Run, folder: Path) -> None:
    (folder / "old.db").write_text("no backup")
    refused = run("restore", "old.db")
    assert refused.code == 2
    assert "is damaged" in refused.sentence
    assert not store.with_name(SWITCH).exists()


def test_a_store_that_a_desk_holds_is_neither_replaced_nor_halted(store: Path, run: Run) -> None:
    run("backup", "old.db")
    with held(store):
        refused = run("restore", "old.db")
    assert refused.code == 4
    assert "another desk" in refused.sentence
    assert not store.with_name(SWITCH).exists()


def test_an_upgrade_says_what_it_did_and_then_that_there_is_nothing_to_do(
    store: Path, run: Run
) -> None:
    with sqlite3.connect(store) as other:
        other.execute("DROP TABLE deliveries")
        for table, column in (
            ("runs", "slippage"),
            ("runs", "traded_notional"),
            ("orders", "wanted"),
        ):
            other.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        other.execute("UPDATE rebalancer_schema SET version_num = '0005'")
    other.close()
    refused = run("status")
    assert (refused.code, "rebalancer upgrade" in refused.sentence) == (4, True)
    assert "from layout 0005 to 0009" in run("upgrade").out
    assert store.with_name("desk.db.layout-0005").exists()
    assert run("upgrade", "--json").json == {"version": 1, "before": "0009", "after": "0009"}
    assert run("status").code == 0
