"""A fund whose prices have stopped is told to people, and that they came again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from rebalancer.clock import VirtualClock
from rebalancer.core.actions import Alert, Severity
from rebalancer.desk import price_watch
from rebalancer.desk.alert_book import AlertBook
from rebalancer.desk.price_watch import watch_prices
from rebalancer.desk.views import oldest_price
from tests.desk.rig import until
from tests.factories import BTC, NOON, Bench, bench, fund


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(price_watch, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(price_watch, "STOPPED_SECONDS", 0.02)


@asynccontextmanager
async def watching(
    made: Bench, clock: VirtualClock
) -> AsyncIterator[tuple[AlertBook, list[Alert]]]:
    told: list[Alert] = []
    book = AlertBook(made.state, clock, told.append)
    watch = asyncio.create_task(watch_prices(made.state, clock, book.take))
    yield book, told
    watch.cancel()
    await asyncio.wait([watch])


async def test_prices_that_stopped_are_told_once_and_that_they_came_again() -> None:
    made, clock = bench(fund()), VirtualClock(NOON)
    async with watching(made, clock) as (book, told):
        await asyncio.sleep(0.05)
        assert told == []
        clock.set(made.later(seconds=11).now_ms)
        made.wake()
        await until(lambda: told, "the fund's prices are old")
        await asyncio.sleep(0.01)
        (alert,) = told
        assert (alert.severity, alert.name, alert.subject) == (
            Severity.CRITICAL,
            "prices_stopped",
            "BTC3L",
        )
        assert "2026-01-01T12:00:00Z" in alert.text
        book.look()
        assert len(told) == 1, "it lasts"
        made.known(100)
        book.look()
        assert told[-1].name == "prices_stopped_resolved"


async def test_after_a_start_without_a_price_there_is_none_at_all() -> None:
    made, clock = bench(fund()).restarted(), VirtualClock(NOON)
    async with watching(made, clock) as (_, told):
        await until(lambda: told, "no price came")
        assert told[0].text.endswith("(none came)")


async def test_a_short_silence_is_nobodys_business(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(price_watch, "STOPPED_SECONDS", 60.0)
    made, clock = bench(fund()), VirtualClock(NOON)
    clock.set(made.later(seconds=11).now_ms)
    async with watching(made, clock) as (_, told):
        await asyncio.sleep(0.02)
        assert told == []


async def test_a_fund_that_is_cash_alone_waits_for_no_price() -> None:
    made = bench(fund())
    made.desk = replace(made.desk, unlisted=frozenset({BTC}))
    made = made.restarted()
    assert oldest_price(made.state, made.fund(), made.now_ms) == (None, True), "it holds a position"
    async with watching(made, VirtualClock(made.now_ms)) as (_, told):
        await until(lambda: told, "it is told what to do")
        assert told[0].text.startswith(
            "no rule of BTC3L can act: BTC/USDT:USDT is listed no more and the fund holds 30000 of"
        )
    made.fund().holding.units.clear()
    assert oldest_price(made.state, made.fund(), made.now_ms) == (made.now_ms, False)
