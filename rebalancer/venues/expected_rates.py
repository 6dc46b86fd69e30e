"""What a venue expects of its next settlements of funding: rate, and the interval that it is for.

All through ccxt's `fetch_funding_rate`, whose `fundingRate` is at each venue of the table that of
the settlement to come at `fundingTimestamp` (read in ccxt 4.5.90, the same in the venues' pages);
OKX's and Gate's `nextFundingRate` is of the one after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from rebalancer.core.instant import DAY_MS, HOUR_MS, MINUTE_MS
from rebalancer.core.money import number
from rebalancer.errors import InputRefused, VenueUnavailable
from rebalancer.venues.exchange_lists import Question, readable
from rebalancer.venues.facts_shape import Ask, Call
from rebalancer.venues.statements import ExpectedFunding

#: venues that tell the rates of all contracts with one question, and of one with no less
ALL_AT_ONCE = frozenset({"hyperliquid"})
#: venues that list the length of an interval elsewhere, and there only where it is not the usual
LENGTHS_APART = frozenset({"binance", "binanceusdm"})
USUAL_LENGTH_MS = 8 * HOUR_MS
#: that list is read again with every so many-th question
LENGTHS_EVERY = 60
#: no venue's cap lets an interval cost more, up or down
RATE_MOST = Decimal("0.1")


class ExpectedRates:
    """Reads what is expected of the next settlements; nothing of it needs a key."""

    def __init__(self, ask: Question, venue_id: str) -> None:
        self._ask = ask
        self._venue_id = venue_id
        #: whether one question tells all contracts
        self.together = venue_id in ALL_AT_ONCE
        self._lengths: Mapping[str, Any] = {}
        self._asked = 0

    async def read(self, contracts: Sequence[str], now_ms: int) -> Mapping[str, ExpectedFunding]:
        """Return what is expected of each contract, by the venue's clock, of which `now_ms` is.

        One that the venue does not tell, or of which it tells what cannot be, is left out. Raises
        VenueUnavailable where that is all of them.
        """
        if self._venue_id in LENGTHS_APART and self._asked % LENGTHS_EVERY == 0:
            self._lengths = await self._ask(Call("fetch_funding_intervals", ()), Ask.RATES)
        rows = await self._rows(contracts)
        self._asked += 1
        found: dict[str, ExpectedFunding] = {}
        for each in contracts:
            try:
                with readable(self._venue_id, f"expected funding of {each}"):
                    found[each] = self._expected(each, rows[each], now_ms)
            except VenueUnavailable:
                if each == contracts[-1] and not found:
                    raise
        return found

    async def _rows(self, contracts: Sequence[str]) -> Mapping[str, Any]:
        if self.together:
            rows: Mapping[str, Any] = await self._ask(
                Call("fetch_funding_rates", (list(contracts),)), Ask.RATES
            )
            return rows
        return {
            each: await self._ask(Call("fetch_funding_rate", (each,)), Ask.RATES)
            for each in contracts
        }

    def _expected(self, contract: str, row: Mapping[str, Any], now_ms: int) -> ExpectedFunding:
        rate, due_ms = number(row["fundingRate"], "a funding rate"), int(row["fundingTimestamp"])
        length_ms = USUAL_LENGTH_MS
        if self._venue_id not in LENGTHS_APART:
            length_ms = length_in(row["interval"])
        elif contract in self._lengths:
            length_ms = length_in(self._lengths[contract]["interval"])
        if abs(rate) > RATE_MOST:
            raise InputRefused(f"{rate} is no funding rate")
        if not now_ms - MINUTE_MS <= due_ms <= now_ms + DAY_MS:
            raise InputRefused(f"{due_ms} is not the next settlement")
        return ExpectedFunding(
            contract=contract, rate=rate, from_ms=due_ms - length_ms, due_ms=due_ms
        )


def length_in(told: Any) -> int:
    """Return the length of ccxt's interval ("8h", or milliseconds where it has no word for it)."""
    hours = str(told).removesuffix("h")
    length_ms = int(hours) * HOUR_MS if hours != str(told) else int(hours)
    if not MINUTE_MS <= length_ms <= DAY_MS:
        raise InputRefused(f"{told!r} is no interval of funding")
    return length_ms
