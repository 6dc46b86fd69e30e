"""Reads the lists of a contract's orders whole, page by page, whichever way a venue goes on.

A list that does not end, or does not go on where it should, is refused: an order that only its
missing part would show must not count as absent.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from rebalancer.errors import VenueUnavailable
from rebalancer.venues.exchange_lists import PAGES_MAX, Question, readable
from rebalancer.venues.facts_shape import (
    FULL_PAGE,
    AllAtOnce,
    Ask,
    Halves,
    Newest,
    Onward,
    OrderList,
    Params,
)
from rebalancer.venues.venue_clock import VenueClock

Page = Sequence[Any]
#: a window of time as short as this is not halved again
SHORTEST_MS = 2


class OrderLists:
    """Lists of orders of one account."""

    def __init__(self, ask: Question, venue_id: str, venue_clock: VenueClock) -> None:
        """Take what asks a question of the venue, and what tells the venue's time."""
        self._ask = ask
        self._venue_id = venue_id
        self._venue_clock = venue_clock

    async def pages(
        self, listing: OrderList, symbol: str, since_ms: int
    ) -> AsyncGenerator[Page, None]:
        """Yield the pages of a list from an instant on; it is whole where nothing is raised.

        The instant counts where the list has one; in whole seconds, for some venues count in those.
        Raises VenueUnavailable after the pages that could be read.
        """
        match listing.paging:
            case AllAtOnce():
                yield await self._page(listing, symbol, since_ms)
            case Newest(stamp):
                page = await self._page(listing, symbol, since_ms)
                yield page
                self._refuse_short_memory(listing, page, stamp, since_ms)
            case Onward() as onward:
                async for page in self._onward(onward, listing, symbol, since_ms):
                    yield page
            case Halves() as halves:
                async for page in self._halves(halves, listing, symbol, since_ms):
                    yield page

    async def _onward(
        self, onward: Onward, listing: OrderList, symbol: str, since_ms: int
    ) -> AsyncGenerator[Page, None]:
        pages: list[Page] = []
        seen: set[str] = set()
        wanted: Params | None = {}
        for _ in range(PAGES_MAX):
            page = await self._page(listing, symbol, since_ms, wanted)
            yield page
            ids = {str(row["id"]) for row in page}
            if len(page) < FULL_PAGE:
                return
            if ids <= seen:
                raise self._partly(listing, "shows the same page again")
            pages.append(page)
            seen |= ids
            with readable(self._venue_id, listing.method):
                wanted = onward.after(pages)
            if wanted is None:
                return
        raise self._partly(listing, f"does not end within {PAGES_MAX} pages")

    async def _halves(
        self, halves: Halves, listing: OrderList, symbol: str, since_ms: int
    ) -> AsyncGenerator[Page, None]:
        windows: list[tuple[int, int | None]] = [(since_ms, None)]
        for _ in range(PAGES_MAX):
            first_ms, last_ms = windows.pop()
            bound = {} if last_ms is None else {halves.until: last_ms}
            page = await self._page(listing, symbol, first_ms, bound)
            yield page
            if len(page) >= halves.full:
                length_ms = (self._venue_clock.now_ms() if last_ms is None else last_ms) - first_ms
                if length_ms < SHORTEST_MS:
                    raise self._partly(listing, f"shows {len(page)} rows of one instant")
                middle_ms = first_ms + length_ms // 2
                # Both have the middle, whichever way the venue counts its bounds.
                windows += [(first_ms, middle_ms), (middle_ms, last_ms)]
            if not windows:
                return
        raise self._partly(listing, f"does not end within {PAGES_MAX} pages")

    async def _page(
        self, listing: OrderList, symbol: str, since_ms: int, page: Params | None = None
    ) -> Page:
        listed: Page = await self._ask(listing.call(symbol, since_ms, page), Ask.ORDERS)
        return listed

    def _refuse_short_memory(
        self, listing: OrderList, page: Page, stamp: str, since_ms: int
    ) -> None:
        if len(page) < FULL_PAGE:
            return
        with readable(self._venue_id, listing.method):
            oldest_ms = min(int(row["info"][stamp]) for row in page)
        if oldest_ms >= since_ms:
            raise self._partly(listing, "does not reach back to the order's beginning")

    def _partly(self, listing: OrderList, why: str) -> VenueUnavailable:
        return VenueUnavailable(f"{self._venue_id}: {listing.method} {why}")
