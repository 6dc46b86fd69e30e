"""Webhooks: signed as the scheme says, kept until they arrive, and never in the desk's way."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import respx
import structlog
import tenacity
from structlog.testing import capture_logs

from rebalancer.clock import VirtualClock
from rebalancer.core.actions import Alert, Severity
from rebalancer.core.premium import PremiumStage, PremiumStaged
from rebalancer.core.records import DeskOpened, FundWiped
from rebalancer.errors import BrokenInvariant, CommandRefused, ConfigRefused, StoreUnavailable
from rebalancer.ports import Delivery, DeliveryStatus
from rebalancer.store.memory import MemoryStore
from rebalancer.store.sql import open_store
from rebalancer.webhooks import outbox, service
from rebalancer.webhooks.outbox import WAITING_MAX
from rebalancer.webhooks.service import GIVE_UP_AFTER_MS, Receiver, WebhookService
from rebalancer.webhooks.signing import headers, key_of
from rebalancer.webhooks.words import KINDS, of_record
from tests.desk.rig import until
from tests.factories import NOON, D

URL = "https://makers.example/hook?token=SESAME"
KEY = b"0123456789abcdef0123456789abcdef"
STAGED = PremiumStaged(
    NOON, "BTC3L", PremiumStage.HALT, "gate:BTC3L/USDT", D(131), D(100), D("0.31")
)
ALERT = Alert(NOON, Severity.CRITICAL, "premium_halt", "BTC3L", "too far")


class Desk:
    def __init__(self, kinds: tuple[str, ...] = KINDS) -> None:
        self.clock = VirtualClock(NOON)
        self.store = MemoryStore()
        receiver = Receiver(url=URL, key=KEY, kinds=frozenset(kinds))
        self.service = WebhookService(
            {"makers": receiver}, self.store, self.clock, quick=tenacity.wait_none()
        )

    async def turn(self) -> int:
        await self.service.outbox.save()
        return await self.service.outbox.turn("makers")

    @property
    def kept(self) -> list[Delivery]:
        return list(self.store.deliveries.values())


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    made = Desk()
    yield made
    await made.service.close()


def test_the_end_of_a_fund_by_the_gap_rule_is_a_change_of_its_state() -> None:
    told = of_record(FundWiped(NOON, "BTC3L", "nothing is left", D(-1), {}))
    assert told == (
        "state.changed",
        {"scope": "fund", "name": "BTC3L", "state": "wiped", "reason": "nothing is left"},
    )


def test_the_signature_is_the_one_of_the_published_example() -> None:
    # standard-webhooks/standard-webhooks, the libraries' common test vector
    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "secret")
    made = headers(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert made["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@respx.mock
async def test_an_event_arrives_signed_with_its_type_and_exact_numbers(desk: Desk) -> None:
    route = respx.post(URL).respond(204)
    desk.service.publish([STAGED])
    assert await desk.turn() == 1
    request = route.calls.last.request
    document = json.loads(request.content)
    assert document["type"] == "premium.halt"
    assert document["timestamp"] == "2026-01-01T12:00:00Z"
    assert document["data"]["premium"] == "0.31"
    signed = b".".join(
        [
            request.headers["webhook-id"].encode(),
            request.headers["webhook-timestamp"].encode(),
            request.content,
        ]
    )
    wanted = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert request.headers["webhook-signature"] == f"v1,{wanted}"
    assert request.headers["webhook-timestamp"] == str(NOON // 1_000)
    assert [each.status for each in desk.kept] == [DeliveryStatus.DELIVERED]


@respx.mock
@pytest.mark.parametrize(
    "trouble",
    [httpx.Response(500), httpx.Response(301), httpx.ConnectError("no"), httpx.ReadTimeout("no")],
    ids=["500", "a redirect", "refused", "silent"],
)
async def test_what_fails_comes_again_later_under_the_same_id(
    desk: Desk, trouble: httpx.Response | Exception
) -> None:
    route = respx.post(URL).mock(side_effect=[trouble, trouble, httpx.Response(200)])
    if isinstance(trouble, httpx.Response):
        route.side_effect = [trouble, httpx.Response(200)]
    desk.service.publish([STAGED])
    assert await desk.turn() == 0
    (waits,) = desk.kept
    assert waits.attempts == 1
    assert 4_000 <= waits.due_ms - NOON <= 6_000
    assert await desk.turn() == 0, "not before its time"
    desk.clock.advance(6_000)
    assert await desk.turn() == 1
    ids = {call.request.headers["webhook-id"] for call in route.calls}
    assert ids == {waits.id}
    assert [each.status for each in desk.kept] == [DeliveryStatus.DELIVERED]


@respx.mock
async def test_a_receiver_that_names_its_pause_is_left_alone_for_it(desk: Desk) -> None:
    respx.post(URL).respond(429, headers={"retry-after": "120"})
    desk.service.publish([STAGED])
    await desk.turn()
    (waits,) = desk.kept
    assert waits.due_ms == NOON + 120_000


@respx.mock
async def test_after_three_days_an_event_is_given_up_and_kept(desk: Desk) -> None:
    route = respx.post(URL).respond(503)
    desk.service.publish([STAGED])
    for _ in range(40):
        await desk.turn()
        desk.clock.advance(36_000_000 * 2)
    (kept,) = desk.kept
    assert kept.status is DeliveryStatus.GIVEN_UP
    assert GIVE_UP_AFTER_MS // 86_400_000 == 3
    assert 3 <= route.call_count < 20


@respx.mock
async def test_a_receiver_that_is_gone_for_good_is_not_asked_again(desk: Desk) -> None:
    route = respx.post(URL).respond(410)
    desk.service.publish([STAGED])
    await desk.turn()
    desk.clock.advance(36_000_000)
    await desk.turn()
    assert route.call_count == 1
    assert [each.status for each in desk.kept] == [DeliveryStatus.GIVEN_UP]


@respx.mock
async def test_what_was_told_is_told_again_under_its_id(desk: Desk) -> None:
    route = respx.post(URL).respond(200)
    desk.service.publish([STAGED])
    await desk.turn()
    desk.clock.advance(7_200_000)
    desk.service.take(ALERT)
    await desk.turn()
    assert await desk.service.replay({"name": "makers", "length_ms": 3_600_000}) == {"count": 1}
    await desk.turn()
    ids = [call.request.headers["webhook-id"] for call in route.calls]
    assert len(ids) == 3
    assert ids[1] == ids[2]
    for asked in ({"name": "others", "length_ms": 1}, {"name": "makers"}):
        with pytest.raises(CommandRefused):
            await desk.service.replay(asked)


@respx.mock
async def test_one_failure_ends_the_turn_so_that_a_dead_receiver_is_not_flooded(
    desk: Desk,
) -> None:
    route = respx.post(URL).respond(500)
    desk.service.publish([STAGED, STAGED, STAGED])
    await desk.turn()
    assert route.call_count == 1


@respx.mock
async def test_a_failure_is_logged_once_and_says_nothing_secret(desk: Desk) -> None:
    structlog.reset_defaults()
    respx.post(URL).mock(side_effect=httpx.ConnectError(f"cannot reach {URL}"))
    desk.service.publish([STAGED])
    with capture_logs() as logs:
        for _ in range(3):
            await desk.turn()
            desk.clock.advance(3_600_000)
        respx.post(URL).respond(200)
        await desk.turn()
    assert [line["event"] for line in logs] == ["webhook_failing", "webhook_delivers_again"]
    said = f"{logs} {desk.service._receivers!r}"
    assert "SESAME" not in said
    assert KEY.decode() not in said


async def test_only_the_kinds_that_were_asked_for_are_sent() -> None:
    desk = Desk(("alert",))
    desk.service.publish([STAGED, DeskOpened(NOON, "desk", "1")])
    desk.service.take(ALERT)
    await desk.service.close()
    (kept,) = desk.kept
    assert json.loads(kept.body)["type"] == "alert.raised"


async def test_a_flood_is_bounded_and_what_is_left_out_is_counted(desk: Desk) -> None:
    structlog.reset_defaults()
    for _ in range(WAITING_MAX + 5):
        desk.service.take(ALERT)
    with capture_logs() as logs:
        await desk.service.outbox.save()
    assert {"event": "webhook_events_left_out", "count": 5, "log_level": "warning"} in logs
    assert len(desk.kept) == WAITING_MAX


async def test_a_store_that_fails_keeps_events_waiting(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(_deliveries: object) -> None:
        raise StoreUnavailable("the disk is gone")

    desk.service.take(ALERT)
    with monkeypatch.context() as patch:
        patch.setattr(desk.store, "put_deliveries", gone)
        await desk.service.outbox.save()
    await desk.service.outbox.save()
    assert len(desk.kept) == 1


async def test_the_queue_outlives_the_process(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/desk.db"
    store = open_store(url)
    waiting = [
        Delivery(f"msg_{n}", "makers", "{}", created_ms=NOON + n, due_ms=NOON + n) for n in range(3)
    ]
    await store.put_deliveries(waiting)
    await store.close()
    store = open_store(url)
    assert list(await store.due_deliveries("makers", NOON + 1, 10)) == waiting[:2]
    assert await store.due_deliveries("others", NOON + 9, 10) == ()
    done = [replace(each, status=DeliveryStatus.DELIVERED) for each in waiting]
    await store.put_deliveries(done)
    assert await store.replay_deliveries("makers", NOON + 1, NOON + 50) == 2
    again = await store.due_deliveries("makers", NOON + 50, 10)
    assert [each.id for each in again] == ["msg_1", "msg_2"]
    await store.close()


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "SESAME" * 8, "whsec_!!!"])
def test_what_is_no_secret_is_refused_without_quoting_it(secret: str) -> None:
    with pytest.raises(ConfigRefused) as refused:
        key_of(secret, "webhooks.makers.secret")
    assert "SESAME" not in str(refused.value)
    assert "openssl rand" in str(refused.value)


class LongAnswer(httpx.AsyncByteStream):
    """Five megabytes, and how many of its eighty parts were asked for."""

    def __init__(self) -> None:
        self.asked = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(80):
            self.asked += 1
            yield bytes(65_536)


@respx.mock
async def test_an_answer_is_not_kept_however_long_it_is(desk: Desk) -> None:
    """An answer without end filled the memory of the desk."""
    answer = LongAnswer()
    respx.post(URL).mock(return_value=httpx.Response(200, stream=answer))
    desk.service.publish([STAGED])
    assert await desk.turn() == 1
    assert answer.asked == 2


@respx.mock
async def test_an_answer_that_drips_is_given_up(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dripping(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                yield b"."
                await asyncio.sleep(0.01)

    monkeypatch.setattr(service, "POST_SECONDS", 0.05)
    respx.post(URL).mock(return_value=httpx.Response(200, stream=Dripping()))
    desk.service.publish([STAGED])
    assert await desk.turn() == 0
    assert [each.attempts for each in desk.kept] == [1]


@respx.mock
async def test_a_failure_that_nobody_foresaw_is_one_like_others(desk: Desk) -> None:
    """Python makes no number of so many digits, and what it raised ended the deliveries."""
    respx.post(URL).respond(503, headers={"retry-after": "9" * 5_000})
    desk.service.publish([STAGED])
    assert await desk.turn() == 0
    assert [each.attempts for each in desk.kept] == [1]


@respx.mock
async def test_a_store_that_breaks_once_does_not_end_the_deliveries(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "POLL_SECONDS", 0.01)
    respx.post(URL).respond(200)
    put, failures = desk.store.put_deliveries, [BrokenInvariant("unforeseen")] * 2

    async def break_first(deliveries: Sequence[Delivery]) -> None:
        if failures:
            raise failures.pop()
        await put(deliveries)

    monkeypatch.setattr(desk.store, "put_deliveries", break_first)
    desk.service.publish([STAGED])
    await desk.service.start()
    await until(
        lambda: [each.status for each in desk.kept] == [DeliveryStatus.DELIVERED],
        "it is delivered after all",
    )


@respx.mock
async def test_an_old_event_that_is_told_again_is_not_given_up_at_the_first_failure(
    desk: Desk,
) -> None:
    respx.post(URL).mock(side_effect=[httpx.Response(code) for code in (200, 503, 503, 200)])
    desk.service.publish([STAGED])
    await desk.turn()
    desk.clock.advance(GIVE_UP_AFTER_MS)
    await desk.service.replay({"name": "makers", "length_ms": GIVE_UP_AFTER_MS})
    for _ in range(3):
        await desk.turn()
        desk.clock.advance(120_000)
    assert [each.status for each in desk.kept] == [DeliveryStatus.DELIVERED]


async def test_what_is_told_while_two_save_at_once_is_kept_and_saved_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, slow, kept = desk.service.outbox, asyncio.Event(), list[str]()

    async def put(deliveries: Sequence[Delivery]) -> None:
        await slow.wait()
        kept.extend(each.body for each in deliveries)

    monkeypatch.setattr(desk.store, "put_deliveries", put)
    queue.put("makers", "first")
    saves = [asyncio.create_task(queue.save()) for _ in range(2)]  # its own, and a replay's
    await asyncio.sleep(0)
    queue.put("makers", "second")
    slow.set()
    await asyncio.gather(*saves)
    await queue.save()
    assert kept == ["first", "second"]
