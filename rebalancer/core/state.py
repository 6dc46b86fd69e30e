"""The state of the desk: the fold of its records, and beside it what is volatile.

`apply` is the only way in for anything durable; it is the same live, in a replay and at recovery.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from rebalancer.core import ledger, records
from rebalancer.core.contract import Contract
from rebalancer.core.fund import Account, Fund
from rebalancer.core.instant import DAY_MS
from rebalancer.core.market import Market, Suspicion
from rebalancer.core.methodology import Trigger
from rebalancer.core.money import ZERO, total
from rebalancer.core.nav import Point, ValueInputs
from rebalancer.core.order import WORKING, Order, Outcome, PositionSide, next_status
from rebalancer.core.position import Holding
from rebalancer.core.records import Record, TradingState
from rebalancer.core.run import ENDED, Run, RunStatus
from rebalancer.core.watch import AlarmClock, WatchIndex
from rebalancer.errors import ensure


@dataclass(frozen=True, slots=True)
class Desk:
    """What the operator configured; nothing in it changes while the desk runs."""

    funds: Mapping[str, Fund]
    accounts: Mapping[str, Account]
    contracts: Mapping[str, Contract]
    #: funds take their first exposure at the first price, at no cost (a replay of history)
    free_launch: bool = False


@dataclass(slots=True)
class Costs:
    """What a fund has paid so far, in quote currency; funding may be negative (received)."""

    fees: Decimal = ZERO
    slippage: Decimal = ZERO
    funding: Decimal = ZERO
    management_fee: Decimal = ZERO


@dataclass(slots=True)
class FundState:
    """One fund as it stands."""

    fund: Fund
    launched_ms: int | None = None
    shares: Decimal = ZERO
    holding: Holding = field(default_factory=Holding)
    point: Point | None = None
    trading: TradingState = TradingState.ACTIVE
    trading_reason: str = ""
    run: Run | None = None
    verdict: tuple[Trigger, str] | None = None
    #: when the last run ended, and the last emergency run
    last_run_ms: int | None = None
    last_emergency_ms: int | None = None
    #: the newest fixed instant that was settled
    fixed_settled_ms: int | None = None
    strike_ms: int | None = None
    #: reason of an operator's rebalance command that no run has taken up yet
    manual: str | None = None
    costs: Costs = field(default_factory=Costs)
    #: runs opened so far; numbers the next one
    run_seq: int = 0
    #: runs opened and notional ordered on the UTC day that began at day_ms
    day_ms: int = 0
    day_runs: int = 0
    day_notional: Decimal = ZERO
    #: volatile: ticks beyond a trigger that wait for confirmation
    suspicions: dict[Trigger, Suspicion] = field(default_factory=dict)
    #: volatile: the operator was told that a winner drifts under its target
    drift_told: bool = False
    #: volatile: the next tick of any member must be looked at
    restless: bool = True

    @property
    def name(self) -> str:
        """The fund's name."""
        return self.fund.name

    @property
    def inputs(self) -> ValueInputs:
        """What a valuation needs; the fund must be launched."""
        return ValueInputs(
            basket=self.fund.basket,
            shares=self.shares,
            holding=self.holding,
            point=self.point,
            initial_nav=self.fund.initial_nav,
            wiped=self.trading is TradingState.WIPED,
        )


@dataclass(slots=True)
class AccountState:
    """One account as it stands."""

    account: Account
    #: signed base coins by contract and book of the venue
    books: dict[tuple[str, PositionSide], Decimal] = field(default_factory=dict)
    #: cash of the account's funds together, in quote currency
    cash: Decimal = ZERO
    #: what the account's funds hold together, in signed base coins by contract
    held: dict[str, Decimal] = field(default_factory=dict)
    #: number of the last order
    order_seq: int = 0

    def position(self, contract: str) -> Decimal:
        """Return the net position in `contract`, in signed base coins."""
        return total(self.books.get((contract, side), ZERO) for side in PositionSide)


