"""What every store does, whatever it is made of: memory, SQLite, PostgreSQL."""

from __future__ import annotations

import asyncio
import types
import typing
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from rebalancer.core.methodology import Trigger
from rebalancer.core.records import (
    RECORD_TYPES,
    FundLaunched,
    IntentCreated,
    PointSet,
    Record,
    ShortfallCovered,
    VerdictChanged,
)
from rebalancer.errors import BrokenInvariant, InputRefused, StoreUnavailable
from rebalancer.ports import NavView, Store
from rebalancer.store.memory import MemoryStore
from rebalancer.store.reader import open_reader
from rebalancer.store.sql import SqlStore, open_store
from rebalancer.store.tables import SCHEMA_HEAD
from rebalancer.store.target import target, writing_engine

pytest_plugins = ["tests.store.postgres"]


class MemoryPlace:
    """Where a store in memory lives on after it was closed."""

    def __init__(self) -> None:
        self._last = MemoryStore(through_codec=True)

    def open(self) -> Store:
        self._last = MemoryStore(self._last.records, through_codec=True)
        return self._last


class SqlPlace:
    """A database of its own for one test, and everything opened on it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.opened: list[SqlStore] = []

    def open(self) -> SqlStore:
        store = open_store(self.url)
        self.opened.append(store)
        return store

    def behind_its_back(self, *statements: str) -> None:
        """Run statements as somebody would who has the database's password."""
        engine = writing_engine(target(self.url))
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))
        engine.dispose()


