"""Which settings differ between two configurations, and when each can come into force."""

from __future__ import annotations

import pytest

from rebalancer.settings.differences import (
    EFFECTS,
    Difference,
    Effect,
    differences,
    effect_of,
    fits,
)
from rebalancer.settings.in_force import in_force

DESK = """\
[accounts.main]
venue = "paper"
[defaults]
max_age = "10s"
[funds.BTC3L]
account = "main"
target_leverage = 3
basket = { "BTC/USDT:USDT" = 1 }
"""


def between(before: str, after: str) -> list[Difference]:
    one, other = (in_force(text, "c.toml", {}) for text in (before, after))
    return [*differences(one.settings, other.settings)]


@pytest.mark.parametrize(
    ("key", "effect"),
    [
        ("funds.BTC3L.target_leverage", Effect.POINT),
        ("funds.BTC3L.basket", Effect.POINT),
        ("funds.BTC3L.execution.collar_bps", Effect.NOW),
        ("funds.BTC3L.rules.fixed.times", Effect.NOW),
        ("funds.BTC3L.rules.reconstitution.changes", Effect.RESTART),
        ("funds.BTC3L.account", Effect.RESTART),
        ("funds.BTC3L.price_source", Effect.RESTART),
        ("accounts.main.venue", Effect.RESTART),
        ("mode", Effect.RESTART),
        ("a_key_of_a_later_version", Effect.RESTART),
    ],
)
def test_every_key_has_its_time_and_what_is_not_told_needs_a_restart(
    key: str, effect: Effect
) -> None:
    assert effect_of(tuple(key.split("."))) is effect


def test_no_pattern_of_the_table_is_about_a_key_that_does_not_exist() -> None:
    paths = [setting.path for setting in in_force(DESK, "c.toml", {}).settings]
    paths += [("funds", "BTC3L", "rules", "reconstitution", "changes")]
    assert [
        pattern for pattern, _ in EFFECTS if not any(fits(pattern, path) for path in paths)
    ] == []


def test_a_change_of_the_defaults_is_one_of_every_fund_that_has_them() -> None:
    (one,) = between(DESK, DESK.replace('"10s"', '"20s"'))
    assert (one.key, one.before, one.after) == ("funds.BTC3L.max_age", '"10s"', '"20s"')
    assert str(one.place) == "c.toml:4"
    assert str(one) == 'funds.BTC3L.max_age: "10s" -> "20s" (now)'


def test_order_spelling_and_comments_are_no_difference() -> None:
    assert between(DESK, "# a word\n" + DESK.replace("= 3\n", "= 3.00\n")) == []


def test_a_fund_more_or_less_is_one_difference() -> None:
    more = DESK + DESK[DESK.index("[funds") :].replace("BTC3L", "BTC2L")
    assert [(str(each.path[1]), each.effect) for each in between(DESK, more)] == [
        ("BTC2L", Effect.NOW)
    ]
    assert [(str(each.path[1]), each.effect) for each in between(more, DESK)] == [
        ("BTC2L", Effect.GONE)
    ]


def test_a_rule_that_is_named_and_one_that_is_not_any_more_are_told() -> None:
    found = between(DESK, DESK + "[funds.BTC3L.rules.elapsed]\ndays = 2\n")
    assert {each.key for each in found} >= {
        "funds.BTC3L.rules.elapsed.days",
        "funds.BTC3L.rules.fixed.enabled",
    }
    assert {each.effect for each in found} == {Effect.NOW}
