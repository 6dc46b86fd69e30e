"""Funding that fell due or is expected, as the feeds that play a market tell it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple


class FundingDue(NamedTuple):
    """A settlement of every account's position at once: longs pay `rate` x units x `mark`."""

    at_ms: int
    contract: str
    rate: Decimal
    mark: Decimal


class FundingAhead(NamedTuple):
    """What the next settlement would cost, as the market stands: longs would pay `rate`."""

    contract: str
    rate: Decimal
    from_ms: int
    due_ms: int


FundingSink = Callable[[FundingDue], None]
"""A venue of paper that has to tell its accounts of funding; it knows which there are."""

AheadSink = Callable[[FundingAhead], None]
"""A venue of paper that tells the desk what its accounts are expected to pay."""
