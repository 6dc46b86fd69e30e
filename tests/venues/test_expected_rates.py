"""What venues expect of the next settlement, read through ccxt to the digit; garbage is no rate.

The answers are ours, in the venues' documented shapes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from rebalancer.core.instant import DAY_MS, HOUR_MS
from rebalancer.errors import VenueUnavailable
from rebalancer.venues.expected_rates import LENGTHS_EVERY, ExpectedRates
from rebalancer.venues.facts import FACTS
from rebalancer.venues.facts_shape import Ask, Call
from rebalancer.venues.statements import ExpectedFunding
from tests.venues.golden.markets import contracts_of
from tests.venues.golden.recorder import NOW_MS, Recorder

D = Decimal
#: the next full eight hours of the venue's clock, and the next full hour
DUE_MS = (NOW_MS // (8 * HOUR_MS) + 1) * 8 * HOUR_MS
SOON_MS = (NOW_MS // HOUR_MS + 1) * HOUR_MS
RATE = "-0.000123450000000001"

_BINANCE = {"symbol": "BTCUSDT", "lastFundingRate": RATE, "nextFundingTime": DUE_MS, "time": NOW_MS}
_BYBIT = {"symbol": "BTCUSDT", "fundingRate": RATE, "nextFundingTime": str(DUE_MS)}
_OKX = {
    "instId": "BTC-USDT-SWAP",
    "fundingRate": RATE,
    "fundingTime": str(DUE_MS),
    "nextFundingRate": "0.9",
    "nextFundingTime": str(DUE_MS + 8 * HOUR_MS),
}
_GATE = {
    "name": "BTC_USDT",
    "funding_rate": RATE,
    "funding_rate_indicative": "0.9",
    "funding_next_apply": DUE_MS // 1_000,
    "funding_interval": 28_800,
}
_XT = {
    "symbol": "btc_usdt",
    "fundingRate": RATE,
    "nextCollectionTime": DUE_MS,
    "collectionInternal": 8,
}
_BITGET = {
    "symbol": "BTCUSDT",
    "fundingRate": RATE,
    "fundingRateInterval": "8",
    "nextUpdate": str(DUE_MS),
}
_KUCOIN = {
    "symbol": ".XBTUSDTMFPI8H",
    "granularity": 28_800_000,
    "timePoint": DUE_MS - 8 * HOUR_MS,
    "value": RATE,
    "fundingTime": DUE_MS,
}
_MEXC = {
    "symbol": "BTC_USDT",
    "fundingRate": RATE,
    "collectCycle": 8,
    "nextSettleTime": DUE_MS,
    "timestamp": NOW_MS,
}
_HYPERLIQUID = [{"universe": [{"name": "BTC"}, {"name": "ETH"}]}, [{"funding": RATE}] * 2]

ANSWERS: Mapping[str, Mapping[str, Any]] = {
    "binanceusdm": {"premiumIndex": _BINANCE, "fundingInfo": []},
    "bybit": {"tickers": {"retCode": 0, "result": {"list": [_BYBIT]}, "time": NOW_MS}},
    "okx": {"funding-rate": {"code": "0", "data": [_OKX]}},
    "gate": {"BTC_USDT": _GATE},
    "xt": {"funding-rate": {"returnCode": 0, "result": _XT}},
    "bitget": {"current-fund-rate": {"code": "00000", "data": [_BITGET]}},
    "kucoinfutures": {"current": {"code": "200000", "data": _KUCOIN}},
    "mexc": {"BTC_USDT": {"success": True, "code": 0, "data": _MEXC}},
    "hyperliquid": {"info": _HYPERLIQUID},
}


class Told(Recorder):
    """A venue that answers by the end of the path, and counts what it was asked."""

    def __init__(self, venue_id: str, answers: Mapping[str, Any]) -> None:
        super().__init__(FACTS[venue_id])
        self.answers = answers
        self.asked: list[str] = []

    async def _fetch(
        self, url: str, method: str = "GET", headers: Any = None, body: Any = None
    ) -> Any:
        await super()._fetch(url, method, headers, body)
        name = self.requests[-1]["path"].rsplit("/", 1)[-1]
        self.asked.append(name)
        return self.answers[name]

    async def ask(self, call: Call, kind: Ask) -> Any:
        assert kind is Ask.RATES
        return await call.carry_out(self.exchange)


@asynccontextmanager
async def telling(venue_id: str, **over: Any) -> AsyncIterator[tuple[ExpectedRates, Told]]:
    told = Told(venue_id, {**ANSWERS[venue_id], **over})
    if venue_id == "bybit":  # which tells the length with its markets
        for market in told.exchange.markets.values():
            market["info"]["fundingInterval"] = 480
    try:
        yield ExpectedRates(told.ask, venue_id), told
    finally:
        await told.close()


async def read(rates: ExpectedRates, venue_id: str) -> ExpectedFunding:
    symbol = contracts_of(venue_id)[0].symbol
    return (await rates.read([symbol], NOW_MS))[symbol]


@pytest.mark.parametrize("venue_id", FACTS)
async def test_rate_and_interval_of_the_settlement_to_come_are_read(venue_id: str):
    async with telling(venue_id) as (rates, told):
        found = await read(rates, venue_id)
        assert found.rate == D(RATE)
        hourly = venue_id == "hyperliquid"
        due_ms, length_ms = (SOON_MS, HOUR_MS) if hourly else (DUE_MS, 8 * HOUR_MS)
        assert (found.from_ms, found.due_ms) == (due_ms - length_ms, due_ms)
        assert len(told.asked) == len(ANSWERS[venue_id])


async def test_hyperliquid_tells_all_contracts_with_one_question():
    symbols = [each.symbol for each in contracts_of("hyperliquid")]
    async with telling("hyperliquid") as (rates, told):
        assert list(await rates.read(symbols, NOW_MS)) == symbols
        assert told.asked == ["info"]


async def test_one_contract_that_cannot_be_read_among_many_keeps_no_other_from_it():
    first, second = (each.symbol for each in contracts_of("hyperliquid"))
    rows = [{"funding": "0.11"}, {"funding": RATE}]
    async with telling("hyperliquid", info=[_HYPERLIQUID[0], rows]) as (rates, _):
        found = await rates.read([first, second], NOW_MS)
        assert {symbol: each.rate for symbol, each in found.items()} == {second: D(RATE)}
        assert list(await rates.read([second, first], NOW_MS)) == [second]
        with pytest.raises(VenueUnavailable, match=f"expected funding of {first}"):
            await rates.read([first], NOW_MS)


async def test_binance_lists_other_lengths_apart_and_is_asked_for_them_now_and_then():
    four_hours = [{"symbol": "BTCUSDT", "fundingIntervalHours": 4}]
    async with telling("binanceusdm", fundingInfo=four_hours) as (rates, told):
        found = await read(rates, "binanceusdm")
        assert found.due_ms - found.from_ms == 4 * HOUR_MS
        for _ in range(LENGTHS_EVERY):
            await read(rates, "binanceusdm")
        assert told.asked.count("fundingInfo") == 2
        assert told.asked.count("premiumIndex") == LENGTHS_EVERY + 1


@pytest.mark.parametrize(
    "garbage",
    [
        {"fundingRate": None},
        {"fundingRate": ""},
        {"fundingRate": "NaN"},
        {"fundingRate": "Infinity"},
        {"fundingRate": "0.11"},
        {"fundingRate": "-0.11"},
        {"fundingRate": [1]},
        {"fundingTimestamp": None},
        {"fundingTimestamp": NOW_MS - HOUR_MS},
        {"fundingTimestamp": NOW_MS + 2 * DAY_MS},
        {"interval": None},
        {"interval": "0h"},
        {"interval": "-8h"},
        {"interval": "48h"},
        {"interval": "soon"},
    ],
)
async def test_what_no_rate_can_be_is_none(garbage: dict[str, Any]):
    row = {"fundingRate": RATE, "fundingTimestamp": DUE_MS, "interval": "8h"} | garbage

    async def ask(_call: Call, _kind: Ask) -> Any:
        return row

    with pytest.raises(VenueUnavailable, match="unreadable answer"):
        await read(ExpectedRates(ask, "xt"), "xt")


async def test_a_length_that_ccxt_has_no_word_for_is_told_in_milliseconds():
    async with telling("gate", BTC_USDT={**_GATE, "funding_interval": 7_200}) as (rates, _):
        found = await read(rates, "gate")
        assert found.due_ms - found.from_ms == 2 * HOUR_MS