SQL = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(params=["memory", *SQL])
async def place(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[MemoryPlace | SqlPlace]:
    if request.param == "memory":
        yield MemoryPlace()
        return
    url = f"sqlite:///{tmp_path}/desk.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
    here = SqlPlace(url)
    yield here
    for store in here.opened:
        await store.close()


@pytest.fixture
def sql(place: MemoryPlace | SqlPlace) -> SqlPlace:
    assert isinstance(place, SqlPlace)
    return place


in_every_database = pytest.mark.parametrize("place", SQL, indirect=True)


def sample(hint: Any) -> Any:
    """One value of a field's type."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    simple = {Decimal: Decimal("-1.50"), str: "né\0", int: 2**40, bool: True}
    if hint in simple:
        return simple[hint]
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return next(iter(hint))
    if is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        made: Callable[..., Any] = typing.cast("Any", hint)
        return made(**{part.name: sample(hints[part.name]) for part in fields(hint)})
    if origin is types.UnionType:
        return sample(parts[0])
    return (
        (sample(parts[0]),) if origin is tuple else {"B": sample(parts[1]), "A": sample(parts[1])}
    )


def one_of_each() -> list[Record]:
    return [sample(cls) for cls in RECORD_TYPES]


def launched(fund: str) -> FundLaunched:
    return FundLaunched(
        at_ms=1, fund=fund, account="main", shares=Decimal(1), cash=Decimal("100.0")
    )


def ordered(account: str, turn: int, client_order_id: str) -> IntentCreated:
    """Return the intent of the account's order number `turn`."""
    like: IntentCreated = sample(IntentCreated)
    intent = replace(like.intent, account=account, seq=turn, client_order_id=client_order_id)
    return replace(like, intent=intent)


def verdict(number: int) -> VerdictChanged:
    return VerdictChanged(at_ms=number, fund="F", trigger=Trigger.NONE, reason=f"no. {number}")


def view(fund: str, nav: str | None) -> NavView:
    return NavView(
        fund=fund,
        at_ms=5,
        nav=None if nav is None else Decimal(nav),
        formula_nav=Decimal("99.5"),
        leverage=None,
        target_leverage=Decimal(3),
        equity=None,
        shares=Decimal(1),
        price_at_ms=None,
        stale=nav is None,
        trading="active",
        run="",
        next_fixed_ms=9,
    )


async def reasons_in(store: Store) -> list[str]:
    return [record.reason for record in await store.load() if isinstance(record, VerdictChanged)]


class TestEveryStore:
    async def test_starts_empty(self, place: MemoryPlace | SqlPlace) -> None:
        assert list(await place.open().load()) == []

    async def test_gives_back_every_kind_of_record_in_the_order_of_the_commits(
        self, place: MemoryPlace | SqlPlace
    ) -> None:
        store, records = place.open(), one_of_each()
        await store.commit(records[:5])
        await store.commit(records[5:])
        assert list(await store.load()) == records

    async def test_still_has_them_when_it_is_opened_again(
        self, place: MemoryPlace | SqlPlace
    ) -> None:
        first = place.open()
        await first.commit([verdict(1)])
        await first.close()
        second = place.open()
        await second.commit([verdict(2)])
        assert await reasons_in(second) == ["no. 1", "no. 2"]

    async def test_takes_a_commit_of_nothing(self, place: MemoryPlace | SqlPlace) -> None:
        store = place.open()
        await store.commit([])
        assert list(await store.load()) == []

    async def test_refuses_a_key_it_has_and_keeps_nothing_of_that_commit(
        self, place: MemoryPlace | SqlPlace
    ) -> None:
        store = place.open()
        await store.commit([launched("A")])
        with pytest.raises(BrokenInvariant, match="already has a record with the key launch/A"):
            await store.commit([verdict(1), launched("B"), launched("A")])
        await store.commit([launched("B")])
        assert list(await store.load()) == [launched("A"), launched("B")]

    async def test_refuses_a_key_that_one_commit_has_twice(
        self, place: MemoryPlace | SqlPlace
    ) -> None:
        store = place.open()
        with pytest.raises(BrokenInvariant, match="launch/A"):
            await store.commit([launched("A"), launched("A")])
        assert list(await store.load()) == []

    async def test_takes_one_order_of_an_account_in_each_turn_whatever_its_id(
        self, place: MemoryPlace | SqlPlace
    ) -> None:
        store = place.open()
        await store.commit([ordered("main", 7, "ra"), ordered("main", 8, "rb")])
        await store.commit([ordered("other", 7, "rc")])
        with pytest.raises(BrokenInvariant, match="the key order/main/000000008"):
            await store.commit([ordered("main", 8, "rd")])

    async def test_refuses_a_value_no_record_may_hold(self, place: MemoryPlace | SqlPlace) -> None:
        store = place.open()
        bad = ShortfallCovered(at_ms=1, fund="F", account="main", amount=Decimal("NaN"))
        with pytest.raises(BrokenInvariant, match=r"ShortfallCovered\.amount"):
            await store.commit([verdict(1), bad])
        assert list(await store.load()) == []

    async def test_keeps_a_record_as_it_was_at_the_commit(
        self, place: MemoryPlace | SqlPlace
    ) -> None:
        store, prices = place.open(), {"A": Decimal(1)}
        record = PointSet(
            at_ms=1, fund="F", nav=Decimal(1), prices=prices, leverage=Decimal(3), opened_ms=1
        )
        await store.commit([record])
        prices["A"] = Decimal(2)
        (kept,) = await store.load()
        assert isinstance(kept, PointSet)
        assert kept.prices == {"A": Decimal(1)}

    async def test_takes_many_commits_at_once_each_with_its_own_outcome(
        self, place: MemoryPlace | SqlPlace
    ) -> None:
        store = place.open()
        await store.commit([launched("A")])
        commits: list[Sequence[Record]] = [[verdict(number)] for number in range(40)]
        commits[20] = [verdict(20), launched("A")]
        outcomes = await asyncio.gather(
            *(store.commit(records) for records in commits), return_exceptions=True
        )
        assert isinstance(outcomes.pop(20), BrokenInvariant)
        assert outcomes == [None] * 39
        assert await reasons_in(store) == [f"no. {n}" for n in range(40) if n != 20]

    async def test_keeps_views_out_of_the_records(self, place: MemoryPlace | SqlPlace) -> None:
        store = place.open()
        await store.save_views([view("F", "1")], {"A": Decimal(1)})
        assert list(await store.load()) == []

    async def test_refuses_everything_once_closed_and_closes_twice(
        self, place: MemoryPlace | SqlPlace
    ) -> None:
        store = place.open()
        await store.close()
        await store.close()
        for attempt in (store.load(), store.commit([verdict(1)]), store.save_views([], {})):
            with pytest.raises(StoreUnavailable, match="closed"):
                await attempt


@in_every_database
class TestEveryDatabase:
    @pytest.mark.parametrize(
        "statement",
        ["UPDATE journal SET body = '{}' WHERE seq = 1", "DELETE FROM journal WHERE seq = 1"],
    )
    async def test_refuses_to_change_the_journal(self, sql: SqlPlace, statement: str) -> None:
        await sql.open().commit([verdict(1)])
        with pytest.raises(Exception, match="append-only"):
            sql.behind_its_back(statement)

    @pytest.mark.parametrize(
        ("damage", "complaint"),
        [
            ("UPDATE journal SET body = replace(body, 'no. 2', 'no. 9')", "record 2 does not"),
            ("UPDATE journal SET at_ms = 9 WHERE seq = 3", "record 3 does not"),
            ("UPDATE journal SET key = 'x' WHERE seq = 1", "record 1 does not"),
            ("DELETE FROM journal WHERE seq = 2", "record 2 is missing before 3"),
            ("DELETE FROM journal WHERE seq = 1", "record 1 is missing before 2"),
        ],
    )
    async def test_finds_the_row_that_somebody_changed_or_took_out(
        self, sql: SqlPlace, damage: str, complaint: str
    ) -> None:
        store = sql.open()
        await store.commit([verdict(1), verdict(2), verdict(3)])
        on = " ON journal" if sql.url.startswith("postgresql") else ""
        events = ("change",) if on else ("update", "delete")
        sql.behind_its_back(*(f"DROP TRIGGER journal_refuses_{e}{on}" for e in events), damage)
        with pytest.raises(BrokenInvariant, match=complaint):
            await store.load()
        with open_reader(sql.url) as reader, pytest.raises(BrokenInvariant, match=complaint):
            reader.records()

    async def test_refuses_a_second_desk_until_the_first_has_closed(self, sql: SqlPlace) -> None:
        first = sql.open()
        with pytest.raises(StoreUnavailable, match=r"another desk \(pid \d+\) already runs on"):
            sql.open()
        await first.close()
        await sql.open().commit([verdict(1)])

    async def test_a_cancelled_waiter_does_not_undo_its_commit(self, sql: SqlPlace) -> None:
        store = sql.open()
        waiting = asyncio.create_task(store.commit([verdict(1)]))
        await asyncio.sleep(0)
        waiting.cancel()
        assert await reasons_in(store) == ["no. 1"]
        assert waiting.cancelled()

    async def test_shows_a_page_of_the_journal_with_its_hashes(self, sql: SqlPlace) -> None:
        store = sql.open()
        await store.commit([verdict(number) for number in range(1, 6)])
        rows = await store.journal(after_seq=2, limit=2)
        assert [(row.seq, row.record) for row in rows] == [(3, verdict(3)), (4, verdict(4))]
        with open_reader(sql.url) as reader:
            assert reader.journal(after_seq=2, limit=2) == rows
        assert len({row.hash for row in await store.journal()}) == 5

    async def test_shows_readers_the_latest_views_and_prices_only(self, sql: SqlPlace) -> None:
        store = sql.open()
        many = [view(f"F{number:03}", "1") for number in range(120)]
        await store.save_views([view("gone", "1"), *many], {"A": Decimal(1), "B": Decimal(2)})
        latest = [view("F000", "1.25"), view("F001", None)]
        await store.save_views(latest, {"B": Decimal("2.5")})
        with open_reader(sql.url) as reader:
            assert reader.views() == tuple(latest)
            assert reader.prices() == {"B": Decimal("2.5")}

    async def test_a_layout_newer_than_the_program_is_refused_and_left_alone(
        self, sql: SqlPlace
    ) -> None:
        await sql.open().close()
        sql.behind_its_back("UPDATE rebalancer_schema SET version_num = '9999'")
        for opening in (sql.open, lambda: open_reader(sql.url)):
            with pytest.raises(StoreUnavailable, match="layout 9999, written by a newer"):
                opening()
        back = f"UPDATE rebalancer_schema SET version_num = '{SCHEMA_HEAD}'"  # noqa: S608 - ours
        sql.behind_its_back(back)
        assert list(await sql.open().load()) == []

    async def test_a_reader_refuses_a_database_no_desk_ran_on(self, sql: SqlPlace) -> None:
        sql.behind_its_back("CREATE TABLE something_else (id integer)")
        with pytest.raises(InputRefused, match="no desk ever ran on it"):
            open_reader(sql.url)
