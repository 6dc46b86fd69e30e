"""A folder with a configuration, a store that a desk has written, and a way to run commands."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner

from rebalancer.cli.app import app
from rebalancer.configured import desk_of
from rebalancer.settings import parse
from rebalancer.store.memory import MemoryStore
from rebalancer.store.sql import open_store
from tests.desk.rig import World
from tests.factories import BTC, NOON

CONFIG = """\
[store]
url = "sqlite:///desk.db"

[accounts.main]
venue = "paper"

[contracts."BTC/USDT:USDT"]
lot = "0.001"

[defaults]
account = "main"
basket = { "BTC/USDT:USDT" = 1 }

[funds.BTC3L]
target_leverage = 3

[funds.BTC1S]
target_leverage = -1
"""
MINUTE = 60_000
#: names the file that the fixture `prices` writes
PRICES = f"{BTC}=prices.csv"


@dataclass
class Answer:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The document on standard output, which must be nothing but that."""
        return json.loads(self.out, parse_constant=_refuse)

    @property
    def fatal(self) -> dict[str, Any]:
        """The last line on standard error, as the document that scripts read."""
        document: dict[str, Any] = json.loads(self.err.splitlines()[-1])
        return document

    @property
    def sentence(self) -> str:
        """What a person is told on failure: one line, and never a traceback."""
        assert "Traceback" not in self.out + self.err
        lines = [line for line in self.err.splitlines() if line.startswith("rebalancer: ")]
        assert len(lines) == 1, self.err
        assert self.out == ""
        return lines[0].removeprefix("rebalancer: ")


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


Run = Callable[..., Answer]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to work in, with a configuration and nothing of ours in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REBALANCER_CONFIG", raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    (tmp_path / "config.toml").write_text(CONFIG)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield tmp_path
    structlog.reset_defaults()


@pytest.fixture
def run() -> Run:
    """Run a command in this process."""

    def invoke(*arguments: str, stdin: str | bytes | None = None) -> Answer:
        done = CliRunner().invoke(app, list(arguments), input=stdin)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Answer(done.exit_code, done.stdout, done.stderr)

    return invoke


@pytest.fixture
def prices(folder: Path) -> Path:
    """Two days of hours of a contract."""
    path = folder / "prices.csv"
    rows = [f"{1_767_225_600_000 + n * 3_600_000},{100 + n % 7}" for n in range(48)]
    path.write_text("timestamp,close\n" + "\n".join(rows) + "\n")
    return path


@pytest.fixture
def store(folder: Path) -> Path:
    """The store of a desk that launched two funds and rebalanced one of them."""
    world = World(desk_of(parse(CONFIG)))
    world.clock.set(NOON)
    kept = MemoryStore()

    async def live() -> None:
        moments = [(NOON + n * MINUTE, {BTC: Decimal(p)}) for n, p in enumerate((100, 84, 84, 85))]
        await world.live(kept, moments)
        written = open_store(f"sqlite:///{folder}/desk.db")
        await written.commit(kept.records)
        await written.save_views(kept.views, kept.prices)
        await written.close()

    asyncio.run(live())
    return folder / "desk.db"
