"""Rules, calendars and baskets in the configuration: what is taken, and what is refused and why."""

from __future__ import annotations

import builtins
import datetime as dt
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rebalancer.core.calendar import Roll
from rebalancer.core.instant import parse as instant
from rebalancer.core.methodology import Destination
from rebalancer.errors import ConfigRefused
from rebalancer.settings import load, parse
from tests.factories import D

Refusal = Callable[..., str]
RULES = "c.toml:8: funds.BTC3L.rules"
BAND = "rules.leverage_band = { lower = 2, upper = 4"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (BAND.replace("2", "3.1") + " }", "leverage_band.lower: 3.1 is above the target"),
        (BAND.replace("4", "2.9") + " }", "leverage_band.upper: 2.9 is under the target"),
        (
            "rules.leverage_band = { lower = 3, upper = 3 }",
            "leverage_band: lower and upper are both 3",
        ),
        ("rules.leverage_band = { lower = 2 }", "leverage_band.upper: is missing"),
        ("rules.leverage_band = { upper = 4 }", "leverage_band.lower: is missing"),
        (BAND.replace("2", "0") + " }", "leverage_band.lower: 0 must be above 0"),
        (BAND + ', to = "recentre", speed = 0 }', "leverage_band.speed: 0 must be above 0"),
        (BAND + ', to = "recentre", speed = 1.01 }', "leverage_band.speed: 1.01 must be above 0"),
        (BAND + ', to = "recentre" }', "leverage_band.speed: is missing"),
        (BAND + ', calendar = "x" }', "leverage_band.calendar: there is no [calendars.x]"),
        (BAND + ", within_business_days = -1 }", "leverage_band.within_business_days: must be"),
        (BAND + ', close = "25:00" }', "leverage_band.close: '25:00' is not a time of day"),
        (BAND + ', close = "17:30 Moon/Base" }', "leverage_band.close: there is no time zone"),
        (BAND + ', cooldown = "59s" }', "leverage_band.cooldown: must not be shorter than the"),
        ('rules.price_move.to = "edge"', 'price_move.to: "edge" needs the edges of the fund'),
        ('rules.fixed = { to = "recentre", speed = 0.1 }', 'fixed.to: "recentre" needs the edges'),
        ("rules.elapsed = {}", "elapsed.days: is missing"),
        ('rules.elapsed = { days = 1, cooldown = "25h" }', "elapsed.days: 1 days are shorter than"),
        ('rules.elapsed = { days = 1, roll = "sideways" }', "elapsed.roll: must be 'unadjusted', "),
        ("rules.reconstitution = {}", "reconstitution.changes: name at least one change"),
        (
            "rules.reconstitution.changes = [{ effective = 2026-03-02 }]",
            "reconstitution.changes: a change without basket",
        ),
        (
            'rules.reconstitution.changes = [{ basket = ["ETH/USDT:USDT"] }]',
            "reconstitution.changes: a change without effective",
        ),
        (
            'rules.reconstitution.changes = [{ effective = "soon", basket = ["A"] }]',
            "reconstitution.changes.effective: 'soon' is not a day",
        ),
        (
            'rules.reconstitution.changes = [{ effective = 2026-03-02, baskt = ["A"] }]',
            "reconstitution.changes.baskt: unknown key; the nearest valid one is basket",
        ),
        (
            'rules.reconstitution.changes = [{ effective = 2026-03-02, basket = { "A" = 0.9 } }]',
            "reconstitution.changes: the weights sum to 0.9, not to 1",
        ),
        (
            'rules.reconstitution.changes = [{ effective = 2026-03-02, basket = ["ETH/USD:ETH"] }]',
            "reconstitution.changes: contract ETH/USD:ETH settles in ETH",
        ),
        (
            'rules.reconstitution.changes = [{ effective = 2026-03-02, basket = ["A/USDC:USDC"] }]',
            "reconstitution.changes: BTC/USDT:USDT and A/USDC:USDC are quoted in USDT and USDC",
        ),
        (
            ('rules.reconstitution = { calendar = "weekdays", changes = [{ effective = 2026-03-01, '
             'basket = ["A/USDT:USDT"] }, { effective = 2026-03-02, basket = ["B/USDT:USDT"] }] }'),
            "reconstitution.changes: two changes become effective at the same time",
        ),
        ("rules.emergency.to = 'edge'", 'emergency.to: "edge" needs the edges'),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_work_is_refused_with_the_reason(
    desk: str, refusal: Refusal, line: str, sentence: str
) -> None:
    assert refusal(f"{desk}{line}\n").startswith(f"{RULES}.{sentence}")


