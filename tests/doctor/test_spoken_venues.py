"""The doctor at the venues without a loopback: it asks, never writes, and names each fault.

What the venues say is ours, in their documented shapes (`tests/spoken`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from rebalancer.clock import WallClock
from rebalancer.doctor.examination import Examination
from rebalancer.doctor.findings import Finding, Level
from rebalancer.settings import parse
from rebalancer.venues.facts import FACTS
from rebalancer.venues.facts_account import ACCOUNTS
from tests.doctor.lines import only_line
from tests.spoken.scene import Scene
from tests.spoken.server import Spoken, speaking
from tests.spoken.tongues import TONGUES

D = Decimal
HELD = D("0.002")
CONFIG = """
mode = "live"
[store]
url = "sqlite:///{folder}/desk.db"
[desk]
control_socket = "{folder}/d.sock"
[accounts.main]
venue = "{venue}"
endpoint = "{endpoint}"
leverage = 5
{account}
[funds.BTC3L]
account = "main"
target_leverage = 3
initial_shares = 10_000
basket = {{ "{btc}" = 1 }}
[funds.ETH3S]
account = "main"
target_leverage = -3
initial_shares = 10_000
basket = {{ "{eth}" = 1 }}
"""
SECRETS = {
    "api_key": "0x" + "1" * 40,
    "secret": "0x" + "2" * 64,
    "password": "phrase-of-nobody",
}
UNTOLD = [name for name in TONGUES if ACCOUNTS[name].key_rights is None]


pytestmark = pytest.mark.usefixtures("quick", "unlimited_account")


@asynccontextmanager
async def clinic(scene: Scene, folder: Path, account: str | None = None) -> AsyncIterator[Clinic]:
    async with speaking(scene, TONGUES[scene.venue_id]) as spoken:
        untold = "accept_untold = true" if scene.venue_id in UNTOLD else ""
        yield Clinic(spoken, folder, untold if account is None else account)


class Clinic:
    """A venue, and a desk that would trade on it."""

    def __init__(self, spoken: Spoken, folder: Path, account: str) -> None:
        self.spoken = spoken
        self.scene = spoken.scene
        self._folder = folder
        self._account = account
        self.seconds = 5.0

    async def examine(self) -> list[Finding]:
        """Return what is found at the venue; this machine is what it is."""
        btc, eth = self.scene.contracts.values()
        text = CONFIG.format(
            folder=self._folder,
            venue=self.scene.venue_id,
            endpoint=self.spoken.endpoint,
            account=self._account,
            btc=btc.symbol,
            eth=eth.symbol,
        )
        environ = {
            f"REBALANCER__ACCOUNTS__MAIN__{name.upper()}": SECRETS[name]
            for name in ACCOUNTS[self.scene.venue_id].keys.values()
        }
        doctor = Examination(
            config=parse(text, "config.toml", environ),
            clock=WallClock(),
            stream_seconds=self.seconds,
        )
        return [each async for each in doctor.findings() if each.where != "here"]

    async def only(self, level: Level, check: str) -> Finding:
        """Examine, and return the one line that is not well."""
        accepted = {"key rights"} if self.scene.venue_id in UNTOLD else set()
        return only_line(await self.examine(), level, check, accepted)


@pytest.mark.parametrize("venue_id", TONGUES)
async def test_all_is_well_where_all_is_well_and_nothing_was_written(
    venue_id: str, tmp_path: Path
) -> None:
    async with clinic(Scene(venue_id, units=HELD), tmp_path) as patient:
        findings = await patient.examine()
        well = {each.check: each.seen for each in findings if each.level is Level.OK}
        accepted = {"key rights"} if venue_id in UNTOLD else set()
        assert {each.check for each in findings if each.level is not Level.OK} == accepted
        assert well.keys() | accepted == {
            "reachable", "clock", "contracts", "keys", "key rights", "position mode",
            "margin mode", "leverage", "positions", "open orders", "rate budget", "prices", "sizes",
        }  # fmt: skip
        assert "equity 1,002.00, 900.00 USD" in well["keys"]
        assert well["positions"].startswith(f"0.002 {patient.scene.contracts['BTC'].symbol} long")
        way = "by stream" if FACTS[venue_id].streams.mark else "by polling"
        assert f"marks of 2 contracts {way}" in well["prices"]
        asked = {(each.method, each.path) for each in patient.spoken.asked}
        # Hyperliquid answers questions to a POST, at an address where nothing can be changed.
        reads = {("POST", "/info")} if venue_id == "hyperliquid" else set()
        assert {each for each in asked if each[0] != "GET"} == reads


@pytest.mark.parametrize("venue_id", TONGUES)
async def test_a_venue_that_is_down(venue_id: str, tmp_path: Path) -> None:
    async with clinic(Scene(venue_id, up=False), tmp_path) as patient:
        finding = await patient.only(Level.FAIL, "reachable")
        assert finding.seen.startswith(venue_id)
        assert "status page" in finding.fix


@pytest.mark.parametrize("venue_id", TONGUES)
async def test_keys_that_the_venue_does_not_take(venue_id: str, tmp_path: Path) -> None:
    async with clinic(Scene(venue_id, takes_keys=False), tmp_path) as patient:
        bad = {each.check: each for each in await patient.examine() if each.level is Level.FAIL}
        assert bad.keys() == {"keys"}
        assert f"API management of {FACTS[venue_id].title}" in bad["keys"].fix


@pytest.mark.parametrize("venue_id", TONGUES)
async def test_each_fault_of_an_account_is_named_with_its_remedy(
    venue_id: str, tmp_path: Path
) -> None:
    async with clinic(Scene(venue_id, units=HELD), tmp_path) as patient:
        scene = patient.scene
        patient.seconds = 2.0
        scene.leverage = 7
        wrong = await patient.only(Level.FAIL, "leverage")
        assert "is 5" in wrong.seen
        assert "is set to 7" in wrong.seen
        assert wrong.fix.startswith("have `rebalancer set-modes main` set it to 5 there")
        scene.leverage = 5
        if FACTS[venue_id].book == "by account mode":
            scene.hedged = True
            wrong = await patient.only(Level.FAIL, "position mode")
            assert "keeps two books (hedge mode)" in wrong.seen
            assert "set it to true" in wrong.fix
            scene.hedged = False
        scene.foreign = "4711"
        wrong = await patient.only(Level.WARN, "open orders")
        assert wrong.seen.startswith("1 not of the desk: buy 0.3 of ")
        scene.foreign = ""
        scene.open_for_orders = False
        wrong = await patient.only(Level.FAIL, "contracts")
        assert wrong.seen.endswith("status not active (here active)")


@pytest.mark.parametrize("venue_id", TONGUES)
async def test_margin_that_is_isolated(venue_id: str, tmp_path: Path) -> None:
    async with clinic(Scene(venue_id, units=HELD, isolated=True), tmp_path) as patient:
        finding = await patient.only(Level.FAIL, "margin mode")
        assert "is set to isolated" in finding.seen
        assert "to cross" in finding.fix
        assert "while nothing is held" in finding.fix


@pytest.mark.parametrize("venue_id", UNTOLD)
async def test_what_the_key_may_do_is_not_told(venue_id: str, tmp_path: Path) -> None:
    async with clinic(Scene(venue_id), tmp_path, account="") as patient:
        finding = await patient.only(Level.FAIL, "key rights")
        assert finding.seen.startswith(f"{FACTS[venue_id].title} does not tell what the key may do")
        assert "accept_untold" in finding.fix


async def test_a_key_of_bybit_that_may_withdraw(tmp_path: Path) -> None:
    async with clinic(Scene("bybit", may_withdraw=True), tmp_path) as patient:
        assert "may withdraw" in (await patient.only(Level.FAIL, "key rights")).seen


@pytest.mark.parametrize("venue_id", [name for name in TONGUES if FACTS[name].streams.mark])
async def test_a_stream_that_tells_nothing_is_said_to_be_polled(
    venue_id: str, tmp_path: Path
) -> None:
    async with clinic(Scene(venue_id, streams=False), tmp_path) as patient:
        patient.seconds = 0.5
        finding = await patient.only(Level.WARN, "prices")
        assert "no mark by stream within 0.5 s; asked for, it comes" in finding.seen
