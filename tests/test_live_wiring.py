"""Bootstrap over a loopback exchange: what live trading and a dry run with keys are made of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from structlog.testing import capture_logs

from rebalancer.bootstrap import open_daemon
from rebalancer.core.actions import Alert
from rebalancer.core.capital import FlowDealt
from rebalancer.core.delisting import MemberListed, gone
from rebalancer.core.events import Commanded, CommandKind, FlowsRequested, WindDownAsked
from rebalancer.core.flow import Flow, FlowKind
from rebalancer.core.fund import PriceSource
from rebalancer.core.order import OrderStatus
from rebalancer.core.records import FundingPosted, IntentCreated, OrderMoved, Traded
from rebalancer.core.scope import Scope
from rebalancer.desk.daemon import Daemon
from rebalancer.errors import BrokenInvariant, ConfigRefused, VenueUnavailable
from rebalancer.feeds.live import CcxtFeed
from rebalancer.feeds.stream import StreamFeed
from rebalancer.settings import Config, parse
from rebalancer.store.memory import MemoryStore
from rebalancer.venues import paper_funding
from rebalancer.venues.dry_run import DryRunVenue
from rebalancer.venues.exchange_venue import ExchangeVenue
from rebalancer.venues.live_dry_run import LiveDryRunVenue
from rebalancer.venues.read_only import ReadOnlyTransport
from tests.desk.rig import of, until
from tests.factories import BTC, ETH
from tests.loopback.faults import Fault, Shape
from tests.loopback.orders import Book
from tests.loopback.presets import KEY, SECRET, binance, xt
from tests.loopback.server import LoopbackVenue
from tests.test_live import environ

D = Decimal
DESK = """\
[accounts.main]
venue = "binanceusdm"

[feed]
interval = "200ms"

