"""`rules`: one table per rule of a fund's methodology."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field

from rebalancer.core.calendar import Roll
from rebalancer.core.instant import parse
from rebalancer.core.methodology import COOLDOWN_MS, Destination, Fixed, Side
from rebalancer.errors import InputRefused
from rebalancer.settings.calendars import Close, RollName
from rebalancer.settings.capital import FlowTable
from rebalancer.settings.table import Table, default_of
from rebalancer.settings.values import (
    Basket,
    Collar,
    Count,
    Days,
    Flag,
    Milliseconds,
    Name,
    Number,
    Pair,
    Positive,
    SomeMilliseconds,
    TimeOfDay,
    UtcOffset,
)


def _effective(value: object) -> dt.date | int:
    """Read a day, or an instant with its offset."""
    if isinstance(value, dt.datetime):
        value = value.isoformat()
    if isinstance(value, dt.date):
        return value
    if isinstance(value, str):
        try:
            return dt.date.fromisoformat(value.strip())
        except ValueError:
            pass
    try:
        return parse(value)
    except InputRefused:
        raise ValueError(f"{value!r} is not a day; write 2026-03-02") from None


class Rule(Table):
    """What every rule has besides its own keys."""

    enabled: Flag = True
    to: Destination = Destination.TARGET
    speed: Number | None = None
    cooldown: Milliseconds = COOLDOWN_MS
    confirm_ticks: Count = 2


class FixedTable(Rule):
    """`rules.fixed`: at fixed times of day."""

    times: tuple[TimeOfDay, ...] = default_of(Fixed, "times_of_day_ms")
    utc_offset: UtcOffset = default_of(Fixed, "utc_offset_ms")
    catch_up: SomeMilliseconds = default_of(Fixed, "catch_up_ms")
    calendar: Name | None = None
    roll: RollName = Roll.FOLLOWING
    skip_below_move: Positive | None = None
    skip_within: Pair | None = None


class PriceMoveTable(Rule):
    """`rules.price_move`: the price moved `threshold` since the last rebalancing point."""

    threshold: Positive | None = None
    side: Side = Side.LOSING


class LeverageBandTable(Rule):
    """`rules.leverage_band`: effective leverage strictly outside `lower` and `upper`."""

    lower: Positive | None = None
    upper: Positive | None = None
    within_business_days: Days = 0
    close: Close | None = None
    lapse_if_cured: Flag = False
    calendar: Name | None = None


class LeverageCapTable(Rule):
    """`rules.leverage_cap`: effective leverage strictly above `upper`."""

    upper: Positive | None = None


class ElapsedTable(Rule):
    """`rules.elapsed`: calendar days since the last rebalancing point."""

    days: Count | None = None
    calendar: Name | None = None
    roll: RollName = Roll.FOLLOWING


class ChangeTable(Table):
    """One change of a basket."""

    effective: Annotated[dt.date | int | None, BeforeValidator(_effective)] = None
    basket: Basket | None = None


class ReconstitutionTable(Rule):
    """`rules.reconstitution`: members or weights change on effective dates."""

    changes: tuple[ChangeTable, ...] = ()
    calendar: Name | None = None
    roll: RollName = Roll.FOLLOWING


class EmergencyTable(Rule):
    """`rules.emergency`: the backstop; its level is a ratio of the target or a leverage."""

    either: ClassVar = frozenset({"ratio", "leverage"})

    ratio: Positive | None = None
    leverage: Positive | None = None
    max_child_units: Positive | None = None
    max_child_notional: Positive | None = None
    collar_bps: Collar | None = None


class ManualTable(Rule):
    """`rules.manual`: an operator's command."""


class RulesTable(Table):
    """`rules`: the methodology of a fund."""

    fixed: FixedTable = Field(default_factory=FixedTable)
    price_move: PriceMoveTable = Field(default_factory=PriceMoveTable)
    leverage_band: LeverageBandTable = Field(default_factory=LeverageBandTable)
    leverage_cap: LeverageCapTable = Field(default_factory=LeverageCapTable)
    elapsed: ElapsedTable = Field(default_factory=ElapsedTable)
    reconstitution: ReconstitutionTable = Field(default_factory=ReconstitutionTable)
    emergency: EmergencyTable = Field(default_factory=EmergencyTable)
    manual: ManualTable = Field(default_factory=ManualTable)
    flow: FlowTable = Field(default_factory=FlowTable)


#: Rules of which a fund has only those it names. The others - emergency, manual, flow - are always
#: on: tuning one of them is not naming a rule, and turns nothing else off.
NAMED_RULES = (
    "fixed",
    "price_move",
    "leverage_band",
    "leverage_cap",
    "elapsed",
    "reconstitution",
)
_RULES_OF_A_SILENT_FUND = frozenset({"fixed", "price_move"})


def rules_in_force(rules: RulesTable) -> frozenset[str]:
    """Return the rules that apply: those named, else the usual ones, and those that always do."""
    named = rules.model_fields_set & {*NAMED_RULES}
    always = frozenset(RulesTable.model_fields) - {*NAMED_RULES}
    return always | (named or _RULES_OF_A_SILENT_FUND)
