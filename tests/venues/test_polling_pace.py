"""Prices that are polled because no stream tells them: as often as wished, or as the venue allows.

In virtual time, so that minutes of it are a moment. At Binance and XT the loopback venue answers,
and counts by weights of its own as it does over HTTP; the other venues are spoken by `tests/spoken`
and counted by the windows of the table. Between the feed and the answer everything is the real
thing: the questions, ccxt, how each request is weighed, the pace, the limiter.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Protocol, cast
from urllib.parse import parse_qsl, urlsplit

import pytest

from rebalancer.core.fund import PriceSource
from rebalancer.exchanges import exactly, open_exchange, open_streams
from rebalancer.feeds.live import CcxtFeed
from rebalancer.feeds.stream import StreamFeed, StreamPlan
from rebalancer.feeds.stream_socket import StreamPace
from rebalancer.ports import PriceFeed
from rebalancer.venues.exchange_venue import limiter_of
from rebalancer.venues.facts import FACTS, VenueFacts
from rebalancer.venues.facts_shape import Ask, Limits
from rebalancer.venues.shared_rates import in_turn
from tests.loopback.calls import Answer, Call
from tests.loopback.dialect import Dialect
from tests.loopback.limits import Window
from tests.loopback.presets import binance, many_instruments, xt
from tests.spoken.scene import Scene
from tests.spoken.server import Asked
from tests.spoken.tongues import TONGUES
from tests.virtual_time import VirtualLoop, run_virtually

MARK, INDEX, LAST = PriceSource.MARK, PriceSource.INDEX, PriceSource.LAST
SECOND_MS = 1_000
#: longer than every window
LONG_S = 90.0
#: how long a request is under way, each way
WAY_S = 0.002
MANY = 20


class Answers(Protocol):
    """Stands for the network and a venue behind it."""

    @property
    def violations(self) -> Sequence[Any]:
        """What went past a limit."""

    def answer(self, method: str, url: str, body: str | None, now_ms: int) -> Answer:
        """Count a request and answer it."""


class OfLoopback:
    """The loopback venue, without its sockets."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    @property
    def violations(self) -> list[Any]:
        return self._dialect.bans.violations

    def answer(self, method: str, url: str, body: str | None, now_ms: int) -> Answer:
        parts = urlsplit(url)
        call = Call(
            method=method,
            path=parts.path,
            query=parts.query,
            body=(body or "").encode(),
            headers={},
            peer="127.0.0.1",
            at_ms=now_ms,
        )
        refusal = self._dialect.admit(call)
        told = refusal or self._dialect.act(self._dialect.core, call)
        return self._dialect.stamp(call, told)


class OfTable:
    """A venue in its own words that counts by the windows of the table."""

    def __init__(self, facts: VenueFacts) -> None:
        self._limits = facts.limits
        self._scene = Scene(facts.venue_id)
        self._windows = {
            window.name: Window(limit=window.limit, span_ms=window.length_ms)
            for window in facts.limits.rate_windows
        }
        self.violations: list[str] = []

    def answer(self, method: str, url: str, body: str | None, now_ms: int) -> Answer:
        parts, document = urlsplit(url), json.loads(body) if body else ""
        asked = Asked(method, parts.path, dict(parse_qsl(parts.query)), document)
        params = document if isinstance(document, dict) else asked.query
        for name, units in self._limits.public_cost(method, asked.path, params).items():
            if not self._windows[name].admits(units, now_ms):
                self.violations.append(f"{name} at {now_ms} ms")
            self._windows[name].add(units, now_ms)
        speak = TONGUES[self._scene.venue_id].routes[asked.path]
        return Answer.of(speak(self._scene, asked))


