"""Channels to people: a flood is one message, an end is told, and a test arrives everywhere."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence

import httpx
import pytest
import structlog
from structlog.testing import capture_logs

from rebalancer.clock import VirtualClock
from rebalancer.core.actions import Alert, Severity
from rebalancer.errors import ConfigRefused
from rebalancer.ports import DeliveryStatus
from rebalancer.store.memory import MemoryStore
from rebalancer.webhooks.channels import (
    BODY_CHARACTERS_MAX,
    TOLD_MAX,
    Channel,
    ChannelService,
    by_apprise,
    message_of,
)
from tests.factories import NOON

Said = tuple[str, str, Severity]


class Telephone:
    """A fake notifier."""

    def __init__(self, answers: Sequence[bool | Exception] = ()) -> None:
        self.said: list[Said] = []
        self.answers = list(answers)

    async def __call__(self, title: str, body: str, severity: Severity) -> bool:
        answer = self.answers.pop(0) if self.answers else True
        if isinstance(answer, Exception):
            raise answer
        if answer:
            self.said.append((title, body, severity))
        return answer


class Desk:
    def __init__(self, phone: Telephone, at_least: Severity = Severity.WARNING) -> None:
        self.clock = VirtualClock(NOON)
        self.store = MemoryStore()
        channel = Channel(notify=phone, at_least=at_least)
        self.service = ChannelService({"oncall": channel}, self.store, self.clock, "live")

    async def turn(self) -> int:
        await self.service.outbox.save()
        return await self.service.outbox.turn("alerts.oncall")


@pytest.fixture
def phone() -> Telephone:
    return Telephone()


@pytest.fixture
async def desk(phone: Telephone) -> AsyncIterator[Desk]:
    made = Desk(phone)
    yield made
    await made.service.close()


def alert(name: str, severity: Severity = Severity.WARNING, subject: str = "BTC3L") -> Alert:
    return Alert(NOON, severity, name, subject, f"why {name}")


async def test_an_alert_says_how_bad_it_is_of_what_and_why(desk: Desk, phone: Telephone) -> None:
    desk.service.take(alert("premium_halt", Severity.CRITICAL))
    assert await desk.turn() == 1
    assert phone.said == [
        (
            "[live] critical BTC3L: premium_halt",
            "why premium_halt\n2026-01-01T12:00:00Z",
            Severity.CRITICAL,
        )
    ]
    assert await desk.turn() == 0, "it is told once"


async def test_what_comes_together_goes_out_as_one_message(desk: Desk, phone: Telephone) -> None:
    for number in range(20):
        desk.service.take(alert(f"thing_{number}"))
    desk.service.take(alert("worse", Severity.CRITICAL))
    await desk.turn()
    await desk.turn()
    assert [title for title, _, _ in phone.said] == [
        "[live] 20 alerts, the worst warning",
        "[live] critical BTC3L: worse",
    ]
    assert phone.said[0][1].count("\n") == 19


async def test_what_is_less_than_the_channel_carries_is_left_out_and_so_is_its_end(
    desk: Desk, phone: Telephone
) -> None:
    desk.service.take(alert("note", Severity.INFO))
    desk.service.take(alert("note_resolved", Severity.INFO))
    desk.service.take(alert("nav_gap"))
    desk.service.take(alert("nav_gap_resolved", Severity.INFO))
    desk.service.take(alert("nav_gap_resolved", Severity.INFO))
    await desk.turn()
    ((_, body, _),) = phone.said
    assert [line.split()[2] for line in body.splitlines()] == ["nav_gap", "nav_gap_resolved"]


async def test_a_test_goes_to_every_channel(desk: Desk, phone: Telephone) -> None:
    desk.service.take(alert("alert_test", Severity.INFO, subject=""))
    await desk.turn()
    assert phone.said[0][0] == "[live] info alert_test"


@pytest.mark.parametrize("trouble", [False, OSError("tgram://SESAME"), TimeoutError()])
async def test_what_did_not_arrive_comes_again_and_its_failure_is_logged_without_the_address(
    trouble: bool | Exception,
) -> None:
    structlog.reset_defaults()
    phone = Telephone([trouble, trouble])
    desk = Desk(phone)
    desk.service.take(alert("nav_gap"))
    with capture_logs() as logs:
        for _ in range(3):
            await desk.turn()
            desk.clock.advance(60_000)
    await desk.service.close()
    assert len(phone.said) == 1
    assert [line["event"] for line in logs] == [
        "alert_channel_failing",
        "alert_channel_delivers_again",
    ]
    assert "SESAME" not in str(logs)


async def test_after_a_day_it_is_given_up() -> None:
    phone = Telephone([False] * 50)
    desk = Desk(phone)
    desk.service.take(alert("nav_gap"))
    for _ in range(30):
        await desk.turn()
        desk.clock.advance(3_600_000)
    await desk.service.close()
    (kept,) = desk.store.deliveries.values()
    assert kept.status is DeliveryStatus.GIVEN_UP


def test_a_long_message_is_cut_and_says_so() -> None:
    told = {"at": "t", "severity": "info", "name": "n", "subject": "", "text": "x" * 500}
    _, body, _ = message_of([told] * 20, "paper")
    assert len(body) < BODY_CHARACTERS_MAX + 50
    assert body.endswith("(cut; see: rebalancer alerts)")


@pytest.mark.filterwarnings("ignore:.imghdr.:DeprecationWarning")  # one of its services
async def test_apprise_carries_it_to_a_service_on_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    requests = pytest.importorskip("requests")
    posted: list[tuple[str, dict[str, str]]] = []

    def request(_self: object, method: str, url: str, **sent: str) -> httpx.Response:
        posted.append((f"{method} {url}", json.loads(sent["data"])))
        return httpx.Response(200)

    monkeypatch.setattr(requests.Session, "request", request)
    notify = by_apprise("json://127.0.0.1:9/desk", "alerts.oncall.url")
    assert await notify("a title", "a body", Severity.CRITICAL)
    ((where, document),) = posted
    assert where.casefold() == "post http://127.0.0.1:9/desk"
    assert document["title"] == "a title"
    assert document["message"] == "a body"
    assert document["type"] == "failure"


@pytest.mark.filterwarnings("ignore:.imghdr.:DeprecationWarning")
def test_an_address_that_is_none_is_refused_without_quoting_it() -> None:
    with pytest.raises(ConfigRefused, match=r"alerts\.oncall\.url: is no address") as refused:
        by_apprise("SESAME", "alerts.oncall.url")
    assert "SESAME" not in str(refused.value)


async def test_what_never_ends_is_not_remembered_for_ever(desk: Desk) -> None:
    desk.service.take(alert("order_unknown", subject="one that ends"))
    for number in range(TOLD_MAX - 1):
        desk.service.take(alert("collar_missed", subject=f"order {number}"))
    desk.service.take(alert("order_unknown_resolved", subject="one that ends"))
    assert len(desk.service.outbox._fresh) == TOLD_MAX + 1, "its end is told"
    for number in range(2 * TOLD_MAX):
        desk.service.take(alert("collar_missed", subject=f"later order {number}"))
    assert len(desk.service._told["oncall"]) == TOLD_MAX
