"""The watch over the venue's markets: every change is told once, an outage changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from structlog.testing import capture_logs

from rebalancer import clock
from rebalancer.clock import VirtualClock
from rebalancer.core.contract import Contract
from rebalancer.core.instant import HOUR_MS
from rebalancer.errors import VenueUnavailable
from rebalancer.feeds.markets import MarketChange, MarketsWatch

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
RUNNING = {
    symbol: Contract(symbol, Decimal(1), Decimal("0.001"), Decimal("0.1"), Decimal("0.001"))
    for symbol in (BTC, ETH)
}


def market(symbol: str, **changed: Any) -> dict[str, Any]:
    steps = {"amount": changed.pop("lot", "0.001"), "price": changed.pop("tick", "0.10")}
    return {
        "symbol": symbol,
        "contractSize": "1",
        "precision": steps,
        "limits": {"amount": {"min": "0.001"}},
        "active": True,
        **changed,
    }


class Venue:
    """Markets to be set by hand, and what the watch told of them."""

    def __init__(self) -> None:
        self.markets: Mapping[str, Any] = {BTC: market(BTC), ETH: market(ETH)}
        self.failure: Exception | None = None
        self.asked = 0
        self.told: list[tuple[str, tuple[MarketChange, ...]]] = []
        self.clock = VirtualClock()
        self.watch = MarketsWatch(self.reload, RUNNING, self.hear, self.clock)

    async def reload(self) -> Mapping[str, Any]:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return self.markets

    def hear(self, contract: str, changes: tuple[MarketChange, ...]) -> None:
        self.told.append((contract, changes))


async def test_markets_that_stay_are_nothing_to_tell():
    venue = Venue()
    await venue.watch.look()
    assert venue.told == []


@pytest.mark.parametrize(
    ("changed", "change"),
    [
        ({"contractSize": "10"}, MarketChange("contract size", "1", "10")),
        ({"lot": "0.01"}, MarketChange("lot", "0.001", "0.01")),
        ({"tick": "0.5"}, MarketChange("tick", "0.1", "0.5")),
        ({"active": False}, MarketChange("status", "active", "not active")),
    ],
)
async def test_each_change_is_told_with_both_values(changed: dict[str, Any], change: MarketChange):
    venue = Venue()
    venue.markets = {BTC: market(BTC), ETH: market(ETH, **changed)}
    await venue.watch.look()
    assert venue.told == [(ETH, (change,))]


async def test_several_changes_of_a_contract_are_told_together():
    venue = Venue()
    venue.markets = {BTC: market(BTC, lot="1", tick="1", active=False), ETH: market(ETH)}
    await venue.watch.look()
    ((contract, changes),) = venue.told
    assert contract == BTC
    assert [change.what for change in changes] == ["lot", "tick", "status"]


async def test_a_change_is_told_once_and_again_when_it_is_over():
    venue = Venue()
    listed = venue.markets
    venue.markets = {BTC: market(BTC, active=False), ETH: market(ETH)}
    await venue.watch.look()
    await venue.watch.look()
    assert len(venue.told) == 1
    venue.markets = listed
    await venue.watch.look()
    await venue.watch.look()
    assert venue.told[1:] == [(BTC, ())]


async def test_a_contract_that_is_gone_is_told():
    venue = Venue()
    venue.markets = {BTC: market(BTC)}
    await venue.watch.look()
    assert venue.told == [(ETH, (MarketChange("status", "listed", "not listed"),))]


@pytest.mark.parametrize("broken", [{"contractSize": None}, {"lot": "NaN"}, {"precision": "x"}])
async def test_a_market_that_cannot_be_read_is_told(broken: dict[str, Any]):
    venue = Venue()
    venue.markets = {BTC: market(BTC), ETH: market(ETH, **broken)}
    await venue.watch.look()
    ((contract, (change,)),) = venue.told
    assert (contract, change.what) == (ETH, "status")
    assert "cannot be read" in change.venue


async def test_a_status_that_the_venue_does_not_tell_is_no_change():
    venue = Venue()
    venue.markets = {BTC: market(BTC, active=None), ETH: market(ETH)}
    await venue.watch.look()
    assert venue.told == []


async def test_an_outage_or_an_empty_list_changes_nothing():
    venue = Venue()
    venue.failure = VenueUnavailable("binanceusdm could not be reached")
    with capture_logs() as logs:
        await venue.watch.look()
        venue.failure, venue.markets = None, {}
        await venue.watch.look()
    assert venue.told == []
    assert [entry["reason"] for entry in logs] == [
        "binanceusdm could not be reached",
        "the list is empty",
    ]


async def test_the_markets_are_read_every_hour(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(clock, "LONGEST_NAP_S", 0.001)
    venue = Venue()
    running = asyncio.create_task(venue.watch.run())
    for hours in (0, 1, 2, 3):
        await asyncio.sleep(0.02)
        assert venue.asked == hours
        venue.clock.advance(HOUR_MS)
    running.cancel()
    await asyncio.wait([running])
