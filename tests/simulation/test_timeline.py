"""Virtual time: what a life that was killed leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc

import pytest

from tests.simulation.timeline import Killed, VirtualLoop


def test_of_a_life_that_was_killed_nothing_is_heard_any_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ended: list[asyncio.Task[None]] = []

    async def fail() -> None:
        raise OSError

    async def live() -> None:
        ended.append(asyncio.ensure_future(fail()))
        await ended[0]

    def kill_once_it_failed(_turn: int) -> None:
        if ended and ended[0].done():
            raise Killed  # whoever waits for it has not been woken yet

    loop = VirtualLoop(kill_once_it_failed)
    with contextlib.suppress(Killed):
        loop.run_until_complete(live())
    assert ended[0].done()
    loop.bury()
    ended.clear()
    del loop
    gc.collect()
    assert caplog.messages == []
