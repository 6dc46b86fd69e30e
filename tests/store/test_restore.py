"""A backup in the place of a store: what is examined, what is kept, and who is refused."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from pathlib import Path

import pytest

from rebalancer.errors import InputRefused, StoreRefused, StoreUnavailable
from rebalancer.store.backup import back_up
from rebalancer.store.restore import restore
from rebalancer.store.sql import open_store
from tests.store.test_backup import url_in, verdict

STAMP = "20260102T023000Z"


async def store_with(folder: Path, count: int) -> None:
    store = open_store(url_in(folder))
    have = len(await store.load())
    for number in range(have, count):
        await store.commit([verdict(number)])
    await store.close()


async def records_of(folder: Path) -> int:
    store = open_store(url_in(folder))
    try:
        return len(await store.load())
    finally:
        await store.close()


def mode_of(file: Path) -> int:
    return file.stat().st_mode & 0o777


def traces(folder: Path) -> list[str]:
    return sorted(
        path.name
        for path in folder.iterdir()
        if {"replaced", "part"} & {*re.split(r"[.-]", path.name)}
    )


def never() -> None:
    pytest.fail("trading was halted although nothing was restored")


async def test_a_backup_takes_the_place_of_the_store_which_is_kept_beside_it(
    tmp_path: Path,
) -> None:
    await store_with(tmp_path, 3)
    back_up(url_in(tmp_path), tmp_path / "old.db")
    await store_with(tmp_path, 5)
    halted: list[bool] = []

    done = restore(url_in(tmp_path), tmp_path / "old.db", STAMP, lambda: halted.append(True))

    assert halted == [True]
    assert (done.records, done.last_ms) == (3, 2)
    assert done.kept == tmp_path / f"desk.db.replaced-{STAMP}"
    assert await records_of(tmp_path) == 3
    shutil.copy(done.kept, tmp_path / "kept.db")
    assert sqlite3.connect(tmp_path / "kept.db").execute("SELECT count(*) FROM journal").fetchone()
    assert mode_of(tmp_path / "desk.db") == 0o600


async def test_the_log_of_the_replaced_store_goes_with_it(tmp_path: Path) -> None:
    """A log that stays beside another file would be taken for its own."""
    await store_with(tmp_path, 2)
    back_up(url_in(tmp_path), tmp_path / "old.db")
    for suffix in ("-wal", "-shm"):
        (tmp_path / f"desk.db{suffix}").write_bytes(b"of another time")
    restore(url_in(tmp_path), tmp_path / "old.db", STAMP, lambda: None)
    assert traces(tmp_path) == [f"desk.db.replaced-{STAMP}{end}" for end in ("", "-shm", "-wal")]
    assert await records_of(tmp_path) == 2


async def test_a_machine_without_a_store_gets_one(tmp_path: Path) -> None:
    await store_with(tmp_path, 2)
    elsewhere = tmp_path / "new"
    elsewhere.mkdir()
    done = restore(url_in(elsewhere), tmp_path / "desk.db", STAMP, lambda: None)
    assert done.kept is None
    assert await records_of(elsewhere) == 2


async def test_a_desk_that_runs_is_left_alone(tmp_path: Path) -> None:
    await store_with(tmp_path, 2)
    back_up(url_in(tmp_path), tmp_path / "old.db")
    running = open_store(url_in(tmp_path))
    with pytest.raises(StoreRefused, match=f"another desk .pid {os.getpid()}. already runs"):
        restore(url_in(tmp_path), tmp_path / "old.db", STAMP, never)
    await running.close()


async def damaged(tmp_path: Path, how: str) -> Path:
    await store_with(tmp_path, 3)
    file = tmp_path / "old.db"
    back_up(url_in(tmp_path), file)
    if how == "cut":
        file.write_bytes(file.read_bytes()[:20_000])
        return file
    if how == "letter":
        file.write_text("a letter, long enough to be taken for a database's header\n" * 9)
        return file
    with sqlite3.connect(file) as other:
        if how == "changed":
            other.execute("DROP TRIGGER IF EXISTS journal_is_append_only_update")
            for (name,) in other.execute(
                "SELECT name FROM sqlite_master WHERE type = 'trigger'"
            ).fetchall():
                other.execute(f"DROP TRIGGER {name}")
            other.execute("UPDATE journal SET at_ms = 7 WHERE seq = 2")
        elif how == "newer":
            other.execute("UPDATE rebalancer_schema SET version_num = '9999'")
        elif how == "other":
            other.execute("DROP TABLE rebalancer_schema")
    other.close()
    return file


@pytest.mark.parametrize(
    ("how", "error", "says"),
    [
        ("cut", InputRefused, "is damaged: .*; take another backup"),
        ("letter", InputRefused, "is damaged: file is not a database"),
        ("changed", InputRefused, "record 2 does not match its hash; take another backup"),
        ("other", InputRefused, "is no backup of a store"),
        ("newer", StoreRefused, "has layout 9999, written by a newer rebalancer"),
    ],
)
async def test_what_is_no_whole_backup_changes_nothing(
    tmp_path: Path, how: str, error: type[Exception], says: str
) -> None:
    file = await damaged(tmp_path, how)
    with pytest.raises(error, match=says):
        restore(url_in(tmp_path), file, STAMP, never)
    assert await records_of(tmp_path) == 3
    assert traces(tmp_path) == []


async def test_a_full_disk_is_met_before_anything_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store_with(tmp_path, 3)
    back_up(url_in(tmp_path), tmp_path / "old.db")

    def full(_source: Path, part: Path) -> None:
        part.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(StoreUnavailable, match="No space left on device"):
        restore(url_in(tmp_path), tmp_path / "old.db", STAMP, lambda: None)
    assert await records_of(tmp_path) == 3
    assert traces(tmp_path) == []


async def test_what_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    await store_with(tmp_path, 1)
    for file, says in [("desk.db", "is the store itself"), ("gone.db", "there is no backup at")]:
        with pytest.raises(InputRefused, match=says):
            restore(url_in(tmp_path), tmp_path / file, STAMP, never)
    with pytest.raises(InputRefused, match="pg_restore"):
        restore("postgresql://desk@host/desk", tmp_path / "old.dump", STAMP, never)