[funds.BTC3L]
account = "main"
target_leverage = 3
initial_shares = 100
basket = { "BTC/USDT:USDT" = 1 }
"""
KEYS = dict(zip(environ(), (KEY, SECRET), strict=True))


def config(
    market: LoopbackVenue, mode: str, keys: dict[str, str] | None = None, text: str = DESK
) -> Config:
    overrides = {"mode": mode, "accounts": {"main": {"endpoint": market.rest}}}
    return parse(text, environ=KEYS if keys is None else keys, overrides=overrides)


@asynccontextmanager
async def desk(
    market: LoopbackVenue,
    mode: str,
    store: MemoryStore,
    alerts: list[Alert] | None = None,
    text: str = DESK,
) -> AsyncIterator[Daemon]:
    """Run a desk, and stop it in good order."""
    told, known = [] if alerts is None else alerts, config(market, mode, text=text)
    daemon = await open_daemon(known, store, control=False, on_alert=told.append)
    stop = asyncio.Event()
    running = asyncio.create_task(daemon.run(stop))
    try:
        yield daemon
    finally:
        stop.set()
        await asyncio.wait_for(running, 20)


async def traded(daemon: Daemon, store: MemoryStore) -> None:
    """Wait until the launch is over."""
    await until(
        lambda: of(store.records, Traded) and not daemon.state.funds["BTC3L"].run, "it traded", 15
    )


@pytest.fixture
async def market() -> AsyncIterator[LoopbackVenue]:
    async with LoopbackVenue(binance(), beat_ms=50) as opened:
        yield opened


class TestLive:
    async def test_the_account_is_at_the_exchange_and_prices_are_streamed(
        self, market: LoopbackVenue
    ) -> None:
        store = MemoryStore()
        with capture_logs() as logs:
            async with desk(market, "live", store) as daemon:
                assert isinstance(daemon.venues["main"], ExchangeVenue)
                assert isinstance(daemon.watcher._feed, StreamFeed)
                watched = {"account main", "funding of main", "markets of main", "prices"}
                assert set(daemon.companions) == watched
                await traded(daemon, store)
                known = daemon.state.accounts["main"].funding
                await until(lambda: known.get(BTC), "it knows what funding is expected", 15)
                (account,) = market.core.accounts.values()
                held = account.position("BTC/USDT", Book.NET).contracts
                assert held == daemon.state.accounts["main"].position(BTC) > 0
        told = {line["event"]: line for line in logs}
        assert told["mode"]["mode"] == "live"
        assert told["mode"]["log_level"] == "warning"
        assert told["mode"]["accounts"] == {
            "main": f"real orders on Binance USD-M at {market.rest}"
        }
        assert told["first_live_start"]["launches"] == ["BTC3L"]
        assert told["first_live_start"]["capital"] == {"main": {"USDT": D(10_000)}}
        assert market.violations == []

    async def test_a_key_that_may_withdraw_stops_the_start_before_any_order(
        self, market: LoopbackVenue
    ) -> None:
        market.core.accounts[KEY].may_withdraw = True
        store = MemoryStore()
        daemon = await open_daemon(config(market, "live"), store, control=False)
        with pytest.raises(ConfigRefused, match="the key may withdraw"):
            await daemon.run(asyncio.Event())
        assert {call.method for call in market.calls} == {"GET"}
        assert of(store.records, IntentCreated) == []

    async def test_a_contract_that_changes_is_frozen_and_alerted(
        self, market: LoopbackVenue
    ) -> None:
        store, alerts = MemoryStore(), list[Alert]()
        async with desk(market, "live", store, alerts) as daemon:
            await traded(daemon, store)
            market.core.instruments["BTC/USDT"].lot = D("0.01")
            watch = daemon.companions["markets of main"].__self__  # type: ignore[attr-defined]
            await watch.look()
            await until(
                lambda: daemon.state.scopes.get((Scope.CONTRACT, BTC)), "the contract is frozen"
            )
            frozen = daemon.state.scopes[(Scope.CONTRACT, BTC)]
            assert frozen.halted
        (alert,) = [alert for alert in alerts if alert.name == "contract_halted"]
        assert "binanceusdm changed BTC/USDT:USDT: lot 0.001 is now 0.01" in alert.text

    async def test_a_reconnect_asks_about_orders_and_positions(
        self, market: LoopbackVenue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store, hurried = MemoryStore(), asyncio.Event()
        async with desk(market, "live", store) as daemon:
            await traded(daemon, store)
            monkeypatch.setattr(daemon.executor, "hurry", hurried.set)
            market.calls.clear()
            await market.hub.drop()
            await until(
                lambda: any("positionRisk" in call.path for call in market.calls),
                "the positions are asked for",
                10,
            )
        assert hurried.is_set(), "orders of unknown fate are asked for without their pause"

    async def test_funding_is_booked_once_over_restarts(
        self, market: LoopbackVenue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("rebalancer.live.ACCOUNT_SECONDS", 0.2)
        monkeypatch.setattr("rebalancer.venues.account_watch.LISTED_MS", 0)
        store = MemoryStore()
        async with desk(market, "live", store) as daemon:
            await traded(daemon, store)
        first = MemoryStore(store.records)
        market.fund("BTC/USDT", "0.0003")
        async with desk(market, "live", first):
            await until(lambda: of(first.records, FundingPosted), "what was missed is booked", 10)
        second = MemoryStore(first.records)
        async with desk(market, "live", second):
            asked = len(market.calls)
            await until(
                lambda: sum("income" in call.path for call in [*market.calls][asked:]) >= 2,
                "payments are asked for",
                10,
            )
        (posted,) = of(second.records, FundingPosted)
        (account,) = market.core.accounts.values()
        booked = next(each for each in account.incomes if each.kind == "FUNDING_FEE")
        assert posted.settled_ms == booked.at_ms
        assert sum(posted.paid.values()) == -booked.amount

    async def test_a_stop_in_the_middle_leaves_the_order_to_the_next_start(
        self, market: LoopbackVenue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("rebalancer.desk.daemon.STOP_WITHIN_SECONDS", 0.2)
        order = "/fapi/v1/order$"
        market.faults.plan(Fault(shape=Shape.SILENCE, method="POST", path=order, hold_ms=60_000))
        store = MemoryStore()
        async with desk(market, "live", store):
            await until(lambda: market.core.accounts[KEY].orders, "the order is at the venue", 15)
        (left,) = of(store.records, OrderMoved)
        assert left.outcome == "unknown"
        again = MemoryStore(store.records)
        async with desk(market, "live", again) as daemon:
            assert [each.status for each in daemon.state.orders.values()] != [OrderStatus.PREPARED]
            await traded(daemon, again)
            held = market.core.accounts[KEY].position("BTC/USDT", Book.NET).contracts
            assert held == daemon.state.accounts["main"].position(BTC)
        intents = of(again.records, IntentCreated)
        assert len(intents) == len(market.core.accounts[KEY].orders)

    async def test_a_stop_waits_for_an_order_that_is_on_its_way(
        self, market: LoopbackVenue
    ) -> None:
        order = "/fapi/v1/order$"
        market.faults.plan(Fault(shape=Shape.SLOW_BODY, method="POST", path=order, hold_ms=400))
        store = MemoryStore()
        async with desk(market, "live", store):
            await until(lambda: market.core.accounts[KEY].orders, "the order is at the venue", 15)
        assert of(store.records, OrderMoved)[-1].outcome == "closed"

    async def test_accounts_of_one_venue_share_its_limits(self, market: LoopbackVenue) -> None:
        second = '\n[accounts.second]\nvenue = "binanceusdm"\n'
        fund = DESK[DESK.index("[funds") :].replace("BTC3L", "BTC1S").replace("= 3", "= -1")
        text = DESK + second + "\n" + fund.replace('"main"', '"second"')
        known = parse(
            text,
            environ=environ() | environ("second"),
            overrides={"mode": "live", "accounts": {"main": {"endpoint": market.rest}}},
        )
        daemon = await open_daemon(known, MemoryStore(), control=False)
        clients: list[Any] = [each._client for each in daemon.venues.values()]  # type: ignore[attr-defined]
        assert clients[0]._limiter is clients[1]._limiter
        assert clients[0]._exchange.apiKey != clients[1]._exchange.apiKey
        await daemon._close()

    async def test_a_venue_without_streams_is_polled(self) -> None:
        async with LoopbackVenue(xt(), beat_ms=50) as polled:
            text = DESK.replace('"binanceusdm"', '"xt"\naccept_untold = true')
            overrides = {"mode": "live", "accounts": {"main": {"endpoint": polled.rest}}}
            known = parse(text, environ=KEYS, overrides=overrides)
            daemon = await open_daemon(known, MemoryStore(), control=False)
            assert isinstance(daemon.watcher._feed, CcxtFeed)
            assert daemon.state.desk.contracts[BTC].contract_size == D("0.0001")
            client: Any = daemon.venues["main"]._client  # type: ignore[attr-defined]
            used = {window.name: units for window, units in client.used().items()}
            assert used["requests-1m"] == len(polled.calls) > 0, "the list of contracts counts, too"
            await daemon._close()


class TestDelisted:
    """A contract goes, and a fund that was launched on it cannot be taken out of the file."""

    TWO = f"""{DESK}
