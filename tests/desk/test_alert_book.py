"""Alerts to people: once, again at a bounded pace, and resolved when the cause is over."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from rebalancer.clock import VirtualClock
from rebalancer.core.actions import Alert, Severity
from rebalancer.core.events import CommandKind, TokenQuoted
from rebalancer.core.premium import PremiumTerms
from rebalancer.core.scope import Scope
from rebalancer.desk.alert_book import KEPT_MAX, TOLD_PER_MINUTE_MAX, AlertBook
from tests.factories import NOON, Bench, D, bench, fund

WATCHED = PremiumTerms(venue="gate", symbol="BTC3L/USDT")


@dataclass
class Desk:
    """A book over a real state, with the seconds in the hands of the test."""

    made: Bench = field(default_factory=lambda: bench(fund(premium=WATCHED)))
    told: list[Alert] = field(default_factory=list)
    now_s: float = 0.0

    def __post_init__(self) -> None:
        clock = VirtualClock(NOON)
        self.book = AlertBook(self.made.state, clock, self.told.append, lambda: self.now_s)

    def passed(self, seconds: float) -> None:
        self.now_s += seconds
        self.book.look()

    def raised(self, name: str, subject: str = "BTC3L", text: str = "why", **over: str) -> None:
        severity = Severity(over.get("severity", "warning"))
        self.book.take(Alert(NOON, severity, name, subject, text))

    @property
    def names(self) -> list[str]:
        return [alert.name for alert in self.told]


def test_an_alert_that_lasts_is_told_once_repeated_ever_more_rarely_and_resolved() -> None:
    desk = Desk()
    desk.made.command(CommandKind.HALT)
    for _ in range(6):
        desk.raised("fund_halted", severity="critical")
    assert desk.names == ["fund_halted"]
    desk.passed(899)
    assert len(desk.told) == 1
    desk.passed(1)
    assert len(desk.told) == 2
    assert desk.told[-1].text.startswith("since 2026-01-01T12:00:00Z, ")
    desk.passed(1_799)
    assert len(desk.told) == 2
    desk.passed(1)
    assert len(desk.told) == 3
    for _ in range(10):
        desk.passed(14_400)
    assert len(desk.told) == 13, "at least every four hours"
    desk.made.command(CommandKind.RESUME)
    desk.passed(1)
    assert desk.names[-1] == "fund_halted_resolved"
    assert desk.told[-1].severity is Severity.INFO
    assert desk.book.open == ()
    desk.passed(20_000)
    assert len(desk.told) == 14


def test_what_is_raised_with_every_question_does_not_flood() -> None:
    # An order whose fate stays unknown raises its alert each time that the venue is asked.
    desk = Desk()
    for _ in range(500):
        desk.raised("collar_missed", subject="order-1")
        desk.passed(1)
    assert desk.names == ["collar_missed"]


def test_something_new_about_the_same_subject_is_told() -> None:
    desk = Desk()
    desk.raised("fixed_missed", text="the fixed time of Monday passed")
    desk.raised("fixed_missed", text="the fixed time of Tuesday passed")
    desk.raised("fixed_missed", text="the fixed time of Tuesday passed")
    assert len(desk.told) == 2


def test_a_graver_alert_of_the_same_name_is_told_at_once() -> None:
    desk = Desk()
    desk.made.fund().quote_problem = "no bid"
    desk.raised("quote_dead")
    desk.raised("quote_dead", severity="critical")
    assert [alert.severity for alert in desk.told] == [Severity.WARNING, Severity.CRITICAL]


def test_two_subjects_are_two_alerts() -> None:
    desk = Desk()
    desk.raised("collar_missed", subject="one")
    desk.raised("collar_missed", subject="two")
    assert len(desk.told) == 2


def test_a_flood_leaves_room_for_what_is_critical_and_is_counted() -> None:
    desk = Desk()
    for number in range(100):
        desk.raised("collar_missed", subject=f"order-{number}")
    assert len(desk.told) == TOLD_PER_MINUTE_MAX
    desk.raised("fund_wiped", severity="critical")
    assert desk.names[-1] == "fund_wiped"
    desk.passed(60)
    assert desk.names[-1] == "alerts_left_out"
    assert desk.told[-1].text.startswith("70 alerts")


def test_what_lasts_is_told_later_where_there_was_no_room() -> None:
    desk = Desk()
    for number in range(TOLD_PER_MINUTE_MAX):
        desk.raised("collar_missed", subject=f"order-{number}")
    desk.made.fund().quote_problem = "no bid"
    desk.raised("quote_dead")
    assert "quote_dead" not in desk.names
    desk.passed(60)
    assert desk.names[-1] == "quote_dead"


def test_the_book_does_not_grow_without_end() -> None:
    desk = Desk()
    for number in range(KEPT_MAX + 100):
        desk.raised("collar_missed", subject=f"order-{number}")
    assert len(desk.book._entries) == KEPT_MAX
    desk.passed(2_000)
    assert len(desk.book._entries) == 0


def test_a_premium_is_open_until_it_is_released() -> None:
    desk = Desk()
    desk.made.take(TokenQuoted(desk.made.now_ms, "BTC3L", D(131), D(131)))
    for action in desk.made.actions:
        if isinstance(action, Alert):
            desk.book.take(action)
    (entry,) = desk.book.open
    assert entry.alert.name == "premium_halt"
    desk.passed(1)
    desk.made.take(TokenQuoted(desk.made.now_ms, "BTC3L", D(100), D(100)))
    desk.passed(1)
    assert desk.names == ["premium_halt", "premium_halt_resolved"]


@pytest.mark.parametrize(
    ("scope", "name", "alert"),
    [(Scope.DESK, "", "desk_halted"), (Scope.ACCOUNT, "main", "account_halted")],
)
def test_a_halt_of_the_desk_or_an_account_is_open_until_it_is_resumed(
    scope: Scope, name: str, alert: str
) -> None:
    desk = Desk()
    desk.made.command(CommandKind.HALT, name=name, scope=scope)
    for action in desk.made.actions:
        if isinstance(action, Alert):
            desk.book.take(action)
    desk.passed(1)
    assert alert in [entry.alert.name for entry in desk.book.open]
    desk.made.command(CommandKind.RESUME, name=name, scope=scope)
    desk.passed(1)
    assert desk.names[-1] == f"{alert}_resolved"


def test_a_test_alert_goes_the_same_way() -> None:
    desk = Desk()
    assert desk.book.test()["text"] == desk.told[0].text
    assert desk.names == ["alert_test"]
    assert desk.book.document() == {"alerts": []}
