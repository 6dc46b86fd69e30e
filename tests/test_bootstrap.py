"""Modes are wiring: which clock, feed and venue a configuration leads to."""

from __future__ import annotations

import asyncio
import gc
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from rebalancer.bootstrap import (
    last_marks,
    open_daemon,
    sources_of,
)
from rebalancer.clock import FastClock, WallClock
from rebalancer.configured import desk_of
from rebalancer.core.actions import Alert
from rebalancer.core.fund import PriceSource
from rebalancer.core.instant import parse as instant
from rebalancer.core.records import (
    DeskStarted,
    FixedSettled,
    FundingPosted,
    FundLaunched,
    IntentCreated,
    RunOpened,
    Settlement,
    Traded,
)
from rebalancer.errors import CommandRefused, ConfigRefused, StoreUnavailable
from rebalancer.feeds.stream import StreamFeed
from rebalancer.preparing import prepare
from rebalancer.settings import Config, parse
from rebalancer.store.memory import MemoryStore
from rebalancer.venues.dry_run import DryRunVenue
from rebalancer.venues.paper_venue import PaperVenue
from tests.desk.rig import of, until
from tests.factories import BTC, ETH

DESK = """\
[accounts.main]
venue = "paper"

[funds.BTC3L]
account = "main"
target_leverage = 3
basket = { "BTC/USDT:USDT" = 1 }
"""
EXAMPLES = {
    file.stem: file.read_text(encoding="utf-8")
    for file in sorted((Path(__file__).parents[1] / "docs/example").glob("*.toml"))
}
MAY_FIRST = instant("2026-05-01T00:00:00Z")


def config(text: str = DESK, **tables: Any) -> Config:
    feed = {"source": "simulated", "speed": "10000"} | tables.pop("feed", {})
    return parse(text, overrides={"feed": feed, **tables})


class TestTheDesk:
    def test_a_contract_is_what_the_operator_says_else_what_the_venue_says(self) -> None:
        described = config(DESK + '[contracts."BTC/USDT:USDT"]\nlot = "0.5"\n')
        venue = {BTC: desk_of(config()).contracts[BTC]}
        assert desk_of(described, venue).contracts[BTC].lot == Decimal("0.5")
        assert desk_of(config(), venue).contracts[BTC] is venue[BTC]
        assert desk_of(config()).contracts[BTC].contract_size == 1

    def test_every_fund_needs_the_mark_and_the_price_it_is_configured_for(self) -> None:
        text = DESK.replace("target_leverage", 'price_source = "last"\ntarget_leverage')
        mark, last, index = PriceSource.MARK, PriceSource.LAST, PriceSource.INDEX
        desk = desk_of(config(text))
        assert sources_of(desk, second_opinion=False) == {BTC: (mark, last)}
        assert sources_of(desk, second_opinion=True) == {BTC: (mark, last, index)}
        spot = replace(next(iter(desk.funds.values())), price_source=PriceSource.SPOT)
        found = sources_of(desk, second_opinion=False, before=[spot])
        assert set(found[BTC]) == {mark, last, PriceSource.SPOT}, "its point is of another source"

    @pytest.mark.parametrize("name", EXAMPLES)
    async def test_every_example_opens_on_a_simulated_market(self, name: str) -> None:
        told = parse(EXAMPLES[name], overrides={"feed": {"source": "simulated"}})
        daemon = await open_daemon(told, MemoryStore(), control=False)
        followed = {symbol for fund in told.funds.values() for symbol in fund.symbols}
        assert set(daemon.watcher._feed._market.quotes()) == followed  # type: ignore[attr-defined]


