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
from rebalancer.ports import Clock
from rebalancer.venues.facts_account import ACCOUNTS, Bound
from rebalancer.venues.facts_shape import Ask, Call, VenueFacts

#: entries asked for at once, and how often a list is asked to go on
PAGE = 100
PAGES_MAX = 20
#: venues show no more than a week of a list at once (Binance, Bybit)
WINDOW_MS = 7 * DAY_MS

Question = Callable[[Call, Ask], Awaitable[Any]]
Rows = dict[tuple[str, ...], Any]
"""ccxt's rows by id, stamp and amount: some venues give the same id to all."""


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
    """A list of ccxt: its method, what asking costs, and how it is bounded above."""

    method: str
    kind: Ask
    until: Bound | None
    #: the longest page of the venue, where it is known
    most: int | None = None
    #: the parameter that counts pages, newest first, where no instant bounds them; "": none
    number: str = ""
    #: whether it is asked for by contract, not for all contracts
    named: bool = True

    @property
    def page(self) -> int:
        """How many entries are asked for at once."""
        return self.most or PAGE


def own_trades(facts: VenueFacts) -> Listing:
    """Return how a venue lists own trades."""
    told = ACCOUNTS[facts.venue_id]
    return Listing("fetch_my_trades", Ask.TRADES, told.trades_until, told.trades_most)


def payments(facts: VenueFacts) -> Listing:
    """Return how a venue lists payments of funding."""
    told = ACCOUNTS[facts.venue_id]
    return Listing(
        facts.funding_query,
        Ask.FUNDING,
        told.funding_until,
        number=told.funding_page,
        named=told.funding_named,
    )


class WholeLists:
    """Lists of one account."""

    def __init__(self, ask: Question, venue_id: str, clock: Clock) -> None:
        self._ask = ask
        self._venue_id = venue_id
        self._clock = clock

    async def whole(self, listing: Listing, contract: str, since_ms: int) -> list[Any]:
        """Return every row of `contract` at or after `since_ms`, oldest first."""
        gather = self._by_number if listing.number else self._by_instant
        rows = await gather(listing, contract if listing.named else None, since_ms)
        # Not every venue heeds the instant that it was asked for.
        kept = [row for row in rows.values() if int(row["timestamp"]) >= since_ms]
        ordered = sorted(kept, key=lambda row: int(row["timestamp"]))
        return [row for row in ordered if row["symbol"] == contract]

    async def _by_number(self, listing: Listing, contract: str | None, since_ms: int) -> Rows:
        """Ask for page after page, the newest first, until one is older than `since_ms`."""
        rows: Rows = {}
        for number in range(1, PAGES_MAX + 1):
            arguments = (contract, since_ms, listing.page, {listing.number: number})
            page = await self._ask(Call(listing.method, arguments), listing.kind)
            self._keep(listing.method, page, rows)
            ended = len(page) < listing.page
            if ended or min(int(row["timestamp"]) for row in page) < since_ms:
                return rows
        raise self._endless(listing.method, contract)

    async def _by_instant(self, listing: Listing, contract: str | None, since_ms: int) -> Rows:
        """Ask from an instant on, again from the last row, and for what a page left out before."""
        rows: Rows = {}
        method = listing.method
        for _ in range(PAGES_MAX):
            call = Call(method, (contract, since_ms, listing.page))
            page = await self._ask(call, listing.kind)
            self._keep(method, page, rows)
            if len(page) >= listing.page:
                await self._fill_before(listing, call, page, rows)
            if len(page) < listing.page:
                since_ms += WINDOW_MS
                if since_ms >= self._clock.now_ms():
                    return rows
            elif since_ms == (last_ms := max(int(row["timestamp"]) for row in rows.values())):
                break
            else:
                since_ms = last_ms
        raise self._endless(method, contract)

    async def _fill_before(
        self, listing: Listing, call: Call, page: Sequence[Any], rows: Rows
    ) -> None:
        """Ask for what a full page left out before its oldest row.

        Where a venue lists oldest first, the first answer brings nothing new.
        """
        for _ in range(PAGES_MAX if listing.until else 0):
            oldest_ms = min(int(row["timestamp"]) for row in page)
            until = listing.until.at(oldest_ms) if listing.until else {}
            arguments = (*call.arguments, dict(until))
            page = await self._ask(Call(call.method, arguments), listing.kind)
            if not self._keep(call.method, page, rows) or len(page) < listing.page:
                return
        raise self._endless(call.method, call.arguments[0])

    def _keep(self, method: str, page: Sequence[Any], rows: Rows) -> bool:
        """Add the rows of a page; return whether one of them was new."""
        before = len(rows)
        with readable(self._venue_id, method):
            for row in page:
                stamp = str(int(row["timestamp"]))
                rows[(str(row.get("id")), stamp, str(row["amount"]))] = row
        return len(rows) > before

    def _endless(self, method: str, contract: str | None) -> VenueUnavailable:
        return VenueUnavailable(
            f"{self._venue_id}: {contract or 'all contracts'}: "
            f"{method} does not end within {PAGES_MAX} pages"
        )