def test_an_emergency_inside_the_band_is_refused(desk: str, refusal: Refusal) -> None:
    text = f"{desk}{BAND} }}\nrules.emergency.leverage = 4\n"
    assert "emergency: it would fire at 4.0000, inside leverage_band" in refusal(text)
    assert parse(text.replace("leverage = 4\n", "leverage = 4.01\n")).funds


def test_a_cap_that_goes_to_an_edge_above_it_is_refused(desk: str, refusal: Refusal) -> None:
    text = f'{desk}{BAND} }}\nrules.leverage_cap = {{ upper = 3.9, to = "edge" }}\n'
    sentence = "the edge of leverage_band at 4 is above the cap of 3.9, so that a run would leave"
    assert f"funds.BTC3L.rules.leverage_cap.to: {sentence}" in refusal(text)
    assert parse(text.replace("3.9", "4")).funds, "at the edge it is not above the cap"
    assert parse(text.replace("edge", "target")).funds


@pytest.mark.parametrize(
    ("line", "level"),
    [
        (BAND + " }", "7.5"),
        ("rules.leverage_cap.upper = 4", "7.5"),
        ("rules.price_move.threshold = 0.1", "7.5"),
        ("rules.elapsed.days = 1", "4"),
        ("rules.fixed.catch_up = '1h'", "4"),
        ("rules.leverage_band = { lower = 2, upper = 4, enabled = false }", "4"),
    ],
)
def test_the_emergency_stands_at_2_5_times_behind_a_price_rule_and_at_four_thirds_else(
    desk: str, line: str, level: str
) -> None:
    emergency = parse(f"{desk}{line}\n").funds["BTC3L"].methodology.emergency
    assert emergency is not None
    assert emergency.level.at_or_above(D(level), D(1))
    assert not emergency.level.at_or_above(D(level) - D("1e-30"), D(1))


def test_rules_take_their_destination_calendar_and_roll(desk: str) -> None:
    text = desk + (
        f'{BAND}, to = "edge", within_business_days = 2, close = "17:30 Europe/Paris", '
        'calendar = "joint", lapse_if_cured = true }\n'
        'rules.elapsed = { days = 90, roll = "Modified Following", calendar = "weekdays" }\n'
        'rules.fixed = { calendar = "joint", roll = "preceding", to = "recentre", speed = 0.25 }\n'
        "[calendars.joint]\njoin = ['desk', 'weekdays']\n"
        "[calendars.desk]\nholidays = ['2026-12-25', 2026-12-28]\n"
        "weekmask = 'Mon Tue Wed Thu Fri'\n"
    )
    rules = parse(text).funds["BTC3L"].methodology
    assert rules.leverage_band is not None
    assert rules.leverage_band.goal.to is Destination.EDGE
    assert rules.leverage_band.lapse_if_cured
    assert not rules.leverage_band.calendar.is_business_day(dt.date(2026, 12, 28))
    assert rules.leverage_band.close is not None
    assert rules.leverage_band.close.on(dt.date(2026, 7, 1)) == instant("2026-07-01T15:30:00Z")
    assert rules.elapsed is not None
    assert rules.elapsed.roll is Roll.MODIFIED_FOLLOWING
    assert rules.fixed is not None
    assert rules.fixed.goal.speed * 4 == 1
    assert rules.fixed.next_due_ms(instant("2026-12-24T12:00:00Z")) == instant(
        "2026-12-29T02:30:00Z"
    )


@pytest.mark.parametrize(
    "mask", ['"1111100"', '"MonTueWedThuFri"', '"mon, tue, wed, thu, fri"', "[1, 1, 1, 1, 1, 0, 0]",
             '["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"]']
)  # fmt: skip
def test_a_weekmask_may_be_written_in_the_usual_ways(desk: str, mask: str) -> None:
    text = f'{desk}rules.fixed.calendar = "x"\n[calendars.x]\nweekmask = {mask}\n'
    rule = parse(text).funds["BTC3L"].methodology.fixed
    assert rule is not None
    assert rule.calendar.weekmask == (True,) * 5 + (False,) * 2


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("weekmask = '0000000'", "calendars.x: no day of the week is a business day"),
        ("weekmask = 'Mun'", "calendars.x.weekmask: is not a weekmask"),
        ("holidays = ['christmas']", "calendars.x.holidays: 'christmas' is not a day"),
        ("holidays = 'nowhere.txt'", "calendars.x.holidays: nowhere.txt cannot be read"),
        ("holidays = { country = 'FR', market = 'XNYS' }", "calendars.x.holidays: must be a list"),
        ("join = ['x']", "calendars.x.join: goes round in a circle: x -> x"),
        ("join = ['weekday']", "calendars.x.join: there is no [calendars.weekday]; the nearest"),
        ("timezone = 'UTC'", "calendars.x.timezone: unknown key"),
    ],
)
def test_a_calendar_that_cannot_be_is_refused(
    desk: str, refusal: Refusal, lines: str, sentence: str
) -> None:
    assert sentence in refusal(f"{desk}[calendars.x]\n{lines}\n")


