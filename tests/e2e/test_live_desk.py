"""Live trading end to end: the real program, a real exchange protocol, all of it on this machine.

A launch, a threshold run in whose middle the desk is killed, and a fixed run after that.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from rebalancer.clock import WallClock
from rebalancer.configured import desk_of
from rebalancer.core.folding import fold
from rebalancer.core.instant import DAY_MS, HOUR_MS, SECOND_MS
from rebalancer.core.methodology import Trigger
from rebalancer.core.records import (
    FixedSettled,
    IntentCreated,
    Record,
    RunMoved,
    RunOpened,
    Settlement,
    TradingChanged,
)
from rebalancer.core.run import RunStatus
from rebalancer.core.state import DeskState
from rebalancer.settings import load
from rebalancer.store.reader import open_reader
from tests.desk.rig import of
from tests.e2e.market import Market, market
from tests.e2e.process import Desk, command, running, wait_until
from tests.factories import BTC
from tests.loopback.presets import KEY, SECRET

KEYS = {
    "REBALANCER__ACCOUNTS__MAIN__API_KEY": KEY,
    "REBALANCER__ACCOUNTS__MAIN__SECRET": SECRET,
}
CONFIG = """\
mode = "live"

[store]
url = "sqlite:///desk.db"

[log]
format = "json"

[feed]
interval = "500ms"

[accounts.main]
venue = "VENUE"
endpoint = "ENDPOINT"
accept_untold = true

[defaults]
account = "main"
initial_shares = 200
basket = { "BTC/USDT:USDT" = 1 }

[defaults.rules.fixed]
times = ["TIME"]
utc_offset = "+00:00"

[defaults.rules.price_move]
threshold = 0.1
cooldown = "0s"

[defaults.rules.emergency]
cooldown = "0s"

[funds.BTC1L]
target_leverage = 1

[funds.BTC3S]
target_leverage = -3
"""


@dataclass(frozen=True)
class Kind:
    """One exchange that the desk trades on here."""

    venue: str
    loopback: str
    contract_size: Decimal
    #: where orders are sent to
    orders: str


KINDS = (
    Kind("binanceusdm", "binance", Decimal(1), "/fapi/v1/order$"),
    Kind("xt", "xt", Decimal("0.0001"), "/order/create$"),
)


@dataclass(frozen=True)
class Place:
    """A folder with a desk, and the exchange that it trades on."""

    folder: Path
    kind: Kind
    market: Market

    def configure(self, fixed_ms: int, config: str = CONFIG) -> None:
        """Write the configuration, with the daily time of `fixed_ms`."""
        seconds = fixed_ms % DAY_MS // SECOND_MS
        time = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        text = config.replace("VENUE", self.kind.venue).replace("TIME", time)
        text = text.replace("ENDPOINT", self.market.address)
        (self.folder / "config.toml").write_text(text)

    def records(self) -> list[Record]:
        """Return every record, after the chain of hashes was checked."""
        with open_reader(f"sqlite:///{self.folder}/desk.db") as reader:
            return list(reader.records())

    def until(self, desk: Desk, holds: Callable[[list[Record]], object], what: str) -> None:
        """Wait until it holds of the records."""
        desk.wait_for("ready")
        wait_until(lambda: desk.process.poll() is not None or holds(self.records()), what)
        assert desk.process.poll() is None, desk.said[-2_000:]


def done(records: list[Record], trigger: Trigger) -> list[str]:
    """Return the funds whose runs of this kind were done."""
    opened = {record.plan.run_id: record.plan for record in of(records, RunOpened)}
    return sorted(
        record.fund
        for record in of(records, RunMoved)
        if record.status is RunStatus.DONE and opened[record.run_id].trigger is trigger
    )


@pytest.fixture(params=KINDS, ids=lambda kind: str(kind.venue))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """An exchange that runs, and a folder for a desk."""
    with market(request.param.loopback) as traded:
        yield Place(tmp_path, request.param, traded)


def state_of(place: Place, records: list[Record]) -> DeskState:
    """Return what the records add up to."""
    return fold(desk_of(load(place.folder / "config.toml", KEYS)), records)


def assert_a_plan_tells_its_cost_by_the_book(place: Place) -> None:
    """Move the market within every threshold, and ask what a rebalance would trade and cost."""
    place.market.price("57000")
    plans: list[dict[str, Any]] = []

    def has_costs() -> bool:
        plans.append(command(place.folder, "plan", "--json", **KEYS).json["costs"])
        return bool(plans[-1]["trades"])

    wait_until(has_costs, "the desk has seen the new price")
    for cost in plans[-1]["trades"]:
        assert cost["told_by"] == f"book of {place.kind.venue}"
        # The loopback sells any size one tick of 0.1 away from its price, which is the mark.
        assert 0 < Decimal(cost["slippage_bps"]) < Decimal("0.1")
        assert Decimal(cost["fee"]) > 0


def test_a_desk_launches_is_killed_in_a_run_and_ends_at_its_targets(place: Place) -> None:
    now_ms = WallClock().now_ms()
    place.configure(now_ms + 6 * HOUR_MS)
    both = ["BTC1L", "BTC3S"]
    with running(place.folder, **KEYS) as desk:
        place.until(desk, lambda records: done(records, Trigger.LAUNCH) == both, "both launch")
        before = len(place.market.account["ids"])
        place.market.tell(
            "fault", shape="silence", method="POST", path=place.kind.orders, hold_ms=60_000
        )
        place.market.price("56000")
        wait_until(lambda: len(place.market.account["ids"]) > before, "an order is at the venue")
        assert done(place.records(), Trigger.PRICE_MOVE) == []
        assert desk.end(signal.SIGKILL) == -signal.SIGKILL

    place.configure(WallClock().now_ms() + SECOND_MS)
    with running(place.folder, **KEYS) as desk:
        place.until(desk, lambda records: done(records, Trigger.PRICE_MOVE), "the run goes on")
        place.until(desk, lambda records: done(records, Trigger.FIXED) == both, "fixed runs")
        assert_a_plan_tells_its_cost_by_the_book(place)
        assert desk.end() == 0
        assert desk.events("recovered")[0]["open_orders"] == 1

    records = place.records()
    assert [each.settlement for each in of(records, FixedSettled)] == [Settlement.RUN] * 2
    assert of(records, TradingChanged) == []
    intents = [record.intent.client_order_id for record in of(records, IntentCreated)]
    assert place.market.account["ids"] == intents, "each intent is one order, and once"
    state = state_of(place, records)
    units = sum(fund.holding.units.get(BTC, Decimal(0)) for fund in state.funds.values())
    assert units == state.accounts["main"].position(BTC)
    assert units == place.market.held(place.kind.contract_size) != 0
    assert place.market.tell("state")["violations"] == 0
    for path in place.folder.iterdir():
        assert not any(key.encode() in path.read_bytes() for key in KEYS.values()), path.name
