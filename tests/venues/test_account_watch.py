"""A watched account: positions as they are, each payment of funding once, until cancelled."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from structlog.testing import capture_logs

from rebalancer.clock import WallClock
from rebalancer.core.events import (
    BalanceReported,
    FundingPaid,
    LiquidationReported,
    PositionsReported,
)
from rebalancer.errors import VenueUnavailable
from rebalancer.venues import account_watch, exchange_account
from tests.loopback.faults import Fault, Shape
from tests.loopback.presets import KEY
from tests.venues.accounts import BTC, CONTRACTS, ETH, D, account


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_account, "EMPTY_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(account_watch, "LISTED_MS", 0)
    monkeypatch.setattr(account_watch, "CLOCK_ERROR_MS", 0)


def paid(events: list[FundingPaid]) -> list[tuple[str, Decimal]]:
    return [(each.contract, each.rate * (each.mark or D(0))) for each in events]


async def test_a_payment_of_funding_is_told_once_and_is_what_the_venue_booked():
    async with account() as desk:
        since_ms = WallClock().now_ms() - 1_000
        await desk.buy(BTC, "0.2")
        desk.market.price("BTC/USDT", "50000", mark="50010")
        desk.market.fund("BTC/USDT", "0.0003")
        desk.venue._watch._since_ms = dict.fromkeys(CONTRACTS, since_ms)
        for _ in range(3):
            await desk.venue._watch.round(desk.venue._tell)
        (payment,) = desk.told(FundingPaid)
        assert (payment.account, payment.contract, payment.rate) == ("main", BTC, D("0.0003"))
        booked = desk.market.core.accounts[KEY].incomes[-1].amount
        assert payment.rate * payment.mark * D("0.2") == -booked == D("3.0006")
        assert len(desk.told(PositionsReported)) == 3


async def test_a_payment_is_of_what_was_held_then_and_not_of_what_is_held_now():
    async with account() as desk:
        since_ms = WallClock().now_ms() - 1_000
        await desk.buy(BTC, "0.2")
        desk.market.fund("BTC/USDT", "-0.0001")
        await asyncio.sleep(0.005)
        await desk.buy(BTC, "0.6")
        desk.venue._watch._since_ms = dict.fromkeys(CONTRACTS, since_ms)
        await desk.venue._watch.round(desk.venue._tell)
        assert paid(desk.told(FundingPaid)) == [(BTC, D(-5))]


async def test_a_reconnect_meanwhile_changes_nothing_of_what_the_round_was_told(
    monkeypatch: pytest.MonkeyPatch,
):
    """It asks for positions, too: what traded since the round did is not in the round's answer."""
    async with account() as desk:
        since_ms = WallClock().now_ms() - 1_000
        watch = desk.venue._watch
        report = watch.history.report
        await desk.buy(BTC, "0.2")
        desk.market.fund("BTC/USDT", "0.0001")
        await asyncio.sleep(0.005)

        async def overtaken(*asked: Any) -> None:
            await report(*asked)
            await desk.buy(BTC, "0.1")
            await asyncio.sleep(0.005)
            await desk.venue.report_positions()

        watch._since_ms = dict.fromkeys(CONTRACTS, since_ms)
        monkeypatch.setattr(watch.history, "report", overtaken)
        await watch.round(desk.venue._tell)
        assert desk.told(FundingPaid) == [], "of what it was paid for cannot be said yet"
        monkeypatch.setattr(watch.history, "report", report)
        await watch.round(desk.venue._tell)
        assert paid(desk.told(FundingPaid)) == [(BTC, D(5))]


async def test_what_the_venue_closed_by_itself_is_told_before_the_payments_of_the_round():
    """Else the desk would share a payment by what was closed before it."""
    async with account() as desk:
        since_ms = await desk.buy_on_little_margin()
        desk.market.fund("BTC/USDT", "0.0001")
        await asyncio.sleep(0.005)
        desk.market.price("BTC/USDT", "46000")
        desk.venue._watch._since_ms = dict.fromkeys(CONTRACTS, since_ms)
        await desk.venue._watch.round(desk.venue._tell)
        kinds = (LiquidationReported, FundingPaid)
        assert [type(each) for each in desk.events if isinstance(each, kinds)] == [*kinds]


async def test_both_books_of_a_hedge_account_make_one_payment():
    async with account(hedge=True, prepare=lambda each: setattr(each, "hedged", True)) as desk:
        since_ms = WallClock().now_ms() - 1_000
        await desk.buy(BTC, "0.3", positionSide="LONG")
        await desk.buy(BTC, "-0.1", positionSide="SHORT")
        desk.market.fund("BTC/USDT", "0.0002")
        desk.venue._watch._since_ms = dict.fromkeys(CONTRACTS, since_ms)
        await desk.venue._watch.round(desk.venue._tell)
        assert paid(desk.told(FundingPaid)) == [(BTC, D(10))]


