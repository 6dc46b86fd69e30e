"""Channels to people from the configuration to a running desk, whose test alert arrives."""

from __future__ import annotations

import asyncio

import pytest

from rebalancer.bootstrap import open_daemon
from rebalancer.core.actions import Severity
from rebalancer.errors import ConfigRefused
from rebalancer.settings import Config, parse
from rebalancer.store.memory import MemoryStore
from rebalancer.webhooks import channels
from tests.desk.rig import until

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


async def test_the_test_alert_of_a_running_desk_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def fake(url: str, _where: str) -> channels.Notify:
        async def notify(title: str, _body: str, _severity: Severity) -> bool:
            said.append(f"{title} by {url}")
            return True

        return notify

    monkeypatch.setattr(channels, "by_apprise", fake)
    daemon = await open_daemon(config(), MemoryStore(), control=False)
    stop = asyncio.Event()
    running = asyncio.create_task(daemon.run(stop))
    try:
        await until(lambda: daemon.ready, "the desk is ready", 20)
        daemon.alerts.test()
        await until(lambda: bool(said), "the alert arrived", 20)
    finally:
        stop.set()
        await asyncio.wait_for(running, 20)
    assert said == [f"[paper] info alert_test by {URL}"]


async def test_a_desk_whose_channel_has_no_address_does_not_start() -> None:
    with pytest.raises(ConfigRefused, match=f"alerts.oncall.url: is missing; set {VARIABLE}"):
        await open_daemon(config(None), MemoryStore(), control=False)


def test_an_address_in_the_file_is_refused_and_never_printed() -> None:
    with pytest.raises(ConfigRefused, match=r"alerts.oncall.url: a secret must not stand") as e:
        parse(DESK.replace("at_least", f'url = "{URL}"\nat_least'))
    assert "SESAME" not in str(e.value)
    assert "SESAME" not in repr(config())
    assert config().digest == config("tgram://OTHER/1").digest
