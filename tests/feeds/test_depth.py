"""What a trade would cost by the book, asked of both loopback venues through the real ccxt."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from rebalancer.costing import estimate
from rebalancer.errors import VenueUnavailable
from rebalancer.exchanges import open_exchange
from rebalancer.feeds import depth
from rebalancer.feeds.depth import Depth, depths
from rebalancer.settings import parse
from tests.loopback import presets
from tests.loopback.faults import Fault, Shape
from tests.loopback.instruments import Depth as LoopbackDepth
from tests.loopback.instruments import Instrument, Level
from tests.loopback.server import LoopbackVenue

D = Decimal
BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
DIALECTS: dict[str, Callable[[], Any]] = {"binanceusdm": presets.binance, "xt": presets.xt}
CONFIG = """
mode = "{mode}"
[feed]
venue = "{venue}"
[accounts.main]
venue = "{venue}"
endpoint = "{endpoint}"
[accounts.main.paper]
fee_bps = 7
slippage_bps = 9
[funds.BTC3L]
account = "main"
target_leverage = 3
basket = {{ "BTC/USDT:USDT" = 1 }}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides(LoopbackDepth):
    """A book as a test writes it."""

    offered: tuple[Level, ...] = field(default=())
    wanted: tuple[Level, ...] = field(default=())

    def asks(self, price: Decimal, tick: Decimal) -> Iterator[Level]:
        """Yield what is offered, whatever the price."""
        del price, tick
        yield from self.offered

    def bids(self, price: Decimal, tick: Decimal) -> Iterator[Level]:
        """Yield what is wanted, whatever the price."""
        del price, tick
        yield from self.wanted


@dataclass
class Place:
    """A venue with one book that a test may write."""

    venue_id: str
    market: LoopbackVenue

    @property
    def instrument(self) -> Instrument:
        return self.market.core.instruments["BTC/USDT"]

    def write(self, offered: dict[str, str], wanted: dict[str, str]) -> None:
        """Put base coins at prices."""
        sides = [
            tuple(
                Level(D(price), D(size) / self.instrument.contract_size)
                for price, size in side.items()
            )
            for side in (offered, wanted)
        ]
        self.instrument.depth = Sides(offered=sides[0], wanted=sides[1])

    def contracts(self, coins: str) -> Decimal:
        return D(coins) / self.instrument.contract_size

    def open(self, venue_id: str) -> Any:
        return open_exchange(venue_id, self.market.rest)

    async def book(self) -> Depth:
        (found,) = (await depths(self.venue_id, [BTC], self.open)).values()
        assert isinstance(found, Depth), found
        return found

    async def estimated(self, side: str, coins: str, mode: str = "live") -> dict[str, Any]:
        """Return what `plan` tells of the cost of one trade at a mark of 50,000."""
        text = CONFIG.format(mode=mode, venue=self.venue_id, endpoint=self.market.rest)
        trade = {
            "account": "main",
            "contract": BTC,
            "side": side,
            "contracts": str(self.contracts(coins)),
            "notional": str(D(coins) * 50_000),
            "mark": "50000",
        }
        costs = await estimate(parse(text, "config.toml", {}), [trade])
        (told,) = costs["trades"]
        return {**told, "known": costs["known"]}


@pytest.fixture(params=DIALECTS)
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    async with LoopbackVenue(DIALECTS[request.param]()) as market:
        yield Place(request.param, market)


#: two levels on each side of a mark of 50,000
OFFERED = {"50005": "0.5", "50010": "1"}
WANTED = {"49995": "0.5", "49980": "1"}


async def test_a_trade_takes_level_after_level_and_its_price_is_their_mean(place: Place) -> None:
    place.write(OFFERED, WANTED)
    book, mark = await place.book(), D(50_000)
    assert book.slippage_bps(place.contracts("0.5"), mark) == 1
    # Half at 1 bp, half at 2; sold half at 1, half at 4.
    assert book.slippage_bps(place.contracts("1"), mark) == D("1.5")
    assert book.slippage_bps(-place.contracts("1"), mark) == D("2.5")


async def test_a_mark_beyond_the_book_makes_a_trade_cheaper_than_it(place: Place) -> None:
    place.write(OFFERED, WANTED)
    cost = (await place.book()).slippage_bps(place.contracts("0.5"), D(50_020))
    assert cost is not None
    assert cost < 0


async def test_a_thin_book_does_not_say_what_more_than_it_holds_would_cost(place: Place) -> None:
    place.write(OFFERED, WANTED)
    book = await place.book()
    assert book.slippage_bps(place.contracts("1.5"), D(50_000)) is not None
    assert book.slippage_bps(place.contracts("1.6"), D(50_000)) is None
    told = await place.estimated("buy", "1.6")
    assert told["slippage"] is None
    assert told["told_by"] == f"book of {place.venue_id}, which does not hold so much"


async def test_an_empty_side_says_nothing_and_the_other_side_is_good(place: Place) -> None:
    place.write({}, WANTED)
    book = await place.book()
    assert (book.asks, book.slippage_bps(place.contracts("0.1"), D(50_000))) == ((), None)
    assert book.slippage_bps(-place.contracts("0.1"), D(50_000)) == 1


async def test_a_crossed_book_is_no_book(place: Place) -> None:
    place.write({"49990": "5"}, {"50010": "5"})
    (found,) = (await depths(place.venue_id, [BTC], place.open)).values()
    assert isinstance(found, VenueUnavailable)
    told = await place.estimated("buy", "1")
    assert told["slippage"] is None
    assert told["told_by"].endswith(f"{place.venue_id} gave a book whose bids are above its asks")


async def test_a_book_that_comes_too_late_costs_its_own_line_only(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(depth, "BOOK_WITHIN_S", 0.8)
    place.market.faults.plan(Fault(shape=Shape.SILENCE, path="depth", hold_ms=3_000))
    books = await depths(place.venue_id, [ETH, BTC], place.open)
    assert [type(each) for each in books.values()].count(Depth) == 1
    late = [str(each) for each in books.values() if isinstance(each, VenueUnavailable)]
    assert late == [f"{place.venue_id} did not answer in time"]


async def test_a_plan_tells_slippage_and_fee_of_the_venue(place: Place) -> None:
    place.write(OFFERED, WANTED)
    told = await place.estimated("sell", "1")
    assert (told["slippage_bps"], told["slippage"]) == ("2.5", "12.5")
    assert told["told_by"] == f"book of {place.venue_id}"
    fee = place.market.core.instruments["BTC/USDT"].taker_rate * 10_000
    assert D(told["fee_bps"]) > 0
    assert D(told["known"]) == D("12.5") + D(told["fee"])
    assert D(told["fee"]) == D(told["fee_bps"]) * 5
    assert place.venue_id == "binanceusdm" or D(told["fee_bps"]) == fee


async def test_on_paper_the_fee_is_that_of_the_paper_and_the_book_is_real(place: Place) -> None:
    place.write(OFFERED, WANTED)
    told = await place.estimated("buy", "1", mode="paper")
    assert (told["fee_bps"], told["slippage_bps"]) == ("7", "1.5")


async def test_a_venue_that_is_down_is_named_and_the_plan_goes_on(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rebalancer.feeds.live.MARKETS_WITHIN_S", 0.3)
    place.market.maintenance = True
    told = await place.estimated("buy", "1")
    assert told["slippage"] is None
    assert told["told_by"].startswith(f"the book could not be read: {place.venue_id} ")
