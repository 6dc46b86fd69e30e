"""The one path of every alert to people: told once, repeated at a bounded pace, resolved.

Alerts are the same when name and subject are. One whose cause lasts (`alert_causes.py`) stays open
until the state says that the cause is over; it is repeated after 15 minutes, then ever more rarely.
One that tells of something that happened is told again only when it says something new. Paces count
real time, also where the desk's clock runs faster: they are about the attention of people.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import structlog

from rebalancer.core.actions import RESOLVED, Alert, Severity
from rebalancer.core.instant import iso
from rebalancer.core.state import DeskState
from rebalancer.desk.alert_causes import LASTING
from rebalancer.ports import Clock

_log = structlog.get_logger(__name__)
#: the first repetition of an alert whose cause lasts, and the longest pause between two
REPEAT_SECONDS = 900.0
REPEAT_SECONDS_MAX = 14_400.0
#: how long the same words about something that happened are not told again
SAME_WORDS_SECONDS = 900.0
#: alerts under critical that are told in one minute; the others wait, or are counted
TOLD_PER_MINUTE_MAX = 30
#: subjects that are remembered: a flood must not grow without end
KEPT_MAX = 2_000
LOOK_SECONDS = 1.0

Key = tuple[str, str]
_RANK = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}
Tell = Callable[[Alert], None]


def steady_s() -> float:
    """Return the running loop's time."""
    return asyncio.get_running_loop().time()


@dataclass(slots=True)
class Entry:
    """One alert as it stands; times in real seconds, but for the desk's own stamps."""

    alert: Alert
    lasting: bool
    opened_ms: int
    #: how often it was raised
    count: int = 1
    #: when people were told last; None: not yet, there was no room
    told_s: float | None = None
    pause_s: float = REPEAT_SECONDS


class AlertBook:
    """Takes every alert of the desk and tells people of those that are news."""

    def __init__(
        self, state: DeskState, clock: Clock, tell: Tell, now_s: Callable[[], float] = steady_s
    ) -> None:
        """Tell through `tell`; `now_s` is a clock in seconds that nobody sets."""
        self._state = state
        self._clock = clock
        self._tell = tell
        self._now_s = now_s
        self._entries: dict[Key, Entry] = {}
        self._told_s: deque[float] = deque()
        self._left_out = 0

    @property
    def open(self) -> tuple[Entry, ...]:
        """Alerts whose cause lasts, the gravest first, then the oldest."""
        found = (entry for entry in self._entries.values() if entry.lasting)
        return tuple(sorted(found, key=lambda e: (-_RANK[e.alert.severity], e.opened_ms)))

    def document(self) -> dict[str, Any]:
        """Return what is open, as JSON can hold it."""
        return {
            "alerts": [
                {
                    "name": entry.alert.name,
                    "subject": entry.alert.subject,
                    "severity": str(entry.alert.severity),
                    "text": entry.alert.text,
                    "since": iso(entry.opened_ms),
                    "count": entry.count,
                }
                for entry in self.open
            ]
        }

    def test(self) -> dict[str, Any]:
        """Raise an alert that means nothing, to see where it arrives."""
        at_ms = self._clock.now_ms()
        alert = Alert(at_ms, Severity.INFO, "alert_test", "", f"a test, raised at {iso(at_ms)}")
        self.take(alert)
        return {"text": alert.text}

    def take(self, alert: Alert) -> None:
        """Take an alert; tell it where it is news."""
        key = (alert.name, alert.subject)
        known = self._entries.get(key)
        if known is None:
            self._make_room()
            self._entries[key] = entry = Entry(alert, alert.name in LASTING, alert.at_ms)
            self._say(entry, alert)
            return
        known.count += 1
        graver = _RANK[alert.severity] > _RANK[known.alert.severity]
        news = not known.lasting and alert.text != known.alert.text
        known.alert = alert
        if graver or news or (not known.lasting and self._since(known) >= SAME_WORDS_SECONDS):
            self._say(known, alert)

    def look(self) -> None:
        """Resolve what is over, repeat what lasts, and forget what happened long ago."""
        for key, entry in tuple(self._entries.items()):
            if not entry.lasting:
                if self._since(entry) >= SAME_WORDS_SECONDS:
                    del self._entries[key]
            elif not LASTING[entry.alert.name](self._state, entry.alert.subject):
                del self._entries[key]
                self._resolve(entry)
            elif entry.told_s is None:
                self._say(entry, entry.alert)
            elif self._since(entry) >= entry.pause_s:
                entry.pause_s = min(2 * entry.pause_s, REPEAT_SECONDS_MAX)
                again = f"since {iso(entry.opened_ms)}, {entry.count} times: {entry.alert.text}"
                self._say(entry, replace(entry.alert, at_ms=self._clock.now_ms(), text=again))
        if self._left_out and self._room():
            text = f"{self._left_out} alerts of things that happened were not told: too many"
            self._left_out = 0
            self._out(Alert(self._clock.now_ms(), Severity.WARNING, "alerts_left_out", "", text))

    async def run(self) -> None:
        """Look every second, for ever."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_SECONDS)

    def _since(self, entry: Entry) -> float:
        return float("inf") if entry.told_s is None else self._now_s() - entry.told_s

    def _resolve(self, entry: Entry) -> None:
        if entry.told_s is None:
            return  # nobody heard of it
        alert = entry.alert
        text = f"over; it was raised at {iso(entry.opened_ms)}: {alert.text}"
        self._out(
            Alert(
                self._clock.now_ms(), Severity.INFO, f"{alert.name}{RESOLVED}", alert.subject, text
            )
        )

    def _say(self, entry: Entry, alert: Alert) -> None:
        if alert.severity is not Severity.CRITICAL and not self._room():
            if not entry.lasting:
                self._left_out += 1
                entry.told_s = self._now_s()
            return
        entry.told_s = self._now_s()
        self._out(alert)

    def _room(self) -> bool:
        now_s = self._now_s()
        while self._told_s and now_s - self._told_s[0] >= 60.0:
            self._told_s.popleft()
        return len(self._told_s) < TOLD_PER_MINUTE_MAX

    def _out(self, alert: Alert) -> None:
        self._told_s.append(self._now_s())
        log = {
            Severity.INFO: _log.info,
            Severity.WARNING: _log.warning,
            Severity.CRITICAL: _log.error,
        }[alert.severity]
        log(alert.name, subject=alert.subject, text=alert.text)
        self._tell(alert)

    def _make_room(self) -> None:
        """Forget the oldest that only happened, else the oldest of all."""
        if len(self._entries) < KEPT_MAX:
            return
        happened = (key for key, entry in self._entries.items() if not entry.lasting)
        del self._entries[next(happened, next(iter(self._entries)))]
