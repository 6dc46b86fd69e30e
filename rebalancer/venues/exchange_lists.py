"""Reads lists of an account whole: own trades, payments of funding.

A venue shows a page at a time and a week at most, some from the oldest row on and others from the
newest one back, and ccxt sorts both alike. A list that does not end is refused, never cut short.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rebalancer.core.instant import DAY_MS
from rebalancer.errors import InputRefused, VenueUnavailable
from rebalancer.exchanges import UNREADABLE
from rebalancer.venues.facts_account import ACCOUNTS, ListFacts
from rebalancer.venues.facts_shape import Ask, Call, Params, VenueFacts
from rebalancer.venues.venue_clock import VenueClock

#: how often a list is asked to go on
PAGES_MAX = 20
#: venues show no more than a week of a list at once (Binance, Bybit)
WINDOW_MS = 7 * DAY_MS

Question = Callable[[Call, Ask], Awaitable[Any]]
Rows = dict[tuple[str, ...], Any]
"""ccxt's rows by id, contract, stamp and amount: some venues give the same id to all."""


@contextmanager
def readable(venue_id: str, what: str) -> Iterator[None]:
    """Turn whatever reading an answer raises into VenueUnavailable."""
    try:
        yield
    except (InputRefused, *UNREADABLE):
        # Their texts quote the venue's answer, which is none of the log's business.
        raise VenueUnavailable(f"{venue_id}: {what}: unreadable answer") from None


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of an account: how ccxt is asked for it, and how it is bounded."""

    #: ccxt's method, or a function of ours in its stead
    method: str | Callable[..., Awaitable[Any]]
    kind: Ask
    told: ListFacts

    def call(self, contract: str, since_ms: int, bounds: Params) -> Call:
        """Return the question for a page of a contract's rows from an instant on."""
        told = self.told
        named = contract if told.named else None
        if not told.since:
            return Call(self.method, (named, since_ms, told.page, {**told.params, **bounds}))
        params = {**told.params, told.since: since_ms, **bounds}
        return Call(self.method, (named, None, told.page, params))


def own_trades(facts: VenueFacts) -> Listing:
    """Return how a venue lists own trades."""
    told = ACCOUNTS[facts.venue_id].trades
    return Listing(told.read or "fetch_my_trades", Ask.TRADES, told)


def payments(facts: VenueFacts) -> Listing:
    """Return how a venue lists payments of funding."""
    told = ACCOUNTS[facts.venue_id].funding
    return Listing(told.read or facts.funding_query, Ask.FUNDING, told)


class WholeLists:
    """Lists of one account."""

    def __init__(self, ask: Question, venue_id: str, venue_clock: VenueClock) -> None:
        self._ask = ask
        self._venue_id = venue_id
        self._venue_clock = venue_clock

    async def whole(self, listing: Listing, contract: str, since_ms: int) -> list[Any]:
        """Return every row of `contract` at or after `since_ms`, oldest first."""
        told = listing.told
        gather = self._by_number if told.number else self._by_instant
        rows = await gather(listing, contract, told.begin_ms(since_ms))
        if told.keeps and len(rows) >= told.keeps:
            raise VenueUnavailable(
                f"{self._venue_id}: keeps {told.keeps:,} rows of {listing.kind}, and there are as "
                "many since then: older ones may be gone"
            )
        # Not every venue heeds the instant that it was asked for.
        kept = [row for row in rows.values() if int(row["timestamp"]) >= since_ms]
        ordered = sorted(kept, key=lambda row: int(row["timestamp"]))
        return [row for row in ordered if row["symbol"] == contract]

    async def _by_number(self, listing: Listing, contract: str, since_ms: int) -> Rows:
        """Ask for page after page of a window, and where windows end, for the next one."""
        rows: Rows = {}
        number = 1
        for _ in range(PAGES_MAX):
            bounds = listing.told.bounds(since_ms + WINDOW_MS - 1)
            counted = {**bounds, listing.told.number: number}
            page = await self._page(listing, contract, since_ms, counted, rows)
            ended = len(page) < listing.told.page
            if not ended and min(int(row["timestamp"]) for row in page) >= since_ms:
                number += 1
                continue
            number, since_ms = 1, since_ms + WINDOW_MS
            if not bounds or since_ms >= self._venue_clock.now_ms():
                return rows
        raise self._endless(listing, contract)

    async def _by_instant(self, listing: Listing, contract: str, since_ms: int) -> Rows:
        """Ask from an instant on, again from the last row, and for what a page left out before."""
        rows: Rows = {}
        for _ in range(PAGES_MAX):
            # Without an end a venue takes one of its own, which may be a day (KuCoin).
            bounds = listing.told.bounds(since_ms + WINDOW_MS - 1)
            page = await self._page(listing, contract, since_ms, bounds, rows)
            if len(page) >= listing.told.page:
                await self._fill_before(listing, contract, since_ms, page, rows)
                last_ms = max(int(row["timestamp"]) for row in rows.values())
                if since_ms == (since_ms := listing.told.begin_ms(last_ms)):
                    break
            else:
                since_ms += WINDOW_MS
                if since_ms >= self._venue_clock.now_ms():
                    return rows
        raise self._endless(listing, contract)

    async def _fill_before(
        self, listing: Listing, contract: str, since_ms: int, page: Sequence[Any], rows: Rows
    ) -> None:
        """Ask for what a full page left out before its oldest row.

        Where a venue lists oldest first, the first answer brings nothing new.
        """
        for _ in range(PAGES_MAX if listing.told.until else 0):
            bounds = listing.told.bounds(min(int(row["timestamp"]) for row in page))
            before = len(rows)
            page = await self._page(listing, contract, since_ms, bounds, rows)
            if len(rows) == before or len(page) < listing.told.page:
                return
        raise self._endless(listing, contract)

    async def _page(
        self, listing: Listing, contract: str, since_ms: int, bounds: Params, rows: Rows
    ) -> Sequence[Any]:
        """Return a page, whose rows are added to `rows`."""
        page: Sequence[Any] = await self._ask(
            listing.call(contract, since_ms, bounds), listing.kind
        )
        with readable(self._venue_id, listing.kind):
            for row in page:
                stamp = str(int(row["timestamp"]))
                rows[(str(row.get("id")), row["symbol"], stamp, str(row["amount"]))] = row
        return page

    def _endless(self, listing: Listing, contract: str) -> VenueUnavailable:
        return VenueUnavailable(
            f"{self._venue_id}: {contract if listing.told.named else 'all contracts'}: "
            f"the list of {listing.kind} does not end within {PAGES_MAX} pages"
        )
