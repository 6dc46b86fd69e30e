"""What the venue reports: orders and their fills, liquidations, positions; booked to the funds."""

from __future__ import annotations

from dataclasses import replace

from rebalancer.core.actions import QueryOrder, Severity
from rebalancer.core.breaking import booked, find, position_break
from rebalancer.core.breaks import Break, BreakKind, VenueTrade
from rebalancer.core.events import (
    FillReported,
    LiquidationReported,
    OrderReported,
    PositionsReported,
)
from rebalancer.core.money import ZERO, split_pro_rata, text
from rebalancer.core.opening import halt
from rebalancer.core.order import TRANSITIONS, Fill, Order, OrderIntent, OrderStatus, Outcome
from rebalancer.core.records import OrderMoved, Traded, TradingState
from rebalancer.core.run import RunStatus
from rebalancer.core.work import Work

#: a venue may show the position of before a trade for so long after it
POSITIONS_SETTLE_MS = 5_000
#: a fund in one of these has nothing left to halt
STOPPED = (TradingState.HALTED, TradingState.WIPED)


def on_order(work: Work, event: OrderReported) -> None:
    """Take evidence about one of our orders."""
    order = work.state.orders.get(event.client_order_id)
    if order is None:
        return  # it was over before; nothing can follow from a repeated report
    intent, before = order.intent, order.status
    if before is OrderStatus.CLOSED:
        return  # only fills are still to come
    if (before, event.outcome) not in TRANSITIONS:
        _halt_contradicted(
            work, intent, f"an order that was {before} is said to be {event.outcome}"
        )
        return
    if (
        event.outcome is Outcome.ACCEPTED
        and before is not OrderStatus.PREPARED
        and order.venue_order_id
    ):
        return
    work.record(
        OrderMoved(
            work.now_ms,
            event.client_order_id,
            event.outcome,
            event.filled_contracts,
            event.venue_order_id,
            event.reason,
            event.absence,
        )
    )
    if event.outcome is Outcome.UNKNOWN:
        work.actions.append(QueryOrder(intent))
        work.alert(
            Severity.WARNING, "order_unknown", intent.client_order_id, event.reason or "no answer"
        )
    elif event.outcome in (Outcome.REJECTED, Outcome.NEVER_SENT, Outcome.ABSENT):
        work.alert(
            Severity.WARNING,
            f"order_{event.outcome}",
            intent.client_order_id,
            f"{intent.side} {intent.contracts} {intent.contract}: {event.reason}",
        )
    elif event.outcome is Outcome.CLOSED and not order.closed_contracts:
        work.alert(
            Severity.WARNING,
            "collar_missed",
            intent.client_order_id,
            f"{intent.side} {intent.contracts} {intent.contract} found nothing "
            f"within {intent.limit_price.normalize():f}; priced again",
        )
    look_again(work, intent)


def on_fill(work: Work, event: FillReported) -> None:
    """Book a trade of one of our orders to its funds."""
    fill = event.fill
    if (fill.client_order_id, fill.trade_id) in work.state.seen_trades:
        return
    order = work.state.orders.get(fill.client_order_id)
    over = work.state.ended.get(fill.client_order_id) if order is None else None
    order = order or over
    if order is None or order.filled_contracts + fill.contracts > order.intent.contracts:
        _foreign(work, fill, order)
        return
    intent = order.intent
    units = intent.units_in(fill.contracts)
    weights = {name: abs(size) for name, size in intent.wanted.items()}
    allocations = split_pro_rata(units, weights)
    work.record(
        Traded(
            at_ms=work.now_ms,
            account=intent.account,
            contract=intent.contract,
            position_side=intent.position_side,
            fill=fill,
            units=units,
            allocations=allocations,
            fees=split_pro_rata(fill.fee, weights),
            slippage={
                name: (fill.price - intent.mark) * share for name, share in allocations.items()
            },
        )
    )
    if over is not None:
        _late(work, fill, over)
    look_again(work, intent)


def _foreign(work: Work, fill: Fill, order: Order | None) -> None:
    """Tell of a trade that no order of ours explains, or more of one than it asked for."""
    intent = order.intent if order else None
    cause = f"trade {fill.trade_id} of {text(fill.contracts)} belongs to no order of this desk"
    if intent is not None:
        cause = f"trade {fill.trade_id} is more than order {intent.client_order_id} asked for"
    number = work.state.break_count + 1
    found = Break(
        kind=BreakKind.FOREIGN_TRADE,
        account=intent.account if intent else "",
        contract=intent.contract if intent else "",
        units=ZERO,
        cause=cause,
        repair=f"rebalancer explain {number} --reason WHY",
    )
    if all(each.cause != cause for each in work.state.breaks.values()):
        find(work, found, halts=intent is not None)


