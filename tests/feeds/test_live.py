"""Live prices through ccxt, with a venue that answers from this file."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import ccxt.async_support as ccxt
import pytest
from structlog.testing import capture_logs

from rebalancer import clock, exchanges
from rebalancer.clock import VirtualClock
from rebalancer.core.contract import Contract
from rebalancer.core.events import PricesObserved, PriceTick
from rebalancer.core.fund import PriceSource
from rebalancer.errors import ConfigRefused, VenueUnavailable
from rebalancer.exchanges import UNREADABLE, exactly
from rebalancer.feeds import live
from rebalancer.feeds.live import CcxtFeed, contracts
from rebalancer.ports import PriceFeed

BTC = "BTC/USDT:USDT"
ETH = "ETH/USDT:USDT"
NOW_MS = 1_767_225_600_000
MARK, INDEX, LAST = PriceSource.MARK, PriceSource.INDEX, PriceSource.LAST


def listed(base: str, tick: str, lot: str, **kwargs: Any) -> dict[str, Any]:
    return {
        "symbol": f"{base}USDT",
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "status": "TRADING",
        "baseAsset": base,
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": tick, "minPrice": tick, "maxPrice": "1e6"},
            {"filterType": "LOT_SIZE", "stepSize": lot, "minQty": lot, "maxQty": "1000"},
            {"filterType": "MIN_NOTIONAL", "notional": "100"},
        ],
        **kwargs,
    }


def marked(symbol: str, mark: str, index: str, at_ms: int = NOW_MS) -> dict[str, Any]:
    return {"symbol": symbol, "markPrice": mark, "indexPrice": index, "time": at_ms}


class Venue:
    """Binance's public futures routes; an answer that is an exception is raised."""

    def __init__(self) -> None:
        dated = {"contractType": "CURRENT_QUARTER", "deliveryDate": 1774569600000}
        self.answers: dict[str, Any] = {
            "exchangeInfo": {
                "symbols": [
                    listed("BTC", "0.10", "0.001"),
                    listed("ETH", "0.01", "0.001"),
                    listed("BTC", "0.10", "0.001", symbol="BTCUSDT_260327", **dated),
                ]
            },
            "premiumIndex": [
                marked("BTCUSDT", "60000.10000000", "59995.12345678"),
                marked("ETHUSDT", "3000.01000000", "2999.5"),
            ],
            "price": [{"symbol": "BTCUSDT", "price": "60001.20", "time": NOW_MS - 5}],
        }
        self.asked: list[str] = []
        self.failures: list[Exception] = []
        self.closed = 0

    async def fetch(self, url: str, *_: Any, **__: Any) -> Any:
        route = urlsplit(url).path.rpartition("/")[2]
        self.asked.append(route)
        if self.failures:
            raise self.failures.pop(0)
        return self.answers[route]


