"""The fold: how each record changes the state of the desk.

`apply` is the only way in for anything durable; it is the same live, in a replay and at recovery.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from rebalancer.core import (
    break_folding,
    capital_folding,
    configuration_folding,
    delisting_folding,
    ledger,
    permission_folding,
    records,
)
from rebalancer.core.duty import Duty
from rebalancer.core.events import CommandKind
from rebalancer.core.limits import ensure_toward
from rebalancer.core.methodology import Trigger
from rebalancer.core.money import ZERO, total
from rebalancer.core.nav import Point
from rebalancer.core.order import WORKING, Order, Outcome, PositionSide, next_status
from rebalancer.core.records import Record, TradingState
from rebalancer.core.run import ENDED, Run, RunPlan, RunStatus
from rebalancer.core.seen import ENDED_ORDERS_MAX
from rebalancer.core.setback import set_back
from rebalancer.core.slicing import pause_ms
from rebalancer.core.spending import give_back, is_free, spend, turn_day
from rebalancer.core.state import Desk, DeskState, FundState
from rebalancer.errors import ensure


def fold(desk: Desk, history: Iterable[Record]) -> DeskState:
    """Return the state after `history`, oldest first."""
    state = DeskState.fresh(desk)
    for record in history:
        apply(state, record)
    return state


def apply(state: DeskState, record: Record) -> None:
    """Fold one record into `state`; raises BrokenInvariant when it cannot follow what was before.

    A state whose apply raised must be thrown away.
    """
    for posting in ledger.postings(record):
        _post(state, posting, record.made_ms)
    handle = _HANDLERS.get(type(record))
    if handle is not None:
        handle(state, record)
    state.recorded_ms = record.at_ms


def _post(state: DeskState, posting: ledger.Posting, moved_ms: int) -> None:
    kind, _, name = posting.book.partition("/")
    if kind == "fund":
        fund = state.named(name)
        account = state.accounts.get(fund.fund.account)
        if posting.asset == ledger.CASH:
            fund.holding.cash += posting.amount
        else:
            fund.holding.move(posting.asset, posting.amount, moved_ms)
        if account is None:
            return  # index-only: on paper
        if posting.asset == ledger.CASH:
            account.cash += posting.amount
        else:
            held = account.held.get(posting.asset, ZERO)
            account.held[posting.asset] = held + posting.amount
    elif kind == ledger.DESK and posting.asset == ledger.CASH:
        state.desk_cash += posting.amount


def _desk_opened(state: DeskState, record: records.DeskOpened) -> None:
    state.desk_id = record.desk_id


def _desk_started(state: DeskState, record: records.DeskStarted) -> None:
    state.epoch += 1
    ensure(
        record.epoch in (0, state.epoch),
        f"start {state.epoch} of this store says that it is number {record.epoch}",
    )
    state.nonce = record.nonce
    configuration_folding.start_on(state, record.config_digest, record.at_ms)
    set_back(state, record.at_ms)  # the clock may have been set while no desk saw it


def _clock_set_back(state: DeskState, record: records.ClockSetBack) -> None:
    set_back(state, record.at_ms)


def _launched(state: DeskState, record: records.FundLaunched) -> None:
    fund = state.named(record.fund)
    ensure(fund.launched_ms is None, f"fund {record.fund} is launched twice")
    fund.launched_ms = record.at_ms
    fund.shares = record.shares
    fund.weights = fund.fund.basket_at(record.at_ms)


def _adopted(state: DeskState, record: records.PositionsAdopted) -> None:
    fund = state.named(record.fund)
    if fund.point is None:  # its launch; what a run adopts on paper comes within a period
        fund.gap.marks = record.prices
    if not record.account:
        return  # on paper: no account holds what an index-only fund counts with
    for symbol, units in record.units.items():
        side = PositionSide.of(units, hedge=record.hedge)
        _move_book(state, record.account, symbol, side, units)
        check_position(state, record.account, symbol)


def _point_set(state: DeskState, record: records.PointSet) -> None:
    fund = state.named(record.fund)
    fund.point = Point(record.at_ms, record.nav, record.prices, record.leverage)
    if record.source is not None:
        configuration_folding.price_by(fund, record.source)
    fund.last_run_ms = record.at_ms  # a point is a done run, also where a replay starts with one
    fund.weights, fund.sized_ms = record.weights, record.opened_ms
    fund.duty = None
    fund.drift_told = False


def _breach_seen(state: DeskState, record: records.BreachSeen) -> None:
    state.named(record.fund).duty = Duty(record.since_ms, record.due_ms)


def _breach_lapsed(state: DeskState, record: records.BreachLapsed) -> None:
    state.named(record.fund).duty = None


def _verdict(state: DeskState, record: records.VerdictChanged) -> None:
    fund = state.funds.get(record.fund)
    if fund is not None:  # one that waited for its launch may leave the configuration
        fund.verdict = (record.trigger, record.reason)


def _fixed_settled(state: DeskState, record: records.FixedSettled) -> None:
    fund = state.named(record.fund)
    settled_ms = fund.fixed_settled_ms
    ensure(
        settled_ms is None or record.due_ms > settled_ms,
        f"the fixed instant {record.due_ms} of {record.fund} is settled twice",
    )
    fund.fixed_settled_ms = record.due_ms


def _run_opened(state: DeskState, record: records.RunOpened) -> None:
    fund = state.named(record.plan.fund)
    ensure(fund.run is None, f"fund {fund.name} opens a run while one is under way")
    fund.run = Run(
        record.plan,
        next_slice_ms=record.at_ms,
        working_since_ms=record.at_ms,
        planned=_gross_planned(fund, record.plan),
    )
    fund.run_seq += 1
    fund.verdict = (record.plan.trigger, record.plan.reason)
    fund.manual = None
    turn_day(fund, record.at_ms)
    if not is_free(fund.gave_way, record.plan.trigger):
        fund.day_runs += 1
    fund.gave_way = None


def _gross_planned(fund: FundState, plan: RunPlan) -> dict[str, Decimal]:
    """Return what a run may trade: its delta, and what was still working when it was opened."""
    planned = {}
    for symbol, delta in plan.delta_units.items():
        whole = plan.target_units[symbol] - fund.holding.units.get(symbol, ZERO)
        planned[symbol] = abs(delta) + abs(whole - delta)
    return planned


def _run_moved(state: DeskState, record: records.RunMoved) -> None:
    fund = state.named(record.fund)
    run = fund.run
    ensure(run is not None and run.plan.run_id == record.run_id, "a run moved that is not there")
    assert run is not None  # noqa: S101 - for the type checker; ensured above
    if record.status is RunStatus.SUPERSEDED and run.status is RunStatus.INCOMPLETE:
        fund.gave_way = run.plan.trigger
    run.moved_to(record.status)
    if record.status is RunStatus.WORKING:
        run.fruitless_rounds, run.next_slice_ms = 0, record.at_ms
        run.working_since_ms = record.at_ms
        return
    if run.plan.trigger is not Trigger.FLOW or record.status is not RunStatus.DONE:
        fund.last_run_ms = record.at_ms  # what a flow did delays no rule
    if run.plan.trigger is Trigger.EMERGENCY:
        fund.last_emergency_ms = record.at_ms
    if record.status is RunStatus.DONE:
        capital_folding.close_gap_period(fund, run, record.marks)
    if record.status in ENDED:
        fund.run = None


def _crossed(state: DeskState, record: records.Crossed) -> None:
    ensure(total(record.units.values()) == 0, "a cross does not sum to zero", record)
    frozen = record.contract in state.delisted
    for name, units in record.units.items():
        run = state.named(name).run
        if run is not None and not frozen:
            run.fruitless_rounds = 0
            run.count(record.contract, units)
    if frozen:  # its venue settled whatever stood in its books, long and short
        account = state.accounts[record.account]
        ensure(not account.position(record.contract), "more than a difference is settled", record)
        account.books = {
            key: each for key, each in account.books.items() if key[0] != record.contract
        }
    check_position(state, record.account, record.contract)


def _intent(state: DeskState, record: records.IntentCreated) -> None:
    intent = record.intent
    account = state.accounts[intent.account]
    ensure(intent.seq == account.order_seq + 1, f"order {intent.client_order_id} is out of turn")
    account.order_seq = intent.seq
    state.orders[intent.client_order_id] = Order(intent)
    spend(state, intent, record.at_ms)
    for name, size in intent.wanted.items():
        fund = state.named(name)
        if fund.run is not None:
            held = fund.holding.units.get(intent.contract, ZERO)
            ensure_toward(fund.run, intent.contract, held, size)
            fund.run.orders += 1
            fund.run.fruitless_rounds += 1


def _order_moved(state: DeskState, record: records.OrderMoved) -> None:
    order = state.orders.get(record.client_order_id)
    ensure(order is not None, f"order {record.client_order_id} is not working")
    assert order is not None  # noqa: S101 - for the type checker; ensured above
    if record.absence is not None:
        ensure(
            record.absence.proved,
            f"order {record.client_order_id} is called absent too soon: {record.absence}",
        )
    order.status = next_status(order.status, record.outcome, record.client_order_id)
    order.venue_order_id = record.venue_order_id or order.venue_order_id
    if record.outcome is Outcome.CLOSED:
        reported = record.filled_contracts
        order.closed_contracts = order.filled_contracts if reported is None else reported
    _forget_if_over(state, order, record.at_ms)


def _traded(state: DeskState, record: records.Traded) -> None:
    fill = record.fill
    order = state.orders.get(fill.client_order_id) or state.ended.get(fill.client_order_id)
    ensure(order is not None or record.forced, f"trade {fill.trade_id} has no working order")
    for name, units in record.allocations.items():
        fund = state.named(name)
        fee, slippage = record.fees.get(name, ZERO), record.slippage.get(name, ZERO)
        fund.costs.fees += fee
        fund.costs.slippage += slippage
        if fund.shares:
            fund.gap.trading_fees -= fee / fund.shares
            fund.gap.slippage -= slippage / fund.shares
        if fund.run is not None and units:
            fund.run.cost += fee + slippage
            fund.run.slippage += slippage
            fund.run.traded_notional += abs(units) * fill.price
            fund.run.fruitless_rounds = 0
            if not record.forced:
                fund.run.count(record.contract, units)
    _move_book(state, record.account, record.contract, record.position_side, record.units)
    state.accounts[record.account].traded_ms[record.contract] = record.at_ms
    break_folding.remember(state, record.account, record.contract, {fill.trade_id: fill.at_ms})
    state.seen_trades.add(record.trade)
    if order is not None:
        order.filled_contracts += fill.contracts
        ensure(
            order.filled_contracts <= order.intent.contracts,
            f"order {fill.client_order_id} filled more than it asked for",
        )
        if order.status in WORKING:
            order.status = next_status(order.status, Outcome.FILLED, fill.client_order_id)
        _forget_if_over(state, order, record.at_ms)
    check_position(state, record.account, record.contract)


def _forget_if_over(state: DeskState, order: Order, at_ms: int) -> None:
    if order.working:
        return
    state.seen_trades.end(order.intent.client_order_id)
    if state.orders.pop(order.intent.client_order_id, None) is None:
        return  # a late fill of an order that was over
    give_back(state, order)
    state.ended[order.intent.client_order_id] = order
    if len(state.ended) > ENDED_ORDERS_MAX:
        del state.ended[next(iter(state.ended))]
    for name in order.intent.wanted:
        fund = state.named(name)
        if fund.run is not None:
            fund.run.next_slice_ms = at_ms + pause_ms(fund.fund.execution, order.intent)


def _move_book(
    state: DeskState, account: str, contract: str, side: PositionSide, units: Decimal
) -> None:
    books = state.accounts[account].books
    books[contract, side] = books.get((contract, side), ZERO) + units


def check_position(state: DeskState, account: str, contract: str) -> None:
    """Raise BrokenInvariant unless the funds' units sum to the account's position, exactly."""
    held = state.accounts[account].held.get(contract, ZERO)
    position = state.accounts[account].position(contract)
    ensure(
        held == position,
        f"the funds hold {held} of {contract}, account {account} holds {position}",
    )


def _funding(state: DeskState, record: records.FundingPosted) -> None:
    if record.settled_ms is not None:
        state.accounts[record.account].funded_ms[record.contract] = record.settled_ms
    for name, paid in record.paid.items():
        fund = state.named(name)
        fund.costs.funding += paid
        if fund.shares:
            fund.gap.funding -= paid / fund.shares


def _wiped(state: DeskState, record: records.FundWiped) -> None:
    fund = state.named(record.fund)
    fund.trading, fund.trading_reason = TradingState.WIPED, record.reason


def _struck(state: DeskState, record: records.NavStruck) -> None:
    ensure(
        abs(record.nav * record.shares - record.equity) < Decimal("1e-30"),
        "NAV x shares is not the equity",
        record,
    )
    fund = state.named(record.fund)
    fund.strike_ms = record.boundary_ms
    capital_folding.end_proposal(fund, record.nav)


def _command(state: DeskState, record: records.CommandTaken) -> None:
    if record.kind is CommandKind.REBALANCE:
        state.named(record.name).manual = record.reason
    elif record.kind is CommandKind.FLATTEN:
        state.named(record.name).flattening = record.reason


_HANDLERS: dict[type[Record], Callable[[DeskState, Any], None]] = {
    records.DeskOpened: _desk_opened,
    records.DeskStarted: _desk_started,
    records.ClockSetBack: _clock_set_back,
    records.FundLaunched: _launched,
    records.PositionsAdopted: _adopted,
    records.PointSet: _point_set,
    records.BreachSeen: _breach_seen,
    records.BreachLapsed: _breach_lapsed,
    records.VerdictChanged: _verdict,
    records.FixedSettled: _fixed_settled,
    records.RunOpened: _run_opened,
    records.RunMoved: _run_moved,
    records.Crossed: _crossed,
    records.IntentCreated: _intent,
    records.OrderMoved: _order_moved,
    records.Traded: _traded,
    records.FundingPosted: _funding,
    records.FundWiped: _wiped,
    records.NavStruck: _struck,
    records.CommandTaken: _command,
    **break_folding.HANDLERS,
    **capital_folding.HANDLERS,
    **configuration_folding.HANDLERS,
    **delisting_folding.HANDLERS,
    **permission_folding.HANDLERS,
}