class Desk:
    """Polls a venue; its exchanges are opened as the daemon opens them."""

    def __init__(self, venue_id: str, venue: Answers) -> None:
        self.facts, self._venue = FACTS[venue_id], venue
        self.loop = cast("VirtualLoop", asyncio.get_running_loop())
        self.limiter = limiter_of(self.facts)
        self.limiter._now_ms = self.loop.now_ms
        #: when each request arrived, in ms, by the path that it asked for
        self.arrived_ms: dict[str, list[int]] = {}

    def now_ms(self) -> int:
        return self.loop.now_ms()

    def seconds_until(self, at_ms: int) -> float:
        return at_ms / SECOND_MS - self.loop.time()

    def opened(self, exchange: Any) -> Any:
        async def fetch(url: str, method: str, headers: Any, body: Any) -> Any:
            await asyncio.sleep(WAY_S)
            self.arrived_ms.setdefault(urlsplit(url).path, []).append(self.now_ms())
            answer = self._venue.answer(method, url, body, self.now_ms())
            await asyncio.sleep(WAY_S)
            exchange.last_response_headers = dict(answer.headers)
            text = answer.body.decode()
            told = (answer.status, "", url, method, exchange.last_response_headers, text)
            exchange.handle_errors(*told, exactly(text), headers, body)
            return exactly(text)

        exchange.fetch = fetch
        return in_turn(exchange, self.facts, self.limiter)

    def polled_ms(self) -> list[int]:
        """Return when prices were polled: what was asked for most often."""
        return max(self.arrived_ms.values(), key=len)


