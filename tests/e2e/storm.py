"""A storm of reloads over a live desk that trades: `python -m tests.e2e.storm --seconds 300`.

The real program trades at the loopback venue while its file is edited faster than its runs end:
good and bad edits mixed, swapped whole, by link or in pieces, taken over by signal and command. In
the end the records and the venue's own books say whether an order was lost, doubled or planned on
a configuration that nobody wrote.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rebalancer.cli.exits import DeskUnreachable
from rebalancer.cli.operating import ask_at
from rebalancer.configured import desk_of
from rebalancer.core.configuration import ConfigurationChanged
from rebalancer.core.folding import fold
from rebalancer.core.records import (
    FundWiped,
    IntentCreated,
    OrderMoved,
    Record,
    RunOpened,
    TradingChanged,
)
from rebalancer.errors import CommandRefused, ConfigRefused
from rebalancer.settings import load
from rebalancer.settings.in_force import InForce, in_force
from rebalancer.store.reader import open_reader
from tests.desk.rig import of
from tests.e2e.market import Market, market
from tests.e2e.process import Desk, command, running, wait_until
from tests.factories import dice_of
from tests.loopback.presets import KEY, SECRET
from tests.simulation.judge_runs import OVER
from tests.test_reloading import refuse_mixtures

KEYS = {
    "REBALANCER__ACCOUNTS__MAIN__API_KEY": KEY,
    "REBALANCER__ACCOUNTS__MAIN__SECRET": SECRET,
}
TEXT = """\
mode = "live"

[store]
url = "sqlite:///desk.db"

[log]
format = "json"

[feed]
interval = "500ms"

[desk]
confirm_notional_change = 1

[accounts.main]
venue = "binanceusdm"
endpoint = "{endpoint}"
accept_untold = true

[defaults]
account = "main"
initial_shares = 200
basket = {{ "BTC/USDT:USDT" = 1 }}

# Runs of several orders: an edit in the middle of one must not reach it.
[defaults.execution]
max_child_notional = {slice}
interval = "100ms"

[defaults.rules.fixed]
times = ["{fixed}"]
utc_offset = "+00:00"

[defaults.rules.price_move]
threshold = {threshold}
side = "both"
cooldown = "0s"

[defaults.rules.emergency]
cooldown = "0s"

[funds.BTC2L]
target_leverage = {long}