async def test_funds_of_a_flat_account_owe_each_other_what_the_venue_does_not_book(
    monkeypatch: pytest.MonkeyPatch,
):
    """Spec section 4: funding is rate x a fund's units x mark, whatever the venue nets."""
    monkeypatch.setattr(account_watch, "SETTLED_EVERY_MS", 1)
    monkeypatch.setattr(account_watch, "SHOWN_MS", 0)
    async with account() as desk:
        since_ms = WallClock().now_ms() - 1_000
        watch = desk.venue._watch
        watch._since_ms = dict.fromkeys(CONTRACTS, since_ms)
        watch._flat_ms = dict.fromkeys(CONTRACTS, since_ms)
        await desk.buy(BTC, "0.2")
        desk.market.fund("BTC/USDT", "0.0003")
        await asyncio.sleep(0.005)
        await desk.buy(BTC, "-0.2")
        await asyncio.sleep(0.005)
        settled_ms = desk.market.now_ms()
        desk.market.fund("BTC/USDT", "0.0001")
        await asyncio.sleep(0.005)
        for _ in range(3):
            await watch.round(desk.venue._tell)
        booked, flat = desk.told(FundingPaid)
        assert booked.mark is not None, "the account held something then"
        assert (flat.contract, flat.rate, flat.mark) == (BTC, D("0.0001"), None)
        assert flat.settled_ms is not None
        assert settled_ms <= flat.settled_ms <= settled_ms + 100


async def test_a_payment_that_the_position_does_not_explain_is_logged_and_shared_with_nobody():
    async with account() as desk:
        since_ms = WallClock().now_ms() - 1_000
        await desk.buy(BTC, "0.2")
        desk.market.fund("BTC/USDT", "0.0003")
        core = desk.market.core.accounts[KEY]
        core.incomes[-1] = type(core.incomes[-1])(**{**_fields(core.incomes[-1]), "amount": D("3")})
        desk.venue._watch._since_ms = dict.fromkeys(CONTRACTS, since_ms)
        with capture_logs() as told:
            await desk.venue._watch.round(desk.venue._tell)
        assert desk.told(FundingPaid) == []
        assert "funding_not_understood" in {line["event"] for line in told}


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


