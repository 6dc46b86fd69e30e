"""Prices on their way from a feed to those who take them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import pytest
import tenacity

from rebalancer.core.events import PricesObserved
from rebalancer.desk.watcher import Watcher
from rebalancer.errors import VenueUnavailable
from tests.desk.rig import Recorder, tick, until


class Feed:
    """A feed whose every connection plays the next act of a script."""

    def __init__(self, *acts: Sequence[int | BaseException]) -> None:
        self._acts = list(acts)
        self.connections = 0
        self.closed = 0

    async def prices(self) -> AsyncIterator[PricesObserved]:
        self.connections += 1
        for each in self._acts.pop(0):
            await asyncio.sleep(0)
            if isinstance(each, BaseException):
                raise each
            yield tick(each, each)

    async def close(self) -> None:
        self.closed += 1


def stamps(taken: Recorder) -> list[int]:
    return [event.at_ms for event in taken.events]


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let no outage last; return the longest that each pause could have been."""
    longest: list[float] = []
    policy = tenacity.wait_random_exponential

    class Told(policy):  # type: ignore[misc, valid-type]
        def __call__(self, retry_state: tenacity.RetryCallState) -> float:
            longest.append(min(0.5 * 2 ** (retry_state.attempt_number - 1), 30.0))
            drawn = super().__call__(retry_state)
            assert 0 <= drawn <= longest[-1]
            return 0.0

    monkeypatch.setattr(tenacity, "wait_random_exponential", Told)
    return longest


async def test_every_taker_sees_a_price_in_order_and_before_the_next_price() -> None:
    seen: list[tuple[str, int]] = []
    takers: list[Callable[[PricesObserved], None]] = [
        lambda event: seen.append(("venue", event.at_ms)),
        lambda event: seen.append(("inbox", event.at_ms)),
    ]
    await Watcher(Feed([1, 2]), *takers).run()
    assert seen == [("venue", 1), ("inbox", 1), ("venue", 2), ("inbox", 2)]


async def test_it_ends_with_the_feed() -> None:
    taken = Recorder()
    await asyncio.wait_for(Watcher(Feed([1]), taken).run(), 20)
    assert stamps(taken) == [1]


async def test_an_outage_is_waited_out(pauses: list[float]) -> None:
    down = VenueUnavailable("maintenance")
    feed, taken = Feed([1, down], [down], [down], [2]), Recorder()
    await Watcher(feed, taken).run()
    assert stamps(taken) == [1, 2]
    assert feed.connections == 4
    assert pauses == [0.5, 1.0, 2.0]


async def test_after_an_outage_the_next_one_begins_with_a_short_pause_again(
    pauses: list[float],
) -> None:
    down = VenueUnavailable("maintenance")
    feed = Feed(*([[down]] * 8), [1, down], [2, down], [3])
    await Watcher(feed, Recorder()).run()
    assert pauses[:8] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert pauses[8:] == [0.5, 0.5]


@pytest.mark.parametrize("error", [ValueError("bug"), KeyError("x"), OSError("no")])
async def test_nothing_but_an_outage_is_waited_out(error: Exception, pauses: list[float]) -> None:
    feed = Feed([1, error], [2])
    with pytest.raises(type(error)):
        await Watcher(feed, Recorder()).run()
    assert feed.connections == 1
    assert pauses == []


async def test_an_error_of_a_taker_is_not_taken_for_an_outage() -> None:
    def refuse(event: PricesObserved) -> None:
        raise RuntimeError("bug")

    with pytest.raises(RuntimeError):
        await Watcher(Feed([1], [2]), refuse).run()


async def test_a_cancel_ends_it_in_the_middle_of_an_outage() -> None:
    feed = Feed([VenueUnavailable("down")], [1])
    running = asyncio.create_task(Watcher(feed, Recorder()).run())
    await until(lambda: feed.connections, "the feed is opened")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, 20)


async def test_closing_closes_the_feed() -> None:
    feed = Feed()
    await Watcher(feed).close()
    assert feed.closed == 1