@pytest.fixture
def venue(monkeypatch: pytest.MonkeyPatch) -> Venue:
    """A venue in place of binanceusdm's, and no waiting between two attempts."""
    stub = Venue()
    close = ccxt.binanceusdm.close

    async def closing(exchange: Any) -> None:
        stub.closed += 1
        await close(exchange)

    monkeypatch.setattr(ccxt.binanceusdm, "fetch", staticmethod(stub.fetch))
    monkeypatch.setattr(ccxt.binanceusdm, "close", closing)
    monkeypatch.setattr(exchanges, "LONGEST_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(clock, "LONGEST_NAP_S", 0.001)
    return stub


class Polls:
    """A feed driven poll by poll on a clock moved by hand."""

    def __init__(self, sources: dict[str, tuple[PriceSource, ...]]) -> None:
        self.clock = VirtualClock(NOW_MS + 40)
        self.feed = CcxtFeed("binanceusdm", sources, self.clock, interval_ms=1_000)
        self._prices = self.feed.prices()

    async def next(self) -> PricesObserved:
        self.clock.advance(1_000)
        return await anext(self._prices)


def found(observed: PricesObserved) -> list[tuple[str, PriceSource, str]]:
    return [(tick.contract, tick.source, str(tick.price)) for tick in observed.ticks]


async def test_mark_and_index_arrive_with_every_digit_and_the_venue_s_own_time(
    venue: Venue,
) -> None:
    polls = Polls({BTC: (MARK, INDEX), ETH: (MARK,)})
    observed = await polls.next()
    assert observed == PricesObserved(
        polls.clock.now_ms(),
        (
            PriceTick(BTC, MARK, Decimal("60000.1"), NOW_MS),
            PriceTick(BTC, INDEX, Decimal("59995.12345678"), NOW_MS),
            PriceTick(ETH, MARK, Decimal("3000.01"), NOW_MS),
        ),
    )
    assert venue.asked == ["exchangeInfo", "premiumIndex"]
    await polls.feed.close()


async def test_the_last_price_is_asked_for_only_where_a_fund_needs_it(venue: Venue) -> None:
    polls = Polls({BTC: (MARK, LAST)})
    observed = await polls.next()
    assert found(observed) == [(BTC, MARK, "60000.10000000"), (BTC, LAST, "60001.20")]
    assert observed.ticks[1].at_ms == NOW_MS - 5
    assert venue.asked == ["exchangeInfo", "premiumIndex", "price"]
    await polls.feed.close()


async def test_a_price_with_the_stamp_of_the_one_before_is_no_news(venue: Venue) -> None:
    polls = Polls({BTC: (MARK,), ETH: (MARK,)})
    await polls.next()
    venue.answers["premiumIndex"][1] = marked("ETHUSDT", "3001", "3000", NOW_MS + 1_000)
    assert found(await polls.next()) == [(ETH, MARK, "3001")]
    await polls.feed.close()


async def test_where_the_venue_stamps_nothing_the_instant_of_the_question_counts(
    venue: Venue,
) -> None:
    del venue.answers["price"][0]["time"]
    polls = Polls({BTC: (LAST,)})
    assert (await polls.next()).ticks[0].at_ms == polls.clock.now_ms()
    await polls.feed.close()


async def test_a_clock_that_is_set_back_keeps_no_news_away(venue: Venue) -> None:
    """Without a stamp of the venue's all prices would be older than the last, for as long."""
    del venue.answers["price"][0]["time"]
    polls = Polls({BTC: (LAST,)})
    await polls.next()
    polls.clock.set(NOW_MS - 3_600_000)
    coming = asyncio.create_task(polls.next())
    while not coming.done():
        await asyncio.sleep(0.002)
        polls.clock.advance(500)
        assert polls.clock.now_ms() < NOW_MS - 3_000_000
    assert (await coming).ticks[0].at_ms < NOW_MS - 3_000_000
    await polls.feed.close()


@pytest.mark.parametrize("bad", ["0", "-1", "NaN", "Infinity", "n/a", "", None])
async def test_a_bad_value_is_dropped_and_warned_of_once(venue: Venue, bad: Any) -> None:
    venue.answers["premiumIndex"][0]["markPrice"] = bad
    polls = Polls({BTC: (MARK, INDEX)})
    with capture_logs() as logs:
        assert found(await polls.next()) == [(BTC, INDEX, "59995.12345678")]
        venue.answers["premiumIndex"][0]["time"] += 1_000
        assert [tick.source for tick in (await polls.next()).ticks] == [INDEX]
    (entry,) = logs
    assert (entry["event"], entry["log_level"]) == ("price_dropped", "warning")
    assert (entry["contract"], entry["source"]) == (BTC, "mark")
    assert entry["reason"] in {"missing", "not a number above zero"}
    await polls.feed.close()


async def test_an_answer_that_is_no_object_is_a_price_that_is_missing(venue: Venue) -> None:
    """ccxt makes a ticker of it, with the word where the venue's own fields would be."""
    good, venue.answers["premiumIndex"] = venue.answers["premiumIndex"], "busy"
    polls = Polls({BTC: (MARK,)})
    with capture_logs() as logs:
        coming = asyncio.create_task(polls.next())
        while not (logs or coming.done()):  # noqa: ASYNC110 - a log has no event to wait for
            await asyncio.sleep(0.001)
        venue.answers["premiumIndex"] = good[0]
        polls.clock.advance(5_000)
        assert found(await coming) == [(BTC, MARK, "60000.10000000")]
    assert [entry["event"] for entry in logs] == ["price_dropped"]
    await polls.feed.close()


async def test_a_network_failure_is_asked_again(venue: Venue) -> None:
    polls = Polls({BTC: (MARK,)})
    await polls.next()
    venue.failures = [ccxt.RequestTimeout("binance GET"), ccxt.ExchangeNotAvailable("binance GET")]
    venue.answers["premiumIndex"][0]["time"] += 1_000
    with capture_logs() as logs:
        await polls.next()
    assert logs == []
    assert venue.asked[2:] == ["premiumIndex"] * 3
    await polls.feed.close()


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (ccxt.BadRequest("signature=secret"), "binanceusdm refused the question"),
        (
            ccxt.AuthenticationError("apiKey=secret"),
            "binanceusdm does not let us in: the key, its rights or this address",
        ),
        (KeyError("secret"), "binanceusdm gave an answer that cannot be read"),
        (RecursionError("secret"), "binanceusdm gave an answer that cannot be read"),
    ],
)
async def test_another_failure_is_told_in_our_words_and_the_feed_goes_on(
    venue: Venue, failure: Exception, words: str
) -> None:
    polls = Polls({BTC: (MARK,)})
    venue.failures = [failure]
    with capture_logs() as logs:
        polling = asyncio.ensure_future(polls.next())
        while not (logs or polling.done()):  # noqa: ASYNC110 - a log has no event to wait for
            await asyncio.sleep(0.001)
        polls.clock.advance(5_000)
        assert found(await polling) == [(BTC, MARK, "60000.10000000")]
    (entry,) = logs
    assert entry["reason"] == words
    assert "secret" not in repr(logs)
    await polls.feed.close()


