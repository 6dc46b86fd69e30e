"""The writer behind a SQL store: durable, in groups, off the event loop, and never two desks."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from rebalancer.core.methodology import Trigger
from rebalancer.core.records import DeskStarted, FundLaunched, Traded, VerdictChanged
from rebalancer.errors import BrokenInvariant, StoreUnavailable
from rebalancer.ports import NavView
from rebalancer.store import journal, projections, views
from rebalancer.store import target as place
from rebalancer.store.prepared import ROWS_AT_ONCE
from rebalancer.store.reader import open_reader
from rebalancer.store.session import Session
from rebalancer.store.sql import SqlStore, open_store
from tests.store.test_projections import traded as filled

COMMIT_FOR_EVER = """
import asyncio, sys
from rebalancer.core.methodology import Trigger
from rebalancer.core.records import VerdictChanged
from rebalancer.store.sql import open_store

async def main():
    store = open_store(sys.argv[1])
    number = 0
    while True:
        number += 1
        await store.commit([VerdictChanged(number, "F", Trigger.NONE, f"no. {number}")])
        print(number, flush=True)

asyncio.run(main())
"""


def url_in(folder: Path) -> str:
    return f"sqlite:///{folder}/desk.db"


def verdict(number: int) -> VerdictChanged:
    return VerdictChanged(at_ms=number, fund="F", trigger=Trigger.NONE, reason=f"no. {number}")


def launched(fund: str) -> FundLaunched:
    return FundLaunched(at_ms=1, fund=fund, account="main", shares=Decimal(1), cash=Decimal(100))


def started(mode: str) -> DeskStarted:
    return DeskStarted(at_ms=1, mode=mode, config_digest="digest")


def traded(trade_id: str) -> Traded:
    return filled(trade_id, "an order", Decimal(1))


def view(fund: str) -> NavView:
    return NavView(
        fund=fund,
        at_ms=1,
        nav=Decimal(1),
        formula_nav=Decimal(1),
        leverage=Decimal(3),
        target_leverage=Decimal(3),
        equity=Decimal(1),
        shares=Decimal(1),
        price_at_ms=1,
        stale=False,
        trading="active",
        run="",
        next_fixed_ms=None,
    )


def committing_process(url: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", COMMIT_FOR_EVER, url]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def kill(process: subprocess.Popen[str]) -> list[int]:
    """Kill without warning and return every number the process had still printed."""
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate()
    # The last line may have been cut by the kill.
    return [int(line) for line in rest.splitlines(keepends=True) if line.endswith("\n")]


async def reasons_in(store: SqlStore) -> list[str]:
    return [record.reason for record in await store.load() if isinstance(record, VerdictChanged)]


async def test_a_kill_in_the_middle_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    acknowledged = 0
    for _ in range(3):
        with committing_process(url_in(tmp_path)) as process:
            assert process.stdout is not None
            told = [int(process.stdout.readline()) for _ in range(60)] + kill(process)
        acknowledged += told[-1]
    store = open_store(url_in(tmp_path))
    kept = await reasons_in(store)
    await store.close()
    assert acknowledged >= 180
    # At most the commit that was under way at each kill may be there unacknowledged.
    assert acknowledged <= len(kept) <= acknowledged + 3


def test_a_second_process_on_the_same_file_is_told_who_holds_it(tmp_path: Path) -> None:
    url = url_in(tmp_path)
    with committing_process(url) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(StoreUnavailable) as refusal:
            open_store(url)
        kill(process)
    assert str(refusal.value) == (
        f"another desk (pid {process.pid}) already runs on {tmp_path}/desk.db; "
        "stop it first or give this one a store of its own"
    )


def nothing() -> None:
    """Somebody is in a hurry, and has nothing to do meanwhile."""


@pytest.mark.parametrize("meanwhile", [None, nothing], ids=["", "hurry"])
async def test_the_event_loop_goes_on_while_a_commit_is_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], None] | None
) -> None:
    store = open_store(url_in(tmp_path))
    append = journal.append

    def slow(*arguments: Any) -> Any:
        time.sleep(0.5)
        return append(*arguments)

    monkeypatch.setattr(journal, "append", slow)
    committing = asyncio.create_task(store.commit([verdict(1)], meanwhile))
    beats, started = 0, time.monotonic()
    while not committing.done():
        await asyncio.sleep(0.005)
        beats += 1
    assert time.monotonic() - started >= 0.5
    assert beats >= 25
    await store.close()


async def test_what_is_done_meanwhile_is_done_before_the_disk_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(url_in(tmp_path))
    append, log = journal.append, list[str]()

    def slow(*arguments: Any) -> Any:
        time.sleep(0.05)
        append(*arguments)
        log.append("durable")

    monkeypatch.setattr(journal, "append", slow)
    await store.commit([verdict(1)], lambda: log.append("meanwhile"))
    assert log == ["meanwhile", "durable"]
    await store.close()


async def test_whoever_is_in_a_hurry_hears_of_a_failure_too(tmp_path: Path) -> None:
    store = open_store(url_in(tmp_path))
    for number in range(20):
        await store.commit([verdict(number)], nothing)
    await store.commit([launched("BTC3L")], nothing)
    with pytest.raises(BrokenInvariant, match="already has a record with the key"):
        await store.commit([launched("BTC3L")], nothing)
    await store.commit([verdict(20)], nothing)
    assert await reasons_in(store) == [f"no. {number}" for number in range(21)]
    await store.close()


async def test_more_rows_than_one_statement_takes_are_one_transaction_all_the_same(
    tmp_path: Path,
) -> None:
    store = open_store(url_in(tmp_path))
    many = [verdict(number) for number in range(ROWS_AT_ONCE + 1)]
    with pytest.raises(BrokenInvariant, match="already has a record with the key"):
        await store.commit([*many, launched("A"), launched("A")])
    assert await reasons_in(store) == []
    await store.commit(many)
    await store.commit(many[:ROWS_AT_ONCE])
    assert len(await store.load()) == 2 * ROWS_AT_ONCE + 1
    await store.close()


def gate(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, list[int]]:
    """Hold every transaction of the journal until the event; count the records in each."""
    opened, sizes = threading.Event(), list[int]()
    append = journal.append

    def held(session: Session, rows: Sequence[Any]) -> None:
        opened.wait(10)
        sizes.append(len(rows))
        append(session, rows)

    monkeypatch.setattr(journal, "append", held)
    return opened, sizes


async def test_what_waits_while_the_writer_is_busy_goes_into_one_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(url_in(tmp_path))
    opened, sizes = gate(monkeypatch)
    first = asyncio.create_task(store.commit([verdict(0)]))
    await asyncio.sleep(0.05)
    rest = [asyncio.create_task(store.commit([verdict(n)])) for n in range(1, 31)]
    await asyncio.sleep(0.05)
    opened.set()
    await asyncio.gather(first, *rest)
    assert sizes == [1, 30]
    await store.close()


async def test_a_bad_commit_in_a_group_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(url_in(tmp_path))
    await store.commit([launched("A")])
    opened, sizes = gate(monkeypatch)
    first = asyncio.create_task(store.commit([verdict(0)]))
    await asyncio.sleep(0.05)
    commits = ([verdict(1)], [launched("A")], [verdict(2)])
    group = [asyncio.create_task(store.commit(records)) for records in commits]
    await asyncio.sleep(0.05)
    opened.set()
    await first
    outcomes = await asyncio.gather(*group, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), BrokenInvariant, type(None)]
    assert sizes == [1, 3, 1, 1, 1]
    assert await reasons_in(store) == ["no. 0", "no. 1", "no. 2"]
    await store.close()


async def test_a_waiter_that_left_keeps_no_other_of_its_group_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(url_in(tmp_path))
    opened, sizes = gate(monkeypatch)
    first = asyncio.create_task(store.commit([verdict(0)]))
    await asyncio.sleep(0.05)
    leaving, staying = (asyncio.create_task(store.commit([verdict(n)])) for n in (1, 2))
    await asyncio.sleep(0.05)
    leaving.cancel()
    await asyncio.sleep(0)
    opened.set()
    async with asyncio.timeout(20):
        await asyncio.gather(first, staying)
    assert sizes == [1, 2]
    assert await reasons_in(store) == ["no. 0", "no. 1", "no. 2"]
    await store.close()


async def test_a_mistake_in_the_journal_reaches_the_waiter_and_the_store_lives_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(url_in(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(journal, "append", lambda *_: 1 / 0)
        with pytest.raises(BrokenInvariant, match="unforeseen way: ZeroDivisionError"):
            await store.commit([verdict(1)])
    await store.commit([verdict(2)])
    assert await reasons_in(store) == ["no. 2"]
    await store.close()


async def test_a_mistake_in_folding_fails_the_next_commit_and_no_record_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(url_in(tmp_path))
    with monkeypatch.context() as patch:
        patch.setitem(projections.FOLDS, VerdictChanged, lambda *_: 1 / 0)
        await store.commit([verdict(1)])
        assert await reasons_in(store) == ["no. 1"]
        for _ in range(2):
            with pytest.raises(BrokenInvariant, match="unforeseen way: ZeroDivisionError"):
                await store.commit([verdict(2)])
    await store.commit([verdict(3)])
    assert await reasons_in(store) == ["no. 1", "no. 3"]
    with open_reader(url_in(tmp_path)) as reader:
        assert [row.reason for row in reader.verdicts()] == ["no. 3"]
    await store.close()


def broken_connection(*, after_the_commit: bool) -> Callable[[], None]:
    """Break every transaction before or after it happened; return how to end that."""
    patch = pytest.MonkeyPatch()

    def breaking(work: Callable[..., Any]) -> Callable[..., Any]:
        def broken(*arguments: Any) -> Any:
            if after_the_commit:
                work(*arguments)
            raise OperationalError("COMMIT", {}, Exception("the connection broke"))

        return broken

    for way in ("run", "insert"):
        patch.setattr(Session, way, breaking(getattr(Session, way)))
    return patch.undo


async def test_after_a_commit_that_failed_and_did_not_happen_the_store_goes_on(
    tmp_path: Path,
) -> None:
    store = open_store(url_in(tmp_path))
    mend = broken_connection(after_the_commit=False)
    with pytest.raises(StoreUnavailable, match="the connection broke"):
        await store.commit([verdict(1)])
    mend()
    await store.commit([verdict(2)])
    assert await reasons_in(store) == ["no. 2"]
    await store.close()


async def test_after_a_commit_that_failed_and_happened_the_records_must_be_loaded_first(
    tmp_path: Path,
) -> None:
    store = open_store(url_in(tmp_path))
    mend = broken_connection(after_the_commit=True)
    with pytest.raises(StoreUnavailable, match="the connection broke"):
        await store.commit([verdict(1)])
    mend()
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="has happened after all; load the records"):
            await store.commit([verdict(2)])
    assert await reasons_in(store) == ["no. 1"]
    await store.commit([verdict(2)])
    assert await reasons_in(store) == ["no. 1", "no. 2"]
    await store.close()


async def test_a_full_disk_refuses_the_commit_and_the_next_one_finds_the_chain_whole(
    tmp_path: Path,
) -> None:
    store = open_store(url_in(tmp_path))
    await store.commit([verdict(1)])
    connection = store._writer._session._connection
    assert connection is not None
    disk: Any = connection.connection.dbapi_connection
    (pages,) = disk.execute("PRAGMA page_count").fetchone()
    disk.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(StoreUnavailable, match="disk is full; make room there"):
        await store.commit([verdict(number) for number in range(2, 200)])
    disk.execute("PRAGMA max_page_count=1000000")
    await store.commit([verdict(200)])
    assert await reasons_in(store) == ["no. 1", "no. 200"]
    await store.close()


async def test_a_file_somebody_else_keeps_locked_refuses_the_commit_until_it_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(place._SQLITE_PRAGMAS, "busy_timeout", 50)
    store = open_store(url_in(tmp_path))
    other = sqlite3.connect(tmp_path / "desk.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="database is locked"):
        await store.commit([verdict(1)])
    other.execute("ROLLBACK")
    other.close()
    await store.commit([verdict(2)])
    assert await reasons_in(store) == ["no. 2"]
    await store.close()


async def test_commits_overtake_views_that_are_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "SLICE_ROWS", 1)
    store = open_store(url_in(tmp_path))
    showing = asyncio.create_task(store.save_views([view(f"F{n}") for n in range(500)], {}))
    await asyncio.sleep(0.01)
    await store.commit([verdict(1)])
    assert not showing.done()
    await showing
    with open_reader(url_in(tmp_path)) as reader:
        assert len(reader.views()) == 500
    await store.close()


async def test_views_are_skipped_while_earlier_ones_are_being_written(tmp_path: Path) -> None:
    store = open_store(url_in(tmp_path))
    first = asyncio.create_task(store.save_views([view("A")], {"X": Decimal(1)}))
    await asyncio.sleep(0)
    await store.save_views([view("B")], {"X": Decimal(2)})
    assert not first.done()
    await first
    with open_reader(url_in(tmp_path)) as reader:
        assert [shown.fund for shown in reader.views()] == ["A"]
        assert reader.prices() == {"X": Decimal(1)}
    await store.save_views([view("B")], {})
    with open_reader(url_in(tmp_path)) as reader:
        assert [shown.fund for shown in reader.views()] == ["B"]
    await store.close()


async def test_views_that_cannot_be_written_do_not_touch_the_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(url_in(tmp_path))
    with pytest.raises(BrokenInvariant, match="NaN"):
        await store.save_views([view("A")], {"X": Decimal("NaN")})
    await store.commit([verdict(1)])
    await store.save_views([view("A")], {"X": Decimal(1)})
    assert await reasons_in(store) == ["no. 1"]
    await store.close()


async def test_closing_ends_what_is_under_way_and_takes_every_commit_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "SLICE_ROWS", 1)
    store = open_store(url_in(tmp_path))
    showing = asyncio.create_task(store.save_views([view(f"F{n}") for n in range(500)], {}))
    committing = [asyncio.create_task(store.commit([verdict(n)])) for n in range(5)]
    await asyncio.sleep(0.01)
    await store.close()
    await asyncio.gather(showing, *committing)
    with open_reader(url_in(tmp_path)) as reader:
        assert len(reader.records()) == 5
        assert len(reader.views()) < 500


async def test_a_copy_of_the_files_taken_at_any_moment_is_a_whole_chain(tmp_path: Path) -> None:
    store = open_store(url_in(tmp_path))
    await store.commit([verdict(1), verdict(2)])
    copy = tmp_path / "copy"
    copy.mkdir()
    for part in ("desk.db", "desk.db-wal"):
        shutil.copy(tmp_path / part, copy / part)
    await store.commit([verdict(3)])
    await store.close()
    restored = open_store(url_in(copy))
    assert await reasons_in(restored) == ["no. 1", "no. 2"]
    await restored.close()


async def test_a_loop_that_is_gone_does_not_stop_the_writer(tmp_path: Path) -> None:
    store = open_store(url_in(tmp_path))

    async def leave_before_the_answer() -> None:
        task = asyncio.ensure_future(store.commit([verdict(1)]))
        await asyncio.sleep(0)
        task.cancel()

    await asyncio.to_thread(asyncio.run, leave_before_the_answer())
    await store.commit([verdict(2)])
    assert await reasons_in(store) == ["no. 1", "no. 2"]
    await store.close()


async def test_of_the_trades_of_one_life_the_first_tells_that_it_traded(tmp_path: Path) -> None:
    """What `config check` reads of a journal that may have millions of records."""
    store = open_store(url_in(tmp_path))
    lives = [
        [started("paper"), launched("F"), verdict(1), traded("a"), traded("b"), traded("c")],
        [started("dry-run"), verdict(2)],
        [started("paper"), traded("d"), launched("G"), traded("e"), verdict(3)],
    ]
    for life in lives:
        await store.commit(life)
    await store.close()
    with open_reader(url_in(tmp_path)) as reader:
        assert reader.beginnings() == (
            *(started("paper"), launched("F"), traded("a")),
            started("dry-run"),
            *(started("paper"), traded("d"), launched("G")),
        )
