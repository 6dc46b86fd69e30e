"""A real desk on a real exchange protocol that is killed without warning, again and again.

The desk is a process of its own, the exchange another one; prices jump so that a run is under way
when the kill comes. The seed draws the moments; where in its work the desk is then, chance says.
"""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rebalancer.clock import WallClock
from rebalancer.core.instant import HOUR_MS
from rebalancer.core.money import ZERO, total
from rebalancer.core.records import CommandTaken, IntentCreated, Record, Traded
from tests.desk.rig import of
from tests.e2e.market import market
from tests.e2e.process import Desk, command, running, wait_until
from tests.e2e.test_live_desk import CONFIG, KEYS, Kind, Place, state_of
from tests.factories import BTC

#: two prices far enough apart that each move begins a run of several orders
LEVELS = ("56500", "50000")
BUSY = CONFIG.replace("threshold = 0.1", 'threshold = 0.1\nside = "both"').replace(
    "[defaults.rules.fixed]",
    '[defaults.execution]\nmax_child_notional = 4000\ninterval = "300ms"\n\n[defaults.rules.fixed]',
)
#: kills of one folder and exchange; then both begin anew
AT_ONE_PLACE = 10
#: so long every second desk is given to send an order, however slow the machine
FIRST_ORDER_SECONDS = 10.0
#: the longest that a desk lives after it is ready and the price has jumped
LONGEST_LIFE_SECONDS = 1.5
#: a kill and the start after it take a few seconds at most; on a busy machine much longer
SECONDS_PER_KILL = 60
#: a start takes three seconds; where ten others want the same processor, a minute
START_SECONDS = 120.0
#: after the last kill the desk has so long to come to rest: at XT an order that an earlier
#: process may have sent is proved away in two and a half minutes
REST_SECONDS = 300.0


@dataclass
class Campaign:
    """The kills at one place, and what is known of the desk over all its lives."""

    place: Place
    dice: random.Random
    sent: list[str] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)

    def kill(self, number: int) -> Iterator[str]:
        """Start the desk, move the price, kill it in its work; yield every broken promise."""
        folder = self.place.folder
        with running(folder, **KEYS) as desk:
            desk.wait_for("ready", seconds=START_SECONDS)
            if number % 3 == 2:
                self._command(f"drill {number}")
            self.place.market.price(LEVELS[number % 2])
            if number % 2:
                self._under_way(desk)
            time.sleep(self.dice.uniform(0.0, LONGEST_LIFE_SECONDS))
            desk.end(signal.SIGKILL)
            self._hear(desk)
        yield from self._kept()

    def rest(self) -> Iterator[str]:
        """Start the desk once more and let it come to rest; yield every broken promise."""
        folder = self.place.folder
        with running(folder, **KEYS) as desk:
            desk.wait_for("ready", seconds=START_SECONDS)
            wait_until(lambda: not self._working(), "no run is under way", REST_SECONDS)
            desk.end()
            self._hear(desk)
        yield from self._kept()
        state = state_of(self.place, self.records)
        at_venue = self.place.market.held(self.place.kind.contract_size)
        held = state.accounts["main"].position(BTC)
        of_funds = total(fund.holding.units.get(BTC, ZERO) for fund in state.funds.values())
        if not at_venue == held == of_funds:
            yield f"the venue holds {at_venue}, the desk {held}, its funds {of_funds}"
        trades = self.place.market.account["trades"]
        if len(of(self.records, Traded)) != trades:
            yield f"{len(of(self.records, Traded))} trades are booked, the venue made {trades}"
        taken = {record.reason for record in of(self.records, CommandTaken)}
        yield from (f"an answered command is lost: {each}" for each in {*self.answered} - taken)
        verified = command(folder, "verify", **KEYS)
        if verified.code:
            yield f"verify: {verified.out}{verified.err}"

    def _command(self, reason: str) -> None:
        """Have a rebalance done: refused while there is no price yet or a run is under way."""
        sure = ("--yes", "--confirm", "BTC3S")
        asked = ("rebalance", "BTC3S", "--reason", reason, *sure)
        wait_until(
            lambda: command(self.place.folder, *asked, **KEYS).code == 0, "a command", REST_SECONDS
        )
        self.answered.append(reason)

    def _under_way(self, desk: Desk) -> None:
        """Wait for an order, or until it is plain that the move begins no run."""
        with contextlib.suppress(AssertionError):
            wait_until(lambda: desk.events("order_sent"), "an order", FIRST_ORDER_SECONDS)

    def _hear(self, desk: Desk) -> None:
        if "Traceback" in desk.said:
            raise AssertionError(desk.said[-2_000:])
        self.sent += [str(event["order"]) for event in desk.events("order_sent")]

    def _working(self) -> bool:
        state = state_of(self.place, self.place.records())
        return bool(state.orders) or any(fund.run is not None for fund in state.funds.values())

    def _kept(self) -> Iterator[str]:
        before, self.records = self.records, self.place.records()
        if self.records[: len(before)] != before:
            yield "a record was lost or changed"
        written = {record.intent.client_order_id for record in of(self.records, IntentCreated)}
        at_venue = Counter(self.place.market.account["ids"])
        yield from (f"{each} is not on record" for each in {*self.sent, *at_venue} - written)
        yield from (f"{each} is {n} orders" for each, n in at_venue.items() if n > 1)
        yield from (f"{each} left {n} times" for each, n in Counter(self.sent).items() if n > 1)


def killed(folder: Path, kind: Kind, kills: int, seed: int) -> tuple[Campaign, list[str]]:
    """Kill a desk so many times at one exchange; return what was seen, and what was broken."""
    dice = random.Random(seed)  # noqa: S311 - a failure should be repeatable, as far as it can
    with market(kind.loopback, SECONDS_PER_KILL * (kills + 5)) as traded:
        campaign = Campaign(Place(folder, kind, traded), dice)
        campaign.place.configure(WallClock().now_ms() + 6 * HOUR_MS, BUSY)
        problems = [each for number in range(kills) for each in campaign.kill(number)]
        problems += campaign.rest()
    return campaign, problems
