"""What waits for the engine, in which order, and what may be forgotten."""

from __future__ import annotations

import asyncio

import pytest

from rebalancer.core.events import (
    Commanded,
    CommandKind,
    Event,
    OrderReported,
    PricesObserved,
    Woke,
)
from rebalancer.core.fund import PriceSource
from rebalancer.core.order import Outcome
from rebalancer.desk.inbox import COMMANDS_MAX, Inbox
from rebalancer.errors import CommandRefused
from tests.desk.rig import tick
from tests.factories import BTC, ETH

MARK, INDEX = PriceSource.MARK, PriceSource.INDEX


def report(name: str) -> OrderReported:
    return OrderReported(0, name, Outcome.ACCEPTED)


def command(at_ms: int = 0) -> Commanded:
    return Commanded(at_ms, CommandKind.HALT, "BTC3L", "because")


def emptied(inbox: Inbox) -> list[Event]:
    events = []
    while (letter := inbox.take_now()) is not None:
        events.append(letter.event)
    return events


def prices(event: Event) -> list[tuple[str, str, int]]:
    assert isinstance(event, PricesObserved)
    return [(tick.contract, str(tick.source), int(tick.price)) for tick in event.ticks]


def test_the_newest_tick_replaces_the_older_one() -> None:
    inbox = Inbox()
    for number in range(100, 200):
        inbox.put(tick(number, at_ms=number))
    (event,) = emptied(inbox)
    assert prices(event) == [(BTC, "mark", 199)]
    assert event.at_ms == 199


def test_a_tick_that_arrives_late_does_not_replace_a_newer_one() -> None:
    inbox = Inbox()
    inbox.put(tick(101, at_ms=2_000))
    inbox.put(tick(100, at_ms=1_000, received_ms=2_100))
    (event,) = emptied(inbox)
    assert prices(event) == [(BTC, "mark", 101)]


def test_of_two_ticks_with_one_stamp_the_later_arrival_counts() -> None:
    inbox = Inbox()
    inbox.put(tick(100, at_ms=1_000))
    inbox.put(tick(101, at_ms=1_000))
    (event,) = emptied(inbox)
    assert prices(event) == [(BTC, "mark", 101)]


def test_contracts_and_sources_do_not_replace_each_other() -> None:
    inbox = Inbox()
    inbox.put(tick(100))
    inbox.put(tick(101, source=INDEX))
    inbox.put(tick(7, contract=ETH))
    (event,) = emptied(inbox)
    assert prices(event) == [(BTC, "mark", 100), (BTC, "index", 101), (ETH, "mark", 7)]


def test_confirmed_and_unconfirmed_ticks_are_never_mixed() -> None:
    inbox = Inbox()
    inbox.put(tick(100, 1, confirmed=False))
    inbox.put(tick(101, 2, confirmed=True))
    inbox.put(tick(7, 3, contract=ETH, confirmed=False))
    first, second = emptied(inbox)
    assert isinstance(first, PricesObserved)
    assert isinstance(second, PricesObserved)
    assert (first.confirmed, prices(first)) == (False, [(BTC, "mark", 100), (ETH, "mark", 7)])
    assert (second.confirmed, prices(second)) == (True, [(BTC, "mark", 101)])


def test_facts_come_before_prices_and_prices_before_time() -> None:
    inbox = Inbox()
    inbox.put(Woke(1))
    inbox.put(tick(100))
    inbox.put(report("r1"))
    assert [type(event) for event in emptied(inbox)] == [OrderReported, PricesObserved, Woke]


def test_a_fact_that_arrives_while_prices_wait_still_goes_first() -> None:
    inbox = Inbox()
    inbox.put(tick(100))
    inbox.put(Woke(1))
    inbox.put(report("r1"))
    assert isinstance(inbox.take_now().event, OrderReported)  # type: ignore[union-attr]
    inbox.put(report("r2"))
    assert isinstance(inbox.take_now().event, OrderReported)  # type: ignore[union-attr]
    assert isinstance(inbox.take_now().event, PricesObserved)  # type: ignore[union-attr]


async def test_no_fact_and_no_command_is_ever_dropped_or_reordered() -> None:
    inbox = Inbox()
    sent: list[Event] = []
    for number in range(300):
        inbox.put(tick(number + 1, number))
        sent.append(report(f"r{number}"))
        inbox.put(sent[-1])
        if number % 3 == 0:
            sent.append(command(number))
            inbox.command(command(number))
    assert emptied(inbox)[:-1] == sent


def test_only_the_latest_time_waits() -> None:
    inbox = Inbox()
    inbox.put(Woke(1))
    inbox.put(Woke(2))
    assert emptied(inbox) == [Woke(2)]


def test_a_clock_that_was_set_back_is_believed_once_older_prices_are_taken() -> None:
    inbox = Inbox()
    inbox.put(tick(100, at_ms=3_600_000))
    emptied(inbox)
    inbox.put(tick(101, at_ms=5_000))
    (event,) = emptied(inbox)
    assert event.at_ms == 5_000


async def test_whoever_waits_is_woken_by_the_next_event() -> None:
    inbox = Inbox()
    waiting = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    assert not waiting.done()
    inbox.put(report("r1"))
    assert (await waiting).event == report("r1")


async def test_a_desk_that_is_swamped_refuses_commands_but_no_fact() -> None:
    inbox = Inbox()
    for number in range(COMMANDS_MAX):
        inbox.put(report(f"r{number}"))
    with pytest.raises(CommandRefused, match="too busy"):
        inbox.command(command())
    inbox.put(report("one more"))
    assert len(emptied(inbox)) == COMMANDS_MAX + 1


async def test_a_command_carries_the_promise_of_an_answer() -> None:
    inbox = Inbox()
    reply = inbox.command(command())
    letter = inbox.take_now()
    assert letter is not None
    assert letter.reply is reply
    assert not reply.done()


async def test_whoever_paces_the_desk_is_told_when_everything_was_taken() -> None:
    inbox = Inbox()
    await asyncio.wait_for(inbox.emptied(), 20)
    inbox.put(tick(100))
    inbox.put(report("r1"))
    inbox.command(command())
    waiting = asyncio.create_task(inbox.emptied())
    for _ in range(3):
        await asyncio.sleep(0)
        assert not waiting.done()
        inbox.take_now()
    await asyncio.wait_for(waiting, 20)
