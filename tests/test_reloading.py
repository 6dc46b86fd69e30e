"""A reload of a whole desk: what is wrong changes nothing, what is right is taken over once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import structlog

from rebalancer.bootstrap import Source, open_daemon
from rebalancer.core.actions import Alert
from rebalancer.core.configuration import ConfigurationChanged
from rebalancer.core.events import Commanded, CommandKind
from rebalancer.core.methodology import Trigger
from rebalancer.core.records import FundLaunched, IntentCreated, Record, RunOpened, Traded
from rebalancer.desk.daemon import Daemon
from rebalancer.errors import CommandRefused
from rebalancer.settings.in_force import InForce, in_force, reader_of
from rebalancer.store.memory import MemoryStore
from tests.desk.rig import of, until
from tests.factories import dice_of
from tests.mixtures import SettingsOf, mixed_runs, orders_beyond

DESK = """\
[feed]
source = "simulated"
speed = 3000

[accounts.main]
venue = "paper"

[funds.BTC3L]
account = "main"
target_leverage = 3
basket = { "BTC/USDT:USDT" = 1 }
[funds.BTC3L.execution]
max_child_notional = 400000
[funds.BTC3L.rules.elapsed]
days = 1
[funds.BTC3L.rules.price_move]
threshold = 0.01

[funds.BTC3S]
account = "main"
target_leverage = -3
basket = { "BTC/USDT:USDT" = 1 }
[funds.BTC3S.rules.price_move]
threshold = 0.01
"""

LATE = DESK.replace("[funds.BTC3S]\n", "[funds.BTC3S]\ninitial_nav = 7\n")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """What these desks log is much, and not what is tested."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@dataclass
class Running:
    """A desk, its file, and what it told."""

    text: str = DESK
    store: MemoryStore = field(default_factory=MemoryStore)
    alerts: list[Alert] = field(default_factory=list)
    daemon: Daemon | None = None
    environ: dict[str, str] = field(default_factory=dict)

    def read(self) -> InForce:
        return in_force(self.text, "desk.toml", self.environ)

    async def reload(self, text: str | None = None, confirm: str = "") -> dict[str, Any]:
        if text is not None:
            self.text = text
        assert self.daemon is not None
        return await self.daemon.reload(confirm)

    @property
    def digest(self) -> str:
        assert self.daemon is not None
        return self.daemon.state.config_digest

    def said(self) -> list[str]:
        return [alert.text for alert in self.alerts if alert.name == "reload_refused"]


def confirmation(text: str) -> str:
    """Return the word that a refused reload asks for."""
    return text.rpartition("reload --confirm ")[2]


@contextlib.asynccontextmanager
async def running(text: str = DESK, **environ: str) -> AsyncIterator[Running]:
    here = Running(text, environ=environ)
    source = Source(here.read(), here.read)
    here.daemon = await open_daemon(
        source.in_force.config,
        here.store,
        on_alert=here.alerts.append,
        control=False,
        source=source,
    )
    stop = asyncio.Event()
    task = asyncio.create_task(here.daemon.run(stop))
    funds = len(source.in_force.config.funds)
    await until(lambda: len(of(here.store.records, FundLaunched)) == funds, "launched")
    yield here
    stop.set()
    await asyncio.wait_for(task, 20)


