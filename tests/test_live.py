"""What live trading needs of the configuration, and how an account of it is reached."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rebalancer.desk.kill_switch import KillSwitch
from rebalancer.errors import ConfigRefused
from rebalancer.exchanges import open_exchange, open_streams
from rebalancer.live import (
    at_venue,
    expected_of,
    has_keys,
    keys_of,
    limiters_of,
    refuse_unready,
    writer_of,
)
from rebalancer.settings import Config, parse
from rebalancer.venues.exchange_checks import Expected
from rebalancer.venues.facts import FACTS
from rebalancer.venues.facts_account import ACCOUNTS

DESK = """\
mode = "live"

[accounts.main]
venue = "binanceusdm"

[funds.BTC3L]
account = "main"
target_leverage = 3
basket = { "BTC/USDT:USDT" = 1 }
"""
SECOND = '\n[accounts.second]\nvenue = "xt"\n'


def environ(account: str = "main", *names: str) -> dict[str, str]:
    return {
        f"REBALANCER__ACCOUNTS__{account.upper()}__{name.upper()}": f"{account}-{name}"
        for name in names or ("api_key", "secret")
    }


def config(text: str = DESK, given: dict[str, str] | None = None, **tables: Any) -> Config:
    return parse(text, environ=environ() if given is None else given, overrides=tables)


def refusal(known: Config) -> str:
    with pytest.raises(ConfigRefused) as refused:
        refuse_unready(known)
    return str(refused.value)


class TestReadiness:
    def test_an_account_on_a_venue_of_the_table_with_its_keys_is_ready(self) -> None:
        refuse_unready(config())

    @pytest.mark.parametrize("mode", ["paper", "dry-run"])
    def test_other_modes_need_nothing(self, mode: str) -> None:
        refuse_unready(config(DESK.replace("live", mode), {}))

    def test_keys_that_are_missing_are_named_with_the_places_to_put_them(self) -> None:
        assert refusal(config(given={})) == (
            "accounts.main.api_key: is missing, and live trading on Binance USD-M needs it; set "
            "REBALANCER__ACCOUNTS__MAIN__API_KEY or the credential accounts__main__api_key\n"
            "accounts.main.secret: is missing, and live trading on Binance USD-M needs it; set "
            "REBALANCER__ACCOUNTS__MAIN__SECRET or the credential accounts__main__secret"
        )

    def test_a_venue_that_signs_with_a_passphrase_needs_it(self) -> None:
        assert refusal(config(DESK.replace("binanceusdm", "okx"))).startswith(
            "accounts.main.password: is missing"
        )

    def test_a_venue_that_is_not_in_the_table_is_refused_with_the_nearest(self) -> None:
        sentence = refusal(config(DESK.replace("binanceusdm", "binanceusd")))
        assert sentence.startswith(
            "accounts.main.venue: 'binanceusd' cannot be traded on; the nearest is binanceusdm; "
            "live trading knows binanceusdm, bybit"
        )

    def test_an_account_of_paper_cannot_be_traded_on(self) -> None:
        assert refusal(config(DESK.replace("binanceusdm", "paper"), {}, feed={"venue": "xt"}))

    def test_every_account_is_looked_at(self) -> None:
        assert refusal(config(DESK + SECOND)).startswith("accounts.second.api_key: is missing")

    def test_prices_that_are_not_the_venues_own_are_refused(self) -> None:
        assert refusal(config(feed={"source": "simulated"})) == (
            "feed.source: simulated prices are not those of binanceusdm, which live trading "
            'needs; set it to "ccxt" or take it away'
        )
        assert refusal(config(feed={"venue": "okx"})) == (
            "feed.venue: live trading on binanceusdm needs the prices of binanceusdm, not of okx; "
            "take it away"
        )

    def test_without_an_account_there_is_nothing_to_trade_on(self) -> None:
        without = replace(config(), accounts={})
        assert refusal(without).startswith("accounts: live trading needs an account; add an ")

    def test_two_venues_at_a_time_are_refused(self) -> None:
        both = config(DESK + SECOND, environ() | environ("second"))
        assert refusal(both) == (
            "accounts: this version trades on one venue at a time, these are on binanceusdm and "
            "xt; run a desk with a store of its own for each"
        )


class TestKeys:
    @pytest.mark.parametrize("venue", FACTS)
    def test_the_keys_are_those_that_ccxt_wants(self, venue: str) -> None:
        wanted = open_exchange(venue).requiredCredentials
        assert set(ACCOUNTS[venue].keys) == {name for name, needed in wanted.items() if needed}

    def test_they_go_by_the_names_of_ccxt(self) -> None:
        known = config(DESK.replace("binanceusdm", "hyperliquid"))
        assert keys_of(known, "main") == {
            "walletAddress": "main-api_key",
            "privateKey": "main-secret",
        }
        assert has_keys(known, "main")

    def test_a_part_of_them_is_none(self) -> None:
        assert not has_keys(config(given=environ("main", "api_key")), "main")
        assert not has_keys(config(DESK.replace("binanceusdm", "paper")), "main")

    def test_they_come_from_a_folder_of_credentials_as_well(self, tmp_path: Any) -> None:
        for name in ("api_key", "secret"):
            (tmp_path / f"accounts__main__{name}").write_text(f"file-{name}\n")
        known = config(given={"CREDENTIALS_DIRECTORY": str(tmp_path)})
        assert keys_of(known, "main") == {"apiKey": "file-api_key", "secret": "file-secret"}


def test_what_is_expected_of_an_account_is_what_the_operator_says() -> None:
    said = "leverage = 5\naccept_untold = true\naccept_key_rights = true\n"
    known = config(DESK.replace('"binanceusdm"\n', f'"binanceusdm"\n{said}'))
    assert expected_of(known, "main") == Expected(
        leverage=5, accept_key_rights=True, accept_untold=True
    )
    assert expected_of(config(), "main") == Expected()
    assert at_venue(config(), "main").endpoint == ""


def leaves(addresses: Any) -> Iterator[str]:
    """Yield every address in a tree of them."""
    if isinstance(addresses, dict):
        addresses = list(addresses.values())
    if isinstance(addresses, list):
        for each in addresses:
            yield from leaves(each)
    elif isinstance(addresses, str) and "://" in addresses:
        yield addresses


@pytest.mark.parametrize("venue", FACTS)
@pytest.mark.parametrize("opened", [open_exchange, open_streams])
def test_an_endpoint_takes_the_place_of_every_address_and_keeps_its_path(
    venue: str, opened: Any
) -> None:
    before = list(leaves(opened(venue).urls))
    after = list(leaves(opened(venue, "http://127.0.0.1:8080").urls))
    assert len(after) == len(before) > 0
    for was, now in zip(before, after, strict=True):
        origin = "ws://127.0.0.1:8080" if was.startswith("ws") else "http://127.0.0.1:8080"
        assert now == origin + "/".join(["", *was.split("/")[3:]])


def test_a_safe_endpoint_has_safe_streams() -> None:
    moved = open_streams("binanceusdm", "https://localhost").urls["api"]
    assert moved["fapiPrivate"] == "https://localhost/fapi/v1"
    assert moved["ws"]["linear"] == "wss://localhost/ws"


async def test_what_writes_to_a_venue_looks_at_the_kill_switch_of_its_desk(tmp_path: Path) -> None:
    known = config(store={"url": f"sqlite:///{tmp_path}/desk.db"})
    client = writer_of(known, "main", limiters_of(known)["binanceusdm"])
    try:
        assert client.barred() is None
        KillSwitch(tmp_path / "desk.db.killed").set("a drill", 0)
        assert str(client.barred()).startswith("a drill (set ")
    finally:
        await client.close()
