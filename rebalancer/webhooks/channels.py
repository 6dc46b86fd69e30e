"""Channels to people: alerts by Telegram, mail, Slack and whatever else Apprise can reach.

What comes in is told once, repeated at a bounded pace and resolved already (`desk/alert_book.py`).
Here it is kept until it arrives, and what comes together goes out as one message, so that no flood
reaches a telephone. The address of a channel is a secret and is never logged.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from rebalancer.core.actions import RESOLVED, Alert, Severity
from rebalancer.core.instant import DAY_MS, iso
from rebalancer.errors import ConfigRefused
from rebalancer.ports import Clock, Deliveries, Delivery
from rebalancer.webhooks.outbox import TURN, Outbox, Outcome, Pace

#: by it nobody is woken, and it shows whether a channel works: it goes to every channel
TEST = "alert_test"
#: of one message; channels cut what is longer, each where it likes
BODY_CHARACTERS_MAX = 3_000
#: how long one message may take
NOTIFY_SECONDS = 20.0
#: between two messages of one channel
REST_SECONDS = 10.0
#: alerts of a channel whose end it would tell; those that never end must not grow without end
TOLD_MAX = 2_000
_RANK = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}
_KINDS = {Severity.INFO: "info", Severity.WARNING: "warning", Severity.CRITICAL: "failure"}

Notify = Callable[[str, str, Severity], Awaitable[bool]]
"""Sends a title and a body; whether it arrived. May raise what it likes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One way to people."""

    notify: Notify
    #: the least severe alert that it carries
    at_least: Severity


class Messenger:
    """Carries the alerts of one channel, all that are due as one message."""

    pace = Pace(
        together=TURN,
        rest_seconds=REST_SECONDS,
        pauses_seconds=(5, 15, 60, 300, 900),
        # A person has no use for an older one: what still is wrong was said again since.
        give_up_after_ms=DAY_MS,
    )

    def __init__(self, notify: Notify, mode: str) -> None:
        self._notify = notify
        self._mode = mode

    async def close(self) -> None:
        """Nothing is kept open between two messages."""

    async def carry(self, deliveries: Sequence[Delivery]) -> Outcome:
        """Send the alerts as one message."""
        title, body, worst = message_of([json.loads(each.body) for each in deliveries], self._mode)
        try:
            async with asyncio.timeout(NOTIFY_SECONDS):
                arrived = await self._notify(title, body, worst)
        except Exception as error:  # noqa: BLE001 - a hundred services, each with errors of its own
            return Outcome(f"the channel failed: {type(error).__name__}")
        return Outcome() if arrived else Outcome("the channel did not take it")


def message_of(alerts: Sequence[Mapping[str, str]], mode: str) -> tuple[str, str, Severity]:
    """Return title, body and severity of one message about some alerts."""
    worst = max((Severity(each["severity"]) for each in alerts), key=_RANK.__getitem__)
    if len(alerts) == 1:
        (only,) = alerts
        about = f"{only['subject']}: {only['name']}" if only["subject"] else only["name"]
        return f"[{mode}] {worst} {about}", f"{only['text']}\n{only['at']}", worst
    lines = [
        f"{each['at']} {each['severity']} {each['name']} {each['subject']}: {each['text']}"
        for each in alerts
    ]
    body = "\n".join(lines)
    if len(body) > BODY_CHARACTERS_MAX:
        body = f"{body[:BODY_CHARACTERS_MAX]}\n(cut; see: rebalancer alerts)"
    return f"[{mode}] {len(alerts)} alerts, the worst {worst}", body, worst


class ChannelService:
    """A service of the daemon that takes its alerts."""

    def __init__(
        self, channels: Mapping[str, Channel], deliveries: Deliveries, wall: Clock, mode: str
    ) -> None:
        """Tell by `channels`, by name; `mode` stands in each message, `wall` is the real time."""
        self._channels = channels
        carriers = {self._key(name): Messenger(c.notify, mode) for name, c in channels.items()}
        self.outbox = Outbox("alert_channel", carriers, deliveries, wall)
        #: what each channel told of, the newest last, so that it also tells of its end
        self._told: dict[str, dict[tuple[str, str], None]] = {name: {} for name in channels}

    def take(self, alert: Alert) -> None:
        """Take an alert for every channel that carries it."""
        body = json.dumps(
            {
                "at": iso(alert.at_ms),
                "severity": str(alert.severity),
                "name": alert.name,
                "subject": alert.subject,
                "text": alert.text,
            }
        )
        for name, channel in self._channels.items():
            if self._carries(name, channel, alert):
                self.outbox.put(self._key(name), body)

    async def start(self) -> None:
        """Tell from now on, first what an earlier process left."""
        await self.outbox.start()

    async def close(self) -> None:
        """Stop telling and keep what was not told; may be called twice."""
        await self.outbox.close()

    @staticmethod
    def _key(name: str) -> str:
        """Return the name in the queue, which receivers of webhooks share."""
        return f"alerts.{name}"

    def _carries(self, name: str, channel: Channel, alert: Alert) -> bool:
        told = self._told[name]
        if alert.name.endswith(RESOLVED):
            key = (alert.name.removesuffix(RESOLVED), alert.subject)
            known = key in told
            told.pop(key, None)
            return known
        if alert.name == TEST:
            return True
        if _RANK[alert.severity] < _RANK[channel.at_least]:
            return False
        told.pop((alert.name, alert.subject), None)
        told[alert.name, alert.subject] = None
        if len(told) > TOLD_MAX:
            del told[next(iter(told))]
        return True


def by_apprise(url: str, where: str) -> Notify:
    """Return what sends to an address of Apprise; ConfigRefused never quotes it."""
    try:
        import apprise  # noqa: PLC0415 - an extra, and slow to load
    except ImportError:
        raise ConfigRefused(
            f"{where}: needs the extra alerts: install rebalancer[alerts]"
        ) from None
    # It logs addresses, and answers of services that may quote them; outcomes are logged here.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    sender = apprise.Apprise(asset=apprise.AppriseAsset(app_id="rebalancer", secure_logging=True))
    if not sender.add(url):
        raise ConfigRefused(
            f"{where}: is no address that Apprise knows, such as tgram://TOKEN/CHAT or "
            "mailto://USER:PASSWORD@example.org"
        )

    async def notify(title: str, body: str, severity: Severity) -> bool:
        sent = await sender.async_notify(body=body, title=title, notify_type=_KINDS[severity])
        return bool(sent)

    return notify
