"""What only a server can do to a store: lose a session, end it, or let another desk in."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, make_url
from sqlalchemy.exc import OperationalError

from rebalancer.core.methodology import Trigger
from rebalancer.core.records import FundLaunched, VerdictChanged
from rebalancer.errors import InputRefused, StoreUnavailable
from rebalancer.store.reader import open_reader
from rebalancer.store.sql import SqlStore, open_store
from rebalancer.store.target import target, writing_engine

pytest_plugins = ["tests.store.postgres"]
pytestmark = pytest.mark.postgres

END_THE_DESKS_SESSION = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
    "WHERE application_name LIKE 'rebalancer-desk/%' AND datname = current_database()"
)


def verdict(number: int) -> VerdictChanged:
    return VerdictChanged(at_ms=number, fund="F", trigger=Trigger.NONE, reason=f"no. {number}")


def launched(fund: str) -> FundLaunched:
    return FundLaunched(at_ms=1, fund=fund, account="main", shares=Decimal(1), cash=Decimal(100))


def ask(url: str, question: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(question).fetchall()


async def reasons_in(store: SqlStore) -> list[str]:
    return [record.reason for record in await store.load() if isinstance(record, VerdictChanged)]


async def test_a_lost_session_fails_one_commit_and_is_made_anew(postgres_url: str) -> None:
    store = open_store(postgres_url)
    await store.commit([verdict(1)])
    await (
        store.load()
    )  # the tables have followed: nothing but the next commit meets the lost session
    assert ask(postgres_url, END_THE_DESKS_SESSION) == [(True,)]
    with pytest.raises(StoreUnavailable, match=r"terminat|closed"):
        await store.commit([verdict(2)])
    await store.commit([verdict(3)])
    assert await reasons_in(store) == ["no. 1", "no. 3"]
    with pytest.raises(StoreUnavailable, match="another desk"):
        open_store(postgres_url)
    await store.close()


async def test_a_desk_that_lost_its_session_to_another_desk_can_write_no_more(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rebalancer.store.session._RECONNECT_SECONDS", 0.1)
    first = open_store(postgres_url)
    ask(postgres_url, END_THE_DESKS_SESSION)
    second = open_store(postgres_url)
    await second.commit([verdict(1)])
    with pytest.raises(StoreUnavailable, match=r"terminat|closed"):
        await first.commit([verdict(2)])
    with pytest.raises(StoreUnavailable, match=r"another desk \(pid \d+\) already runs"):
        await first.commit([verdict(3)])
    await second.close()
    with pytest.raises(StoreUnavailable, match="load the records again"):
        await first.commit([verdict(4)])
    assert await reasons_in(first) == ["no. 1"]
    await first.close()


async def test_a_commit_waits_for_the_disk_whatever_the_servers_default(
    postgres_url: str,
) -> None:
    name = make_url(postgres_url).database
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    assert ask(postgres_url, "SHOW synchronous_commit") == [("off",)]
    store = open_store(postgres_url)
    connection_of_the_writer = store._writer._session._connection
    assert connection_of_the_writer is not None
    with connection_of_the_writer.begin():
        found = connection_of_the_writer.exec_driver_sql("SHOW synchronous_commit").scalar_one()
    assert found == "on"
    await store.close()


async def test_emptying_the_journal_is_refused(postgres_url: str) -> None:
    store = open_store(postgres_url)
    await store.commit([verdict(1)])
    with (
        psycopg.connect(postgres_url, autocommit=True) as connection,
        pytest.raises(psycopg.Error, match="append-only"),
    ):
        connection.execute("TRUNCATE journal")
    assert await reasons_in(store) == ["no. 1"]
    await store.close()


def test_a_reader_refuses_a_database_that_the_server_does_not_have(postgres_url: str) -> None:
    elsewhere = make_url(postgres_url).set(database="nowhere")
    with pytest.raises(InputRefused, match="there is no store at"):
        open_reader(elsewhere.render_as_string(hide_password=False))


def test_a_server_that_does_not_answer_is_unavailable_to_both() -> None:
    nobody = "postgresql://desk:secret@127.0.0.1:1/name"
    for opening in (open_store, open_reader):
        with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1") as refusal:
            opening(nobody)
        assert "secret" not in str(refusal.value)


async def test_text_no_column_can_hold_is_kept_whole_in_the_record(postgres_url: str) -> None:
    store = open_store(postgres_url)
    strange = VerdictChanged(at_ms=1, fund="F\0", trigger=Trigger.NONE, reason="a\0b \udc80")
    await store.commit([strange, launched("G\0")])
    assert await store.load() == [strange, launched("G\0")]
    with open_reader(postgres_url) as reader:
        assert [fund.name for fund in reader.funds()] == ["G\\x00"]
        assert reader.verdicts()[0].reason == "a\\x00b \\udc80"
    await store.close()


def test_desk_and_server_each_miss_the_other_within_a_minute() -> None:
    """Left to the system a commit waits for a quarter of an hour, and a lost lock for two hours."""
    engine = writing_engine(target("postgresql://desk@db/desk"))
    asked: dict[str, Any] = {}

    @event.listens_for(engine, "do_connect")
    def _keep(_dialect: object, _record: object, _args: object, kwargs: dict[str, Any]) -> None:
        asked.update(kwargs)
        raise psycopg.OperationalError("nobody is there")

    with pytest.raises(OperationalError):
        engine.connect()
    idle = "tcp_keepalives_idle=15 -c tcp_keepalives_interval=15 -c tcp_keepalives_count=3"
    assert idle in asked["options"]
    assert "tcp_user_timeout=45000" in asked["options"]
    ours = [asked[f"keepalives_{name}"] for name in ("idle", "interval", "count")]
    assert ours == [15, 15, 3]
    assert asked["tcp_user_timeout"] == 45_000