[funds.ETH2L]
account = "main"
target_leverage = 2
initial_shares = 100
basket = {{ "ETH/USDT:USDT" = 1 }}
"""

    HALVES = DESK.replace(
        'basket = { "BTC/USDT:USDT" = 1 }', f'basket = {{ "{BTC}" = 0.5, "{ETH}" = 0.5 }}'
    )

    def delist(self, market: LoopbackVenue) -> None:
        del market.core.instruments["ETH/USDT"]
        positions = market.core.accounts[KEY].positions
        for key in [each for each in positions if each[0] == "ETH/USDT"]:
            del positions[key]

    async def test_its_fund_stands_still_and_the_others_go_on(self, market: LoopbackVenue) -> None:
        store = MemoryStore()
        async with desk(market, "live", store, text=self.TWO) as daemon:
            funds = daemon.state.funds.values()
            await until(lambda: all(fund.point for fund in funds), "both are launched", 15)
        self.delist(market)
        async with desk(market, "live", MemoryStore(store.records), text=self.TWO) as daemon:
            assert daemon.state.desk.unlisted == {ETH}
            frozen = (Scope.CONTRACT, ETH)
            await until(lambda: frozen in daemon.state.scopes, "the contract is frozen", 15)
            known = daemon.state.market
            await until(lambda: known.price(BTC, PriceSource.MARK), "the other has its price", 15)
            daemon.state.accounts["main"].traded_ms.clear()  # or a list of now might be of before
            await daemon.venues["main"].report_positions()
            await until(lambda: daemon.state.breaks, "what was settled is seen", 15)
            assert known.price(ETH, PriceSource.MARK) is None
            (found,) = daemon.state.breaks.values()
            assert found.repair.startswith("rebalancer adopt 1 --price PRICE")
            assert list(daemon.state.scopes) == [frozen], "the account goes on"
        reason = daemon.state.scopes[frozen].reason
        assert reason == "binanceusdm does not list it any more"

    async def settled(self, daemon: Daemon) -> None:
        """Adopt what the venue settled of the fund's ETH, at its last mark."""
        state, fund = daemon.state, daemon.state.funds["BTC3L"]
        await until(lambda: state.market.price(BTC, PriceSource.MARK), "BTC has its price", 15)
        state.accounts["main"].traded_ms.clear()
        await daemon.venues["main"].report_positions()
        await until(lambda: state.breaks, "what was settled is seen", 15)
        assert state.worth(fund) is None
        last, now_ms = fund.gap.marks[ETH], daemon.clock.now_ms()
        daemon.inbox.put(Commanded(now_ms, CommandKind.ADOPT, "1", "settled", Scope.DESK, last))
        await until(lambda: state.worth(fund), "it has a NAV", 15)

    async def launched(self, market: LoopbackVenue) -> MemoryStore:
        """Return the records of a fund of both at its first point."""
        store = MemoryStore()
        async with desk(market, "live", store, text=self.HALVES) as daemon:
            fund = daemon.state.funds["BTC3L"]
            await until(lambda: fund.point and not fund.run, "it is launched", 15)
        return store

    async def test_a_basket_goes_on_without_it_once_it_is_adopted(
        self, market: LoopbackVenue
    ) -> None:
        store = await self.launched(market)
        self.delist(market)
        again = MemoryStore(store.records)
        async with desk(market, "live", again, text=self.HALVES) as daemon:
            await self.settled(daemon)
            fund = daemon.state.funds["BTC3L"]
            daemon.inbox.put(WindDownAsked(daemon.clock.now_ms(), "BTC3L", "enough"))
            await until(lambda: fund.closed, "the rest is sold", 15)
        begun = of(again.records, IntentCreated)[len(of(store.records, IntentCreated)) :]
        assert {each.intent.contract for each in begun} == {BTC}
        assert market.core.accounts[KEY].position("BTC/USDT", Book.NET).contracts == 0

    async def test_one_that_is_listed_again_is_told_and_waits_to_be_resumed(
        self, market: LoopbackVenue
    ) -> None:
        store, kept = await self.launched(market), market.core.instruments["ETH/USDT"]
        self.delist(market)
        store = MemoryStore(store.records)
        async with desk(market, "live", store, text=self.HALVES) as daemon:
            await self.settled(daemon)
        market.core.instruments["ETH/USDT"] = kept
        alerts: list[Alert] = []
        store = MemoryStore(store.records)
        async with desk(market, "live", store, alerts, text=self.HALVES) as daemon:
            state, fund = daemon.state, daemon.state.funds["BTC3L"]
            await until(lambda: state.market.price(ETH, PriceSource.MARK), "it has a price", 15)
            (told,) = [each for each in alerts if each.name == "contract_listed_again"]
            assert told.text.startswith(f"binanceusdm lists {ETH} again: it stays frozen")
            assert ETH in gone(state, fund)
            await daemon.inbox.command(
                Commanded(
                    daemon.clock.now_ms(), CommandKind.RESUME, ETH, "it is back", Scope.CONTRACT
                )
            )
            assert not gone(state, fund)
            (listed,) = of(store.records, MemberListed)
            assert fund.point is not None
            assert (
                fund.point.prices[ETH] == listed.price == state.market.price(ETH, PriceSource.MARK)
            )

    async def test_a_fund_that_is_new_is_refused_on_it(self, market: LoopbackVenue) -> None:
        self.delist(market)
        known = config(market, "live", text=self.TWO)
        with pytest.raises(ConfigRefused, match="binanceusdm has no such contract"):
            await open_daemon(known, MemoryStore(), control=False)

    async def test_a_desk_with_nothing_else_is_refused(self, market: LoopbackVenue) -> None:
        store = MemoryStore()
        async with desk(market, "live", store) as daemon:
            await traded(daemon, store)
        del market.core.instruments["BTC/USDT"]
        with pytest.raises(ConfigRefused, match="lists no contract of this desk any more"):
            await open_daemon(config(market, "live"), MemoryStore(store.records), control=False)