@dataclass(slots=True)
class DeskState:
    """Everything the engine decides from."""

    desk: Desk
    funds: dict[str, FundState]
    accounts: dict[str, AccountState]
    market: Market
    watch: WatchIndex = field(default_factory=WatchIndex)
    alarms: AlarmClock = field(default_factory=AlarmClock)
    #: place of each fund in the operator's order, in which funds are decided
    rank: dict[str, int] = field(default_factory=dict)
    #: funds by contract of their basket
    holders: dict[str, tuple[str, ...]] = field(default_factory=dict)
    desk_id: str = ""
    #: cash of the desk's own loss account (negative: it covered shortfalls)
    desk_cash: Decimal = ZERO
    #: working orders by client order id
    orders: dict[str, Order] = field(default_factory=dict)
    #: trade ids of fills already booked for working orders, so that a repeated report is a no-op
    seen_trades: set[str] = field(default_factory=set)

    @classmethod
    def fresh(cls, desk: Desk) -> DeskState:
        """Return the state before the first record."""
        holders: dict[str, list[str]] = {}
        for fund in desk.funds.values():
            for symbol in fund.symbols:
                holders.setdefault(symbol, []).append(fund.name)
        return cls(
            desk=desk,
            funds={name: FundState(fund) for name, fund in desk.funds.items()},
            accounts={name: AccountState(account) for name, account in desk.accounts.items()},
            market=Market(frozenset(holders)),
            rank={name: place for place, name in enumerate(desk.funds)},
            holders={symbol: tuple(names) for symbol, names in holders.items()},
        )

    def in_order(self, names: Iterable[str]) -> list[FundState]:
        """Return the named funds in the operator's order."""
        return [self.funds[name] for name in sorted(names, key=self.rank.__getitem__)]

    def working_on(self, account: str, contract: str) -> bool:
        """Whether an order on this contract may still trade; then it takes no new one."""
        return any(
            order.intent.account == account and order.intent.contract == contract
            for order in self.orders.values()
        )


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
        _post(state, posting)
    handle = _HANDLERS.get(type(record))
    if handle is not None:
        handle(state, record)


def _post(state: DeskState, posting: ledger.Posting) -> None:
    kind, _, name = posting.book.partition("/")
    if kind == "fund":
        fund = _fund(state, name)
        account = state.accounts[fund.fund.account]
        if posting.asset == ledger.CASH:
            fund.holding.cash += posting.amount
            account.cash += posting.amount
        else:
            fund.holding.move(posting.asset, posting.amount)
            held = account.held.get(posting.asset, ZERO)
            account.held[posting.asset] = held + posting.amount
    elif kind == ledger.DESK and posting.asset == ledger.CASH:
        state.desk_cash += posting.amount


def _fund(state: DeskState, name: str) -> FundState:
    found = state.funds.get(name)
    ensure(found is not None, f"a record names the fund {name}, which is not configured")
    assert found is not None  # noqa: S101 - for the type checker; ensured above
    return found


def _desk_opened(state: DeskState, record: records.DeskOpened) -> None:
    state.desk_id = record.desk_id


def _launched(state: DeskState, record: records.FundLaunched) -> None:
    fund = _fund(state, record.fund)
    ensure(fund.launched_ms is None, f"fund {record.fund} is launched twice")
    fund.launched_ms = record.at_ms
    fund.shares = record.shares


def _adopted(state: DeskState, record: records.PositionsAdopted) -> None:
    for symbol, units in record.units.items():
        side = PositionSide.of(units, hedge=record.hedge)
        _move_book(state, record.account, symbol, side, units)
        check_position(state, record.account, symbol)


def _point_set(state: DeskState, record: records.PointSet) -> None:
    fund = _fund(state, record.fund)
    fund.point = Point(record.at_ms, record.nav, record.prices, record.leverage)
    fund.drift_told = False


def _verdict(state: DeskState, record: records.VerdictChanged) -> None:
    _fund(state, record.fund).verdict = (record.trigger, record.reason)


def _fixed_settled(state: DeskState, record: records.FixedSettled) -> None:
    fund = _fund(state, record.fund)
    settled_ms = fund.fixed_settled_ms
    ensure(
        settled_ms is None or record.due_ms > settled_ms,
        f"the fixed instant {record.due_ms} of {record.fund} is settled twice",
    )
    fund.fixed_settled_ms = record.due_ms


def _run_opened(state: DeskState, record: records.RunOpened) -> None:
    fund = _fund(state, record.plan.fund)
    ensure(fund.run is None, f"fund {fund.name} opens a run while one is under way")
    fund.run = Run(record.plan, next_slice_ms=record.at_ms)
    fund.run_seq += 1
    fund.verdict = (record.plan.trigger, record.plan.reason)
    fund.manual = None
    day_ms = record.at_ms // DAY_MS * DAY_MS
    if day_ms != fund.day_ms:
        fund.day_ms, fund.day_runs, fund.day_notional = day_ms, 0, ZERO
    fund.day_runs += 1


def _run_moved(state: DeskState, record: records.RunMoved) -> None:
    fund = _fund(state, record.fund)
    run = fund.run
    ensure(run is not None and run.plan.run_id == record.run_id, "a run moved that is not there")
    assert run is not None  # noqa: S101 - for the type checker; ensured above
    run.moved_to(record.status)
    if record.status is RunStatus.WORKING:
        run.fruitless_rounds, run.next_slice_ms = 0, record.at_ms
        return
    fund.last_run_ms = record.at_ms
    if run.plan.trigger is Trigger.EMERGENCY:
        fund.last_emergency_ms = record.at_ms
    if record.status in ENDED:
        fund.run = None


