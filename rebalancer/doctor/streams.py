"""Whether prices come: opens a venue's public streams and waits for a first price of each contract.

No keys are used. A price that does not come by stream is polled for, so that a line can say whether
the desk would be slower or blind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rebalancer.core.fund import PriceSource
from rebalancer.core.instant import SECOND_MS
from rebalancer.core.money import counted
from rebalancer.doctor.findings import Finding, Level, named
from rebalancer.feeds.stream import StreamFeed, StreamPlan
from rebalancer.feeds.stream_socket import StreamPace
from rebalancer.ports import Clock
from rebalancer.venues.facts import VenueFacts

#: prices that come by themselves have so long, and so long those that must be asked for
STREAM_SECONDS = 10.0
POLL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Seen:
    """The first mark of a contract."""

    mark: Decimal
    #: from opening the streams to its arrival, and its age then
    after_ms: int
    age_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """How a venue's prices are to be watched."""

    facts: VenueFacts
    clock: Clock
    #: makes ccxt.pro's exchange objects, without keys
    opened: Callable[[str], Any]
    seconds: float = STREAM_SECONDS

    async def first_marks(
        self, symbols: Sequence[str], seconds: float, *, streamed: bool
    ) -> dict[str, Seen]:
        """Return the first mark of each contract that came in time, by stream or by polling.

        Raises ConfigRefused where the venue has no such contract or stream.
        """
        found: dict[str, Seen] = {}
        if not symbols:
            return found
        # Beyond our patience nothing is polled in place of a stream, and no stream is rebuilt.
        patience = StreamPace(deadline_ms=int((seconds + 60) * SECOND_MS), poll_ms=SECOND_MS)
        mark = self.facts.streams.mark if streamed else None
        plan = StreamPlan(venue_id=self.facts.venue_id, mark=mark)
        sources = dict.fromkeys(symbols, (PriceSource.MARK,))
        feed = StreamFeed(plan, sources, self.clock, patience, opened=self.opened)
        began_ms = self.clock.now_ms()
        try:
            async with asyncio.timeout(seconds):
                async for batch in feed.prices():
                    for tick in batch.ticks:
                        seen = Seen(tick.price, batch.at_ms - began_ms, batch.at_ms - tick.at_ms)
                        found.setdefault(tick.contract, seen)
                    if len(found) == len(sources):
                        break
        except TimeoutError:
            pass
        finally:
            await feed.close()
        return found


async def examine_prices(
    where: str, watching: Watching, symbols: Sequence[str]
) -> tuple[list[Finding], Mapping[str, Decimal]]:
    """Return the lines about prices, and the mark of each contract that has one."""
    streams = watching.facts.streams.mark is not None
    first = await watching.first_marks(symbols, watching.seconds, streamed=streams)
    missing = [symbol for symbol in symbols if symbol not in first]
    later: Mapping[str, Seen] = {}
    if missing and streams:
        later = await watching.first_marks(missing, POLL_SECONDS, streamed=False)
    way = "by stream" if streams else "by polling, which is all that this venue has"
    findings = [*_told(where, first, way), *_missed(where, missing, later, watching.seconds)]
    return findings, {name: seen.mark for name, seen in {**later, **first}.items()}


def _told(where: str, first: Mapping[str, Seen], way: str) -> Iterator[Finding]:
    if first:
        slowest = max(first, key=lambda name: first[name].after_ms)
        text = (
            f"marks of {counted(len(first), 'contract')} {way}: the last, "
            f"{slowest}, after {first[slowest].after_ms / SECOND_MS:.1f} s; the oldest was "
            f"{max(0, *(seen.age_ms for seen in first.values()))} ms old"
        )
        yield Finding(Level.OK, where, "prices", text)


def _missed(
    where: str, missing: Sequence[str], later: Mapping[str, Seen], seconds: float
) -> Iterator[Finding]:
    slow = [symbol for symbol in missing if symbol in later]
    if slow:
        seen = f"{named(slow)}: no mark by stream within {seconds:g} s; asked for, it comes"
        fix = (
            "look whether a firewall or proxy lets the venue's websockets through; until then the "
            "desk polls"
        )
        yield Finding(Level.WARN, where, "prices", seen, fix)
    blind = [symbol for symbol in missing if symbol not in later]
    if blind:
        seen = f"{named(blind)}: no mark within {seconds:g} s, neither by stream nor asked for"
        fix = "look at the venue whether it is traded; without a price its funds stand still"
        yield Finding(Level.FAIL, where, "prices", seen, fix)
