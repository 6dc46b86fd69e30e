"""From the tables of a fund's rules to its methodology in the core."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal

from rebalancer.core.calendar import ALWAYS_OPEN, WEEKDAYS, Calendar, DayTime
from rebalancer.core.methodology import (
    BasketChange,
    Destination,
    Elapsed,
    Emergency,
    Fixed,
    Goal,
    LeverageBand,
    LeverageCap,
    Manual,
    Methodology,
    PriceMove,
    Ratio,
    Reconstitution,
    default_emergency_ratio,
)
from rebalancer.core.money import ONE
from rebalancer.errors import ConfigRefused
from rebalancer.settings.calendars import day_time, named_calendar
from rebalancer.settings.capital import flow_rule
from rebalancer.settings.rules import (
    ChangeTable,
    ElapsedTable,
    EmergencyTable,
    FixedTable,
    LeverageBandTable,
    LeverageCapTable,
    PriceMoveTable,
    ReconstitutionTable,
    Rule,
    RulesTable,
    rules_in_force,
)

Calendars = Mapping[str, Calendar]


def methodology_from(
    where: str, rules: RulesTable, target: Decimal, calendars: Calendars
) -> Methodology:
    """Return the enabled rules; ConfigRefused names the key that is missing or cannot be."""
    on = {name for name in rules_in_force(rules) if getattr(rules, name).enabled}
    price_move = _price_move(where, rules.price_move, target) if "price_move" in on else None
    leverage_cap = _leverage_cap(where, rules.leverage_cap) if "leverage_cap" in on else None
    band = _band(where, rules.leverage_band, calendars) if "leverage_band" in on else None
    emergency = None
    if "emergency" in on:
        has_price_rule = bool(price_move or leverage_cap or band)
        emergency = _emergency(where, rules.emergency, target, has_price_rule=has_price_rule)
    changes = rules.reconstitution
    return Methodology(
        fixed=_fixed(where, rules.fixed, calendars) if "fixed" in on else None,
        price_move=price_move,
        leverage_band=band,
        leverage_cap=leverage_cap,
        elapsed=_elapsed(where, rules.elapsed, calendars) if "elapsed" in on else None,
        reconstitution=_changes(where, changes, calendars) if "reconstitution" in on else None,
        emergency=emergency,
        flow=flow_rule(rules.flow),
        manual=Manual(goal=_goal(f"{where}.manual", rules.manual)) if "manual" in on else None,
    )


def _goal(where: str, rule: Rule) -> Goal:
    if rule.to is Destination.RECENTRE and rule.speed is None:
        raise ConfigRefused(
            f'{where}.speed: is missing; to = "recentre" needs the part of the way of one run, '
            "above 0 and 1 at most"
        )
    return Goal(rule.to, ONE if rule.speed is None else rule.speed)


def _fixed(where: str, rule: FixedTable, calendars: Calendars) -> Fixed:
    where += ".fixed"
    return Fixed(
        times_of_day_ms=rule.times,
        utc_offset_ms=rule.utc_offset,
        catch_up_ms=rule.catch_up,
        skip_below_move=rule.skip_below_move,
        skip_within=rule.skip_within,
        calendar=named_calendar(f"{where}.calendar", rule.calendar, calendars, ALWAYS_OPEN),
        roll=rule.roll,
        confirm_ticks=rule.confirm_ticks,
        goal=_goal(where, rule),
    )


def _price_move(where: str, rule: PriceMoveTable, target: Decimal) -> PriceMove:
    return PriceMove(
        threshold=rule.threshold or PriceMove.default_threshold(target),
        side=rule.side,
        cooldown_ms=rule.cooldown,
        confirm_ticks=rule.confirm_ticks,
        goal=_goal(f"{where}.price_move", rule),
    )


def _band(where: str, rule: LeverageBandTable, calendars: Calendars) -> LeverageBand:
    where += ".leverage_band"
    if rule.lower is None or rule.upper is None:
        raise ConfigRefused(f"{where}.{'lower' if rule.lower is None else 'upper'}: is missing")
    close: DayTime | None = day_time(rule.close) if rule.close is not None else None
    return LeverageBand(
        lower=rule.lower,
        upper=rule.upper,
        within_business_days=rule.within_business_days,
        close=close,
        lapse_if_cured=rule.lapse_if_cured,
        calendar=named_calendar(f"{where}.calendar", rule.calendar, calendars, WEEKDAYS),
        cooldown_ms=rule.cooldown,
        confirm_ticks=rule.confirm_ticks,
        goal=_goal(where, rule),
    )


def _leverage_cap(where: str, rule: LeverageCapTable) -> LeverageCap:
    where += ".leverage_cap"
    if rule.upper is None:
        raise ConfigRefused(f"{where}.upper: is missing")
    return LeverageCap(
        upper=rule.upper,
        cooldown_ms=rule.cooldown,
        confirm_ticks=rule.confirm_ticks,
        goal=_goal(where, rule),
    )


def _elapsed(where: str, rule: ElapsedTable, calendars: Calendars) -> Elapsed:
    where += ".elapsed"
    if rule.days is None:
        raise ConfigRefused(f"{where}.days: is missing")
    return Elapsed(
        days=rule.days,
        calendar=named_calendar(f"{where}.calendar", rule.calendar, calendars, ALWAYS_OPEN),
        roll=rule.roll,
        cooldown_ms=rule.cooldown,
        confirm_ticks=rule.confirm_ticks,
        goal=_goal(where, rule),
    )


def _changes(where: str, rule: ReconstitutionTable, calendars: Calendars) -> Reconstitution:
    where += ".reconstitution"
    calendar = named_calendar(f"{where}.calendar", rule.calendar, calendars, ALWAYS_OPEN)
    changes = [_change(where, each, calendar, rule) for each in rule.changes]
    return Reconstitution(
        changes=tuple(sorted(changes, key=lambda change: change.due_ms)),
        confirm_ticks=rule.confirm_ticks,
        goal=_goal(where, rule),
    )


def _change(
    where: str, table: ChangeTable, calendar: Calendar, rule: ReconstitutionTable
) -> BasketChange:
    for key, value in (("effective", table.effective), ("basket", table.basket)):
        if value is None:
            raise ConfigRefused(f"{where}.changes: a change without {key}; it is missing")
    assert table.effective is not None  # noqa: S101 - for the type checker; refused above
    assert table.basket is not None  # noqa: S101 - as above
    midnight = DayTime(0)
    if isinstance(table.effective, dt.date):
        due_ms = midnight.on(calendar.roll(table.effective, rule.roll))
    else:
        day = midnight.day_of(table.effective)
        due_ms = table.effective - midnight.on(day) + midnight.on(calendar.roll(day, rule.roll))
    return BasketChange(due_ms=due_ms, basket=table.basket)


def _emergency(
    where: str, rule: EmergencyTable, target: Decimal, *, has_price_rule: bool
) -> Emergency:
    where += ".emergency"
    if rule.ratio is not None and rule.leverage is not None:
        raise ConfigRefused(f"{where}: give ratio or leverage, not both")
    if rule.leverage is not None:
        level = Ratio(numerator=rule.leverage)
    elif rule.ratio is not None:
        level = Ratio(numerator=rule.ratio).times(abs(target))
    else:
        level = default_emergency_ratio(has_price_rule=has_price_rule).times(abs(target))
    return Emergency(
        level=level,
        cooldown_ms=rule.cooldown,
        confirm_ticks=rule.confirm_ticks,
        max_child_units=rule.max_child_units,
        max_child_notional=rule.max_child_notional,
        collar_bps=rule.collar_bps,
        goal=_goal(where, rule),
    )