async def take(feed: PriceFeed, seconds: float) -> None:
    """Take what a feed tells for so long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            async for _ in feed.prices():
                pass
    await feed.close()


def on_loopback(venue_id: str, count: int) -> tuple[Answers, list[str]]:
    listed = many_instruments(count)
    dialect: Dialect = binance(listed) if venue_id == "binanceusdm" else xt(listed, per_second=10)
    return OfLoopback(dialect), [f"{each.base}/USDT:USDT" for each in listed]


def of_table(venue_id: str) -> tuple[Answers, list[str]]:
    scene = Scene(venue_id)
    return OfTable(FACTS[venue_id]), [each.symbol for each in scene.contracts.values()]


def polled(
    venue_id: str,
    venue: Answers,
    symbols: Sequence[str],
    wished_ms: int,
    sources: tuple[PriceSource, ...] = (MARK,),
    seconds: float = LONG_S,
) -> Desk:
    """Poll prices for so long."""

    async def poll() -> Desk:
        desk = Desk(venue_id, venue)
        wanted = dict.fromkeys(symbols, sources)
        opened = lambda name: desk.opened(open_exchange(name))  # noqa: E731
        await take(CcxtFeed(venue_id, wanted, desk, wished_ms, opened), seconds)
        return desk

    return run_virtually(poll())


def gaps_ms(desk: Desk) -> list[int]:
    return [late - early for early, late in pairwise(desk.polled_ms())]


@pytest.mark.parametrize("sources", [(MARK, INDEX), (LAST,), (MARK, INDEX, LAST)])
@pytest.mark.parametrize("count", [1, MANY])
def test_prices_of_binance_are_polled_every_second_if_that_is_wished(
    count: int, sources: tuple[PriceSource, ...]
) -> None:
    venue, symbols = on_loopback("binanceusdm", count)
    desk = polled("binanceusdm", venue, symbols, SECOND_MS, sources)
    assert max(gaps_ms(desk)) <= SECOND_MS + 1
    assert len(desk.polled_ms()) >= LONG_S - 1
    assert not venue.violations


@pytest.mark.parametrize("count", [1, MANY])
def test_prices_of_xt_are_polled_every_second_if_that_is_wished(count: int) -> None:
    venue, symbols = on_loopback("xt", count)
    desk = polled("xt", venue, symbols, SECOND_MS)
    assert max(gaps_ms(desk)) <= SECOND_MS + 1
    assert not venue.violations


#: by venue and number of contracts: what a poll of marks weighs, of 0.45 of a window without what
#: it keeps for orders; and seconds in which a window would fill
BOUND_MS: Mapping[tuple[str, int], tuple[float, float]] = {
    ("binanceusdm", 1): (60_000 / 720, 80),  # 2,400 a minute, 800 kept
    ("binanceusdm", MANY): (10 * 60_000 / 720, 80),
    ("xt", 1): (1_000 / 2.7, 80),  # 10 a second, 4 kept
    ("xt", MANY): (1_000 / 2.7, 80),
    ("bybit", 2): (5_000 / 225, 20),  # 600 in 5 s, 100 kept
    ("okx", 2): (2 * 2_000 / 9, 20),  # 20 in 2 s
    ("gate", 2): (10_000 / 90, 30),  # 200 in 10 s
    ("bitget", 2): (1_000 / 9, 20),  # 20 a second
    ("kucoinfutures", 2): (3 * 30_000 / 900, 45),  # 2,000 in 30 s
    ("mexc", 2): (2_000 / 6.3, 20),  # 20 in 2 s, 6 kept
    ("hyperliquid", 2): (20 * 60_000 / 405, 150),  # 1,200 a minute, 300 kept
}


@pytest.mark.parametrize(("venue_id", "count"), BOUND_MS)
def test_prices_that_are_wished_for_too_often_come_evenly_and_as_often_as_they_may(
    venue_id: str, count: int
) -> None:
    spoken = venue_id in TONGUES
    venue, symbols = of_table(venue_id) if spoken else on_loopback(venue_id, count)
    bound_ms, seconds = BOUND_MS[venue_id, count]
    desk = polled(venue_id, venue, symbols, int(bound_ms / 2), seconds=seconds)
    assert not venue.violations
    begun = [at_ms for at_ms in desk.polled_ms() if at_ms > 15 * SECOND_MS]
    gaps = [late - early for early, late in pairwise(begun)]
    assert bound_ms - 1 <= sum(gaps) / len(gaps) <= 1.05 * bound_ms + 1
    assert max(gaps) <= 1.05 * bound_ms + 10


def test_a_table_that_weighed_too_little_would_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Limits, "public_cost", lambda *_arguments: {"weight-1m": 1})
    monkeypatch.setattr("rebalancer.venues.shared_rates.believe", lambda *_arguments: None)
    venue, symbols = on_loopback("binanceusdm", MANY)
    polled("binanceusdm", venue, symbols, 100, seconds=40)
    assert venue.violations


#: what is asked again and again about each contract of an account
OF_AN_ACCOUNT = (Ask.FUNDING, Ask.TRADES, Ask.ORDERS)
#: when what was asked before the first poll counts no more
SETTLED_S = 60


@pytest.mark.parametrize(
    ("venue_id", "wished_ms", "longest_ms", "half"),
    [
        ("binanceusdm", 1_000, 1_010, 800),
        ("binanceusdm", 100, 850, 800),
        ("hyperliquid", 1_000, 2_990, 450),
    ],
)
def test_prices_come_evenly_beside_an_account_of_which_as_much_is_asked_as_may_be(
    venue_id: str, wished_ms: int, longest_ms: int, half: int
) -> None:
    async def both() -> tuple[Desk, int]:
        spoken = venue_id in TONGUES
        venue, symbols = of_table(venue_id) if spoken else on_loopback(venue_id, MANY)
        desk = Desk(venue_id, venue)
        opened = lambda name: desk.opened(open_exchange(name))  # noqa: E731
        feed = CcxtFeed(venue_id, dict.fromkeys(symbols, (MARK,)), desk, wished_ms, opened)
        polls = asyncio.create_task(take(feed, 180))
        weight = 0
        while not polls.done():
            for cost in (desk.facts.limits.costs[ask]["weight-1m"] for ask in OF_AN_ACCOUNT):
                ticket = await desk.limiter.enter({"weight-1m": cost})
                await asyncio.sleep(WAY_S)
                desk.limiter.leave(ticket)
                weight += cost if desk.loop.time() > SETTLED_S else 0
        return desk, weight

    desk, weight = run_virtually(both())
    settled = [at_ms for at_ms in desk.polled_ms() if at_ms > SETTLED_S * SECOND_MS]
    assert max(late - early for early, late in pairwise(settled)) <= longest_ms
    assert weight >= 0.9 * half * (180 - SETTLED_S) / 60


def test_while_a_stream_tells_nothing_its_prices_are_polled_every_second() -> None:
    venue, symbols = on_loopback("binanceusdm", MANY)

    async def watch() -> Desk:
        desk = Desk("binanceusdm", venue)

        def opened(name: str) -> Any:
            exchange = desk.opened(open_streams(name))
            exchange.watch_mark_prices = lambda _symbols: asyncio.Event().wait()
            return exchange

        plan = StreamPlan(venue_id="binanceusdm", mark="watch_mark_prices")
        wanted = dict.fromkeys(symbols, (MARK,))
        await take(StreamFeed(plan, wanted, desk, StreamPace(poll_ms=1_000), None, opened), LONG_S)
        return desk

    gaps = gaps_ms(run_virtually(watch()))
    assert len(gaps) > LONG_S - 10
    assert max(gaps) <= SECOND_MS + 10
    assert not venue.violations
