"""Finding an order: in any of three places, and in none only when all three answered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast

import pytest

from rebalancer.clock import VirtualClock
from rebalancer.core.instant import DAY_MS
from rebalancer.core.order import OrderIntent, OrderSide, PositionSide
from rebalancer.errors import VenueUnavailable
from rebalancer.venues.ccxt_client import CcxtClient
from rebalancer.venues.departures import Departures
from rebalancer.venues.evidence import Evidence
from rebalancer.venues.exchange_lists import PAGES_MAX
from rebalancer.venues.exchange_search import OrderSearch
from rebalancer.venues.facts import FACTS
from rebalancer.venues.facts_shape import FULL_PAGE, Halves
from rebalancer.venues.questions import Questions
from rebalancer.venues.rates import Budget, Limiter
from rebalancer.venues.transport import Transport
from rebalancer.venues.venue_clock import VenueClock
from rebalancer.venues.wire import Reply, SignedRequest
from tests.venues.golden.markets import contracts_of
from tests.venues.golden.places import ORDER_ID, PLACES
from tests.venues.golden.recorder import NOW_MS, Recorder, calls_of, intent_of

FOREIGN_ID = "815"


def steps_of(venue_id: str) -> list[str]:
    """What a search asks, in its order, by the names of the golden requests."""
    called = calls_of(FACTS[venue_id])
    return [what for what in called if what.startswith("look up") and "next page" not in what]


def kind_of(what: str) -> str:
    """Whether it is a step of the look-up by client id, a list, or own trades."""
    return what.split()[2]


#: every place of every venue, the last of each its own trades
EVERYWHERE = [(venue_id, place) for venue_id in FACTS for place in range(len(steps_of(venue_id)))]
LOOKUPS = [
    (venue, place) for venue, place in EVERYWHERE if kind_of(steps_of(venue)[place]) != "own"
]


@dataclass
class Shown:
    """A transport that answers the questions of a search, in their order."""

    venue_id: str
    #: what a place shows, by its number: orders, or trades where trades are asked for
    at: Mapping[int, list[Any]] = field(default_factory=dict)
    #: places that do not answer
    dead: frozenset[int] = frozenset()
    asked: int = 0

    async def send(self, _request: SignedRequest) -> Reply:
        place, self.asked = self.asked, self.asked + 1
        if place in self.dead:
            # The rest of its kind is left out then.
            kinds = [kind_of(what) for what in steps_of(self.venue_id)]
            while kinds[self.asked :] and kinds[self.asked] == kinds[place]:
                self.asked += 1
            return Reply(Evidence(left=True, status=500, body="{}"), {})
        status, body = self._answer(steps_of(self.venue_id)[place], self.at.get(place, []))
        return Reply(Evidence(left=True, status=status, body=json.dumps(body)), {})

    def _answer(self, what: str, entries: list[Any]) -> tuple[int, Any]:
        places = PLACES[self.venue_id]
        if kind_of(what) == "step":
            return places.query(entries[0] if entries else None)
        return 200, (places.traded if kind_of(what) == "own" else places.listed)(entries)


def order_of(venue_id: str) -> OrderIntent:
    contract, _ = contracts_of(venue_id)
    books = FACTS[venue_id].spelling.books
    book = PositionSide.NET if PositionSide.NET in books else PositionSide.LONG
    return intent_of(contract, OrderSide.BUY, book, reduce_only=False)


@cache
def exchange_of(venue_id: str) -> Any:
    """An exchange of ccxt that opens no connection, for every test of its venue."""
    return Recorder(FACTS[venue_id]).exchange


async def find(shown: Shown) -> str | None:
    facts, transport = FACTS[shown.venue_id], cast("Transport", shown)
    limiter = Limiter(Budget(()), lambda: NOW_MS)
    client = CcxtClient(exchange_of(shown.venue_id), transport, limiter)
    clock = VenueClock(VirtualClock(NOW_MS), client)
    departures = Departures(clock, facts.valid_ms)
    search = OrderSearch(client, facts, Questions(client, facts), departures, clock)
    return await search.find(order_of(shown.venue_id))


def our_order(venue_id: str) -> Any:
    ours = order_of(venue_id).client_order_id
    return PLACES[venue_id].order(ORDER_ID, FACTS[venue_id].client_ids.to_venue(ours))


def foreign_order(venue_id: str) -> Any:
    return PLACES[venue_id].order(FOREIGN_ID, FACTS[venue_id].client_ids.to_venue("r" + "1" * 25))


def trade_of(venue_id: str, order_id: str, *, ours: bool) -> Any:
    client_id = order_of(venue_id).client_order_id if ours else ""
    shown = FACTS[venue_id].client_ids.to_venue(client_id) if client_id else ""
    return PLACES[venue_id].trade(order_id, shown)


@pytest.fixture(autouse=True)
def _no_second_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rebalancer.venues.ccxt_client.QUESTION_SECONDS", 0.0)


@pytest.mark.parametrize("venue_id", FACTS)
async def test_an_order_that_no_place_shows_is_found_nowhere(venue_id: str) -> None:
    shown = Shown(venue_id)
    assert await find(shown) is None
    assert shown.asked == len(steps_of(venue_id)), "every place was asked, once"


@pytest.mark.parametrize(("venue_id", "place"), LOOKUPS)
async def test_an_order_that_only_one_place_shows_is_found(venue_id: str, place: int) -> None:
    assert await find(Shown(venue_id, {place: [our_order(venue_id)]})) == ORDER_ID


@pytest.mark.parametrize(("venue_id", "place"), LOOKUPS)
async def test_another_order_in_its_place_is_not_taken_for_it(venue_id: str, place: int) -> None:
    assert await find(Shown(venue_id, {place: [foreign_order(venue_id)]})) is None


@pytest.mark.parametrize(("venue_id", "place"), EVERYWHERE)
async def test_one_place_that_does_not_answer_keeps_an_order_from_being_absent(
    venue_id: str, place: int
) -> None:
    with pytest.raises(VenueUnavailable):
        await find(Shown(venue_id, dead=frozenset({place})))


@pytest.mark.parametrize(("venue_id", "place"), LOOKUPS)
async def test_an_order_is_found_though_another_place_does_not_answer(
    venue_id: str, place: int
) -> None:
    kinds = [kind_of(what) for what in steps_of(venue_id)]
    dead = frozenset({next(each for each, kind in enumerate(kinds) if kind != kinds[place])})
    shown = Shown(venue_id, {place: [our_order(venue_id)]}, dead)
    assert await find(shown) == ORDER_ID


@pytest.mark.parametrize("venue_id", FACTS)
async def test_a_trade_that_names_our_id_shows_the_order(venue_id: str) -> None:
    trade = trade_of(venue_id, ORDER_ID, ours=True)
    shown = Shown(venue_id, {len(steps_of(venue_id)) - 1: [trade]})
    if FACTS[venue_id].lookup.trade_field:
        assert await find(shown) == ORDER_ID
    else:
        # It names its order only, which no list showed: it may be ours.
        with pytest.raises(VenueUnavailable, match="may be the order's"):
            await find(shown)


@pytest.mark.parametrize("venue_id", FACTS)
async def test_a_trade_of_no_listed_order_keeps_an_order_from_being_absent(venue_id: str) -> None:
    trade = trade_of(venue_id, FOREIGN_ID, ours=False)
    last = len(steps_of(venue_id)) - 1
    with pytest.raises(VenueUnavailable, match="may be the order's"):
        await find(Shown(venue_id, {last: [trade]}))


@pytest.mark.parametrize("venue_id", FACTS)
async def test_a_trade_of_another_listed_order_is_explained(venue_id: str) -> None:
    trade = trade_of(venue_id, FOREIGN_ID, ours=False)
    last = len(steps_of(venue_id)) - 1
    at = {last - 1: [foreign_order(venue_id)], last: [trade]}
    assert await find(Shown(venue_id, at)) is None


@dataclass
class Paged(Shown):
    """Shows the list of ended orders a page at a time, and nothing anywhere else."""

    pages: list[list[Any]] = field(default_factory=list)
    #: whether the first page comes again for ever
    endless: bool = False

    async def send(self, request: SignedRequest) -> Reply:
        if self.asked != len(steps_of(self.venue_id)) - 2 or not self.pages:
            return await super().send(request)
        page = self.pages[0] if self.endless else self.pages.pop(0)
        self.asked += not self.pages
        body = PLACES[self.venue_id].listed(page)
        if self.venue_id == "bybit":
            body["result"]["nextPageCursor"] = "onward"
        return Reply(Evidence(left=True, status=200, body=json.dumps(body)), {})


def others_of(venue_id: str, count: int, first: int = 1) -> list[Any]:
    """Orders of somebody else, with ids of their own."""
    shown = FACTS[venue_id].client_ids.to_venue("r" + "1" * 25)
    return [PLACES[venue_id].order(str(first + each), shown) for each in range(count)]


def long_list_of(venue_id: str, *last: Any) -> list[list[Any]]:
    """The pages of a list of others, as a search reads them, with `last` on the last of them."""
    paging = FACTS[venue_id].lookup.lists[-1].paging
    if not isinstance(paging, Halves):
        return [others_of(venue_id, FULL_PAGE), [*others_of(venue_id, 2, 9_000), *last]]
    first = others_of(venue_id, paging.full)
    return [first, others_of(venue_id, 2, 8_000), [*others_of(venue_id, 2, 9_000), *last]]


#: venues whose lists of ended orders go on past a page
GOING_ON = [venue_id for venue_id in FACTS if venue_id != "hyperliquid"]


@pytest.mark.parametrize("venue_id", GOING_ON)
async def test_an_order_that_no_page_of_a_long_list_shows_is_found_nowhere(venue_id: str) -> None:
    shown = Paged(venue_id, pages=long_list_of(venue_id))
    assert await find(shown) is None
    assert (shown.pages, shown.asked) == ([], len(steps_of(venue_id))), "every page, every place"


@pytest.mark.parametrize("venue_id", GOING_ON)
async def test_an_order_on_a_later_page_is_found(venue_id: str) -> None:
    shown = Paged(venue_id, pages=long_list_of(venue_id, our_order(venue_id)))
    assert await find(shown) == ORDER_ID


@pytest.mark.parametrize("venue_id", GOING_ON)
async def test_a_list_that_does_not_end_keeps_an_order_from_being_absent(venue_id: str) -> None:
    shown = Paged(venue_id, pages=long_list_of(venue_id), endless=True)
    with pytest.raises(VenueUnavailable, match=r"same page again|of one instant"):
        await find(shown)


async def test_a_list_goes_on_for_so_many_pages_and_no_more() -> None:
    pages = [others_of("okx", FULL_PAGE, 1 + FULL_PAGE * page) for page in range(PAGES_MAX)]
    with pytest.raises(VenueUnavailable, match="does not end within 20 pages"):
        await find(Paged("okx", pages=pages))


@pytest.mark.parametrize("reaches_back", [False, True])
async def test_a_list_of_the_newest_is_whole_where_it_reaches_back(*, reaches_back: bool) -> None:
    page = others_of("hyperliquid", FULL_PAGE)
    if reaches_back:
        page[0]["statusTimestamp"] = NOW_MS - DAY_MS
        assert await find(Paged("hyperliquid", pages=[page])) is None
    else:
        with pytest.raises(VenueUnavailable, match="does not reach back"):
            await find(Paged("hyperliquid", pages=[page]))
