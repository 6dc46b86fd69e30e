"""Channels to people from the configuration to a running desk, whose test alert arrives."""

from __future__ import annotations

import asyncio
import contextlib
from base64 import b64decode
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiohttp import web

from rebalancer.bootstrap import open_daemon
from rebalancer.core.events import Commanded, CommandKind
from rebalancer.desk.daemon import Daemon
from rebalancer.errors import ConfigRefused
from rebalancer.settings import Config, parse
from rebalancer.store.memory import MemoryStore
from rebalancer.webhooks import channels
from tests.desk.rig import until

KEY = "OPENSESAME"
URL = "tgram://SESAME/4711"
VARIABLE = "REBALANCER__ALERTS__ONCALL__URL"
DESK = """
[accounts.main]

[alerts.oncall]
at_least = "critical"

[funds.BTC3L]
account = "main"
target_leverage = 3
basket = { "BTC/USDT:USDT" = 1 }
"""


def config(url: str | None = URL) -> Config:
    return parse(DESK, environ={} if url is None else {VARIABLE: url})


class People:
    """A service of people's messages on this machine; it refuses as often as it is told to."""

    def __init__(self, refusals: int = 0) -> None:
        self.refusals = refusals
        #: title, severity and key of each message that was taken
        self.taken: list[tuple[str, str, str]] = []
        self.asked = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        if self.asked <= self.refusals:
            return web.Response(status=503)
        said = await request.json()
        key = b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()
        self.taken.append((said["title"], said["type"], key))
        return web.Response()


@contextlib.asynccontextmanager
async def listening(people: People) -> AsyncIterator[str]:
    """Answer for them; yield their address as Apprise writes it, with a key."""
    app = web.Application()
    app.router.add_post("/desk", people.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield "json://desk:{key}@{0}:{1}/desk".format(*runner.addresses[0], key=KEY)
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def running(known: Config) -> AsyncIterator[Daemon]:
    daemon = await open_daemon(known, MemoryStore(), control=False)
    stop = asyncio.Event()
    task = asyncio.create_task(daemon.run(stop))
    try:
        await until(lambda: daemon.ready, "the desk is ready", 20)
        yield daemon
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)


@pytest.mark.filterwarnings("ignore:.imghdr.:DeprecationWarning")
async def test_alerts_of_a_running_desk_arrive_by_apprise_at_a_service_that_was_away(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """From the desk through its queue and the real library to the socket of another server."""
    pace = replace(channels.Messenger.pace, rest_seconds=0.0, pauses_seconds=(0.05,))
    monkeypatch.setattr(channels.Messenger, "pace", pace)
    people = People(refusals=2)
    async with listening(people) as url, running(config(url)) as daemon:
        daemon.alerts.test()
        await until(lambda: len(people.taken) == 1, "the test alert arrived", 20)
        halt = Commanded(daemon.clock.now_ms(), CommandKind.HALT, "BTC3L", "a drill")
        await daemon.inbox.command(halt)
        await until(lambda: len(people.taken) == 2, "the halt was told", 20)
    assert people.taken == [
        ("[paper] info alert_test", "info", f"desk:{KEY}"),
        ("[paper] critical BTC3L: fund_halted", "failure", f"desk:{KEY}"),
    ]
    assert people.asked == 4
    assert KEY not in "".join(capfd.readouterr())


async def test_a_desk_whose_channel_has_no_address_does_not_start() -> None:
    with pytest.raises(ConfigRefused, match=f"alerts.oncall.url: is missing; set {VARIABLE}"):
        await open_daemon(config(None), MemoryStore(), control=False)


def test_an_address_in_the_file_is_refused_and_never_printed() -> None:
    with pytest.raises(ConfigRefused, match=r"alerts.oncall.url: a secret must not stand") as e:
        parse(DESK.replace("at_least", f'url = "{URL}"\nat_least'))
    assert "SESAME" not in str(e.value)
    assert "SESAME" not in repr(config())
    assert config().digest == config("tgram://OTHER/1").digest
