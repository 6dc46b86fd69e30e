"""A snapshot: the state of a desk as a JSON document, read strictly (spec section 8)."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from rebalancer.core.contract import Contract
from rebalancer.core.duty import duty_of
from rebalancer.core.events import PriceTick
from rebalancer.core.folding import fold
from rebalancer.core.fund import PriceSource
from rebalancer.core.instant import parse
from rebalancer.core.methodology import Trigger
from rebalancer.core.money import ZERO, total
from rebalancer.core.nav import Point
from rebalancer.core.order import PositionSide
from rebalancer.core.planner import target_units
from rebalancer.core.records import Record, TradingState
from rebalancer.core.run import Run, RunPlan
from rebalancer.core.state import Desk, DeskState, FundState
from rebalancer.errors import InputRefused
from rebalancer.sim import reading
from rebalancer.sim.snapshot_capital import read_capital, read_shares

_TOP = ("version", "as_of", "trigger", "contracts", "prices", "funds", "accounts")
_CONTRACT = ("contract_size", "lot", "tick", "min_amount", "min_notional")
_FUND = (
    "shares",
    "cash",
    "units",
    "last_rebalance",
    "last_fixed",
    "last_run_at",
    "last_emergency_at",
    "state",
    "run",
    "flows",
    "cash_account",
    "breach_since",
)
_POINT = ("at", "nav", "prices", "leverage")
#: how the specification's order of precedence calls two of the rules
_SHORT_NAMES = {"cap": Trigger.LEVERAGE_CAP, "band": Trigger.LEVERAGE_BAND}
_RUN = ("trigger", "target_units", "target_leverage", "started_at", "last_slice_at")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A desk at one instant, ready for one step of the engine."""

    as_of_ms: int
    #: a run to force on every fund, or None to let the rules decide
    forced: Trigger | None
    state: DeskState
    ticks: tuple[PriceTick, ...]
    #: the funds the snapshot describes, in its order
    funds: tuple[str, ...]


def read_snapshot(document: str, desk: Desk, name: str = "snapshot") -> Snapshot:
    """Read a snapshot document against the configured `desk`.

    Raises InputRefused that names the place and the remedy; nothing is guessed.
    """
    data = reading.load(document, name)
    reading.only(data, _TOP, name)
    if data.get("version", 1) not in (1, "1"):
        raise InputRefused(f"{name}: version: {data['version']!r} is not known; this reads 1")
    as_of_ms = parse(reading.need(data, "as_of", name), f"{name}: as_of")
    funds = reading.table(reading.need(data, "funds", name), f"{name}: funds")
    described = _desk(
        desk, reading.table(data.get("contracts", {}), f"{name}: contracts"), funds, name
    )
    state = DeskState.fresh(described)
    state.desk_id = "snapshot"
    state.now_ms = as_of_ms
    prices = reading.table(reading.need(data, "prices", name), f"{name}: prices")
    for fund_name, fields in funds.items():
        where = f"{name}: funds.{fund_name}"
        _read_fund(state.funds[fund_name], reading.table(fields, where), as_of_ms, where)
    ticks = _ticks(state, prices, as_of_ms, name)
    for fund in state.funds.values():
        _rebase_run(fund, ticks)
    _read_accounts(state, reading.table(data.get("accounts", {}), f"{name}: accounts"), name)
    return Snapshot(
        as_of_ms=as_of_ms,
        forced=_forced(data.get("trigger", "auto"), name),
        state=state,
        ticks=ticks,
        funds=tuple(funds),
    )


def snapshot_of(
    desk: Desk, history: Sequence[Record], prices: Mapping[str, Decimal], as_of_ms: int
) -> Snapshot:
    """Return the snapshot of a desk that its records and these marks describe."""
    state = fold(desk, history)
    state.now_ms = as_of_ms
    ticks = tuple(
        PriceTick(symbol, source, prices[symbol], as_of_ms)
        for symbol in state.holders
        if symbol in prices
        for source in PriceSource
    )
    launched = tuple(
        name
        for name, fund in state.funds.items()
        if fund.launched_ms is not None
        and all(symbol in prices for symbol in fund.members(as_of_ms))
    )
    return Snapshot(as_of_ms, None, state, ticks, launched)