class TestDryRun:
    async def test_with_keys_it_begins_with_what_the_account_holds(
        self, market: LoopbackVenue
    ) -> None:
        position = market.core.accounts[KEY].position("BTC/USDT", Book.NET)
        position.contracts, position.entry = D("0.25"), D(50_000)
        store, alerts = MemoryStore(), list[Alert]()
        async with desk(market, "dry-run", store, alerts) as daemon:
            await until(lambda: alerts, "what nobody knows of is told", 15)
        assert "the venue holds 0.25 of BTC/USDT:USDT, the records say 0" in alerts[0].text
        assert isinstance(daemon.venues["main"], LiveDryRunVenue)
        assert of(store.records, IntentCreated) == []

    async def test_it_trades_on_paper_and_no_write_reaches_the_exchange(
        self, market: LoopbackVenue
    ) -> None:
        store = MemoryStore()
        async with desk(market, "dry-run", store) as daemon:
            await traded(daemon, store)
            venue = daemon.venues["main"]
            assert isinstance(venue, LiveDryRunVenue)
            assert len(venue.would_send) == len(of(store.records, Traded)) == 1
            client: Any = venue._client
            assert isinstance(client._transport, ReadOnlyTransport)
            for write in (
                lambda exchange: exchange.create_order(BTC, "limit", "buy", 1, 50_000),
                lambda exchange: exchange.cancel_all_orders(BTC),
                lambda exchange: exchange.set_leverage(3, BTC),
            ):
                with pytest.raises(BrokenInvariant, match="a dry run reads"):
                    await client.ask(write, {})
                with pytest.raises(BrokenInvariant, match="a dry run reads"):
                    await client.write(write, {})
        assert {call.method for call in market.calls} == {"GET"}
        assert not market.core.accounts[KEY].orders

    @pytest.mark.parametrize("keys", [{}, dict([next(iter(KEYS.items()))])])
    async def test_without_its_keys_it_asks_nothing_of_an_account(
        self, market: LoopbackVenue, keys: dict[str, str]
    ) -> None:
        known = config(market, "dry-run", keys)
        daemon = await open_daemon(known, MemoryStore(), control=False)
        assert isinstance(daemon.venues["main"], DryRunVenue)
        await daemon._close()
        assert not any("signature" in call.query for call in market.calls)

    async def test_on_simulated_prices_the_keys_are_left_alone(self, market: LoopbackVenue) -> None:
        simulated = {"feed": {"source": "simulated"}, "mode": "dry-run"}
        known = parse(DESK, environ=KEYS, overrides=simulated)
        daemon = await open_daemon(known, MemoryStore(), control=False)
        assert isinstance(daemon.venues["main"], DryRunVenue)
        await daemon._close()
        assert not market.calls


