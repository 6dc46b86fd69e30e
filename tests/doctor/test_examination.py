"""The doctor on a loopback venue: all is well, and each fault is seen and named with its remedy."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from rebalancer.clock import WallClock
from rebalancer.doctor.examination import Examination
from rebalancer.doctor.findings import Finding, Level
from rebalancer.errors import BrokenInvariant
from rebalancer.settings import parse
from rebalancer.venues import exchange_account
from tests.doctor.lines import only_line
from tests.loopback import presets
from tests.loopback.accounts import Account as VenueAccount
from tests.loopback.accounts import Margin
from tests.loopback.clients import client as bare
from tests.loopback.faults import Fault, Shape
from tests.loopback.instruments import Listing
from tests.loopback.orders import Book
from tests.loopback.presets import KEY, SECRET
from tests.loopback.server import LoopbackVenue

D = Decimal
BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
KEYS = {"REBALANCER__ACCOUNTS__MAIN__API_KEY": KEY, "REBALANCER__ACCOUNTS__MAIN__SECRET": SECRET}
CONFIG = """
mode = "{mode}"
[store]
url = "sqlite:///{folder}/desk.db"
[desk]
control_socket = "{folder}/d.sock"
[accounts.main]
venue = "{venue}"
endpoint = "{endpoint}"
{account}
[funds.BTC3L]
account = "main"
target_leverage = 3
basket = {{ "BTC/USDT:USDT" = 1 }}
[funds.ETH3S]
account = "main"
target_leverage = -3
initial_shares = {shares}
basket = {{ "{second}" = 1 }}
"""
#: what the operator of each venue has to say for all to be well
GOOD = {"binanceusdm": "leverage = 20", "xt": "hedge = true\naccept_untold = true"}
DIALECTS: dict[str, Callable[[], Any]] = {"binanceusdm": presets.binance, "xt": presets.xt}


@dataclass
class Clinic:
    """A venue, and a desk that would trade on it."""

    market: LoopbackVenue
    venue_id: str
    folder: Path
    mode: str = "live"
    account: str | None = None
    second: str = ETH
    shares: int = 10_000
    keys: dict[str, str] | None = None

    @property
    def owner(self) -> VenueAccount:
        return self.market.core.accounts[KEY]

    async def examine(self) -> list[Finding]:
        return [finding async for finding in self.examination().findings()]

    def examination(self) -> Examination:
        text = CONFIG.format(
            mode=self.mode,
            folder=self.folder,
            venue=self.venue_id,
            endpoint=self.market.rest,
            account=GOOD[self.venue_id] if self.account is None else self.account,
            second=self.second,
            shares=self.shares,
        )
        return Examination(
            config=parse(text, "config.toml", KEYS if self.keys is None else self.keys),
            clock=WallClock(),
            stream_seconds=2.0,
        )


pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(params=DIALECTS)
async def clinic(request: pytest.FixtureRequest, tmp_path: Path, unlimited_account: None) -> Any:
    async with LoopbackVenue(DIALECTS[request.param](), beat_ms=50) as market:
        yield Clinic(market, request.param, tmp_path)


@pytest.fixture
async def binance(tmp_path: Path) -> Any:
    async with LoopbackVenue(presets.binance(), beat_ms=50) as market:
        yield Clinic(market, "binanceusdm", tmp_path)


def at_the_venue(findings: list[Finding], level: Level) -> dict[str, str]:
    """What was seen at this level, by check; this machine is what it is."""
    return {
        each.check: each.seen for each in findings if each.level is level and each.where != "here"
    }


async def only(clinic: Clinic, level: Level, check: str) -> Finding:
    """Examine, and return the one line that is not well."""
    accepted = {"key rights"} if clinic.venue_id == "xt" else set()
    return only_line(await clinic.examine(), level, check, accepted)


async def test_all_is_well_where_all_is_well(clinic: Clinic) -> None:
    findings = await clinic.examine()
    well = at_the_venue(findings, Level.OK)
    assert at_the_venue(findings, Level.FAIL) == {}
    told = {"key rights"} if clinic.venue_id == "xt" else set()
    assert at_the_venue(findings, Level.WARN).keys() == told
    assert well.keys() | told == {
        "reachable", "clock", "contracts", "keys", "key rights", "position mode", "margin mode",
        "leverage", "positions", "open orders", "rate budget", "prices", "sizes",
    }  # fmt: skip
    assert "equity 100,000.00, 100,000.00 USDT free" in well["keys"]
    assert well["contracts"] == f"2 contracts open for orders: {BTC}, {ETH}"
    way = "by polling" if clinic.venue_id == "xt" else "by stream"
    assert f"marks of 2 contracts {way}" in well["prices"]


async def test_it_asks_and_never_writes(clinic: Clinic) -> None:
    await clinic.examine()
    assert {call.method for call in clinic.market.calls} == {"GET"}
    assert clinic.market.violations == []
    assert not clinic.owner.orders


async def test_a_write_that_slipped_in_would_be_refused_unsent(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def writes(book: Any, contract: str) -> Any:
        exchange = book._client._exchange
        hedged = {"positionSide": "LONG"}
        return await exchange.create_order(contract, "limit", "buy", 1, 50_000, hedged)

    monkeypatch.setattr(exchange_account.ExchangeAccount, "open_orders", writes)
    with pytest.raises(BrokenInvariant, match="is no read of"):
        await clinic.examine()
    assert {call.method for call in clinic.market.calls} == {"GET"}


# -- each fault ---------------------------------------------------------------------------------


async def test_a_venue_that_is_down(clinic: Clinic) -> None:
    clinic.market.maintenance = True
    finding = await only(clinic, Level.FAIL, "reachable")
    assert finding.seen.startswith(clinic.venue_id)
    assert "status page" in finding.fix


async def test_a_clock_that_is_off_by_seconds_and_by_minutes(clinic: Clinic) -> None:
    clinic.market.skew_ms = 3_000
    assert "ahead of ours" in (await only(clinic, Level.WARN, "clock")).seen
    clinic.market.skew_ms = -120_000
    finding = next(
        each for each in await clinic.examine() if each.check == "clock" and each.where != "here"
    )
    assert finding.level is Level.FAIL
    assert "behind ours" in finding.seen
    assert "timedatectl" in finding.fix


async def test_a_contract_that_is_not_listed(clinic: Clinic) -> None:
    clinic.second = "ETC/USDT:USDT"
    finding = await only(clinic, Level.FAIL, "contracts")
    assert "has no ETC/USDT:USDT; the nearest is " in finding.seen


async def test_a_contract_that_is_not_traded(clinic: Clinic) -> None:
    clinic.market.core.instruments["ETH/USDT"].listing = Listing.HALTED
    finding = await only(clinic, Level.FAIL, "contracts")
    assert finding.seen == f"{ETH}: status not active (here active)"


async def test_a_contract_that_the_configuration_describes_differently(binance: Clinic) -> None:
    binance.account = f'{GOOD["binanceusdm"]}\n[contracts."{ETH}"]\nlot = 0.5'
    finding = await only(binance, Level.FAIL, "contracts")
    assert "lot 0.001 (here 0.5)" in finding.seen


async def test_keys_that_the_venue_does_not_take(clinic: Clinic) -> None:
    clinic.keys = KEYS | {"REBALANCER__ACCOUNTS__MAIN__SECRET": "another-secret-of-another-key"}
    findings = await clinic.examine()
    assert at_the_venue(findings, Level.FAIL).keys() == {"keys"}
    assert at_the_venue(findings, Level.SKIP) == {"account": "the venue does not show the account"}


async def test_a_key_that_may_withdraw_from_anywhere(binance: Clinic) -> None:
    binance.owner.may_withdraw, binance.owner.ip_restricted = True, False
    finding = await only(binance, Level.FAIL, "key rights")
    assert "may withdraw and works from any address" in finding.seen
    assert "API management of Binance USD-M" in finding.fix
    binance.account = GOOD["binanceusdm"] + "\naccept_key_rights = true"
    assert "you said to go on" in (await only(binance, Level.WARN, "key rights")).seen


async def test_a_venue_that_does_not_tell_what_the_key_may_do(tmp_path: Path) -> None:
    async with LoopbackVenue(presets.xt(), beat_ms=50) as market:
        clinic = Clinic(market, "xt", tmp_path, account="hedge = true")
        finding = await only(clinic, Level.FAIL, "key rights")
        assert finding.seen.startswith("XT does not tell what the key may do")
        assert "accept_untold" in finding.fix


async def test_books_that_are_kept_differently(binance: Clinic) -> None:
    binance.owner.hedged = True
    finding = await only(binance, Level.FAIL, "position mode")
    assert "keeps two books (hedge mode)" in finding.seen
    assert "while nothing is held" in finding.fix


async def test_one_book_where_the_venue_always_keeps_two(tmp_path: Path) -> None:
    async with LoopbackVenue(presets.xt(), beat_ms=50) as market:
        clinic = Clinic(market, "xt", tmp_path, account="hedge = false\naccept_untold = true")
        finding = await only(clinic, Level.FAIL, "position mode")
        assert finding.fix == "set it to true"


def hold(clinic: Clinic, contracts: str) -> None:
    book = Book.LONG if clinic.venue_id == "xt" else Book.NET
    position = clinic.owner.position("ETH/USDT", book)
    position.contracts, position.entry = D(contracts), D(3000)


async def test_margin_that_is_isolated(clinic: Clinic) -> None:
    hold(clinic, "2")
    for book in Book:
        clinic.owner.margins["ETH/USDT", book] = Margin.ISOLATED
    finding = await only(clinic, Level.FAIL, "margin mode")
    assert f"{ETH} at " in finding.seen
    assert "is set to isolated" in finding.seen


async def test_leverage_that_is_set_otherwise(clinic: Clinic) -> None:
    hold(clinic, "2")
    clinic.account = GOOD[clinic.venue_id].replace("leverage = 20", "") + "\nleverage = 7"
    finding = await only(clinic, Level.FAIL, "leverage")
    assert finding.fix.startswith("have `rebalancer set-modes main` set it to 7 there")


async def test_what_is_held_is_told(clinic: Clinic) -> None:
    hold(clinic, "6000" if clinic.venue_id == "xt" else "60")
    seen = at_the_venue(await clinic.examine(), Level.OK)["positions"]
    assert seen.startswith(f"60 {ETH} long, ")
    assert seen.endswith("from liquidation")


async def test_open_orders_of_somebody_else(clinic: Clinic) -> None:
    params = {"positionSide": "LONG"} if clinic.venue_id == "xt" else {}
    async with bare(clinic.market, clinic.venue_id) as exchange:
        await exchange.load_markets()
        await exchange.create_order(ETH, "limit", "buy", 10, 2900, params)
        await exchange.create_order(
            BTC, "limit", "buy", 10, 49_000, params | {"clientOrderId": "r" + "0" * 25}
        )
    clinic.market.calls.clear()
    finding = await only(clinic, Level.WARN, "open orders")
    units = "0.1" if clinic.venue_id == "xt" else "10"
    assert finding.seen.startswith(f"1 not of the desk: buy {units} of {ETH}, id ")


async def test_a_fund_that_is_too_small_for_its_orders(clinic: Clinic) -> None:
    clinic.shares = 1
    clinic.market.core.instruments["ETH/USDT"].min_notional = D(20)
    finding = await only(clinic, Level.WARN, "sizes")
    assert finding.seen.startswith(f"ETH3S: the smallest order of {ETH} is ")
    assert "of its exposure of 300.00" in finding.seen


async def test_streams_that_say_nothing(binance: Clinic) -> None:
    binance.market.hub.muted = True
    finding = await only(binance, Level.WARN, "prices")
    assert finding.seen == f"{BTC}, {ETH}: no mark by stream within 2 s; asked for, it comes"


async def test_no_prices_at_all(clinic: Clinic) -> None:
    clinic.market.hub.muted = True
    path = "premiumIndex|agg-tickers|q/ticker"
    clinic.market.faults.plan(
        *(Fault(shape=Shape.BUSY, path=each, times=99) for each in path.split("|"))
    )
    finding = await only(clinic, Level.FAIL, "prices")
    assert "neither by stream nor asked for" in finding.seen


async def test_somebody_else_who_uses_up_the_limits(binance: Clinic) -> None:
    async with bare(binance.market, "binanceusdm") as exchange:
        await exchange.load_markets()
        for _ in range(42):
            await exchange.fapiPublicGetTicker24hr()
    async with aclosing(binance.examination().findings()) as findings:
        budget = [each async for each in until(findings, "rate budget")][-1]
    assert budget.level is Level.WARN
    assert "what is left of weight-1m is for orders only" in budget.seen


async def until(findings: AsyncGenerator[Finding, None], check: str) -> AsyncIterator[Finding]:
    """Yield lines up to the first of a check: what comes behind has to wait its turn."""
    async for finding in findings:
        yield finding
        if finding.check == check:
            return


# -- other modes --------------------------------------------------------------------------------


async def test_a_paper_desk_is_asked_nothing_about_its_accounts(clinic: Clinic) -> None:
    clinic.mode = "paper"
    findings = await clinic.examine()
    skipped = at_the_venue(findings, Level.SKIP)
    assert skipped == {"account": "a paper desk asks no venue about its accounts"}
    well = at_the_venue(findings, Level.OK)
    assert well.keys() == {
        "reachable", "clock", "contracts", "rate budget", "prices", "sizes",
    }  # fmt: skip
    private = ("position", "balance", "account", "order")
    asked = [call.path for call in clinic.market.calls]
    assert not [path for path in asked if any(word in path.rpartition("/v")[2] for word in private)]


async def test_a_dry_run_without_keys_looks_at_prices_only(clinic: Clinic) -> None:
    clinic.mode, clinic.keys = "dry-run", {}
    skipped = at_the_venue(await clinic.examine(), Level.SKIP)
    assert skipped == {"account": "no keys, so its venue shows nothing of it"}


async def test_a_dry_run_with_keys_is_examined_whole(clinic: Clinic) -> None:
    clinic.mode = "dry-run"
    findings = await clinic.examine()
    assert "open orders" in at_the_venue(findings, Level.OK)
    assert at_the_venue(findings, Level.FAIL) == {}


async def test_live_without_keys_says_which_and_where(binance: Clinic) -> None:
    binance.keys = {}
    findings = [each for each in await binance.examine() if each.level is Level.FAIL]
    assert [each.check for each in findings] == ["configuration", "configuration"]
    assert "accounts.main.api_key: is missing" in findings[0].seen
    assert "REBALANCER__ACCOUNTS__MAIN__API_KEY" in findings[0].fix
