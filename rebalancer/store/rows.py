"""What a reader gets: one frozen dataclass per table, and how a row becomes one."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar

from rebalancer.core.breaks import BreakEnd, BreakKind
from rebalancer.core.methodology import Trigger
from rebalancer.core.order import OrderSide, OrderStatus, PositionSide
from rebalancer.core.records import Record, Settlement, TradingState
from rebalancer.core.run import RunStatus
from rebalancer.core.scope import Scope
from rebalancer.store.canonical import decimal_text, mapping_text, mapping_value, storable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class JournalRow:
    """A record and its place in the chain; `hash` covers everything up to it."""

    seq: int
    record: Record
    hash: str


@dataclass(frozen=True, slots=True)
class FundRow:
    """A fund; the point is its last rebalancing point, None before the first."""

    name: str
    account: str
    shares: Decimal
    launched_ms: int | None
    state: TradingState
    state_reason: str
    last_run_id: str | None
    point_nav: Decimal | None
    point_leverage: Decimal | None
    point_prices: Mapping[str, Decimal] | None
    point_ms: int | None


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run; `reason` is why it was opened, `status_reason` why it stands where it does."""

    run_id: str
    fund: str
    trigger: Trigger
    status: RunStatus
    reason: str
    status_reason: str
    opened_ms: int
    ended_ms: int | None
    target_leverage: Decimal
    leverage_before: Decimal | None
    leverage_after: Decimal | None
    nav_before: Decimal
    nav_after: Decimal | None
    #: fees and slippage, in quote currency
    cost: Decimal
    #: of the cost, and the notional that it was paid on; None where that was not recorded
    slippage: Decimal | None
    traded_notional: Decimal | None
    #: signed base coins by contract that the run was opened to trade
    delta_units: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order and what is known of it."""

    client_order_id: str
    account: str
    contract: str
    seq: int
    side: OrderSide
    position_side: PositionSide
    contracts: Decimal
    #: signed base coins that each fund wanted of it
    wanted: Mapping[str, Decimal]
    limit_price: Decimal
    reduce_only: bool
    status: OrderStatus
    reason: str
    venue_order_id: str
    #: the sum of the fills that arrived
    filled_contracts: Decimal
    #: what the venue says was filled in all, once it said that the order is closed
    closed_contracts: Decimal | None
    created_ms: int


@dataclass(frozen=True, slots=True)
class FillRow:
    """A trade of one account; `units` is signed, `fee` in quote currency."""

    account: str
    trade_id: str
    client_order_id: str
    contract: str
    price: Decimal
    contracts: Decimal
    units: Decimal
    fee: Decimal
    at_ms: int
    forced: bool


@dataclass(frozen=True, slots=True)
class FixedRow:
    """What became of one fixed instant."""

    fund: str
    due_ms: int
    settlement: Settlement
    reason: str
    run_id: str


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """What the last evaluation that changed anything came to."""

    fund: str
    trigger: Trigger
    reason: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class ScopeRow:
    """The trading state of the desk (its name is empty), an account or a contract."""

    scope: Scope
    name: str
    state: TradingState
    reason: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class BreakRow:
    """A difference between a venue and the records; `how` is None while it is open."""

    number: int
    kind: BreakKind
    account: str
    contract: str
    #: what the venue has more than the records, signed base coins
    units: Decimal
    cause: str
    #: the command that repairs it
    repair: str
    found_ms: int
    how: BreakEnd | None
    end_reason: str | None
    ended_ms: int | None


@dataclass(frozen=True, slots=True)
class NavRow:
    """A daily NAV, unrounded."""

    fund: str
    boundary_ms: int
    nav: Decimal
    formula_nav: Decimal
    equity: Decimal
    shares: Decimal


def stored(value: object) -> object:
    """Return `value` as a column holds it: decimals, enums and mappings become text."""
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, StrEnum):
        return str(value.value)
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return mapping_text(value)
    return value


def from_row(cls: type[T], row: Mapping[str, Any]) -> T:
    """Return the `cls` whose fields have the names and the values of the row's columns."""
    kind: Any = cls
    return cls(**{name: load(row[name]) for name, load in _loaders(kind)})


@cache
def _loaders(cls: Any) -> list[tuple[str, Callable[[Any], Any]]]:
    hints = typing.get_type_hints(cls)
    return [(part.name, _loader(hints[part.name])) for part in fields(cls)]


def _loader(hint: Any) -> Callable[[Any], Any]:
    options = [part for part in typing.get_args(hint) if part is not type(None)]
    if type(None) in typing.get_args(hint):
        inner = _loader(options[0])
        return lambda value: None if value is None else inner(value)
    if typing.get_origin(hint) is not None:
        return mapping_value
    if hint in (str, int):
        return lambda value: value
    # What is left is built from what the column holds: Decimal, bool or an enum.
    return typing.cast("Callable[[Any], Any]", hint)