def test_an_answer_that_is_nested_without_end_is_one_that_cannot_be_read() -> None:
    with pytest.raises(UNREADABLE):
        exactly("[" * 100_000)


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (ccxt.NetworkError("x"), "could not be reached"),
        (ccxt.RequestTimeout("x"), "did not answer in time"),
        (ccxt.RateLimitExceeded("x"), "asks for fewer requests"),
        (ccxt.OnMaintenance("x"), "is under maintenance"),
    ],
)
async def test_a_venue_that_stays_away_is_unavailable(
    venue: Venue, monkeypatch: pytest.MonkeyPatch, failure: Exception, words: str
) -> None:
    monkeypatch.setattr(live, "MARKETS_WITHIN_S", 2.0)
    venue.failures = [failure] * 100_000
    with pytest.raises(VenueUnavailable, match=f"binanceusdm {words}"):
        await contracts("binanceusdm", [BTC])
    assert venue.closed == 1


async def test_an_answer_that_never_comes_is_given_up(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silence(*_: Any, **__: Any) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(live, "MARKETS_WITHIN_S", 0.05)
    monkeypatch.setattr(ccxt.binanceusdm, "fetch", staticmethod(silence))
    with pytest.raises(VenueUnavailable, match="did not answer in time"):
        await contracts("binanceusdm", [BTC])


async def test_a_feed_closes_its_connection_exactly_once(venue: Venue) -> None:
    polls = Polls({BTC: (MARK,)})
    await polls.next()
    await polls.feed.close()
    await polls.feed.close()
    assert venue.closed == 1
    with pytest.raises(StopAsyncIteration):
        await polls.next()


async def test_a_feed_that_was_closed_before_it_began_opens_nothing(venue: Venue) -> None:
    feed: PriceFeed = CcxtFeed("binanceusdm", {BTC: (MARK,)}, VirtualClock(), 1_000)
    await feed.close()
    assert [observed async for observed in feed.prices()] == []
    assert venue.asked == []
    assert venue.closed == 0


async def test_contracts_are_what_the_venue_says(venue: Venue) -> None:
    assert await contracts("binanceusdm", [BTC, ETH]) == {
        BTC: Contract(
            BTC,
            contract_size=Decimal(1),
            lot=Decimal("0.001"),
            tick=Decimal("0.1"),
            min_amount=Decimal("0.001"),
            min_notional=Decimal(100),
        ),
        ETH: Contract(
            ETH,
            contract_size=Decimal(1),
            lot=Decimal("0.001"),
            tick=Decimal("0.01"),
            min_amount=Decimal("0.001"),
            min_notional=Decimal(100),
        ),
    }
    assert venue.asked == ["exchangeInfo"]
    assert venue.closed == 1


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (("binanceusd", BTC), "venue 'binanceusd': unknown; the nearest is binanceusdm"),
        (("binanceusdm", "BTC/USD:USDT"), "no such contract; the nearest is BTC/USDT:USDT"),
        (
            ("binanceusdm", "BTC/USDT:USDT-260327"),
            "is no linear perpetual at binanceusdm, and this version trades nothing else",
        ),
    ],
)
async def test_what_is_unknown_is_refused_with_the_nearest_name(
    venue: Venue, ask: tuple[str, str], sentence: str
) -> None:
    venue_id, symbol = ask
    with pytest.raises(ConfigRefused, match=sentence):
        await contracts(venue_id, [symbol])
    feed = CcxtFeed(venue_id, {symbol: (MARK,)}, VirtualClock(), 1_000)
    with pytest.raises(ConfigRefused, match=sentence):
        await anext(feed.prices())
    await feed.close()


def test_a_source_that_perpetuals_do_not_have_is_refused() -> None:
    with pytest.raises(ConfigRefused, match="no source spot; choose mark, index, last"):
        CcxtFeed("binanceusdm", {BTC: (PriceSource.SPOT,)}, VirtualClock(), 1_000)


@pytest.mark.parametrize(
    ("venue_id", "info", "price"),
    [
        ("xt", {"m": "60000.1"}, "60000.1"),
        ("mexc", {"fairPrice": "60000.1"}, "60000.1"),
        ("hyperliquid", {"markPx": "60000.1"}, "60000.1"),
    ],
)
def test_a_mark_that_ccxt_leaves_in_the_raw_answer_is_found(
    venue_id: str, info: dict[str, str], price: str
) -> None:
    feed = CcxtFeed(venue_id, {BTC: (MARK,)}, VirtualClock(), 1_000)
    (tick,) = feed.news({BTC: {"markPrice": None, "info": info}}, {BTC: (MARK,)}, 0)
    assert tick.price == Decimal(price)
