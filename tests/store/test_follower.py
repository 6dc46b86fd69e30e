"""The tables follow the journal: whenever they are behind, nobody can see it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from rebalancer.core.breaks import BreakEnded, BreakFound
from rebalancer.core.records import Record, RunMoved
from rebalancer.errors import BrokenInvariant
from rebalancer.store import follower, projections
from rebalancer.store.follower import Follower
from rebalancer.store.projections import catch_up as fold
from rebalancer.store.reader import SqlReader, open_reader
from rebalancer.store.sql import open_store
from rebalancer.store.tables import PROJECTED
from rebalancer.store.target import target, writing_engine
from tests.store.test_projections import a_day, everything_in, launched, tables_of, url

__all__ = ["url"]
pytest_plugins = ["tests.store.postgres"]


def crash_after_folding(count: int) -> Callable[[], None]:
    """Let the tables show the first `count` records only; return how to end that."""
    patch = pytest.MonkeyPatch()

    def fold_some(keeper: Follower) -> None:
        if left := count - keeper._projected_seq:
            session = keeper._session
            keeper._projected_seq = session.run_unflushed(lambda each: fold(each, left))

    patch.setattr(Follower, "catch_up", fold_some)
    patch.setattr(Follower, "follow", lambda _keeper, *, idle: None)
    return patch.undo


def all_that_is_read(reader: SqlReader) -> list[object]:
    return [
        reader.funds(),
        reader.runs(),
        reader.runs("BTC3L", limit=1),
        reader.runs("nobody"),
        reader.orders(),
        reader.orders(limit=1),
        reader.fills(),
        reader.fills(limit=2),
        reader.fixed("BTC3L"),
        reader.fixed("BTC3S", limit=1),
        reader.verdicts(),
        reader.navs("BTC3L"),
    ]


def seq_of_the_tables(url: str) -> int:
    engine = writing_engine(target(url))
    with engine.begin() as connection:
        seq: int = connection.execute(select(PROJECTED.c.seq)).scalar_one()
    engine.dispose()
    return seq


async def right_tables(folder: Path, records: Iterable[Record]) -> tuple[Any, list[object]]:
    """What the tables hold and readers see after `records`, with everything folded in."""
    place = f"sqlite:///{folder}/right.db"
    store = open_store(place)
    await store.commit(list(records))
    tables = await everything_in(store)
    with open_reader(place) as reader:
        seen = all_that_is_read(reader)
    await store.close()
    return tables, seen


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, list[object]]:
    """What the tables hold and readers see after the day."""
    return asyncio.run(right_tables(tmp_path_factory.mktemp("right"), a_day()))


@pytest.mark.parametrize("folded", range(len(a_day()) + 1))
async def test_a_crash_at_any_point_is_neither_seen_nor_left(
    url: str, right: tuple[Any, list[object]], folded: int
) -> None:
    tables, seen = right
    mend = crash_after_folding(folded)
    store = open_store(url)
    for record in a_day():
        await store.commit([record])
    await store.close()
    mend()
    assert seq_of_the_tables(url) == folded
    with open_reader(url) as reader:
        assert all_that_is_read(reader) == seen
    again = open_store(url)
    assert seq_of_the_tables(url) == len(a_day())
    assert tables_of(again) == tables
    await again.rebuild()
    assert tables_of(again) == tables
    await again.close()


async def test_a_fold_that_breaks_off_half_way_leaves_no_half(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables, _ = await right_tables(tmp_path, a_day())
    store = open_store(url)
    write = projections.write
    with monkeypatch.context() as patch:

        def broken(connection: Any, changes: Any) -> None:
            write(connection, changes)
            raise BrokenInvariant("half-way")

        patch.setattr(projections, "write", broken)
        await store.commit(a_day())
        await store.load()
        assert seq_of_the_tables(url) == 0
        assert not any(tables_of(store).values())
    assert await everything_in(store) == tables
    await store.close()


async def test_a_commit_is_answered_before_the_tables_follow(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "QUIET_SECONDS", 60.0)
    monkeypatch.setattr(follower, "LONGEST_BEHIND_SECONDS", 60.0)
    store = open_store(url)
    await store.commit([launched("BTC3L")])
    assert seq_of_the_tables(url) == 0
    with open_reader(url) as reader:
        assert [fund.name for fund in reader.funds()] == ["BTC3L"]
    await store.close()
    assert seq_of_the_tables(url) == 1


async def follows(url: str, seq: int) -> None:
    async with asyncio.timeout(20):
        while seq_of_the_tables(url) < seq:  # noqa: ASYNC110 - another thread moves it
            await asyncio.sleep(0.01)


async def test_the_tables_follow_by_themselves_in_quiet_and_in_a_rush(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "FOLDED_AT_ONCE", 3)
    store = open_store(url)
    await store.commit([launched(f"A{number}") for number in range(10)])
    await follows(url, 10)
    monkeypatch.setattr(follower, "QUIET_SECONDS", 60.0)
    monkeypatch.setattr(follower, "LONGEST_BEHIND_SECONDS", 0.0)
    await store.commit([launched(f"B{number}") for number in range(10)])
    await follows(url, 20)
    await store.close()


async def test_a_fold_is_not_flushed_and_the_next_commit_is(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/desk.db"
    store = open_store(url)
    session = store._writer._session
    seen = []

    def synchronous(connection: Any) -> int:
        number: int = connection.exec_driver_sql("PRAGMA synchronous").scalar_one()
        return number

    def both() -> None:
        seen.append(session.run_unflushed(synchronous))
        seen.append(session.run(synchronous))

    await store._call(both)
    assert seen == [1, 2]
    await store.close()


@pytest.mark.postgres
async def test_a_fold_on_a_server_is_not_flushed_and_the_next_commit_is(postgres_url: str) -> None:
    store = open_store(postgres_url)
    session = store._writer._session
    seen = []

    def synchronous(connection: Any) -> str:
        setting: str = connection.exec_driver_sql("SHOW synchronous_commit").scalar_one()
        return setting

    def both() -> None:
        seen.append(session.run_unflushed(synchronous))
        seen.append(session.run(synchronous))

    await store._call(both)
    assert seen == ["off", "on"]
    await store.close()


async def test_the_log_goes_into_the_file_once_nothing_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "CHECKPOINT_COMMITS", 1)
    store = open_store(f"sqlite:///{tmp_path}/desk.db")
    await store.commit([launched("BTC3L")])
    copy = tmp_path / "copy.db"

    def in_the_file() -> int:
        shutil.copy(tmp_path / "desk.db", copy)
        with contextlib.closing(sqlite3.connect(copy)) as database:
            try:
                return int(database.execute("SELECT count(*) FROM journal").fetchone()[0])
            except sqlite3.DatabaseError:  # without the table yet, or copied while it was written
                return 0

    async with asyncio.timeout(20):
        while not in_the_file():  # noqa: ASYNC110 - another thread moves it
            await asyncio.sleep(0.02)
    await store.close()


async def test_an_older_layout_is_taken_up_where_its_tables_stand(url: str) -> None:
    # That layout knew no breaks, and its runs told no slippage.
    day = [
        replace(each, slippage=None, traded_notional=None) if isinstance(each, RunMoved) else each
        for each in a_day()
        if not isinstance(each, BreakFound | BreakEnded)
    ]
    store = open_store(url)
    await store.commit(day)
    tables = await everything_in(store)
    await store.close()
    engine = writing_engine(target(url))
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE projected"))
        connection.execute(text("DROP TABLE breaks"))
        connection.execute(text("DROP TABLE deliveries"))
        for column in ("premium", "premium_stage"):
            connection.execute(text(f"ALTER TABLE views DROP COLUMN {column}"))
        for column in ("slippage", "traded_notional"):
            connection.execute(text(f"ALTER TABLE runs DROP COLUMN {column}"))
        connection.execute(text("ALTER TABLE orders DROP COLUMN wanted"))
        connection.execute(text("UPDATE rebalancer_schema SET version_num = '0002'"))
    engine.dispose()
    again = open_store(url, backed_up=True)
    assert seq_of_the_tables(url) == len(day)
    assert tables_of(again) == tables
    await again.close()
