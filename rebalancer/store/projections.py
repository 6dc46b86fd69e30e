"""The fold from records to the tables that readers look at, a moment after the journal has them.

Each kind of record has one function that says which rows change. What the tables hold is therefore
a function of the journal alone: emptying them and folding again gives the same rows. How far they
have come is written beside them, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache
from itertools import groupby
from typing import Any

from sqlalchemy import BindParameter, Connection, Table, bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql import Executable
from sqlalchemy.sql.dml import UpdateBase

from rebalancer.core.breaks import BreakEnded, BreakFound
from rebalancer.core.capital import Consolidated, FlowDealt, ManagementFeeCharged
from rebalancer.core.consolidation import scale
from rebalancer.core.methodology import Trigger
from rebalancer.core.money import ONE, ZERO
from rebalancer.core.order import TRANSITIONS, OrderStatus, Outcome
from rebalancer.core.records import (
    FixedSettled,
    FundLaunched,
    FundWiped,
    IntentCreated,
    NavStruck,
    OrderMoved,
    PointSet,
    Record,
    RunMoved,
    RunOpened,
    ScopeChanged,
    Traded,
    TradingChanged,
    TradingState,
    VerdictChanged,
)
from rebalancer.core.run import ENDED, RunStatus
from rebalancer.store import journal, prepared
from rebalancer.store.canonical import storable
from rebalancer.store.change import Change, Look, amend, put
from rebalancer.store.tables import (
    BREAKS,
    FILLS,
    FIXED,
    FUNDS,
    NAVS,
    ORDERS,
    PROJECTED,
    PROJECTIONS,
    RUNS,
    SCOPES,
    VERDICTS,
)


def _fund_launched(record: FundLaunched, _look: Look) -> Iterator[Change]:
    yield put(
        FUNDS,
        name=record.fund,
        account=record.account,
        shares=record.shares,
        launched_ms=record.at_ms,
    )


def _flow_dealt(record: FlowDealt, _look: Look) -> Iterator[Change]:
    yield put(FUNDS, name=record.fund, shares=record.shares_after)


def _fee_charged(record: ManagementFeeCharged, look: Look) -> Iterator[Change]:
    fund = look(FUNDS, storable(record.fund))
    if fund is not None and fund["point_nav"] is not None:
        nav = Decimal(fund["point_nav"]) * (ONE - record.share)
        yield put(FUNDS, name=record.fund, point_nav=nav)


def _consolidated(record: Consolidated, look: Look) -> Iterator[Change]:
    yield put(FUNDS, name=record.fund, shares=record.shares_after)
    fund = look(FUNDS, storable(record.fund))
    if fund is not None and fund["point_nav"] is not None:
        nav = Decimal(fund["point_nav"]) * scale(record.shares_before, record.shares_after)
        yield put(FUNDS, name=record.fund, point_nav=nav)


def _point_set(record: PointSet, _look: Look) -> Iterator[Change]:
    yield put(
        FUNDS,
        name=record.fund,
        point_nav=record.nav,
        point_leverage=record.leverage,
        point_prices=record.prices,
        point_ms=record.at_ms,
    )


def _trading_changed(record: TradingChanged, _look: Look) -> Iterator[Change]:
    yield put(FUNDS, name=record.fund, state=record.state, state_reason=record.reason)


def _scope_changed(record: ScopeChanged, _look: Look) -> Iterator[Change]:
    yield put(
        SCOPES,
        scope=record.scope,
        name=record.name,
        state=record.state,
        reason=record.reason,
        at_ms=record.at_ms,
    )


def _break_found(record: BreakFound, _look: Look) -> Iterator[Change]:
    found = record.found
    yield put(
        BREAKS,
        number=record.number,
        kind=found.kind,
        account=found.account,
        contract=found.contract,
        units=found.units,
        cause=found.cause,
        repair=found.repair,
        found_ms=record.at_ms,
    )


def _break_ended(record: BreakEnded, _look: Look) -> Iterator[Change]:
    yield amend(
        BREAKS,
        number=record.number,
        how=record.how,
        end_reason=record.reason,
        ended_ms=record.at_ms,
    )


def _fund_wiped(record: FundWiped, _look: Look) -> Iterator[Change]:
    yield put(FUNDS, name=record.fund, state=TradingState.WIPED, state_reason=record.reason)


def _verdict_changed(record: VerdictChanged, _look: Look) -> Iterator[Change]:
    yield _latest_verdict(record.fund, record.trigger, record.reason, record.at_ms)


def _latest_verdict(fund: str, trigger: Trigger, reason: str, at_ms: int) -> Change:
    return put(VERDICTS, fund=fund, trigger=trigger, reason=reason, at_ms=at_ms)


def _fixed_settled(record: FixedSettled, _look: Look) -> Iterator[Change]:
    yield put(
        FIXED,
        fund=record.fund,
        due_ms=record.due_ms,
        settlement=record.settlement,
        reason=record.reason,
        run_id=record.run_id,
    )


def _run_opened(record: RunOpened, _look: Look) -> Iterator[Change]:
    plan = record.plan
    yield put(
        RUNS,
        run_id=plan.run_id,
        fund=plan.fund,
        trigger=plan.trigger,
        status=RunStatus.WORKING,
        reason=plan.reason,
        status_reason="",
        opened_ms=plan.opened_ms,
        target_leverage=plan.target_leverage,
        leverage_before=plan.leverage,
        nav_before=plan.nav,
        cost=ZERO,
        delta_units=plan.delta_units,
    )
    yield put(FUNDS, name=plan.fund, last_run_id=plan.run_id)
    # A run is a verdict too: the latest one is what readers are shown.
    yield _latest_verdict(plan.fund, plan.trigger, plan.reason, record.at_ms)


def _run_moved(record: RunMoved, _look: Look) -> Iterator[Change]:
    yield amend(
        RUNS,
        run_id=record.run_id,
        status=record.status,
        status_reason=record.reason,
        ended_ms=record.at_ms if record.status in ENDED else None,
        leverage_after=record.leverage,
        nav_after=record.nav,
        cost=record.cost,
        slippage=record.slippage,
        traded_notional=record.traded_notional,
    )


def _intent_created(record: IntentCreated, _look: Look) -> Iterator[Change]:
    intent = record.intent
    yield put(
        ORDERS,
        client_order_id=intent.client_order_id,
        account=intent.account,
        contract=intent.contract,
        seq=intent.seq,
        side=intent.side,
        position_side=intent.position_side,
        contracts=intent.contracts,
        wanted=intent.wanted,
        limit_price=intent.limit_price,
        reduce_only=intent.reduce_only,
        status=OrderStatus.PREPARED,
        reason="",
        venue_order_id="",
        filled_contracts=ZERO,
        created_ms=intent.created_ms,
    )


def _status_after(order: Mapping[str, Any], outcome: Outcome) -> OrderStatus:
    # Evidence that changes nothing any more (a fill after the close) leaves the status.
    status = OrderStatus(order["status"])
    return TRANSITIONS.get((status, outcome), status)


def _order_moved(record: OrderMoved, look: Look) -> Iterator[Change]:
    order = look(ORDERS, storable(record.client_order_id))
    if order is None:
        return
    closed = order["closed_contracts"]
    if record.outcome is Outcome.CLOSED:
        reported = record.filled_contracts
        closed = order["filled_contracts"] if reported is None else reported
    yield amend(
        ORDERS,
        client_order_id=record.client_order_id,
        status=_status_after(order, record.outcome),
        reason=record.reason,
        venue_order_id=record.venue_order_id or order["venue_order_id"],
        closed_contracts=closed,
    )


def _traded(record: Traded, look: Look) -> Iterator[Change]:
    fill = record.fill
    yield put(
        FILLS,
        account=record.account,
        trade_id=fill.trade_id,
        client_order_id=fill.client_order_id,
        contract=record.contract,
        price=fill.price,
        contracts=fill.contracts,
        units=record.units,
        fee=fill.fee,
        at_ms=fill.at_ms,
        forced=record.forced,
    )
    order = look(ORDERS, storable(fill.client_order_id))
    if order is not None:  # a liquidation has no order of ours
        yield amend(
            ORDERS,
            client_order_id=fill.client_order_id,
            status=_status_after(order, Outcome.FILLED),
            filled_contracts=Decimal(order["filled_contracts"]) + fill.contracts,
        )


def _nav_struck(record: NavStruck, _look: Look) -> Iterator[Change]:
    yield put(
        NAVS,
        fund=record.fund,
        boundary_ms=record.boundary_ms,
        nav=record.nav,
        formula_nav=record.formula_nav,
        equity=record.equity,
        shares=record.shares,
    )


#: Kinds that are not here change nothing that readers see.
FOLDS: Mapping[type[Record], Callable[[Any, Look], Iterator[Change]]] = {
    FundLaunched: _fund_launched,
    FlowDealt: _flow_dealt,
    Consolidated: _consolidated,
    ManagementFeeCharged: _fee_charged,
    PointSet: _point_set,
    TradingChanged: _trading_changed,
    ScopeChanged: _scope_changed,
    BreakFound: _break_found,
    BreakEnded: _break_ended,
    FundWiped: _fund_wiped,
    VerdictChanged: _verdict_changed,
    FixedSettled: _fixed_settled,
    RunOpened: _run_opened,
    RunMoved: _run_moved,
    IntentCreated: _intent_created,
    OrderMoved: _order_moved,
    Traded: _traded,
    NavStruck: _nav_struck,
}


def project(connection: Connection, records: Iterable[Record]) -> None:
    """Bring the projections from where they are to where `records` lead."""
    pending: list[Change] = []

    def look(table: Table, key: str) -> Mapping[str, Any] | None:
        write(connection, pending)
        pending.clear()
        return lookup(connection, table, (key,))

    for change in changes(records, look):
        pending.append(change)  # noqa: PERF402 - `look` empties the list in between
    write(connection, pending)


def changes(records: Iterable[Record], look: Look) -> Iterator[Change]:
    """Yield what `records` change, in order; `look` must see every change yielded so far."""
    for record in records:
        fold = FOLDS.get(type(record))
        if fold is not None:
            yield from fold(record, look)


def lookup(connection: Connection, table: Table, key: tuple[object, ...]) -> dict[str, Any] | None:
    """Return the row with this primary key, None where there is none."""
    parameters = {f"key_{place}": part for place, part in enumerate(key)}
    row = connection.execute(_lookup(table), parameters).mappings().first()
    return None if row is None else dict(row)


def rebuild(connection: Connection, records: Sequence[Record]) -> None:
    """Empty the projections and fold them again from `records`, the whole journal."""
    for table in PROJECTIONS:
        connection.execute(delete(table))
    project(connection, records)
    connection.execute(update(PROJECTED).values(seq=len(records)))


def projected_seq(connection: Connection) -> int:
    """Return the number of the last record that the projections show."""
    seq: int = connection.execute(_PROJECTED_SEQ).scalar_one()
    return seq


def catch_up(connection: Connection, limit: int) -> int:
    """Fold up to `limit` records that the projections lack; return the number of the last one."""
    seq = projected_seq(connection)
    rows = journal.page(connection, seq, limit)
    if rows:
        seq = rows[-1].seq
        project(connection, [row.record for row in rows])
        prepared.run(connection, _NOTE_PROJECTED, [{"new_seq": seq}])
    return seq


def write(connection: Connection, changes: Iterable[Change]) -> None:
    """Carry out the changes in order; neighbours of one shape go out as one statement."""
    for (table, columns, creates), group in groupby(changes, _shape):
        statement = _statement(connection.dialect.name, table, columns, creates)
        prepared.run(
            connection,
            statement,
            [{f"new_{name}": c.values[name] for name in columns} for c in group],
        )


_PROJECTED_SEQ = select(PROJECTED.c.seq)
_NOTE_PROJECTED = update(PROJECTED).values(seq=bindparam("new_seq"))


def _shape(change: Change) -> tuple[Table, tuple[str, ...], bool]:
    return change.table, tuple(change.values), change.creates


@cache
def _statement(dialect: str, table: Table, columns: tuple[str, ...], creates: bool) -> UpdateBase:
    keys = [column.name for column in table.primary_key]
    values: dict[str, BindParameter[Any]] = {name: bindparam(f"new_{name}") for name in columns}
    changing = [name for name in columns if name not in keys]
    if not creates:
        found = [table.c[name] == values[name] for name in keys]
        return update(table).where(*found).values({name: values[name] for name in changing})
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    statement = insert(table).values(values)
    return statement.on_conflict_do_update(
        index_elements=keys, set_={name: statement.excluded[name] for name in changing}
    )


@cache
def _lookup(table: Table) -> Executable:
    keys = enumerate(table.primary_key)
    return select(table).where(*(column == bindparam(f"key_{place}") for place, column in keys))
