"""From a fund's table, with `[defaults]` under it, to the core's Fund and its methodology."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from rebalancer.core.calendar import Calendar
from rebalancer.core.contract import Contract
from rebalancer.core.fund import Execution, Fund, Limits
from rebalancer.errors import ConfigRefused, InputRefused
from rebalancer.settings.calendars import BUILT_IN
from rebalancer.settings.capital import (
    cash_account,
    consolidation,
    management_fee,
    premium_terms,
)
from rebalancer.settings.methodology import methodology_from
from rebalancer.settings.shape import nearest
from rebalancer.settings.tables import FundTable


@dataclass(frozen=True, slots=True)
class Known:
    """What a fund's table may name besides accounts."""

    calendars: Mapping[str, Calendar]
    #: names of the sources of reference rates
    rates: Collection[str]


NOTHING_KNOWN = Known(BUILT_IN, ())


def fund_from(
    name: str, table: FundTable, accounts: Collection[str], known: Known = NOTHING_KNOWN
) -> Fund:
    """Return the fund; ConfigRefused names the key and says what cannot work."""
    where = f"funds.{name}"
    account = _account(where, table, accounts)
    if table.target_leverage is None:
        raise ConfigRefused(f"{where}.target_leverage: is missing")
    if table.basket is None:
        raise ConfigRefused(f"{where}.basket: is missing")
    if table.target_leverage == 0:
        raise ConfigRefused(f"{where}.target_leverage: must not be zero")
    limits = _limits(table)
    if limits.max_leverage is not None and limits.max_leverage < abs(table.target_leverage):
        raise ConfigRefused(
            f"{where}.limits.max_leverage: {limits.max_leverage} is under the target leverage of "
            f"{abs(table.target_leverage)}, so that no run could reach its target"
        )
    rules = methodology_from(f"{where}.rules", table.rules, table.target_leverage, known.calendars)
    fund = Fund(
        name=name,
        account=account,
        target_leverage=table.target_leverage,
        basket=table.basket,
        methodology=rules,
        initial_nav=table.initial_nav,
        initial_shares=table.initial_shares,
        price_source=table.price_source,
        max_age_ms=table.max_age,
        nav_boundary_ms=table.nav_boundary,
        size_from=table.size_from,
        formula_base=table.formula_base,
        execution=_execution(table),
        limits=limits,
        gap_alarm_bps=table.gap_alarm_bps,
        consolidation=consolidation(table.consolidation),
        premium=premium_terms(f"{where}.premium", table.premium),
        management_fee=management_fee(table.management_fee),
        cash_account=cash_account(f"{where}.cash_account", table.cash_account, known.rates),
        description=table.description,
        risk_statement=table.risk_statement,
    )
    if not fund.index_only:  # what is only counted may be quoted in anything
        _refuse_mixed_quotes(where, fund)
    return fund


def _account(where: str, table: FundTable, accounts: Collection[str]) -> str:
    if table.account is None:
        return ""  # index-only
    if table.account not in accounts:
        raise ConfigRefused(
            f"{where}.account: there is no [accounts.{table.account}]; "
            f"{nearest(table.account, accounts)}"
        )
    return table.account


def _refuse_mixed_quotes(where: str, fund: Fund) -> None:
    """Refuse members that one account cannot hold together, over every basket there will be."""
    quotes: dict[str, str] = {}
    for key, basket in fund.baskets:
        for symbol in basket:
            try:
                quotes.setdefault(Contract(symbol).quote, symbol)
            except InputRefused as refused:
                raise ConfigRefused(f"{where}.{key}: {refused}") from None
        if len(quotes) > 1:
            raise ConfigRefused(
                f"{where}.{key}: {' and '.join(quotes.values())} are quoted in "
                f"{' and '.join(quotes)}; this version trades baskets of one quote currency"
            )


def _execution(table: FundTable) -> Execution:
    given = table.execution
    return Execution(
        max_child_units=given.max_child_units,
        max_child_notional=given.max_child_notional,
        interval_ms=given.interval,
        jitter=given.jitter,
        collar_bps=given.collar_bps,
        min_notional=given.min_notional,
    )


def _limits(table: FundTable) -> Limits:
    given = table.limits
    return Limits(
        max_order_notional=given.max_order_notional,
        max_run_notional=given.max_run_notional,
        max_day_notional=given.max_day_notional,
        max_minute_notional=given.max_minute_notional,
        max_orders_per_run=given.max_orders_per_run,
        max_runs_per_day=given.max_runs_per_day,
        max_leverage=given.max_leverage,
    )
