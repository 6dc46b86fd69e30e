"""Funding that has accrued and is not settled.

A fund owes rate x units x mark at the end of an interval (spec section 4), so in between it owes

    rate x units x mark x (now - from) / (due - from)

with the rate that the venue expects, the units held and the mark of now; shorts are owed it. An
interval that is over counts in whole until its settlement is posted. What has accrued is shown and
dealt at (spec sections 2 and 5); nothing but the settlement is ever posted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from rebalancer.core.instant import MINUTE_MS
from rebalancer.core.money import round_to_places, total

#: an expectation that is older counts no more
TOLD_WITHIN_MS = 10 * MINUTE_MS
#: an interval that is over waits so long for its payment: by then the account was flat, or a person
#: has been told
POSTED_WITHIN_MS = 10 * MINUTE_MS
#: stamps of one settlement by several of a venue's clocks lie within this
NEAR_MS = MINUTE_MS


@dataclass(frozen=True, slots=True)
class FundingInterval:
    """What a venue expects one settlement to cost: longs pay `rate` x units x mark at `due_ms`."""

    rate: Decimal
    from_ms: int
    due_ms: int
    #: when this was known, by our clock
    told_ms: int

    def counts(self, now_ms: int) -> bool:
        """Whether it is known well enough at `now_ms`, or at the settlement where that was."""
        known = min(now_ms, self.due_ms) - self.told_ms <= TOLD_WITHIN_MS
        return known and now_ms - self.due_ms <= POSTED_WITHIN_MS

    def accrued(self, units: Decimal, mark: Decimal, now_ms: int) -> Decimal:
        """Return what so many units (signed) owe at `now_ms`, in quote currency, 18 decimals."""
        passed_ms = min(max(now_ms, self.from_ms), self.due_ms) - self.from_ms
        whole = self.rate * units * mark
        return round_to_places(whole * passed_ms / (self.due_ms - self.from_ms))


Intervals = tuple[FundingInterval, ...]
"""Of one contract, the oldest first: those that are over and not posted, and the one under way."""


def with_news(known: Intervals, news: FundingInterval) -> Intervals:
    """Return the intervals with one that was told: in place of what it contradicts."""
    before = (each for each in known if each.due_ms <= news.from_ms + NEAR_MS)
    waiting = (each for each in before if news.told_ms - each.due_ms <= POSTED_WITHIN_MS)
    return (*waiting, news)


def after_settlement(known: Intervals, settled_ms: int) -> Intervals:
    """Return the intervals that a settlement at `settled_ms` leaves open.

    Where the next one was not told yet it is expected to be like the last.
    """
    left = tuple(each for each in known if each.due_ms > settled_ms + NEAR_MS)
    if left or not known:
        return left
    last = known[-1]
    length_ms = last.due_ms - last.from_ms
    return (replace(last, from_ms=last.due_ms, due_ms=last.due_ms + length_ms),)


def accrued(
    known: Iterable[FundingInterval],
    held_at: Callable[[int], Decimal],
    mark: Decimal,
    now_ms: int,
) -> Decimal:
    """Return what is owed of all that counts, in quote currency, by the units held at an instant.

    Of an interval that is over those pay who held it at its end, whatever they traded since.
    """
    counting = (each for each in known if each.counts(now_ms))
    return total(each.accrued(held_at(each.due_ms), mark, now_ms) for each in counting)
