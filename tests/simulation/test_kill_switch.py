"""The kill switch while nobody knows what became of an order: nothing is lost or done twice."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from rebalancer.core.events import Commanded, CommandKind
from rebalancer.core.order import OrderStatus
from rebalancer.core.records import IntentCreated, Traded
from rebalancer.core.scope import Scope
from rebalancer.desk.kill_switch import KillSwitch
from tests.desk.rig import of
from tests.loopback.faults import Fault, Shape, Taken
from tests.simulation import sweep, world
from tests.simulation.day import BINANCE, XT, Day, Place, Sight, Trouble, day_of
from tests.simulation.judge import judge

#: the venue answers nothing for so long after the request was lost
BLIND_MS = 90_000
RELEASED_TICK, END_TICK = 60, 120


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    sweep.quiet()
    yield
    structlog.reset_defaults()


def lost_order(venue: str, taken: Taken) -> Day:
    """Return a day on which the answer to an order of the launch is lost."""
    lost = Fault(shape=Shape.CLOSE, taken=taken, method="POST", path="rder", late_ms=9_000)
    sight = Sight(down_ms=BLIND_MS, stale_ms=dict.fromkeys(Place, 0))
    drawn = dataclasses.replace(day_of(7), trouble=Trouble.LATE_SIGHT, wire=(lost,), sight=sight)
    return dataclasses.replace(drawn, venue=venue)


class Hand:
    """Throws the switch once an order is unknown; releases it, and resumes the desk."""

    def __init__(self, switch: KillSwitch) -> None:
        self.switch = switch
        self.unknown: set[str] = set()
        self.intents_before = 0

    def __call__(self, lived: world.World, index: int) -> None:
        """Look at the desk at each tick, before its prices."""
        state = lived.state
        assert state is not None
        unknown = {
            name for name, each in state.orders.items() if each.status is OrderStatus.UNKNOWN
        }
        if unknown and not self.unknown:
            self.unknown = unknown
            self.switch.set("what is this order?", lived.clock.now_ms())
            self.intents_before = len(lived.disk.intents)
        if index == RELEASED_TICK:
            assert state.scopes[Scope.DESK, ""].halted
            assert len(lived.disk.intents) == self.intents_before, "nothing is planned under it"
            self.switch.release()
            now_ms = lived.clock.now_ms()
            resume = Commanded(now_ms, CommandKind.RESUME, "", "looked into", Scope.DESK)
            lived.inbox.put(resume)
            for name in state.funds:  # what was halted ended their launches
                lived.inbox.put(Commanded(now_ms, CommandKind.REBALANCE, name, "once more"))


@pytest.mark.parametrize("taken", list(Taken))
@pytest.mark.parametrize("venue", [BINANCE, XT])
def test_an_order_that_was_unknown_is_booked_once_and_the_desk_goes_on_after_its_resume(
    venue: str, taken: Taken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand = Hand(KillSwitch(tmp_path / "killed"))
    monkeypatch.setattr(world, "_trouble", hand)
    lived = world.World(lost_order(venue, taken), end_tick=END_TICK, kill_switch=hand.switch)
    lived.live()
    assert hand.unknown, "the day has an order that nobody knows of"
    records = lived.disk.records
    booked = [each.fill.trade_id for each in of(records, Traded)]
    assert len(set(booked)) == len(booked)
    of_unknown = [each for each in of(records, Traded) if each.fill.client_order_id in hand.unknown]
    assert bool(of_unknown) is (taken is not Taken.NEVER)
    assert len(of(records, IntentCreated)) > hand.intents_before, "it trades again"
    assert lived.state is not None
    assert all(fund.point and not fund.run for fund in lived.state.funds.values())
    assert judge(lived) == []