def _crossed(state: DeskState, record: records.Crossed) -> None:
    ensure(total(record.units.values()) == 0, "a cross does not sum to zero", record)
    for name in record.units:
        run = _fund(state, name).run
        if run is not None:
            run.fruitless_rounds = 0
    check_position(state, record.account, record.contract)


def _intent(state: DeskState, record: records.IntentCreated) -> None:
    intent = record.intent
    account = state.accounts[intent.account]
    ensure(intent.seq == account.order_seq + 1, f"order {intent.client_order_id} is out of turn")
    account.order_seq = intent.seq
    state.orders[intent.client_order_id] = Order(intent)
    wanted = total(abs(size) for size in intent.wanted.values())
    for name, size in intent.wanted.items():
        fund = _fund(state, name)
        part = intent.notional * abs(size) / wanted
        fund.day_notional += part
        if fund.run is not None:
            fund.run.orders += 1
            fund.run.fruitless_rounds += 1
            fund.run.ordered_notional += part


def _order_moved(state: DeskState, record: records.OrderMoved) -> None:
    order = state.orders.get(record.client_order_id)
    ensure(order is not None, f"order {record.client_order_id} is not working")
    assert order is not None  # noqa: S101 - for the type checker; ensured above
    order.status = next_status(order.status, record.outcome, record.client_order_id)
    order.venue_order_id = record.venue_order_id or order.venue_order_id
    if record.outcome is Outcome.CLOSED:
        reported = record.filled_contracts
        order.closed_contracts = order.filled_contracts if reported is None else reported
    _forget_if_over(state, order)
    if not order.working:
        for name in order.intent.wanted:
            fund = _fund(state, name)
            if fund.run is not None:
                fund.run.next_slice_ms = record.at_ms + fund.fund.execution.interval_ms


def _traded(state: DeskState, record: records.Traded) -> None:
    fill = record.fill
    order = state.orders.get(fill.client_order_id)
    ensure(order is not None or record.forced, f"trade {fill.trade_id} has no working order")
    for name, units in record.allocations.items():
        fund = _fund(state, name)
        fee, slippage = record.fees.get(name, ZERO), record.slippage.get(name, ZERO)
        fund.costs.fees += fee
        fund.costs.slippage += slippage
        if fund.run is not None and units:
            fund.run.cost += fee + slippage
            fund.run.fruitless_rounds = 0
    _move_book(state, record.account, record.contract, record.position_side, record.units)
    state.seen_trades.add(fill.trade_id)
    if order is not None:
        order.filled_contracts += fill.contracts
        ensure(
            order.filled_contracts <= order.intent.contracts,
            f"order {fill.client_order_id} filled more than it asked for",
        )
        if order.status in WORKING:
            order.status = next_status(order.status, Outcome.FILLED, fill.client_order_id)
        _forget_if_over(state, order)
    check_position(state, record.account, record.contract)


def _forget_if_over(state: DeskState, order: Order) -> None:
    if order.working:
        return
    del state.orders[order.intent.client_order_id]


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
    for name, paid in record.paid.items():
        _fund(state, name).costs.funding += paid


def _wiped(state: DeskState, record: records.FundWiped) -> None:
    fund = _fund(state, record.fund)
    fund.trading, fund.trading_reason = TradingState.WIPED, record.reason


def _trading(state: DeskState, record: records.TradingChanged) -> None:
    fund = _fund(state, record.fund)
    fund.trading, fund.trading_reason = record.state, record.reason


def _struck(state: DeskState, record: records.NavStruck) -> None:
    ensure(
        record.nav * record.shares - record.equity == 0
        or abs(record.nav * record.shares - record.equity) < Decimal("1e-30"),
        "NAV x shares is not the equity",
        record,
    )
    _fund(state, record.fund).strike_ms = record.boundary_ms


def _command(state: DeskState, record: records.CommandTaken) -> None:
    if record.kind == "rebalance":
        _fund(state, record.fund).manual = record.reason


_HANDLERS: dict[type[Record], Callable[[DeskState, Any], None]] = {
    records.DeskOpened: _desk_opened,
    records.FundLaunched: _launched,
    records.PositionsAdopted: _adopted,
    records.PointSet: _point_set,
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
    records.TradingChanged: _trading,
    records.NavStruck: _struck,
    records.CommandTaken: _command,
}
