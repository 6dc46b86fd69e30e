"""Whether the things around a desk are in order: its files, its unit, its database, its times.

Looks only: nothing is created, locked or changed.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from rebalancer.core.fund import Fund
from rebalancer.core.instant import DAY_MS, duration, iso
from rebalancer.doctor.findings import Finding, Level
from rebalancer.errors import DeskError
from rebalancer.settings import Config
from rebalancer.store.target import reading_engine, sentence, target

#: what is secret must not be read by others, and what is obeyed must not be written by them
_READ, _WRITE = stat.S_IROTH | stat.S_IRGRP, stat.S_IWOTH | stat.S_IWGRP
#: a store larger than this is not read through while somebody waits
_CHECKED_BYTES_MAX = 2 * 2**30
_TIMES_SHOWN = 10
#: where systemd looks for units, the strongest first
UNIT_FOLDERS = (
    Path("/etc/systemd/system"),
    Path("/run/systemd/system"),
    Path("/usr/local/lib/systemd/system"),
    Path("/usr/lib/systemd/system"),
)
_UNITS = ("rebalancer.service", "rebalancer@.service")
_EXEC = re.compile(r"^ExecStart=(\S+)(.*)$", re.MULTILINE)
_CONFIG = re.compile(r"--config[= ](\S+)|-c (\S+)")


def examine_files(config: Config, file: Path | None, environ: Mapping[str, str]) -> Finding:
    """Look who else may read the desk's secrets, or write its records and what it obeys."""
    secret = [config.api.tokens_file, *_credentials(environ)]
    obeyed = [*_store_files(config), *((file,) if file is not None else ())]
    told = [path for path in secret if _mode(path) & (_READ | _WRITE)]
    open_ = [path for path in obeyed if _mode(path) & _WRITE]
    if told or open_:
        seen = [f"{path} may be read by others" for path in told]
        seen += [f"{path} may be written by others" for path in open_]
        fixes = [f"chmod 600 {' '.join(map(str, told))}"] if told else []
        fixes += [f"chmod go-w {' '.join(map(str, open_))}"] if open_ else []
        return Finding(Level.WARN, "here", "permissions", "; ".join(seen), " && ".join(fixes))
    return Finding(Level.OK, "here", "permissions", "nobody else may write what the desk obeys")


def _store_files(config: Config) -> Iterator[Path]:
    path = target(config.store_url).path
    if path is not None:
        yield from (path, path.with_name(f"{path.name}-wal"))


def _credentials(environ: Mapping[str, str]) -> Iterator[Path]:
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if folder and Path(folder).is_dir():
        yield from sorted(Path(folder).iterdir())


def _mode(path: Path) -> int:
    """Return the permission bits of a file; none where there is no file."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0


def examine_database(store_url: str) -> Finding:
    """Have the database look through itself, where there is one already."""
    try:
        place = target(store_url)
    except DeskError as error:
        return _database(Level.FAIL, str(error), "correct store.url")
    size = place.path.stat().st_size if place.path is not None and place.path.exists() else 0
    if place.path is not None and not size:
        return _database(Level.SKIP, "there is none yet")
    if size > _CHECKED_BYTES_MAX:
        seen = f"{size / 2**30:.1f} GiB are not read here; see: rebalancer verify"
        return _database(Level.SKIP, seen)
    engine = reading_engine(place)
    try:
        with engine.connect() as connection:
            return _answer(connection, size, of_file=place.path is not None)
    except SQLAlchemyError as error:
        seen = f"cannot be read: {sentence(error)}"
        return _database(Level.FAIL, seen, "restore a backup: deploy/README.md")
    finally:
        engine.dispose()


def _answer(connection: Connection, size: int, *, of_file: bool) -> Finding:
    if not of_file:
        version = connection.execute(text("SHOW server_version")).scalar_one()
        return _database(Level.OK, f"PostgreSQL {version} answers")
    found = [str(row[0]) for row in connection.execute(text("PRAGMA quick_check(3)"))]
    if found != ["ok"]:
        return _database(Level.FAIL, "; ".join(found), "restore a backup: deploy/README.md")
    seen = f"{size / 2**20:.1f} MiB, whole; its records are checked by: rebalancer verify"
    return _database(Level.OK, seen)


def _database(level: Level, seen: str, fix: str = "") -> Finding:
    return Finding(level, "here", "database", seen, fix)


def examine_unit(folders: tuple[Path, ...] = UNIT_FOLDERS) -> Finding:
    """Look whether the installed unit starts a program and a file that are there."""

    def say(level: Level, seen: str, fix: str = "") -> Finding:
        return Finding(level, "here", "unit", seen, fix)

    found = (folder / name for folder in folders for name in _UNITS if (folder / name).is_file())
    unit = next(found, None)
    if unit is None:
        return say(Level.SKIP, "no systemd unit is installed; its steps: deploy/README.md")
    written = unit.read_text(encoding="utf-8", errors="replace")
    command = _EXEC.search(written)
    if command is None or "Type=notify" not in written:
        return say(
            Level.WARN,
            f"{unit} is not the unit of this program",
            "install deploy/rebalancer.service anew, then: systemctl daemon-reload",
        )
    program, options = command.groups()
    named = _CONFIG.search(options)
    file = (named.group(1) or named.group(2)) if named else ""
    missing = [
        path
        for path in (program, file)
        if path.startswith("/") and "%" not in path and not Path(path).exists()
    ]
    if missing:
        fix = f"put it there, or correct ExecStart: systemctl edit --full {unit.name}"
        return say(Level.FAIL, f"{unit} names {' and '.join(missing)}, not there", fix)
    if not os.access(program, os.X_OK):
        return say(Level.FAIL, f"{program} cannot be run", f"chmod a+x {program}")
    return say(Level.OK, f"{unit} starts {program}")


def examine_schedule(funds: Mapping[str, Fund], now_ms: int) -> Iterator[Finding]:
    """Say when the next fixed rebalances are, and which fund has none."""
    coming: dict[int, list[str]] = {}
    without = []
    for name, fund in funds.items():
        rule, due_ms = fund.methodology.fixed, now_ms
        if rule is None:
            without.append(name)
            continue
        for _ in range(_TIMES_SHOWN):
            due_ms = rule.next_due_ms(due_ms)
            coming.setdefault(due_ms, []).append(name)
    shown = sorted(coming)[:_TIMES_SHOWN]
    if shown:
        first = shown[0]
        seen = f"the first in {duration(first - now_ms)}: " + "; ".join(
            f"{iso(due_ms)} {_named(coming[due_ms], funds)}" for due_ms in shown
        )
        late = first - now_ms > 7 * DAY_MS
        fix = "look at times, calendar and roll of rules.fixed" if late else ""
        yield Finding(Level.WARN if late else Level.OK, "here", "fixed times", seen, fix)
    if without:
        seen = f"{', '.join(without)}: no fixed rule; other rules alone bring them back"
        yield Finding(Level.SKIP, "here", "fixed times", seen)


def _named(names: list[str], funds: Mapping[str, Fund]) -> str:
    return "all" if len(names) == len(funds) and len(names) > 1 else ", ".join(names)
