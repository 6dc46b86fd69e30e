"""Opening a store: which addresses there are, what is checked, and who is refused."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from rebalancer.core.methodology import Trigger
from rebalancer.core.records import FundLaunched, VerdictChanged
from rebalancer.errors import InputRefused, StoreUnavailable
from rebalancer.store import schema, session
from rebalancer.store import target as place
from rebalancer.store.migrate import configuration
from rebalancer.store.reader import open_reader
from rebalancer.store.sql import open_store
from rebalancer.store.tables import KNOWN_SCHEMAS, METADATA, SCHEMA_HEAD, VERSION_TABLE
from rebalancer.store.target import reading_engine, target

pytest_plugins = ["tests.store.postgres"]

ROOT = Path(__file__).parents[2]


def url_in(folder: Path) -> str:
    return f"sqlite:///{folder}/desk.db"


def launched(fund: str) -> FundLaunched:
    return FundLaunched(at_ms=1, fund=fund, account="main", shares=Decimal(1), cash=Decimal(100))


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        server: str = request.getfixturevalue("postgres_url")
        return server
    return url_in(tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "desk.db",
        "mysql://root@host/desk",
        "postgresql+asyncpg://host/desk",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///desk.db?mode=memory",
        "sqlite:///what?/desk.db",
        "sqlite://host/desk.db",
    ],
)
def test_an_address_no_store_can_have_is_refused_with_one_that_it_can(url: str) -> None:
    for opening in (open_store, open_reader):
        with pytest.raises(InputRefused, match=r"sqlite:///"):
            opening(url)


def test_a_relative_address_is_a_file_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert target("sqlite:///desk.db").path == tmp_path / "desk.db"
    assert target(f"sqlite:///{tmp_path}/desk.db").path == tmp_path / "desk.db"


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_every_name_of_postgresql_means_our_driver_and_its_password_is_never_shown(
    scheme: str,
) -> None:
    there = target(f"{scheme}://desk:secret@host:5433/name")
    assert there.url.drivername == "postgresql+psycopg"
    assert there.shown == "postgresql+psycopg://desk:***@host:5433/name"


def test_postgresql_without_its_driver_names_the_extra_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(InputRefused, match=r"install rebalancer\[postgres\]"):
        open_store("postgresql://host/name")


async def test_a_file_name_may_hold_what_means_something_in_an_address(tmp_path: Path) -> None:
    folder = tmp_path / "50% of #1 & é"
    folder.mkdir()
    store = open_store(url_in(folder))
    await store.commit([launched("A")])
    await store.close()
    with open_reader(url_in(folder)) as reader:
        assert reader.records() == [launched("A")]
    assert {part.name for part in folder.iterdir()} >= {"desk.db", "desk.db.lock"}


async def test_two_names_of_one_file_are_one_store(tmp_path: Path) -> None:
    (tmp_path / "alias.db").symlink_to(tmp_path / "desk.db")
    store = open_store(url_in(tmp_path))
    with pytest.raises(StoreUnavailable, match=f"pid {os.getpid()}"):
        open_store(f"sqlite:///{tmp_path}/alias.db")
    await store.close()


async def test_the_file_is_kept_so_that_no_commit_is_lost_with_the_power(tmp_path: Path) -> None:
    store = open_store(url_in(tmp_path))
    connection = store._writer._session._connection
    assert connection is not None
    disk: Any = connection.connection.dbapi_connection
    found = {name: disk.execute(f"PRAGMA {name}").fetchone()[0] for name in place._SQLITE_PRAGMAS}
    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 5_000,
        "wal_autocheckpoint": 10_000,
    }
    await store.close()


async def test_the_log_has_its_length_from_the_start_and_holds_what_was_committed_alone(
    tmp_path: Path,
) -> None:
    store = open_store(url_in(tmp_path))
    log = tmp_path / "desk.db-wal"
    opened_bytes = log.stat().st_size
    assert opened_bytes >= session.LOG_BYTES
    kept = [VerdictChanged(number, "F", Trigger.NONE, "x" * 500) for number in range(20)]
    for record in kept:
        await store.commit([record])
    assert log.stat().st_size == opened_bytes
    # What a crash would leave: the next desk reads these files, and these alone.
    copies = tmp_path / "copy"
    copies.mkdir()
    for name in ("desk.db", "desk.db-wal"):
        shutil.copy(tmp_path / name, copies / name)
    again = open_store(url_in(copies))
    assert list(await again.load()) == kept
    tables = sqlite3.connect(copies / "desk.db").execute("SELECT name FROM sqlite_master")
    assert ("lengthened",) not in tables.fetchall()
    tables.connection.close()
    await again.close()
    await store.close()


def test_a_setting_that_did_not_take_effect_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(place._SQLITE_PRAGMAS, "journal_mode", "wall")
    with pytest.raises(StoreUnavailable, match="journal_mode at delete where wall is needed"):
        open_store(url_in(tmp_path))


def test_a_place_where_no_file_can_be_is_refused_and_leaves_no_lock_behind(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="missing: there is no such folder"):
        open_store(f"sqlite:///{tmp_path}/missing/desk.db")
    (tmp_path / "folder").mkdir()
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="unable to open database file"):
            open_store(f"sqlite:///{tmp_path}/folder")


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "desk.db"
    file.write_text("a letter, long enough to be taken for the header of a database file\n" * 9)
    before = file.read_bytes()
    with pytest.raises(StoreUnavailable, match="not a database"):
        open_store(url_in(tmp_path))
    assert file.read_bytes() == before


async def test_replacing_a_row_is_refused_as_deleting_it_is(tmp_path: Path) -> None:
    store = open_store(url_in(tmp_path))
    await store.commit([launched("A")])
    other = sqlite3.connect(tmp_path / "desk.db", isolation_level=None)
    for seq, key in ((1, "new"), (2, "launch/A")):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            other.execute(
                "INSERT OR REPLACE INTO journal VALUES (?, 1, 'X', ?, '{}', '')", (seq, key)
            )
    other.close()
    await store.close()


async def test_the_migrations_make_exactly_the_tables_the_program_knows(url: str) -> None:
    store = open_store(url)
    engine = reading_engine(target(url))
    with engine.begin() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, METADATA) == []
        assert schema.schema_of(connection) == SCHEMA_HEAD
    engine.dispose()
    await store.close()


def test_every_migration_is_known_and_they_form_one_line() -> None:
    scripts = ScriptDirectory.from_config(configuration())
    line = [script.revision for script in scripts.walk_revisions()]
    assert tuple(reversed(line)) == KNOWN_SCHEMAS
    assert scripts.get_heads() == [SCHEMA_HEAD]


async def test_opening_a_current_store_again_runs_no_migration(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await open_store(url).close()
    monkeypatch.setattr("alembic.command.upgrade", lambda *_: pytest.fail("it migrates"))
    await open_store(url).close()


def test_the_wheel_carries_the_migrations(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    migrations = ROOT / "rebalancer/store/migrations"
    wanted = {str(file.relative_to(ROOT)) for file in migrations.rglob("*.py")}
    assert len(wanted) >= 3
    assert wanted <= names


def test_a_reader_refuses_a_file_that_is_not_there_and_does_not_make_it(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="there is no store at"):
        open_reader(url_in(tmp_path))
    assert list(tmp_path.iterdir()) == []


async def test_a_reader_can_change_nothing(url: str) -> None:
    store = open_store(url)
    await store.commit([launched("A")])
    engine = reading_engine(target(url))
    with engine.connect() as connection, pytest.raises(Exception, match=r"read-?only"):
        connection.exec_driver_sql("DELETE FROM funds")
    engine.dispose()
    await store.close()


async def test_a_reader_works_after_the_desk_has_gone_and_leaves_the_store_to_the_next(
    url: str,
) -> None:
    first = open_store(url)
    await first.commit([launched("A")])
    await first.close()
    with open_reader(url) as reader:
        assert reader.records() == [launched("A")]
        second = open_store(url)
        await second.commit([launched("B")])
        assert [fund.name for fund in reader.funds()] == ["A", "B"]
        await second.close()