def _late(work: Work, fill: Fill, order: Order) -> None:
    """Tell of a trade that came after the end of its order; it is in the books by now."""
    intent, denied = order.intent, order.status is not OrderStatus.CLOSED
    found = Break(
        kind=BreakKind.LATE_FILL,
        account=intent.account,
        contract=intent.contract,
        units=intent.units_in(fill.contracts),
        cause=f"trade {fill.trade_id} of order {intent.client_order_id}, said to be {order.status}",
    )
    booked(work, found, halts=denied)


def look_again(work: Work, intent: OrderIntent) -> None:
    """Have what follows from news of an order decided and planned."""
    work.books.add((intent.account, intent.contract))
    for name in intent.wanted:
        fund = work.state.funds[name]
        work.touch(fund)
        work.plan_books_of(fund)
    if intent.client_order_id in work.state.orders:
        return
    # A run whose part crossed inside the desk has none in the order, and waits for its end too.
    for name in work.state.holders.get(intent.contract, ()):
        fund = work.state.funds[name]
        working = fund.run is not None and fund.run.status is RunStatus.WORKING
        if working and fund.fund.account == intent.account:
            work.touch(fund)


def on_liquidation(work: Work, event: LiquidationReported) -> None:
    """Book what the venue closed by itself to the funds on that side, and halt them."""
    if (f"{event.account}/{event.contract}", event.trade_id) in work.state.seen_trades:
        return
    if (event.contract, event.trade_id) in work.state.accounts[event.account].listed:
        return  # it is in a break of before
    weights = {
        name: abs(held)
        for name in work.state.holders.get(event.contract, ())
        if (fund := work.state.funds[name]).fund.account == event.account
        and (held := fund.holding.units.get(event.contract, ZERO)) * event.units < 0
    }
    found = Break(
        kind=BreakKind.LIQUIDATION,
        account=event.account,
        contract=event.contract,
        units=event.units,
        cause=f"the venue closed {text(event.units)} of {event.contract} by itself",
    )
    if not weights:
        _nobodys(work, event, found)
        return
    contract = work.state.desk.contracts[event.contract]
    fill = Fill(
        trade_id=event.trade_id,
        client_order_id="",
        price=event.price,
        contracts=abs(event.units) / contract.contract_size,
        fee=event.fee,
        at_ms=event.at_ms if event.made_ms is None else event.made_ms,
    )
    work.record(
        Traded(
            at_ms=work.now_ms,
            account=event.account,
            contract=event.contract,
            position_side=event.position_side,
            fill=fill,
            units=event.units,
            allocations=split_pro_rata(event.units, weights),
            fees=split_pro_rata(event.fee, weights),
            slippage=dict.fromkeys(weights, ZERO),
            forced=True,
        )
    )
    booked(work, found)
    for name in weights:
        halt(work, work.state.funds[name], f"the venue liquidated {event.contract}")


def _nobodys(work: Work, event: LiquidationReported, found: Break) -> None:
    """Tell of a liquidation of what no fund holds, once for each trade that a venue lists."""
    repair = f"rebalancer explain {work.state.break_count + 1} --reason WHY"
    trade = VenueTrade(
        trade_id=event.trade_id,
        order_id="",
        units=event.units,
        price=event.price,
        fee=event.fee,
        at_ms=event.at_ms if event.made_ms is None else event.made_ms,
    )
    if all(each.cause != found.cause for each in work.state.breaks.values()):
        find(work, replace(found, repair=repair, trades=(trade,)), halts=True)


def on_positions(work: Work, event: PositionsReported) -> None:
    """Compare what the venue says with what the funds hold; a difference halts the account."""
    state = work.state.accounts[event.account]
    symbols = {contract for contract, _ in state.books} | set(event.units)
    # Of these funds may hold what nets to nothing, and nobody will ever trade it.
    symbols |= work.state.desk.unlisted & work.state.desk.contracts.keys()
    for symbol in sorted(symbols):
        traded_ms = state.traded_ms.get(symbol)
        asked_ms = event.asked_ms
        overtaken = (
            traded_ms is not None
            and asked_ms is not None
            and traded_ms > asked_ms - POSITIONS_SETTLE_MS
        )
        if overtaken or work.state.working_on(event.account, symbol):
            continue
        position_break(work, event.account, symbol, event.units.get(symbol, ZERO))


def _halt_contradicted(work: Work, intent: OrderIntent, reason: str) -> None:
    """Halt the funds of an order whose evidence contradicts itself; the order stays working."""
    funds = [work.state.funds[name] for name in intent.wanted]
    funds = [fund for fund in funds if fund.trading not in STOPPED]
    if not funds:
        return
    cause = f"{intent.client_order_id}: {reason}"
    found = Break(
        kind=BreakKind.EVIDENCE,
        account=intent.account,
        contract=intent.contract,
        units=ZERO,
        cause=cause,
        repair=f"rebalancer explain {work.state.break_count + 1} --reason WHY",
    )
    find(work, found, halts=False)
    for fund in funds:
        halt(work, fund, cause)
