"""A venue that closes positions by itself under a desk: booked to the funds on that side alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
import structlog

from rebalancer.core.breaks import BreakFound, BreakKind
from rebalancer.core.money import ZERO, total
from rebalancer.core.records import Traded, TradingState
from rebalancer.core.scope import Scope
from tests.desk.rig import of
from tests.simulation import sweep, world
from tests.simulation.day import BINANCE, BTC, CONTRACTS, ETH, XT, Day, Trouble, day_of

RUINED_TICK, END_TICK = 100, 190


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    sweep.quiet()
    yield
    structlog.reset_defaults()


def quiet_day(venue: str) -> Day:
    """Return a day on which nothing goes wrong, at a venue."""
    drawn = dataclasses.replace(day_of(7), trouble=Trouble.SILENCE, ticks=0)
    return dataclasses.replace(drawn, venue=venue)


@pytest.mark.parametrize("venue", [BINANCE, XT])
def test_a_liquidation_is_booked_to_the_funds_on_its_side_and_halts_them(
    venue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ruin(lived: world.World, index: int) -> None:
        if index == RUINED_TICK:
            (owner,) = lived.exchange.core.accounts.values()
            owner.wallet = ZERO

    monkeypatch.setattr(world, "_trouble", ruin)
    lived = world.World(quiet_day(venue), end_tick=END_TICK)
    lived.live()
    state, forced = lived.state, [each for each in of(lived.disk.records, Traded) if each.forced]
    assert state is not None
    assert {each.contract: set(each.allocations) for each in forced} == {
        BTC: {"BTC3L"},
        ETH: {"ETH2L"},
    }
    found = [each.found.kind for each in of(lived.disk.records, BreakFound)]
    assert found.count(BreakKind.LIQUIDATION) == 2
    assert BreakKind.FOREIGN_TRADE not in found
    assert not state.breaks, "the difference in position is explained by now"
    assert state.scopes[Scope.ACCOUNT, "main"].halted, "it was seen before its cause was"
    for symbol in CONTRACTS[venue]:
        assert state.accounts["main"].position(symbol) == 0
        assert total(each.holding.units.get(symbol, ZERO) for each in state.funds.values()) == 0
    assert {name: each.trading for name, each in state.funds.items()} == {
        "BTC3L": TradingState.HALTED,
        "BTC3S": TradingState.ACTIVE,
        "ETH2L": TradingState.HALTED,
    }
