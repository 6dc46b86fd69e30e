"""The operator at a terminal: a desk is begun, tried dry, traded live; nothing leaves unasked."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rebalancer.cli.app import app
from rebalancer.core.methodology import Trigger
from rebalancer.core.money import text
from rebalancer.core.records import IntentCreated, Record
from rebalancer.store.reader import open_reader
from tests.desk.rig import of
from tests.e2e.market import Market, market
from tests.e2e.process import Answer, command, running, wait_until
from tests.e2e.terminal import at_terminal
from tests.e2e.test_live_desk import KEYS, done
from tests.factories import BTC

BOTH = ["BTC2S", "BTC3L"]
CONFIG = """\
mode = "{mode}"

[store]
url = "sqlite:///desk.db"

[log]
format = "json"

[feed]
interval = "500ms"

[desk]
view_interval = "200ms"

[accounts.main]
venue = "binanceusdm"
endpoint = "{address}"
accept_untold = true

[defaults]
account = "main"
initial_shares = 200
basket = {{ "BTC/USDT:USDT" = 1 }}

[defaults.rules.fixed]
enabled = false

[funds.BTC3L]
target_leverage = 3

[funds.BTC2S]
target_leverage = -{short}
"""


def test_a_first_configuration_is_asked_for(tmp_path: Path) -> None:
    questions = [
        ("Prices", ""),
        ("Funds", "BTC3L=3 ETH1S=-1"),
        ("Daily rebalance at", "08:00:00"),
        ("offset from UTC", "+00:00"),
        ("File for all", "my.db"),
    ]
    answer = at_terminal(tmp_path, ["config", "init"], questions)
    assert answer.code == 0, answer.out
    assert "written: config.toml" in answer.out
    text = (tmp_path / "config.toml").read_text()
    for said in ('"sqlite:///my.db"', '"08:00:00"', "[funds.ETH1S]"):
        assert said in text
    assert command(tmp_path, "config", "check").code == 0
    again = at_terminal(tmp_path, ["config", "init"])
    assert (again.code, text) == (2, (tmp_path / "config.toml").read_text())


@pytest.fixture
def venue() -> Iterator[Market]:
    """An exchange on this machine."""
    with market("binance") as traded:
        yield traded


def records(folder: Path) -> list[Record]:
    """Return every record of a desk, after the chain of hashes was checked."""
    with open_reader(f"sqlite:///{folder}/desk.db") as reader:
        return list(reader.records())


def configured(folder: Path, venue: Market, mode: str, short: str) -> Path:
    """Write the configuration of a desk into a folder of its own."""
    folder.mkdir()
    text = CONFIG.format(mode=mode, address=venue.address, short=short)
    (folder / "config.toml").write_text(text)
    return folder


def launched(folder: Path) -> bool:
    """Whether both funds hold what they aim at."""
    return done(records(folder), Trigger.LAUNCH) == BOTH


def here(*arguments: str) -> Answer:
    """Run a command in this process, which starts no interpreter for it: in this folder."""
    done = CliRunner().invoke(app, arguments)
    return Answer(done.exit_code, done.stdout, done.stderr)


def test_what_was_tried_dry_is_compared_and_live_orders_leave_on_a_typed_name_only(
    tmp_path: Path, venue: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    dry = configured(tmp_path / "dry", venue, "dry-run", short="1.5")
    with running(dry, **KEYS) as desk:
        desk.wait_for("ready")
        wait_until(lambda: launched(dry), "the dry run has decided")
        assert desk.end() == 0
    assert of(records(dry), IntentCreated)
    assert venue.account["ids"] == [], "a dry run sends nothing"

    live = configured(tmp_path / "live", venue, "live", short="2")
    monkeypatch.chdir(live)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    with running(live, **KEYS) as desk:
        desk.wait_for("ready")
        wait_until(lambda: launched(live), "both launch")
        the_same_but_for_what_was_planted()
        orders_leave_on_a_typed_name_only(live, venue)
        assert desk.end() == 0
    intents = [record.intent.client_order_id for record in of(records(live), IntentCreated)]
    assert venue.account["ids"] == intents
    assert venue.tell("state")["violations"] == 0


def the_same_but_for_what_was_planted() -> None:
    """The dry run had a target of -1.5 where the live desk has -2: that is shown, and no more."""
    compared = here("orders", "--compare", "../dry/desk.db", "--within", "5m", "--json")
    pairs = {each["fund"]: each for each in compared.json["pairs"]}
    assert sorted(pairs) == BOTH
    assert pairs["BTC3L"]["difference_units"] == {}
    assert pairs["BTC3L"]["here"]["delta_units"] == pairs["BTC3L"]["there"]["delta_units"]
    short, tried = (pairs["BTC2S"][side]["delta_units"][BTC] for side in ("here", "there"))
    assert Decimal(tried) == Decimal(short) * 3 / 4
    assert pairs["BTC2S"]["difference_units"] == {BTC: text(Decimal(tried) - Decimal(short))}
    assert compared.json["only_here"] == compared.json["only_there"] == []


def orders_leave_on_a_typed_name_only(folder: Path, venue: Market) -> None:
    """A plan is applied once: on a terminal by its name, in a script by saying it twice."""
    sent = len(venue.account["ids"])

    def plan(price: str, name: str) -> None:
        venue.price(price)
        wait_until(
            lambda: here("plan", "BTC3L", "--detailed-exitcode").code == 5,
            "the price moved",
        )
        assert here("plan", "BTC3L", "--out", name).code == 0

    plan("51000", "plan.json")
    asked = "Type BTC3L to send its orders: "
    unasked = here("apply", "plan.json")
    assert (unasked.code, "--yes --confirm BTC3L" in unasked.sentence) == (4, True), unasked
    wrong = at_terminal(folder, ["apply", "plan.json"], [(asked, "BTC2S")], **KEYS)
    assert (wrong.code, "nothing was sent" in wrong.out) == (4, True), wrong
    assert here("apply", "plan.json", "--yes").code == 4
    assert here("apply", "plan.json", "--yes", "--confirm", "BTC2S").code == 4
    assert len(venue.account["ids"]) == sent
    right = at_terminal(folder, ["apply", "plan.json"], [(asked, "BTC3L")], **KEYS)
    assert (right.code, "done" in right.out) == (0, True), right
    assert len(venue.account["ids"]) == sent + 1

    stale = here("apply", "plan.json", "--yes", "--confirm", "BTC3L")
    assert (stale.code, "the desk moved on since the plan" in stale.sentence) == (4, True), stale
    plan("52000", "again.json")
    script = command(folder, "apply", "again.json", "--yes", "--confirm", "BTC3L", "--json", **KEYS)
    assert (script.code, script.json["runs"][0]["status"]) == (0, "done"), script
    assert len(venue.account["ids"]) == sent + 2