class TestWhatIsTakenOver:
    async def test_it_is_in_force_on_record_and_in_the_answer(self) -> None:
        async with running() as here:
            before = here.digest
            answer = await here.reload(DESK.replace("400000", "300000"))
            assert answer["changed"] is True
            (one,) = answer["differences"]
            assert one["key"] == "funds.BTC3L.execution.max_child_notional"
            assert (one["before"], one["after"], one["effect"]) == ("400000", "300000", "now")
            assert one["place"] == "desk.toml:13"
            (record,) = of(here.store.records, ConfigurationChanged)
            assert (record.before, record.digest) == (before, answer["digest"])
            assert here.digest == answer["digest"] == here.read().config.digest

    async def test_comments_and_spelling_change_nothing(self) -> None:
        async with running() as here:
            answer = await here.reload("# a word\n" + DESK.replace("= 400000", "= 400000.0"))
            assert (answer["changed"], answer["differences"]) == (False, [])
            assert not of(here.store.records, ConfigurationChanged)

    async def test_a_check_says_it_in_target_notional_and_changes_nothing(self) -> None:
        async with running() as here:
            here.text = DESK.replace("target_leverage = 3\n", "target_leverage = 2\n")
            assert here.daemon is not None
            told = await here.daemon.reload(check=True)
            moved = told["target_notional"]["BTC3L"]
            difference = Decimal(moved["after"]) * 3 - Decimal(moved["before"]) * 2
            assert abs(difference) < Decimal("1e-9")
            assert len(told["confirm"]) == 2
            assert not of(here.store.records, ConfigurationChanged)

    async def test_a_large_change_asks_for_a_second_word(self) -> None:
        async with running() as here:
            larger = DESK.replace("target_leverage = 3\n", "target_leverage = 5\n")
            with pytest.raises(CommandRefused, match=r"from 3 to 5.*reload --confirm [0-9a-f]{12}"):
                await here.reload(larger)
            with pytest.raises(CommandRefused, match="--confirm"):
                await here.reload(larger, confirm="0" * 12)
            digest = here.read().config.digest
            answer = await here.reload(confirm=digest[:12])
            assert answer["waiting"] == ["BTC3L"]
            # The second refusal is told again only where a price in its words has moved since.
            assert set(map(confirmation, here.said())) == {digest[:12]}

    async def test_a_fund_is_added_where_everything_it_needs_is_there(self) -> None:
        async with running() as here:
            more = DESK + '[funds.BTC1L]\naccount = "main"\ntarget_leverage = 1\n'
            more += 'basket = { "BTC/USDT:USDT" = 1 }\ninitial_shares = 100\n'
            answer = await here.reload(more)
            assert answer["differences"][0]["after"] == "a new fund"
            await until(lambda: len(of(here.store.records, FundLaunched)) == 3, "a third fund")


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("text", "says"),
        [
            (DESK.replace("days = 1", "days = maybe"), r"desk\.toml:15: "),
            (DESK.replace("threshold = 0.01", "treshold = 0.01", 1), r"desk\.toml:17: .*threshold"),
            (DESK.replace("speed = 3000", "speed = 2000"), r"desk\.toml:3: feed\.speed: .*restart"),
            ("mode = 'dry-run'\n" + DESK, r"desk\.toml:1: mode: .*paper.*dry-run.*restart"),
            (DESK[: DESK.index("[funds.BTC3S]")], r"funds\.BTC3S.*rebalancer close BTC3S"),
            (LATE, r"desk\.toml:20: funds\.BTC3S\.initial_nav: cannot change"),
            ("", r"funds\.BTC3L|accounts"),
        ],
        ids=["broken", "unknown key", "restart only", "mode", "a fund gone", "late", "empty"],
    )
    async def test_it_says_where_and_why_and_changes_nothing(self, text: str, says: str) -> None:
        async with running() as here:
            before = here.digest
            with pytest.raises(CommandRefused, match=says):
                await here.reload(text)
            assert here.digest == before
            assert not of(here.store.records, ConfigurationChanged)
            (told,) = here.said()
            assert told.startswith("the configuration in force stays: ")

    @pytest.mark.parametrize(
        ("name", "says"),
        [
            ("REBALANCER__ACCOUNTS__MAIN__API_KEY", "accounts: a key changed"),
            ("REBALANCER__WEBHOOKS__MAKERS__SECRET", "webhooks: a secret changed"),
        ],
    )
    async def test_a_secret_that_changed_alone_asks_for_a_restart(
        self, name: str, says: str
    ) -> None:
        told = f'{DESK}[webhooks.makers]\nurl = "http://127.0.0.1:9/"\nevents = ["premium"]\n'
        secret = {"REBALANCER__WEBHOOKS__MAKERS__SECRET": f"whsec_{'A' * 32}"}
        async with running(told, **secret | {name: secret.get(name, "before")}) as here:
            here.environ = here.environ | {name: f"whsec_{'B' * 32}"}
            with pytest.raises(CommandRefused, match=f"{says}.*restart the desk for it"):
                await here.reload()

    async def test_a_failure_of_the_program_itself_does_not_end_the_desk(self) -> None:
        async with running() as here:
            reader = here.daemon.reloader.__self__  # type: ignore[union-attr]

            def broken() -> InForce:
                raise ZeroDivisionError

            reader.read = broken
            with pytest.raises(CommandRefused, match="ZeroDivisionError while reading"):
                await here.reload()
            reader.read = here.read
            assert (await here.reload())["changed"] is False

    async def test_one_whose_caller_went_away_is_in_force_for_the_next_one_too(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with running() as here:
            assert here.daemon is not None
            reader = here.daemon.reloader.__self__  # type: ignore[union-attr]
            command, task = reader.inbox.command, list[asyncio.Task[Any]]()

            def taken(offer: Any) -> Any:
                task[0].cancel()
                return command(offer)

            monkeypatch.setattr(reader.inbox, "command", taken)
            text = DESK.replace("threshold = 0.01", "threshold = 0.02")
            task.append(asyncio.create_task(here.reload(text)))
            await asyncio.wait(task)
            assert task[0].cancelled()
            monkeypatch.setattr(reader.inbox, "command", command)
            await until(lambda: of(here.store.records, ConfigurationChanged), "taken over")
            assert (await here.reload())["changed"] is False
            assert (await here.reload(DESK))["changed"] is True

    async def test_a_signal_reloads_as_a_command_does(self) -> None:
        async with running() as here:
            assert here.daemon is not None
            here.text = "nonsense"
            here.daemon.hang_up.set()
            await until(here.said, "an alert")
            here.text = DESK.replace("400000", "300000")
            here.daemon.hang_up.set()
            await until(lambda: of(here.store.records, ConfigurationChanged), "taken over")


def now_ms(here: Running) -> int:
    assert here.daemon is not None
    return here.daemon.clock.now_ms()


def refuse_mixtures(records: tuple[Record, ...], texts: dict[str, InForce]) -> int:
    """Fail where a run or an order does not follow one whole configuration; count the runs."""
    mixed = [*mixed_runs(records, settings_in(texts), to_flat={Trigger.GAP})]
    assert mixed == []
    orders = [record.intent for record in of(records, IntentCreated)]
    ids = [order.client_order_id for order in orders]
    assert len(set(ids)) == len(ids)
    traded = [record.trade for record in of(records, Traded)]
    assert len(set(traded)) == len(traded)
    assert {trade[0] for trade in traded} <= set(ids)
    assert [*orders_beyond(records, settings_in(texts))] == []
    return len(of(records, RunOpened))


def settings_in(texts: dict[str, InForce]) -> SettingsOf:
    return lambda digest, fund: texts[digest].config.funds[fund]


async def test_a_storm_of_reloads_during_trading_loses_doubles_and_mixes_nothing() -> None:
    """Good and bad ones mixed, faster than runs end; the issue asks for nothing lost or mixed."""
    dice, texts = dice_of(7), {}
    async with running() as here:
        assert here.daemon is not None
        texts[here.digest] = here.read()
        taken = refused = 0
        for _ in range(60):
            text = DESK.replace("400000", str(dice.randrange(200_000, 400_000)))
            text = text.replace(
                "target_leverage = 3\n",
                dice.choice(
                    ["target_leverage = 3\n", "target_leverage = 2.9\n", "target_leverage = 3.1\n"]
                ),
            )
            bad = dice.random() < 0.4
            cut = dice.randrange(100, len(text))
            here.text = text[:cut] + "\n= nonsense\n" + text[cut:] if bad else text
            with contextlib.suppress(Exception):
                texts[here.read().config.digest] = here.read()
            try:
                taken += (await here.reload())["changed"]
            except CommandRefused:
                refused += 1
            with contextlib.suppress(CommandRefused):
                asked = Commanded(now_ms(here), CommandKind.REBALANCE, "BTC3L", "a drill")
                await here.daemon.inbox.command(asked)
            await asyncio.sleep(dice.random() * 0.02)
        records = tuple(here.store.records)
        assert taken > 20
        assert refused > 10
        assert refuse_mixtures(records, texts) > 5
        assert len(of(records, ConfigurationChanged)) == taken
        assert {each.config_digest for each in here.daemon.state.funds.values()} <= {*texts}


def mutated(seed: int) -> str:
    """Return the document with one wound: a type, a range, a name, a double, a cut, or noise."""
    dice = dice_of(seed)
    lines = DESK.splitlines()
    at = dice.randrange(len(lines))
    key, equals, value = lines[at].partition(" = ")
    match seed % 8:
        case 0 if equals:
            lines[at] = f"{key} = {dice.choice(['-1', '0', 'nan', 'inf', '1e999', 'true', '[]'])}"
        case 1 if equals:
            lines[at] = f'{key} = "{dice.choice(["", "yes", "-1s", "x", "1,5"])}"'
        case 2 if equals:
            lines[at] = f"{key}s = {value}"
        case 3:
            lines.insert(at, lines[at])
        case 4:
            return "\n".join(lines)[: dice.randrange(len(DESK))]
        case 5:
            del lines[at]
        case 6:
            lines.insert(at, dice.choice(["= 1", "[", "[[funds]]", "\x00", "a.b.c = {", "[funds]"]))
        case _:
            lines[at] = lines[at][::-1]
    return "\n".join(lines)


async def test_500_damaged_files_are_refused_with_their_place_or_are_what_they_say() -> None:
    async with running() as here:
        assert here.daemon is not None
        refused = 0
        for seed in range(500):
            before = here.digest
            why = ""
            try:
                answer = await here.reload(mutated(seed))
            except CommandRefused as error:
                why = str(error)
            if why:
                refused += 1
                assert here.digest == before
                assert "while reading the configuration" not in why, (seed, why)
                placed = ("desk.toml", "funds.", "--confirm")
                assert any(word in why for word in placed), (seed, why)
            else:
                assert here.digest == answer["digest"] == here.read().config.digest, seed
        assert 300 < refused < 500


class TestFiles:
    def read(self, path: Path) -> str:
        with pytest.raises(Exception, match=path.name) as refused:
            reader_of(path, {})()
        return str(refused.value)

    def test_one_that_is_far_too_large_is_not_even_read(self, tmp_path: Path) -> None:
        large = tmp_path / "large.toml"
        large.write_bytes(b"#" * 10_000_000)
        assert "is larger than" in self.read(large)

    def test_a_symbolic_link_is_followed(self, tmp_path: Path) -> None:
        (tmp_path / "real.toml").write_text(DESK, encoding="utf-8")
        (tmp_path / "link.toml").symlink_to(tmp_path / "real.toml")
        assert reader_of(tmp_path / "link.toml", {})().config.funds.keys() == {"BTC3L", "BTC3S"}

    def test_a_link_to_nowhere_and_a_folder_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "gone.toml").symlink_to(tmp_path / "nowhere")
        assert "no such file" in self.read(tmp_path / "gone.toml")
        (tmp_path / "folder.toml").mkdir()
        assert "is a directory" in self.read(tmp_path / "folder.toml")