async def test_watching_goes_on_through_outages_until_it_is_cancelled(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("rebalancer.venues.ccxt_client.QUESTION_SECONDS", 0.1)
    async with account() as desk:
        await desk.buy(BTC, "0.2")
        desk.market.faults.plan(Fault(shape=Shape.BAD_GATEWAY, path="positionRisk", times=3))
        watch = asyncio.create_task(desk.venue.watch_account(0.01))
        async with asyncio.timeout(10):
            while len(desk.told(PositionsReported)) < 2:  # noqa: ASYNC110 - nothing to wait on
                await asyncio.sleep(0.01)
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        assert watch.cancelled()


async def test_an_account_that_is_not_seen_for_long_is_told_of_and_watched_again(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("rebalancer.venues.ccxt_client.QUESTION_SECONDS", 0.01)
    async with account() as desk:
        since_ms = WallClock().now_ms() - 1_000
        await desk.buy(BTC, "0.2")
        desk.market.fund("BTC/USDT", "0.0003")
        desk.market.faults.plan(Fault(shape=Shape.BAD_GATEWAY, path="positionRisk", times=1_000))
        with pytest.raises(VenueUnavailable, match="account main holds was not told 3 times"):
            await desk.venue.watch_account(0.01, dict.fromkeys(CONTRACTS, since_ms))
        assert desk.told(PositionsReported) == []
        desk.market.faults.clear()
        watch = asyncio.create_task(desk.venue.watch_account(0.01))
        async with asyncio.timeout(10):
            while not desk.told(FundingPaid):  # noqa: ASYNC110 - nothing to wait on
                await asyncio.sleep(0.01)
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        (payment,) = desk.told(FundingPaid)
        assert payment.settled_ms == desk.market.core.accounts[KEY].incomes[-1].at_ms


async def test_a_round_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(account_watch, "ROUND_SECONDS", 0.05)
    async with account() as desk:
        desk.market.faults.plan(Fault(shape=Shape.SILENCE, path="positionRisk", hold_ms=400))
        with capture_logs() as told:
            watch = asyncio.create_task(desk.venue.watch_account(0.01))
            await asyncio.sleep(0.15)
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
        assert "account_round_given_up" in {line["event"] for line in told}


async def test_contracts_take_turns_when_there_are_many(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(account_watch, "CONTRACTS_PER_ROUND", 1)
    async with account() as desk:
        desk.venue._watch._since_ms = dict.fromkeys(CONTRACTS, WallClock().now_ms())
        for _ in range(2):
            await desk.venue._watch.round(desk.venue._tell)
        asked = [call.params["symbol"] for call in desk.market.calls if "income" in call.path]
        assert asked == ["BTCUSDT", "ETHUSDT"]


async def test_a_clock_that_was_set_while_the_desk_runs_is_read_anew_before_the_next_round():
    """Every signed request would be refused for its stamp until the next start."""
    async with account() as desk:
        desk.market.skew_ms = -30_000
        desk.venue._watch._since_ms = dict.fromkeys(CONTRACTS, WallClock().now_ms())
        await desk.venue._watch.round(desk.venue._tell)
        assert abs(desk.venue.clock_offset_ms + 30_000) < 1_000
        assert desk.told(PositionsReported), "the stamp of the question was right again"
        await desk.buy(BTC, "0.2")


async def test_a_clock_that_is_too_far_off_is_not_corrected_for():
    async with account() as desk:
        before_ms = desk.venue.clock_offset_ms
        desk.market.skew_ms = 3_600_000
        with capture_logs() as logs:
            await desk.venue._watch.mind_clock()
        assert desk.venue.clock_offset_ms == before_ms
        assert [log["log_level"] for log in logs if log["event"] == "clock_was_set"] == ["error"]


async def test_a_contract_that_is_listed_no_more_hides_no_other():
    async with account() as desk:
        await desk.buy(BTC, "0.5")
        await desk.buy(ETH, "1")
        core = desk.market.core
        del core.instruments["ETH/USDT"]
        held = core.accounts[KEY].positions
        for key in [key for key, each in held.items() if each.instrument == "ETH/USDT"]:
            del held[key]
        await desk.venue.read_markets()
        await desk.venue.report_positions()
        (report,) = desk.told(PositionsReported)
        assert report.units == {BTC: D("0.5")}


async def test_a_held_contract_that_is_missing_from_the_markets_is_not_flat(
    monkeypatch: pytest.MonkeyPatch,
):
    async with account() as desk:
        await desk.buy(BTC, "0.5")
        row = {"symbol": "ETHUSDT", "contracts": "1", "side": "long"}
        desk.exchange.markets.pop(ETH)

        async def positions(_symbols: Any) -> list[Any]:
            return [row]

        monkeypatch.setattr(desk.exchange, "fetch_positions", positions)
        await desk.venue.report_positions()
        assert desk.told(PositionsReported) == []


async def test_a_payment_waits_a_round_where_a_trade_came_while_it_was_being_understood(
    monkeypatch: pytest.MonkeyPatch,
):
    """What is held was asked for before the trade: the mark would be that of another position."""
    async with account() as desk:
        since_ms = WallClock().now_ms() - 1_000
        await desk.buy(BTC, "0.2")
        desk.market.fund("BTC/USDT", "0.0003")
        await asyncio.sleep(0.005)
        watch, funding = desk.venue._watch, desk.venue.account.funding
        watch._since_ms = dict.fromkeys(CONTRACTS, since_ms)

        async def traded_meanwhile(contract: str, asked_ms: int) -> Any:
            if contract == BTC:
                await desk.buy(BTC, "0.1")
            return await funding(contract, asked_ms)

        monkeypatch.setattr(desk.venue.account, "funding", traded_meanwhile)
        await watch.round(desk.venue._tell)
        assert desk.told(FundingPaid) == []
        monkeypatch.setattr(desk.venue.account, "funding", funding)
        await asyncio.sleep(0.005)
        await watch.round(desk.venue._tell)
        (payment,) = desk.told(FundingPaid)
        booked = desk.market.core.accounts[KEY].incomes
        paid_out = next(each.amount for each in booked if each.kind.name == "FUNDING_FEE")
        assert payment.rate * payment.mark * D("0.2") == -paid_out


async def test_what_the_account_is_worth_is_told_in_every_fourth_round():
    async with account() as desk:
        desk.venue._watch._since_ms = dict.fromkeys(CONTRACTS, WallClock().now_ms())
        for _ in range(5):
            await desk.venue._watch.round(desk.venue._tell)
        told = desk.told(BalanceReported)
        assert len(told) == 2
        wallet = desk.market.core.accounts[KEY].wallet
        assert [(each.currency, each.equity) for each in told] == [("USDT", wallet)] * 2


async def test_a_balance_that_is_not_told_is_no_balance(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("rebalancer.venues.ccxt_client.QUESTION_SECONDS", 0.01)
    async with account() as desk:
        desk.venue._watch._since_ms = dict.fromkeys(CONTRACTS, WallClock().now_ms())
        desk.market.faults.plan(Fault(shape=Shape.BAD_GATEWAY, path="account", times=1_000))
        assert await desk.venue._watch.round(desk.venue._tell)
        assert desk.told(BalanceReported) == []


async def test_what_a_flat_account_owed_long_ago_is_not_asked_for():
    async with account() as desk:
        watch, now_ms = desk.venue._watch, WallClock().now_ms()
        running = asyncio.create_task(watch.run(desk.venue._tell, 3_600, {BTC: 0, ETH: now_ms}))
        await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        day_ago_ms = now_ms - account_watch.FLAT_BACK_MS
        assert day_ago_ms - 100 <= watch._flat_ms[BTC] <= day_ago_ms + 5_000
        assert watch._flat_ms[ETH] == now_ms
        assert watch._since_ms[BTC] == 0, "what the venue booked is asked for from its beginning"