[funds.BTC3S]
target_leverage = -{short}
"""
#: an edit that is wrong, by what an editor or a person does
WRONG: Mapping[str, Callable[[str], str]] = {
    "range": lambda text: text.replace("max_child_notional = ", "max_child_notional = -"),
    "type": lambda text: text.replace("target_leverage = -", "target_leverage = minus "),
    "unknown": lambda text: text.replace("threshold", "treshold"),
    "double": lambda text: text + "\n[funds.BTC3S]\ntarget_leverage = -3\n",
    "gone": lambda text: text[: text.index("[funds.BTC3S]")],
    "restart": lambda text: text.replace('interval = "500ms"', 'interval = "700ms"'),
    "mode": lambda text: text.replace('mode = "live"', 'mode = "paper"'),
    "empty": lambda _text: "",
}


@dataclass
class Storm:
    """The desk, its file, and everything that was ever written into it."""

    folder: Path
    traded: Market
    dice: random.Random
    #: every whole configuration that was written, by its digest
    texts: dict[str, InForce] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    price: float = 50_000.0
    pid: int = 0

    @property
    def file(self) -> Path:
        return self.folder / "config.toml"

    def good(self) -> str:
        """Return a configuration that can be taken over unasked."""
        text = TEXT.format(
            endpoint=self.traded.address,
            slice=self.dice.randrange(1_500, 6_000),
            fixed=f"{self.dice.randrange(24):02}:30:00",
            threshold=self.dice.choice(["0.01", "0.012"]),
            long=self.dice.choice(["2", "1.8", "2.2"]),
            short=self.dice.choice(["3", "2.7", "3.3"]),
        )
        self.note(text)
        return text

    def note(self, text: str) -> None:
        """Note what is written; raises ConfigRefused where it is no configuration."""
        told = in_force(text, "config.toml", KEYS)
        self.texts[told.config.digest] = told

    def edit(self) -> None:
        """Change the file as people and programs do."""
        text = self.good()
        if self.dice.random() < 0.4:
            wound = self.dice.choice(sorted(WRONG))
            self.counts[f"wrong: {wound}"] += 1
            text = WRONG[wound](text)
        how = self.dice.choice(["whole", "link", "pieces"])
        self.counts[f"written: {how}"] += 1
        if how == "pieces":
            cut = self.dice.randrange(len(text) + 1)
            with contextlib.suppress(ConfigRefused):
                self.note(text[:cut])  # one that ends within its last number is whole, too
            with self.file.open("w", encoding="utf-8") as file:
                file.write(text[:cut])
                file.flush()
                self.reload()  # in the middle of the edit
                file.write(text[cut:])
            return
        beside = self.folder / f"edit-{self.counts.total()}.toml"
        beside.write_text(text, encoding="utf-8")
        if how == "link":
            link = self.folder / "link"
            link.symlink_to(beside.name)
            link.replace(self.file)
        else:
            beside.replace(self.file)

    def reload(self) -> None:
        """Have it taken over, by one of the ways."""
        if self.dice.random() < 0.3:
            self.counts["by signal"] += 1
            os.kill(self.pid, signal.SIGHUP)
            return
        self.counts["by socket"] += 1
        self.ask({"command": "reload", "confirm": ""})

    def ask(self, request: dict[str, Any]) -> None:
        """Tell the desk something that it may refuse."""
        try:
            answer = ask_at(self.folder / "desk.sock", request, 60.0)
        except CommandRefused:
            self.counts[f"{request['command']}: refused"] += 1
        else:
            taken = answer.get("changed", True)
            self.counts[f"{request['command']}: {'taken' if taken else 'no change'}"] += 1

    def blow(self, desk: Desk, seconds: float) -> None:
        """Edit, reload and trade for so long."""
        self.pid = desk.pid
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            assert desk.process.poll() is None, desk.said[-2_000:]
            self.edit()
            self.reload()
            if self.dice.random() < 0.3:
                self.price *= 1 + self.dice.uniform(-0.02, 0.02)
                self.traded.price(f"{self.price:.1f}")
            if self.dice.random() < 0.2:
                fund = self.dice.choice(["BTC2L", "BTC3S"])
                asked = {"command": "rebalance", "fund": fund, "reason": "a storm"}
                self.ask({**asked, "confirm": [fund]})
            time.sleep(self.dice.random() * 0.05)

    def calm(self, desk: Desk) -> None:
        """Let every run end on a good configuration, then stop."""
        self.file.unlink()
        self.file.write_text(self.good(), encoding="utf-8")
        ended = command(self.folder, "reload", **KEYS)
        assert ended.code == 0, ended.err
        wait_until(lambda: not self.working(), "every run has ended")
        assert desk.end() == 0
        assert desk.events("standing_still") == []

    def working(self) -> bool:
        """Whether a run or an order is under way."""
        state = fold(desk_of(load(self.file, KEYS)), self.records())
        return bool(state.orders) or any(fund.run for fund in state.funds.values())

    def records(self) -> tuple[Record, ...]:
        """Return every record, after the chain of hashes was checked."""
        with open_reader(f"sqlite:///{self.folder}/desk.db") as reader:
            return tuple(reader.records())

    def judge(self) -> None:
        """Fail where an order was lost, doubled, or planned on what nobody wrote."""
        records = self.records()
        changes = of(records, ConfigurationChanged)
        assert {change.digest for change in changes} <= self.texts.keys(), "nobody wrote that"
        assert of(records, TradingChanged) == [], "nothing halted a fund"
        # Each step of the price is small: only who stood still for long comes to that.
        wiped = of(records, FundWiped)
        assert wiped == [], f"{wiped}, after {records[: records.index(wiped[0])][-60:]}"
        self.counts["configurations taken over"] = len(changes)
        self.counts["runs"] = refuse_mixtures(records, self.texts)
        for trigger, count in Counter(plan.plan.trigger for plan in of(records, RunOpened)).items():
            self.counts[f"runs by {trigger}"] = count
        under = {record.plan.config_digest for record in of(records, RunOpened)}
        self.counts["configurations that runs were opened under"] = len(under)
        intents = [record.intent.client_order_id for record in of(records, IntentCreated)]
        self.counts["orders"] = len(intents)
        # On a machine that is slow enough an order comes too late for the venue to take it.
        over = {
            moved.client_order_id: moved.outcome
            for moved in of(records, OrderMoved)
            if moved.outcome in OVER
        }
        self.counts["orders that the venue did not take"] = len(over)
        taken = sorted(each for each in intents if each not in over)
        assert sorted(self.traded.account["ids"]) == taken, (
            f"each intent is one order, and once; not taken: {over}"
        )
        assert self.traded.tell("state")["violations"] == 0
        checked = command(self.folder, "verify", **KEYS)
        assert checked.code == 0, checked.out


@contextlib.contextmanager
def storm(folder: Path, seed: int, life_seconds: int) -> Any:
    """Return a storm over a desk that is not started yet."""
    with market("binance", life_seconds) as traded:
        yield Storm(folder, traded, dice_of(seed))


def run(folder: Path, seconds: float, seed: int) -> Counter[str]:
    """Blow for so long and return what was counted; raises AssertionError."""
    with storm(folder, seed, int(seconds) + 300) as wind:
        wind.file.write_text(wind.good(), encoding="utf-8")
        with running(folder, **KEYS) as desk:
            desk.wait_for("launched", 2)
            try:
                wind.blow(desk, seconds)
                wind.calm(desk)
            except DeskUnreachable as gone:
                raise AssertionError(f"the desk ended: {desk.said[-3_000:]}") from gone
        wind.judge()
        counts: Counter[str] = wind.counts
        return counts


def main() -> int:
    """Run one from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.storm", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0, help="how long it blows")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rebalancer-storm-") as folder:
        counts = run(Path(folder), given.seconds, given.seed)
    for name, count in sorted(counts.items()):
        sys.stdout.write(f"{count:>8}  {name}\n")
    sys.stdout.write("nothing lost, doubled or mixed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
