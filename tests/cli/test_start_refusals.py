"""What a start refuses before it asks a venue, `config check` refuses, too, in the same words."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pytest

from rebalancer.core.records import DeskStarted, FundLaunched
from rebalancer.store.reader import open_reader
from rebalancer.store.sql import open_store
from tests.cli.conftest import CONFIG, Run

WEBHOOK = '\n[webhooks.risk]\nurl = "https://example.org/hook"\n'
CHANNEL = '\n[alerts.phone]\nat_least = "warning"\n'
SECRET = "REBALANCER__WEBHOOKS__RISK__SECRET"
REPLAY = '\n[feed]\nsource = "replay"\n[feed.files]\n"{contract}" = "{file}"\n'


@dataclass(frozen=True)
class Mistake:
    """Something that is wrong with a desk before it has asked anybody anything."""

    name: str
    #: what stands at the end of the file, and what is another word in it
    added: str = ""
    instead: tuple[str, str] = ("", "")
    environ: dict[str, str] = field(default_factory=dict)
    #: what the folder holds besides
    files: dict[str, str] = field(default_factory=dict)
    #: a part of what is said
    says: str = ""


MISTAKES = [
    Mistake("a webhook without its secret", WEBHOOK, says=f"set {SECRET}"),
    Mistake(
        "a webhook whose secret is none",
        WEBHOOK,
        environ={SECRET: "hush"},
        says="webhooks.risk.secret: a secret is whsec_",
    ),
    Mistake("a channel without its address", CHANNEL, says="alerts.phone.url: is missing"),
    Mistake(
        "a channel whose address is none",
        CHANNEL,
        environ={"REBALANCER__ALERTS__PHONE__URL": "no address"},
        says="alerts.phone.url: is no address that Apprise knows",
    ),
    Mistake(
        "live trading at no venue", instead=("[store]", 'mode = "live"\n[store]'), says="paper"
    ),
    Mistake(
        "live trading without keys",
        instead=('venue = "paper"', 'venue = "xt"'),
        environ={"REBALANCER__MODE": "live"},
        says="accounts.main.api_key: is missing",
    ),
    Mistake(
        "prices of a venue that there is not",
        '\n[feed]\nsource = "ccxt"\nvenue = "binanceusdn"\n',
        says="the nearest is binanceusdm",
    ),
    Mistake(
        "prices of no venue",
        '\n[feed]\nsource = "ccxt"\n',
        says="venue",
    ),
    Mistake(
        "a price that perpetuals do not have",
        '\n[feed]\nsource = "ccxt"\nvenue = "xt"\n',
        instead=("[defaults]", '[defaults]\nprice_source = "spot"'),
        says="have no source spot",
    ),
    Mistake(
        "a history that is not there",
        REPLAY.format(contract="BTC/USDT:USDT", file="away.csv"),
        says="away.csv",
    ),
    Mistake(
        "a history that cannot be read",
        REPLAY.format(contract="BTC/USDT:USDT", file="btc.csv"),
        files={"btc.csv": "timestamp,close\n0,nan\n"},
        says="btc.csv:2",
    ),
    Mistake(
        "a history that no fund needs",
        REPLAY.format(contract="BTC/USDT:USDT", file="btc.csv") + '"ETH/USDT:USDT" = "btc.csv"\n',
        files={"btc.csv": "timestamp,close\n0,5\n1000,5\n"},
        says="no fund holds it",
    ),
    Mistake(
        "a socket in no folder",
        '\n[desk]\ncontrol_socket = "away/desk.sock"\n',
        says="make it: mkdir -p",
    ),
    Mistake(
        "a socket where something else is",
        '\n[desk]\ncontrol_socket = "config.toml"\n',
        says="is not a socket",
    ),
    Mistake(
        "a socket with too long a name",
        f'\n[desk]\ncontrol_socket = "{"x" * 120}"\n',
        says="longer than 107 bytes",
    ),
    Mistake(
        "a certificate that is none",
        '\n[api]\nlisten = "127.0.0.1:0"\ntls_certificate = "c.pem"\ntls_key = "k.pem"\n',
        says="c.pem and k.pem cannot be used",
    ),
    Mistake(
        "tokens that cannot be read",
        '\n[api]\nlisten = "127.0.0.1:0"\ntokens_file = "config.toml"\n',
        says="is not a file of tokens",
    ),
    Mistake(
        "a store that cannot be one",
        instead=("sqlite:///desk.db", "mysql://desk"),
        says="store.url: must start with sqlite:///",
    ),
    Mistake(
        "a store in no folder",
        instead=("sqlite:///desk.db", "sqlite:///away/desk.db"),
        says="away: there is no such folder",
    ),
    Mistake(
        "a store that is none",
        files={"desk.db": "this is no database, and it is longer than the header of one is"},
        says="file is not a database",
    ),
]


@pytest.fixture(autouse=True)
def _nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def asked(*_: object) -> None:
        raise AssertionError("a venue was asked")

    monkeypatch.setattr("rebalancer.live.contracts", asked)


def refused_by_both(run: Run) -> str:
    """Return what `config check` says, which refuses as a start does and in the same words."""
    checked, started = run("config", "check"), run("run")
    assert started.code == checked.code != 0
    assert checked.out == ""
    assert checked.err in started.err
    assert "Traceback" not in started.err
    return checked.err


def recorded(folder: Path) -> int:
    """Return how many records a start left."""
    if not (folder / "desk.db").exists():
        return 0
    with open_reader(f"sqlite:///{folder}/desk.db") as reader:
        return reader.journal_end()


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_both_refuse_it(
    mistake: Mistake, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "config.toml").write_text(CONFIG.replace(*mistake.instead) + mistake.added)
    for name, text in mistake.files.items():
        (folder / name).write_text(text)
    for name, value in mistake.environ.items():
        monkeypatch.setenv(name, value)
    assert mistake.says in refused_by_both(run)
    if "desk.db" not in mistake.files:
        assert recorded(folder) == 0


def test_all_of_it_is_told_at_once(run: Run, folder: Path) -> None:
    (folder / "config.toml").write_text(CONFIG + WEBHOOK + CHANNEL)
    lines = run("config", "check").err.splitlines()
    assert len(lines) == 2
    assert "webhooks.risk.secret" in lines[0]
    assert "alerts.phone.url" in lines[1]


class TestTheStore:
    """What is on record has to go with what is written."""

    def test_a_fund_that_was_launched_may_not_be_missing(
        self, run: Run, folder: Path, store: Path
    ) -> None:
        (folder / "config.toml").write_text(CONFIG.replace("BTC1S", "BTC9S"))
        assert "funds.BTC1S: the store has this fund" in refused_by_both(run)

    def test_real_and_simulated_trades_do_not_mix(self, run: Run, folder: Path) -> None:
        async def trade_for_real() -> None:
            store = open_store(f"sqlite:///{folder}/desk.db")
            launched = FundLaunched(2, "BTC3L", "main", shares=Decimal(1), cash=Decimal(100))
            await store.commit([DeskStarted(1, "live", "digest"), launched])
            await store.close()

        asyncio.run(trade_for_real())
        assert "real and simulated trades must not mix" in refused_by_both(run)

    def test_one_that_goes_with_it_is_good(self, run: Run, store: Path) -> None:
        before = store.read_bytes()
        assert run("config", "check").code == 0
        assert store.read_bytes() == before


class TestAddresses:
    def test_one_that_something_else_holds_is_refused(self, run: Run, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            (folder / "config.toml").write_text(f'{CONFIG}[api]\nlisten = "127.0.0.1:{port}"\n')
            assert f"cannot listen on 127.0.0.1 port {port}" in refused_by_both(run)
        assert recorded(folder) == 0

    def test_the_running_desk_may_hold_it(self, run: Run, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as own, socket.socket(socket.AF_UNIX) as desk:
            desk.bind(str(folder / "desk.sock"))
            desk.listen()
            port = own.getsockname()[1]
            (folder / "config.toml").write_text(f'{CONFIG}[api]\nlisten = "127.0.0.1:{port}"\n')
            assert run("config", "check").code == 0