def test_holidays_come_from_a_file_beside_the_configuration(tmp_path: Path, desk: str) -> None:
    (tmp_path / "days.csv").write_text("date,name\n2026-01-12,foundation day # ours\n\n# none\n")
    file = tmp_path / "c.toml"
    file.write_text(f'{desk}rules.fixed.calendar = "x"\n[calendars.x]\nholidays = "days.csv"\n')
    rule = load(file, {}).funds["BTC3L"].methodology.fixed
    assert rule is not None
    assert rule.calendar.holidays == {dt.date(2026, 1, 12)}
    (tmp_path / "days.csv").write_text("2026-01-12\n12.01.2026\n")
    with pytest.raises(ConfigRefused, match=r"days.csv:2: '12.01.2026' is not a day"):
        load(file, {})


def test_the_package_holidays_is_asked_only_where_it_is_named(
    desk: str, monkeypatch: pytest.MonkeyPatch, refusal: Refusal
) -> None:
    asked: list[Any] = []

    def country(name: str, subdiv: str | None, years: range) -> dict[dt.date, str]:
        asked.append((name, subdiv, years[0]))
        return {dt.date(2026, 7, 14): "Fête nationale"}

    fake = SimpleNamespace(country_holidays=country)
    text = f"{desk}rules.fixed.calendar = 'x'\n[calendars.x]\nholidays = {{ country = 'FR' }}\n"
    monkeypatch.setitem(sys.modules, "holidays", fake)
    rule = parse(text).funds["BTC3L"].methodology.fixed
    assert rule is not None
    assert rule.calendar.holidays == {dt.date(2026, 7, 14)}
    assert asked == [("FR", None, 2000)]

    monkeypatch.delitem(sys.modules, "holidays")
    real = builtins.__import__

    def missing(name: str, *rest: Any, **more: Any) -> Any:
        if name == "holidays":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    assert "needs the package holidays: pip install 'rebalancer[calendars]'" in refusal(text)


def test_a_list_of_members_has_equal_weights_that_sum_to_one(desk: str, refusal: Refusal) -> None:
    members = '["A/USDT:USDT", "B/USDT:USDT", "C/USDT:USDT"]'
    text = desk.replace('{ "BTC/USDT:USDT" = 1 }', members)
    basket = parse(text).funds["BTC3L"].basket
    assert sum(basket.values()) == 1
    assert max(basket.values()) - min(basket.values()) <= D("1e-30")
    assert "a member stands twice" in refusal(text.replace("B/", "A/"))


def test_a_fund_without_an_account_is_index_only_and_may_hold_anything(desk: str) -> None:
    text = desk.replace('account = "main"\n', "").replace(
        '{ "BTC/USDT:USDT" = 1 }', '{ "SPX" = 0.5, "BTC/USD:BTC" = 0.25, "ETH/USDC:USDC" = 0.25 }'
    )
    assert parse(text).funds["BTC3L"].index_only


def test_zones_with_daylight_saving_are_refused_for_fixed_times_only(
    desk: str, refusal: Refusal
) -> None:
    said = refusal(f"{desk}rules.fixed.utc_offset = 'Europe/Paris'\n")
    assert "(zones with daylight saving would skip or repeat a rebalance)" in said


def test_the_real_package_knows_the_closed_days_of_a_country_and_a_market(desk: str) -> None:
    pytest.importorskip("holidays")
    text = f"{desk}rules.fixed.calendar = 'x'\n[calendars.x]\nholidays = "
    for asked, closed in (
        ("{ country = 'FR' }", dt.date(2026, 7, 14)),
        ("{ country = 'DE', subdivision = 'BY' }", dt.date(2026, 1, 6)),
        ("{ market = 'XNYS' }", dt.date(2026, 11, 26)),
    ):
        rule = parse(f"{text}{asked}\n").funds["BTC3L"].methodology.fixed
        assert rule is not None
        assert not rule.calendar.is_business_day(closed)


def test_a_country_that_the_package_does_not_know_is_refused(desk: str, refusal: Refusal) -> None:
    pytest.importorskip("holidays")
    said = refusal(f"{desk}[calendars.x]\nholidays = {{ country = 'Atlantis' }}\n")
    assert "calendars.x.holidays: the package holidays refuses" in said
