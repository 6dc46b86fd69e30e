"""What feeds that play a market share: waiting on the desk's clock, and funding that fell due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple

from rebalancer.ports import Clock


class FundingDue(NamedTuple):
    """A settlement of every account's position at once: longs pay `rate` x units x `mark`."""

    at_ms: int
    contract: str
    rate: Decimal
    mark: Decimal


FundingSink = Callable[[FundingDue], None]
"""A venue of paper that has to tell its accounts of funding; it knows which there are."""

#: Clocks can be stepped, suspended or moved by hand: ask again at least this often.
LONGEST_NAP_S = 0.05


async def sleep_until(clock: Clock, at_ms: int) -> None:
    """Sleep until `clock` shows `at_ms` or later; lets other tasks run even where it is past."""
    await asyncio.sleep(0)
    while (delay_s := clock.seconds_until(at_ms)) > 0:  # noqa: ASYNC110 - a clock has no event to wait for
        await asyncio.sleep(min(delay_s, LONGEST_NAP_S))
