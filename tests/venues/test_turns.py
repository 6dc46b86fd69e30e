"""Turns: sends begin in their order, one per turn of the loop, and answers are read after them."""

from __future__ import annotations

import asyncio

from rebalancer.venues.turns import Turns


async def test_the_first_turn_is_there_at_once():
    turns = Turns()
    taking = asyncio.ensure_future(turns.take())
    await asyncio.sleep(0)
    assert taking.done()


async def test_what_one_send_started_goes_on_before_the_next_begins():
    turns, log = Turns(), []

    async def send(name: str) -> None:
        await turns.take()
        log.append(f"{name} signed")
        await asyncio.sleep(0)
        log.append(f"{name} left")

    await asyncio.gather(*(send(name) for name in ("a", "b", "c")))
    assert log == ["a signed", "a left", "b signed", "b left", "c signed", "c left"]


async def test_answers_are_read_once_every_send_has_begun():
    turns, log = Turns(), []

    async def send(name: str) -> None:
        await turns.take()
        log.append(f"{name} begun")
        await turns.all_taken()
        log.append(f"{name} read")

    await asyncio.gather(*(send(name) for name in ("a", "b", "c")))
    assert log[:3] == ["a begun", "b begun", "c begun"]
    assert sorted(log[3:]) == ["a read", "b read", "c read"]


async def test_a_turn_that_is_given_up_passes_on_whenever_it_is_given_up():
    for pause in range(6):
        turns = Turns()
        tasks = [asyncio.create_task(turns.take()) for _ in range(4)]
        for _ in range(pause):
            await asyncio.sleep(0)
        tasks[1].cancel()
        async with asyncio.timeout(20):
            await asyncio.gather(*tasks, return_exceptions=True)
            await turns.all_taken()
        assert [task.cancelled() for task in tasks].count(True) <= 1
