"""A backup is whole at one instant, taken beside a writer, and never half a file."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from rebalancer.core.methodology import Trigger
from rebalancer.core.records import VerdictChanged
from rebalancer.errors import InputRefused, StoreUnavailable
from rebalancer.store import backup
from rebalancer.store.backup import back_up
from rebalancer.store.sql import open_store


def url_in(folder: Path, name: str = "desk") -> str:
    return f"sqlite:///{folder}/{name}.db"


def copies_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("copy*"))


def verdict(number: int) -> VerdictChanged:
    return VerdictChanged(at_ms=number, fund="F", trigger=Trigger.NONE, reason=f"no. {number}")


async def test_a_backup_beside_a_writer_has_every_record_that_was_committed(tmp_path: Path) -> None:
    store = open_store(url_in(tmp_path))
    for number in range(20):
        await store.commit([verdict(number)])
    size_bytes = back_up(url_in(tmp_path), tmp_path / "copy.db")
    await store.commit([verdict(20)])
    await store.close()
    assert size_bytes == (tmp_path / "copy.db").stat().st_size
    assert copies_in(tmp_path) == ["copy.db"]
    copy = open_store(url_in(tmp_path, "copy"))
    assert await copy.load() == [verdict(number) for number in range(20)]
    await copy.close()


async def test_a_backup_replaces_nothing(tmp_path: Path) -> None:
    await open_store(url_in(tmp_path)).close()
    (tmp_path / "copy.db").write_text("precious")
    with pytest.raises(InputRefused, match="never replaces another"):
        back_up(url_in(tmp_path), tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_text() == "precious"


async def test_a_backup_that_fails_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await open_store(url_in(tmp_path)).close()

    def full(_source: Path, part: Path) -> None:
        part.write_text("half")
        part.with_name(f"{part.name}-journal").write_text("what SQLite leaves beside it")
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(backup, "_copy", full)
    with pytest.raises(StoreUnavailable, match="disk is full"):
        back_up(url_in(tmp_path), tmp_path / "copy.db")
    assert copies_in(tmp_path) == []


def test_what_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="there is no store at"):
        back_up(url_in(tmp_path), tmp_path / "copy.db")
    assert list(tmp_path.iterdir()) == []


def test_a_server_is_backed_up_by_its_own_program() -> None:
    with pytest.raises(InputRefused, match="pg_dump"):
        back_up("postgresql://desk@host/desk", Path("copy.db"))