class TestClocks:
    async def test_real_prices_need_the_time_of_the_wall(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def known(venue: str, symbols: list[str], *_others: object) -> dict[str, object]:
            assert (venue, symbols) == ("binanceusdm", [BTC])
            return {}

        monkeypatch.setattr("rebalancer.live.contracts", known)
        real = config(feed={"source": "ccxt", "venue": "binanceusdm"})
        daemon = await open_daemon(real, MemoryStore(), control=False)
        assert isinstance(daemon.clock, WallClock)
        assert isinstance(daemon.watcher._feed, StreamFeed)
        assert set(daemon.companions) == {"prices", "funding on paper"}

    async def test_a_simulated_market_begins_now_and_runs_as_fast_as_asked(self) -> None:
        before = WallClock().now_ms()
        daemon = await open_daemon(config(), MemoryStore(), control=False)
        assert isinstance(daemon.clock, FastClock)
        first = daemon.clock.now_ms()
        time.sleep(0.01)  # noqa: ASYNC251 - the clock counts it
        assert before <= first
        assert daemon.clock.now_ms() - first >= 10 * 10_000

    async def test_a_desk_that_lived_ahead_of_the_wall_goes_on_from_there(self) -> None:
        ahead = WallClock().now_ms() + 10**10
        store = MemoryStore([DeskStarted(ahead, "paper", "digest")])
        daemon = await open_daemon(config(), store, control=False)
        assert daemon.clock.now_ms() > ahead

    async def test_its_market_goes_on_from_the_last_prices_on_record(self) -> None:
        store = MemoryStore()
        await traded(config(feed={"prices": {BTC: 50_000}}), store)
        again = MemoryStore(store.records)
        marks = last_marks(again.records)
        daemon = await open_daemon(config(feed={"prices": {BTC: 1}}), again, control=False)
        quote = daemon.watcher._feed._market.quotes()[BTC]  # type: ignore[attr-defined]
        assert abs(quote.index / marks[BTC] - 1) < Decimal("0.01")


class TestModes:
    async def test_paper_fills_from_a_book_that_remembers(self) -> None:
        store = MemoryStore()
        await traded(config(), store)
        daemon = await open_daemon(config(), MemoryStore(store.records), control=False)
        venue = daemon.venues["main"]
        assert isinstance(venue, PaperVenue)
        assert venue.book.positions()[BTC] == daemon.state.accounts["main"].position(BTC)

    async def test_the_paper_venue_is_told_of_a_price_before_the_engine(self) -> None:
        """Or an order could be filled at a price older than the one that led to it."""
        daemon = await open_daemon(config(), MemoryStore(), control=False)
        (venue,) = daemon.venues.values()
        assert isinstance(venue, PaperVenue)
        assert daemon.watcher._takers == (venue.observe, daemon.inbox.put)

    async def test_a_desk_on_paper_is_told_what_its_market_expects_of_funding(self) -> None:
        daemon = await traded(config(), MemoryStore())
        assert daemon.state.accounts["main"].funding[BTC]

    async def test_a_dry_run_decides_and_sends_nothing(self) -> None:
        store = MemoryStore()
        daemon = await traded(config(mode="dry-run"), store)
        venue = daemon.venues["main"]
        assert isinstance(venue, DryRunVenue)
        written = [record.intent for record in of(store.records, IntentCreated)]
        assert venue.would_send == written
        assert written
        assert all(record.fill.fee == 0 for record in of(store.records, Traded))

    @pytest.mark.parametrize("mode", ["paper", "dry-run"])
    async def test_no_part_of_a_desk_that_trades_nothing_holds_a_key(self, mode: str) -> None:
        canary = "canary-of-a-key-that-is-nowhere-else"
        environ = {"REBALANCER__ACCOUNTS__MAIN__API_KEY": canary}
        keyed = parse(DESK, environ=environ, overrides={"mode": mode})
        store = MemoryStore()
        daemon = await open_daemon(keyed, store, control=False)
        del keyed
        gc.collect()
        assert canary not in repr(daemon) + repr(daemon.state) + repr(store.records)
        for part in (daemon, *daemon.venues.values(), daemon.watcher, daemon.watcher._feed):
            held = [part.__slots__] if hasattr(part, "__slots__") else vars(part)
            assert canary not in repr(held)

    def test_there_is_no_live_mode_that_would_quietly_be_paper(self) -> None:
        with pytest.raises(ConfigRefused, match=r"accounts\.main\.venue: 'paper' cannot be traded"):
            prepare(config(mode="live"))


def history(folder: Path, days: int = 2) -> Path:
    """Write a price for every half hour; it climbs two percent a day."""
    rows = ["timestamp,close,funding_rate"]
    for half in range(48 * days + 1):
        funding = "0.0001" if half % 16 == 0 and half else ""
        at_ms = MAY_FIRST + half * 1_800_000
        rows.append(f"{at_ms},{100 + Decimal(half) / 24},{funding}")
    path = folder / "btc.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def replay(folder: Path) -> Config:
    text = DESK + 'max_age = "1h"\n'
    files = {BTC: str(history(folder))}
    return config(text, feed={"source": "replay", "speed": "100000", "files": files})


class TestReplay:
    async def test_a_history_is_lived_in_its_own_time_to_its_end(self, tmp_path: Path) -> None:
        store, alerts = MemoryStore(), list[Alert]()
        daemon = await open_daemon(replay(tmp_path), store, control=False, on_alert=alerts.append)
        await asyncio.wait_for(daemon.run(asyncio.Event()), 20)
        assert of(store.records, FundLaunched)[0].at_ms == MAY_FIRST
        settled = of(store.records, FixedSettled)
        assert [(one.due_ms, one.settlement) for one in settled] == [
            (MAY_FIRST + day * 86_400_000 + 9_000_000, Settlement.RUN) for day in range(2)
        ]
        assert len(of(store.records, FundingPosted)) == 6
        assert [alert.name for alert in alerts if alert.name == "fixed_missed"] == []

    async def test_a_second_life_does_not_live_it_again(self, tmp_path: Path) -> None:
        store = MemoryStore()
        for _ in range(2):
            daemon = await open_daemon(replay(tmp_path), store, control=False)
            await asyncio.wait_for(daemon.run(asyncio.Event()), 20)
            store = MemoryStore(store.records)
        runs = of(store.records, RunOpened)
        assert len({record.plan.run_id for record in runs}) == len(runs) == 3
        assert len(of(store.records, FundingPosted)) == 6
        stamps = [record.at_ms for record in store.records]
        assert stamps == sorted(stamps)

    async def test_a_machine_that_stands_still_for_days_misses_nothing(
        self, tmp_path: Path
    ) -> None:
        store = MemoryStore()
        daemon = await open_daemon(replay(tmp_path), store, control=False)
        running = asyncio.create_task(daemon.run(asyncio.Event()))
        await until(lambda: of(store.records, FundLaunched), "the fund is launched")
        time.sleep(0.6)  # noqa: ASYNC251 - more than half a day at this speed
        await asyncio.wait_for(running, 20)
        outcomes = [record.settlement for record in of(store.records, FixedSettled)]
        assert outcomes == [Settlement.RUN, Settlement.RUN]

    async def test_a_broken_file_is_refused_with_its_line(self, tmp_path: Path) -> None:
        broken = replay(tmp_path)
        (tmp_path / "btc.csv").write_text("timestamp,close\n2026-05-01T00:00:00Z,nan\n")
        with pytest.raises(ConfigRefused, match=r"btc\.csv:2"):
            await open_daemon(broken, MemoryStore(), control=False)


class TestErrands:
    async def test_a_desk_without_receivers_has_nobody_to_tell_again(self, tmp_path: Path) -> None:
        known = config(desk={"control_socket": str(tmp_path / "d.sock")})
        daemon = await open_daemon(known, MemoryStore())
        assert daemon.control is not None
        with pytest.raises(CommandRefused, match=r"no receiver x; describe one in \[webhooks"):
            await daemon.control.errands["webhook-replay"]({"name": "x", "length_ms": 1})


class TestFailing:
    async def test_a_store_is_closed_when_the_desk_cannot_be_opened(self) -> None:
        store = MemoryStore()
        await traded(config(), store)
        again = MemoryStore(store.records)
        other = config(DESK.replace("BTC3L", "BTC9L"))
        with pytest.raises(ConfigRefused, match=r"funds\.BTC3L"):
            await open_daemon(other, again, control=False)
        with pytest.raises(StoreUnavailable, match="closed"):
            await again.load()

    async def test_a_control_path_too_long_is_refused(self, tmp_path: Path) -> None:
        long = config(desk={"control_socket": str(tmp_path / ("x" * 120))})
        with pytest.raises(ConfigRefused, match=r"desk\.control_socket"):
            await open_daemon(long, MemoryStore())


async def traded(known: Config, store: MemoryStore) -> Any:
    """Run a desk until it has traded and come to rest; return it."""
    daemon = await open_daemon(known, store, control=False)
    stop = asyncio.Event()
    running = asyncio.create_task(daemon.run(stop))
    await until(
        lambda: of(store.records, Traded) and not daemon.state.funds["BTC3L"].run, "it traded"
    )
    stop.set()
    await asyncio.wait_for(running, 20)
    return daemon


def test_a_simulated_market_has_a_price_for_every_member_of_a_basket() -> None:
    text = DESK.replace('{ "BTC/USDT:USDT" = 1 }', f'{{ "{BTC}" = "0.5", "{ETH}" = "0.5" }}')
    assert set(sources_of(desk_of(config(text)), second_opinion=True)) == {BTC, ETH}
