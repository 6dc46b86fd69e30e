"""The tables about capital: flows, fees, the cash account; and the core values they become."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from rebalancer.core.cash_account import CashAccount, DayCount
from rebalancer.core.consolidation import Consolidation
from rebalancer.core.fees import ManagementFee
from rebalancer.core.flow import FlowRule, OnBusy
from rebalancer.core.instant import DAY_MS, HOUR_MS
from rebalancer.core.money import ONE, ZERO, number
from rebalancer.core.premium import PremiumTerms
from rebalancer.errors import ConfigRefused, InputRefused
from rebalancer.settings.shape import nearest
from rebalancer.settings.table import Table, default_of
from rebalancer.settings.values import (
    Count,
    Flag,
    Market,
    Milliseconds,
    NotNegative,
    Number,
    Positive,
    SomeMilliseconds,
    Text,
    TimeOfDay,
    Url,
)


def _rate_or_name(value: Any) -> Any:
    try:
        return number(value)
    except InputRefused:
        return value


RateOrName = Annotated[Decimal | str, BeforeValidator(_rate_or_name)]
"""A share per year, or the name of a table under `rates`."""


class FlowTable(Table):
    """`rules.flow`: subscriptions and redemptions."""

    later: ClassVar = frozenset({"to", "speed", "cooldown", "confirm_ticks"})

    enabled: Flag = True
    creation_fee: NotNegative = ZERO
    redemption_fee: NotNegative = ZERO
    min: Positive | None = None
    max: Positive | None = None
    cutoff: Milliseconds = 0
    on_busy: OnBusy = OnBusy.REFUSE


class ManagementFeeTable(Table):
    """`management_fee`: what the fund pays for being run."""

    daily: NotNegative = ZERO
    times: tuple[TimeOfDay, ...] = default_of(ManagementFee, "times_of_day_ms")


class CashAccountTable(Table):
    """`cash_account`: what borrowed cash costs; without `reference` there is none."""

    reference: RateOrName | None = None
    spread: Number = ZERO
    day_count: DayCount = DayCount.ACT_360
    coupon: NotNegative = ZERO
    earn: Number | None = None


class ConsolidationTable(Table):
    """`consolidation`: when shares are merged or split."""

    below: Positive | None = None
    above: Positive | None = None
    ladder: tuple[Count, ...] = default_of(Consolidation, "ladder")
    restore: Positive = default_of(Consolidation, "restore")
    notice: Milliseconds = default_of(Consolidation, "notice_ms")
    auto: Flag = False


class PremiumTable(Table):
    """`premium`: the token on its secondary market; without `market` nobody looks."""

    market: Market | None = None
    warn: Positive = default_of(PremiumTerms, "warn")
    halt: Positive = default_of(PremiumTerms, "halt")
    release: Positive = default_of(PremiumTerms, "release")
    max_age: SomeMilliseconds = default_of(PremiumTerms, "max_age_ms")


class RateTable(Table):
    """`[rates.X]`: a reference rate, read over HTTP."""

    url: Url | None = None
    field: Annotated[Text, Field(min_length=1)] = "rate"
    unit: Literal["percent", "share"] = "percent"
    interval: SomeMilliseconds = HOUR_MS
    max_age: SomeMilliseconds = 4 * DAY_MS
    lowest: Number = Decimal("-0.05")
    highest: Number = Decimal("0.25")


@dataclass(frozen=True, slots=True, kw_only=True)
class RateSettings:
    """A source of a reference rate. Bounds are shares per year: what lies outside is refused."""

    url: str
    #: path to the number in the JSON answer, its parts joined by dots
    field: str
    #: what the number is multiplied with
    scale: Decimal
    interval_ms: int
    max_age_ms: int
    lowest: Decimal
    highest: Decimal


def rate_settings(name: str, table: RateTable) -> RateSettings:
    """Return the source; ConfigRefused names the key that cannot work."""
    where = f"rates.{name}"
    if table.url is None:
        raise ConfigRefused(f"{where}.url: is missing")
    if table.lowest > table.highest:
        raise ConfigRefused(f"{where}.lowest: {table.lowest} is above highest, {table.highest}")
    if table.max_age <= table.interval:
        raise ConfigRefused(f"{where}.max_age: must be longer than interval")
    return RateSettings(
        url=table.url,
        field=table.field,
        scale=Decimal("0.01") if table.unit == "percent" else ONE,
        interval_ms=table.interval,
        max_age_ms=table.max_age,
        lowest=table.lowest,
        highest=table.highest,
    )


def flow_rule(table: FlowTable) -> FlowRule | None:
    """Return on which terms a fund takes flows; None where it takes none."""
    if not table.enabled:
        return None
    return FlowRule(
        creation_fee=table.creation_fee,
        redemption_fee=table.redemption_fee,
        minimum=table.min,
        maximum=table.max,
        cutoff_ms=table.cutoff,
        on_busy=table.on_busy,
    )


def consolidation(table: ConsolidationTable) -> Consolidation:
    """Return when shares are converted."""
    return Consolidation(
        below=table.below,
        above=table.above,
        ladder=table.ladder,
        restore=table.restore,
        notice_ms=table.notice,
        auto=table.auto,
    )


def premium_terms(where: str, table: PremiumTable) -> PremiumTerms | None:
    """Return what is watched of the token; None where nothing is. ConfigRefused names the key."""
    if table.market is None:
        if table.model_dump() != PremiumTable().model_dump():
            raise ConfigRefused(
                f'{where}.market: is missing; write the venue and its symbol, "gate:BTC3L/USDT"'
            )
        return None
    venue, _, symbol = table.market.partition(":")
    return PremiumTerms(
        venue=venue,
        symbol=symbol,
        warn=table.warn,
        halt=table.halt,
        release=table.release,
        max_age_ms=table.max_age,
    )


def management_fee(table: ManagementFeeTable) -> ManagementFee | None:
    """Return the fee; None where it is zero."""
    if not table.daily:
        return None
    return ManagementFee(daily=table.daily, times_of_day_ms=table.times)


def cash_account(where: str, table: CashAccountTable, rates: Collection[str]) -> CashAccount | None:
    """Return the terms of the cash account; ConfigRefused names the key that cannot work."""
    if table.reference is None:
        if table.model_dump() != CashAccountTable().model_dump():
            raise ConfigRefused(f"{where}.reference: is missing")
        return None
    if isinstance(table.reference, str) and table.reference not in rates:
        raise ConfigRefused(
            f"{where}.reference: {table.reference!r} is neither a rate nor a table under rates; "
            f"{nearest(table.reference, rates)}"
        )
    return CashAccount(
        reference=table.reference,
        spread=table.spread,
        day_count=table.day_count,
        coupon=table.coupon,
        earn=table.earn,
    )