def _forced(value: Any, name: str) -> Trigger | None:
    if value == "auto":
        return None
    if value in (Trigger.FIXED, Trigger.MANUAL):
        return Trigger(value)
    raise InputRefused(f"{name}: trigger: {value!r} is not one of auto, fixed, manual")


def _desk(desk: Desk, contracts: Mapping[str, Any], funds: Mapping[str, Any], name: str) -> Desk:
    """Return the desk with only the snapshot's funds, and its contracts over the configured."""
    for fund in funds:
        if fund not in desk.funds:
            near = difflib.get_close_matches(fund, desk.funds, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise InputRefused(f"{name}: funds.{fund} is not in the configuration{hint}")
    merged = dict(desk.contracts)
    for symbol, fields in contracts.items():
        where = f'{name}: contracts."{symbol}"'
        table = reading.table(fields, where)
        reading.only(table, _CONTRACT, where)
        values: dict[str, Any] = {
            key: reading.number(value, f"{where}.{key}") for key, value in table.items()
        }
        merged[symbol] = replace(merged.get(symbol, Contract(symbol)), **values)
    for fund in funds:
        # An index-only fund trades nothing: its members need no lots.
        for symbol in () if desk.funds[fund].index_only else desk.funds[fund].symbols:
            merged.setdefault(symbol, Contract(symbol))
    # Prices of a snapshot are what is known: their age is not measured.
    kept = {fund: replace(desk.funds[fund], max_age_ms=None) for fund in funds}
    return replace(desk, funds=kept, contracts=merged)


def _ticks(
    state: DeskState, prices: Mapping[str, Any], as_of_ms: int, name: str
) -> tuple[PriceTick, ...]:
    ticks = []
    for symbol, value in prices.items():
        where = f'{name}: prices."{symbol}"'
        if isinstance(value, dict):
            reading.only(value, tuple(PriceSource), where)
            by_source = {
                PriceSource(key): reading.positive(each, where) for key, each in value.items()
            }
        else:
            by_source = dict.fromkeys(PriceSource, reading.positive(value, where))
        if symbol in state.holders:
            ticks += [PriceTick(symbol, src, price, as_of_ms) for src, price in by_source.items()]
    known = {(tick.contract, tick.source) for tick in ticks}
    for fund in state.funds.values():
        for symbol in fund.members(as_of_ms):
            for source in fund.fund.sources:
                if (symbol, source) not in known:
                    raise InputRefused(
                        f'{name}: prices."{symbol}": fund {fund.name} needs its {source} price'
                    )
    return tuple(ticks)


def _read_fund(fund: FundState, fields: dict[str, Any], as_of_ms: int, where: str) -> None:
    reading.only(fields, _FUND, where)
    fund.shares = read_shares(fields, where)
    fund.launched_ms = as_of_ms
    fund.weights = fund.fund.basket_at(as_of_ms)
    if "last_rebalance" in fields:
        table = reading.table(fields["last_rebalance"], f"{where}.last_rebalance")
        fund.point = _read_point(fund, table, as_of_ms, f"{where}.last_rebalance")
        fund.launched_ms = fund.sized_ms = fund.point.at_ms
        fund.weights = fund.fund.basket_at(fund.point.at_ms)
    _read_holding(fund, fields, where)
    fund.fixed_settled_ms = reading.time(fields, "last_fixed", where, as_of_ms)
    fund.last_run_ms = reading.time(fields, "last_run_at", where, as_of_ms)
    if fund.point is not None:  # a rebalancing point is a run that was done
        fund.last_run_ms = max(fund.point.at_ms, fund.last_run_ms or fund.point.at_ms)
    fund.last_emergency_ms = reading.time(fields, "last_emergency_at", where, as_of_ms)
    if fund.fund.methodology.fixed:
        # What is too old to be caught up is nobody's business here. Never rebalanced: all is open.
        oldest_ms = as_of_ms - fund.fund.methodology.fixed.catch_up_ms - 1
        begun_ms = oldest_ms if fund.point is None else fund.point.at_ms
        after_ms = begun_ms if fund.fixed_settled_ms is None else fund.fixed_settled_ms
        fund.fixed_settled_ms = max(after_ms, oldest_ms)
    state = fields.get("state", TradingState.ACTIVE)
    if state not in tuple(TradingState):
        raise InputRefused(f"{where}.state: {state!r} is not one of {', '.join(TradingState)}")
    fund.trading = TradingState(state)
    fund.trading_reason = "by the snapshot"
    read_capital(fund, fields, as_of_ms, where)
    _read_duty(fund, fields, as_of_ms, where)
    if fields.get("run") is not None:
        run = reading.table(fields["run"], f"{where}.run")
        fund.run = _read_run(fund, run, as_of_ms, f"{where}.run")


def _read_holding(fund: FundState, fields: Mapping[str, Any], where: str) -> None:
    """Read cash and units; an index-only fund may leave them to what its last point implies."""
    if fund.fund.index_only and fund.point and not {"cash", "units"} & fields.keys():
        point, equity = fund.point, fund.point.nav * fund.shares
        fund.holding.cash = equity * (1 - point.leverage)
        fund.holding.units = target_units(point.leverage, equity, fund.weights, point.prices)
        return
    fund.holding.cash = reading.number(reading.need(fields, "cash", where), f"{where}.cash")
    for symbol, units in reading.table(fields.get("units", {}), f"{where}.units").items():
        if symbol not in fund.fund.symbols:
            raise InputRefused(f"{where}.units: {symbol} is not in the fund's basket")
        fund.holding.move(symbol, reading.number(units, f'{where}.units."{symbol}"'))


def _read_duty(fund: FundState, fields: Mapping[str, Any], as_of_ms: int, where: str) -> None:
    """Read since when the band is breached; only a band with a deadline makes a duty of it."""
    since_ms = reading.time(fields, "breach_since", where, as_of_ms)
    rule = fund.fund.methodology.leverage_band
    if since_ms is None:
        return
    if rule is None:
        raise InputRefused(
            f"{where}.breach_since: the fund has no leverage_band that could be breached"
        )
    if rule.within_business_days:
        fund.duty = duty_of(fund.fund, rule, since_ms)


def _read_point(fund: FundState, table: dict[str, Any], as_of_ms: int, where: str) -> Point:
    reading.only(table, _POINT, where)
    prices = reading.table(reading.need(table, "prices", where), f"{where}.prices")
    at_ms = reading.past(reading.need(table, "at", where), f"{where}.at", as_of_ms)
    basket = fund.fund.basket_at(at_ms)
    for symbol in basket:
        reading.need(prices, symbol, f"{where}.prices")
    leverage = reading.number(table.get("leverage", fund.fund.target_leverage), f"{where}.leverage")
    return Point(
        at_ms=at_ms,
        nav=reading.positive(reading.need(table, "nav", where), f"{where}.nav"),
        prices={
            symbol: reading.positive(prices[symbol], f'{where}.prices."{symbol}"')
            for symbol in basket
        },
        leverage=leverage,
    )


def _read_run(fund: FundState, table: dict[str, Any], as_of_ms: int, where: str) -> Run:
    reading.only(table, _RUN, where)
    trigger = reading.need(table, "trigger", where)
    trigger = _SHORT_NAMES.get(trigger, trigger) if isinstance(trigger, str) else trigger
    if trigger not in tuple(Trigger) or trigger == Trigger.NONE:
        raise InputRefused(f"{where}.trigger: {trigger!r} is not the name of a rule")
    targets = {
        symbol: reading.number(units, f'{where}.target_units."{symbol}"')
        for symbol, units in reading.table(
            reading.need(table, "target_units", where), f"{where}.target_units"
        ).items()
    }
    for symbol in targets:
        if symbol not in fund.members(as_of_ms):
            raise InputRefused(f"{where}.target_units: {symbol} is not in the fund's basket")
    started_ms = reading.past(
        reading.need(table, "started_at", where), f"{where}.started_at", as_of_ms
    )
    last_ms = reading.time(table, "last_slice_at", where, as_of_ms)
    plan = RunPlan(
        run_id=f"{fund.name}-under-way",
        fund=fund.name,
        trigger=Trigger(trigger),
        reason=f"a {trigger} run is under way",
        target_leverage=reading.number(
            table.get("target_leverage", fund.fund.target_leverage), f"{where}.target_leverage"
        ),
        target_units=targets,
        delta_units={
            symbol: units - fund.holding.units.get(symbol, ZERO)
            for symbol, units in targets.items()
        },
        marks={},
        base_nav=fund.point.nav if fund.point else fund.fund.initial_nav,
        base_prices={},
        base_weights=fund.fund.basket_at(started_ms),
        nav=ZERO,
        leverage=None,
        due_ms=(),
        opened_ms=started_ms,
    )
    next_ms = started_ms if last_ms is None else last_ms + fund.fund.execution.interval_ms
    # A document says nothing of what the run traded before, nor whether it rested in between.
    planned = {symbol: abs(units) for symbol, units in plan.delta_units.items()}
    return Run(plan, next_slice_ms=next_ms, working_since_ms=as_of_ms, planned=planned)


def _rebase_run(fund: FundState, ticks: tuple[PriceTick, ...]) -> None:
    """Give a run under way the snapshot's prices as its base: those that sized it are unknown."""
    if fund.run is None:
        return
    source = fund.fund.price_source
    prices = {
        tick.contract: tick.price
        for tick in ticks
        if tick.source is source and tick.contract in fund.run.plan.base_weights
    }
    fund.run = replace(fund.run, plan=replace(fund.run.plan, base_prices=prices))


def _read_accounts(state: DeskState, accounts: Mapping[str, Any], name: str) -> None:
    for given in accounts:
        if given not in state.accounts:
            known = ", ".join(state.accounts)
            raise InputRefused(f"{name}: accounts.{given} is not configured; known are {known}")
    for account_name in state.accounts:
        where = f"{name}: accounts.{account_name}"
        table = reading.table(accounts.get(account_name, {}), where)
        reading.only(table, ("positions",), where)
        told = reading.table(table.get("positions", {}), f"{where}.positions")
        _read_positions(state, account_name, told, f"{where}.positions")


def _read_positions(
    state: DeskState, account_name: str, told: Mapping[str, Any], where: str
) -> None:
    """Give the account what its funds hold together, in the books that are told."""
    account = state.accounts[account_name]
    if any(isinstance(value, dict) for value in told.values()):
        # Only a venue that keeps separate books tells them apart: it wants a close and an open.
        account.account = replace(account.account, hedge=True)
    for fund in state.funds.values():
        if fund.fund.account == account_name:
            account.cash += fund.holding.cash
            for symbol, units in fund.holding.units.items():
                account.held[symbol] = account.held.get(symbol, ZERO) + units
    hedge = account.account.hedge
    for symbol in {**account.held, **told}:
        units = account.held.setdefault(symbol, ZERO)
        books = {PositionSide.of(units, hedge=hedge): units}
        if symbol in told:
            books = _read_position(told[symbol], units, f'{where}."{symbol}"', hedge)
        for side, size in books.items():
            account.books[symbol, side] = size


def _read_position(
    value: Any, held: Decimal, where: str, hedge: bool
) -> dict[PositionSide, Decimal]:
    """Return the account's books in signed base coins; they must net to what the funds hold.

    A number on an account with two books is all on its own side.
    """
    if isinstance(value, dict):
        reading.only(value, ("long", "short"), where)
        long_units = abs(reading.number(value.get("long", 0), f"{where}.long"))
        short_units = abs(reading.number(value.get("short", 0), f"{where}.short"))
        books = {PositionSide.LONG: long_units, PositionSide.SHORT: -short_units}
    else:
        units = reading.number(value, where)
        books = {PositionSide.of(units, hedge=hedge): units}
    net = total(books.values())
    if net != held:
        raise InputRefused(
            f"{where}: the account holds {net:f} base coins, its funds hold {held:f}; "
            "they must be equal before anything is planned"
        )
    return books
