"""Files, unit, database and times around a desk: seen, judged, and told how to mend."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from rebalancer.doctor.findings import Finding, Level
from rebalancer.doctor.household import (
    examine_database,
    examine_files,
    examine_schedule,
    examine_unit,
)
from rebalancer.settings import Config, parse
from rebalancer.store.sql import open_store
from tests.factories import NOON, fund, only, rules


def config_in(folder: Path) -> Config:
    (folder / "config.toml").write_text(f'[store]\nurl = "sqlite:///{folder}/desk.db"\n')
    return parse((folder / "config.toml").read_text())


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A store that a desk has made."""

    async def made() -> None:
        store = open_store(f"sqlite:///{tmp_path}/desk.db")
        await store.load()
        await store.close()

    asyncio.run(made())
    return tmp_path / "desk.db"


class TestPermissions:
    def look(self, folder: Path, **environ: str) -> Finding:
        return examine_files(config_in(folder), folder / "config.toml", environ)

    @pytest.mark.usefixtures("database")
    def test_a_desk_that_was_just_made_is_in_order(self, tmp_path: Path) -> None:
        assert self.look(tmp_path).level is Level.OK

    def test_what_it_obeys_may_be_written_by_nobody_else(
        self, tmp_path: Path, database: Path
    ) -> None:
        config_in(tmp_path)
        (tmp_path / "config.toml").chmod(0o666)
        database.chmod(0o664)
        seen = self.look(tmp_path)
        assert seen.level is Level.WARN
        assert seen.fix == f"chmod go-w {database} {tmp_path / 'config.toml'}"

    def test_what_is_secret_may_be_read_by_nobody_else(self, tmp_path: Path) -> None:
        keys = tmp_path / "keys"
        keys.mkdir()
        (keys / "accounts__main__api_key").write_text("x")
        (keys / "accounts__main__api_key").chmod(0o640)
        seen = self.look(tmp_path, CREDENTIALS_DIRECTORY=str(keys))
        assert (seen.level, seen.fix) == (
            Level.WARN,
            f"chmod 600 {keys / 'accounts__main__api_key'}",
        )
        (keys / "accounts__main__api_key").chmod(0o400)
        assert self.look(tmp_path, CREDENTIALS_DIRECTORY=str(keys)).level is Level.OK


class TestDatabase:
    def test_none_yet(self, tmp_path: Path) -> None:
        seen = examine_database(f"sqlite:///{tmp_path}/desk.db")
        assert (seen.level, seen.seen) == (Level.SKIP, "there is none yet")
        assert list(tmp_path.iterdir()) == []

    def test_whole(self, database: Path) -> None:
        before = database.read_bytes()
        assert examine_database(f"sqlite:///{database}").level is Level.OK
        assert database.read_bytes() == before

    def test_torn_pages_are_found(self, database: Path) -> None:
        content = bytearray(database.read_bytes())
        content[4096 * 3 : 4096 * 6] = bytes(4096 * 3)
        database.write_bytes(content)
        seen = examine_database(f"sqlite:///{database}")
        assert seen.level is Level.FAIL
        assert seen.fix.startswith("restore a backup")

    def test_something_else_is_no_database(self, database: Path) -> None:
        database.write_bytes(b"text" * 2_000)
        seen = examine_database(f"sqlite:///{database}")
        assert (seen.level, "not a database" in seen.seen) == (Level.FAIL, True)

    def test_a_url_that_is_none(self) -> None:
        assert examine_database("mysql://x/y").level is Level.FAIL


class TestUnit:
    def unit(self, folder: Path, text: str) -> Finding:
        (folder / "rebalancer.service").write_text(text)
        return examine_unit((folder,))

    def test_none_is_installed(self, tmp_path: Path) -> None:
        assert examine_unit((tmp_path,)).level is Level.SKIP

    def test_it_starts_what_is_there(self, tmp_path: Path) -> None:
        (tmp_path / "c.toml").touch()
        line = f"Type=notify\nExecStart=/bin/true run --config {tmp_path}/c.toml\n"
        assert self.unit(tmp_path, line).level is Level.OK

    @pytest.mark.parametrize(
        "line", ["/nowhere/rebalancer run", "/bin/true run --config /nowhere/config.toml"]
    )
    def test_it_names_what_is_not_there(self, tmp_path: Path, line: str) -> None:
        seen = self.unit(tmp_path, f"Type=notify\nExecStart={line}\n")
        assert (seen.level, "/nowhere/" in seen.seen) == (Level.FAIL, True)
        assert "systemctl edit --full rebalancer.service" in seen.fix

    def test_a_program_that_cannot_be_run(self, tmp_path: Path) -> None:
        (tmp_path / "p").touch(0o600)
        seen = self.unit(tmp_path, f"Type=notify\nExecStart={tmp_path}/p run\n")
        assert (seen.level, seen.fix) == (Level.FAIL, f"chmod a+x {tmp_path}/p")

    def test_a_unit_of_something_else(self, tmp_path: Path) -> None:
        assert self.unit(tmp_path, "[Service]\nType=simple\n").level is Level.WARN

    def test_the_shipped_unit_is_understood(self, tmp_path: Path) -> None:
        shipped = Path(__file__).parents[2] / "deploy/rebalancer.service"
        text = shipped.read_text(encoding="utf-8")
        moved = text.replace("=/opt/", f"={tmp_path}/").replace("/etc/", f"{tmp_path}/")
        seen = self.unit(tmp_path, moved)
        assert seen.level is Level.FAIL
        assert "bin/rebalancer and " in seen.seen
        assert "config.toml, not there" in seen.seen


class TestSchedule:
    def test_the_next_ten_times_and_who_comes_back_then(self) -> None:
        funds = {"A": fund("A"), "B": fund("B")}
        (seen,) = examine_schedule(funds, NOON)
        assert seen.level is Level.OK
        assert "the first in 14h30m: 2026-01-02T02:30:00Z all; 2026-01-03T02:30:00Z" in seen.seen
        assert seen.seen.count("Z all") == 10

    def test_a_fund_without_a_fixed_time_is_named(self) -> None:
        funds = {"A": fund("A"), "B": fund("B", methodology=only(price_move=rules(3).price_move))}
        times, without = examine_schedule(funds, NOON)
        assert "2026-01-02T02:30:00Z A;" in times.seen
        assert (without.level, without.seen[:2]) == (Level.SKIP, "B:")
