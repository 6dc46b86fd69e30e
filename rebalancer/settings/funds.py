"""From a fund's table, with `[defaults]` under it, to the core's Fund and its methodology."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal

from rebalancer.core.contract import Contract
from rebalancer.core.fund import Execution, Fund, Limits
from rebalancer.core.methodology import (
    Emergency,
    Fixed,
    LeverageCap,
    Methodology,
    PriceMove,
    Ratio,
    default_emergency_ratio,
)
from rebalancer.errors import ConfigRefused, InputRefused
from rebalancer.settings.capital import cash_account, flow_rule, management_fee
from rebalancer.settings.shape import nearest
from rebalancer.settings.tables import (
    EmergencyTable,
    FixedTable,
    FundTable,
    ManualTable,
    PriceMoveTable,
    RulesTable,
)

#: Rules of which a fund has only those it names. The others - emergency, manual, flow - are always
#: on: tuning one of them is not naming a rule, and turns nothing else off.
NAMED_RULES = ("fixed", "price_move", "leverage_cap")
_RULES_OF_A_SILENT_FUND = frozenset({"fixed", "price_move"})
_CONFIRM_TICKS = 2


def fund_from(
    name: str, table: FundTable, accounts: Collection[str], rates: Collection[str] = ()
) -> Fund:
    """Return the fund; ConfigRefused names the key and says what cannot work."""
    where = f"funds.{name}"
    account = _account(where, table, accounts)
    if table.target_leverage is None:
        raise ConfigRefused(f"{where}.target_leverage: is missing")
    if table.basket is None:
        raise ConfigRefused(f"{where}.basket: is missing")
    _refuse_mixed_quotes(where, table.basket)
    if table.target_leverage == 0:
        raise ConfigRefused(f"{where}.target_leverage: must not be zero")
    limits = _limits(table)
    if limits.max_leverage is not None and limits.max_leverage < abs(table.target_leverage):
        raise ConfigRefused(
            f"{where}.limits.max_leverage: {limits.max_leverage} is under the target leverage of "
            f"{abs(table.target_leverage)}, so that no run could reach its target"
        )
    return Fund(
        name=name,
        account=account,
        target_leverage=table.target_leverage,
        basket=table.basket,
        methodology=_methodology(f"{where}.rules", table.rules, table.target_leverage),
        initial_nav=table.initial_nav,
        initial_shares=table.initial_shares,
        price_source=table.price_source,
        max_age_ms=table.max_age,
        nav_boundary_ms=table.nav_boundary,
        size_from=table.size_from,
        formula_base=table.formula_base,
        execution=_execution(table),
        limits=limits,
        management_fee=management_fee(table.management_fee),
        cash_account=cash_account(f"{where}.cash_account", table.cash_account, rates),
        description=table.description,
        risk_statement=table.risk_statement,
    )


def _account(where: str, table: FundTable, accounts: Collection[str]) -> str:
    if table.account is None:
        raise ConfigRefused(
            f"{where}.account: is missing; a fund without an account (index-only) is not available "
            "in this version"
        )
    if table.account not in accounts:
        raise ConfigRefused(
            f"{where}.account: there is no [accounts.{table.account}]; "
            f"{nearest(table.account, accounts)}"
        )
    return table.account


def _refuse_mixed_quotes(where: str, basket: Mapping[str, Decimal]) -> None:
    quotes: dict[str, str] = {}
    for symbol in basket:
        try:
            quotes.setdefault(Contract(symbol).quote, symbol)
        except InputRefused as refused:
            raise ConfigRefused(f"{where}.basket: {refused}") from None
    if len(quotes) > 1:
        raise ConfigRefused(
            f"{where}.basket: {' and '.join(quotes.values())} are quoted in {' and '.join(quotes)};"
            " this version trades baskets of one quote currency"
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


def rules_in_force(rules: RulesTable) -> frozenset[str]:
    """Return the rules that apply: those named, else the usual ones, and those that always do."""
    named = rules.model_fields_set & {*NAMED_RULES}
    always = frozenset(RulesTable.model_fields) - {*NAMED_RULES}
    return always | (named or _RULES_OF_A_SILENT_FUND)


def _methodology(where: str, rules: RulesTable, target: Decimal) -> Methodology:
    for key, rule in (("fixed", rules.fixed), ("manual", rules.manual)):
        _refuse_confirm_ticks(f"{where}.{key}", rule)
    named = rules_in_force(rules)
    price_move = _price_move(rules.price_move, target) if "price_move" in named else None
    leverage_cap = _leverage_cap(where, rules) if "leverage_cap" in named else None
    return Methodology(
        fixed=_fixed(rules.fixed) if "fixed" in named else None,
        price_move=price_move,
        leverage_cap=leverage_cap,
        emergency=_emergency(
            where,
            rules.emergency,
            target=target,
            has_price_rule=bool(price_move or leverage_cap),
        ),
        flow=flow_rule(rules.flow),
        manual=rules.manual.enabled,
    )


def _refuse_confirm_ticks(where: str, rule: FixedTable | ManualTable) -> None:
    if rule.confirm_ticks != _CONFIRM_TICKS:
        raise ConfigRefused(
            f"{where}.confirm_ticks: a number other than {_CONFIRM_TICKS} is not available in this "
            "version for this rule"
        )


def _fixed(rule: FixedTable) -> Fixed | None:
    if not rule.enabled:
        return None
    return Fixed(
        times_of_day_ms=rule.times,
        utc_offset_ms=rule.utc_offset,
        catch_up_ms=rule.catch_up,
        skip_below_move=rule.skip_below_move,
        skip_within=rule.skip_within,
    )


def _price_move(rule: PriceMoveTable, target: Decimal) -> PriceMove | None:
    if not rule.enabled:
        return None
    return PriceMove(
        threshold=rule.threshold or PriceMove.default_threshold(target),
        side=rule.side,
        cooldown_ms=rule.cooldown,
        confirm_ticks=rule.confirm_ticks,
    )


def _leverage_cap(where: str, rules: RulesTable) -> LeverageCap | None:
    rule = rules.leverage_cap
    if not rule.enabled:
        return None
    if rule.upper is None:
        raise ConfigRefused(f"{where}.leverage_cap.upper: is missing")
    return LeverageCap(
        upper=rule.upper, cooldown_ms=rule.cooldown, confirm_ticks=rule.confirm_ticks
    )


def _emergency(
    where: str, rule: EmergencyTable, *, target: Decimal, has_price_rule: bool
) -> Emergency | None:
    if not rule.enabled:
        return None
    if rule.ratio is not None and rule.leverage is not None:
        raise ConfigRefused(f"{where}.emergency: give ratio or leverage, not both")
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
    )
