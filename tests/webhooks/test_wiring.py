"""Webhooks from the configuration to a running desk: their secrets, and what happens without."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
import respx

from rebalancer.bootstrap import open_daemon
from rebalancer.errors import ConfigRefused
from rebalancer.settings import Config, parse
from rebalancer.settings.webhooks import KINDS as SETTINGS_KINDS
from rebalancer.store.memory import MemoryStore
from rebalancer.webhooks.words import KINDS
from tests.desk.rig import until

URL = "https://makers.example/hook"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
VARIABLE = "REBALANCER__WEBHOOKS__MAKERS__SECRET"
DESK = f"""
[accounts.main]

[webhooks.makers]
url = "{URL}"

[funds.BTC3L]
account = "main"
target_leverage = 3
basket = {{ "BTC/USDT:USDT" = 1 }}
"""


def config(secret: str | None = SECRET) -> Config:
    return parse(DESK, environ={} if secret is None else {VARIABLE: secret})


@respx.mock
async def test_a_running_desk_tells_its_receivers_of_its_first_rebalance() -> None:
    route = respx.post(URL).respond(200)
    daemon = await open_daemon(config(), MemoryStore(), control=False)
    stop = asyncio.Event()
    running = asyncio.create_task(daemon.run(stop))

    def types() -> set[str]:
        return {json.loads(call.request.content)["type"] for call in route.calls}

    try:
        await until(lambda: {"rebalance.opened", "rebalance.done"} <= types(), "told", 20)
    finally:
        stop.set()
        await asyncio.wait_for(running, 20)


@respx.mock
async def test_a_receiver_that_never_answers_does_not_hold_up_the_stop() -> None:
    asked = asyncio.Event()

    async def never(_request: httpx.Request) -> httpx.Response:
        asked.set()
        await asyncio.sleep(3_600)
        return httpx.Response(200)

    respx.post(URL).mock(side_effect=never)
    store = MemoryStore()
    daemon = await open_daemon(config(), store, control=False)
    stop = asyncio.Event()
    running = asyncio.create_task(daemon.run(stop))
    await asyncio.wait_for(asked.wait(), 20)
    stop.set()
    await asyncio.wait_for(running, 20)
    assert store.deliveries, "what was not delivered is kept for the next start"


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        (None, f"webhooks.makers.secret: is missing; set {VARIABLE}"),
        ("SESAME", "a secret is whsec_"),
    ],
)
async def test_a_desk_without_a_good_secret_does_not_start(secret: str | None, words: str) -> None:
    with pytest.raises(ConfigRefused) as refused:
        await open_daemon(config(secret), MemoryStore(), control=False)
    assert words in str(refused.value)
    assert "SESAME" not in str(refused.value)


def test_a_secret_in_the_file_is_refused() -> None:
    with pytest.raises(
        ConfigRefused, match=r"webhooks.makers.secret: a secret must not stand"
    ) as e:
        parse(DESK.replace("[funds", f'secret = "{SECRET}"\n[funds'))
    assert SECRET not in str(e.value)


def test_secrets_are_neither_printed_nor_part_of_the_digest() -> None:
    assert SECRET not in repr(config())
    assert config().digest == config("whsec_" + "A" * 40).digest


def test_a_receiver_without_an_address_or_of_unknown_kinds_is_refused() -> None:
    with pytest.raises(ConfigRefused, match=r"webhooks.makers.url: is missing"):
        parse(DESK.replace("url =", "#url ="))
    with pytest.raises(ConfigRefused, match=r"webhooks.makers.events"):
        parse(DESK.replace("[funds", 'events = ["prices"]\n[funds'))


def test_settings_and_messages_know_the_same_kinds() -> None:
    assert SETTINGS_KINDS == KINDS