async def test_paper_on_live_prices_needs_no_keys_and_signs_nothing(
    market: LoopbackVenue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paper_funding, "SETTLED_WITHIN_SECONDS", 0.05)
    store = MemoryStore()
    known = config(market, "paper", {})
    daemon = await open_daemon(known, store, control=False)
    stop = asyncio.Event()
    running = asyncio.create_task(daemon.run(stop))
    await traded(daemon, store)
    known_rates = daemon.state.accounts["main"].funding
    await until(lambda: known_rates.get(BTC), "it knows what funding is expected", 15)
    asked = Flow(fund="BTC3L", key="a", kind=FlowKind.SUBSCRIBE, amount=D(1_000))
    daemon.inbox.put(FlowsRequested(daemon.clock.now_ms(), (asked,)))
    await until(lambda: of(store.records, FlowDealt), "the flow is dealt", 15)
    (dealt,) = of(store.records, FlowDealt)
    assert dealt.funding_accrued[BTC] > 0, "a long owes a rate above zero"
    stop.set()
    await asyncio.wait_for(running, 10)
    assert not any("signature" in call.query for call in market.calls)
    assert not any("x-mbx-apikey" in call.headers for call in market.calls)


async def test_an_exchange_that_is_away_at_the_start_is_told_in_one_sentence(
    market: LoopbackVenue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rebalancer.feeds.live.MARKETS_WITHIN_S", 0.3)
    market.maintenance = True
    with pytest.raises(VenueUnavailable, match=r"^binanceusdm "):
        await open_daemon(config(market, "live"), MemoryStore(), control=False)


async def test_a_start_that_is_tried_again_asks_nothing_while_the_venue_shuts_it_out(
    market: LoopbackVenue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each further request makes a ban longer."""
    monkeypatch.setattr("rebalancer.feeds.live.MARKETS_WITHIN_S", 0.3)
    market.faults.plan(Fault(shape=Shape.BANNED, times=9))
    for _ in range(3):
        with pytest.raises(VenueUnavailable):
            await open_daemon(config(market, "live"), MemoryStore(), control=False)
    assert len(market.calls) == 1
