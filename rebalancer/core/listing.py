"""What a venue lists of an account, against the records: trades and orders that nobody here made.

Positions alone do not show them: a backup that was restored may miss a day of trades after which
the account holds the same again, at another price.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rebalancer.core.actions import Severity
from rebalancer.core.breaking import find, open_break
from rebalancer.core.breaks import (
    Break,
    BreakEnd,
    BreakEnded,
    BreakKind,
    HistoryRead,
    VenueTrade,
)
from rebalancer.core.commands import set_scope
from rebalancer.core.events import FillReported, HistoryReported, StandingOrder
from rebalancer.core.instant import HOUR_MS, iso
from rebalancer.core.money import text, total
from rebalancer.core.order import Fill, Order
from rebalancer.core.outcomes import on_fill
from rebalancer.core.records import TradingState
from rebalancer.core.scope import Scope
from rebalancer.core.work import Work

#: how far the list is read goes on record this often; a start reads again what came after it
READ_EVERY_MS = HOUR_MS
#: orders that a sentence names one by one
NAMED_MAX = 3


def on_history(work: Work, event: HistoryReported) -> None:
    """Take a list of the venue: late fills are booked, what is foreign becomes a break."""
    account = work.state.accounts[event.account]
    for contract, trades in event.trades.items():
        for trade in trades:
            account.unjudged.setdefault((contract, trade.trade_id), trade)
    waiting = set()
    for contract in dict.fromkeys((*event.until_ms, *(key[0] for key in account.unjudged))):
        if work.state.working_on(event.account, contract):
            waiting.add(contract)  # they may be trades of that order, which are told with it
        else:
            _judge_trades(work, event.account, contract)
    for contract in event.until_ms:
        standing = [order for order in event.orders if order.contract == contract]
        _judge_orders(work, event.account, contract, standing)
    read = {
        contract: until_ms
        for contract, until_ms in event.until_ms.items()
        if contract not in waiting
        and until_ms >= account.read_ms.get(contract, until_ms - READ_EVERY_MS) + READ_EVERY_MS
    }
    if read:
        work.record(HistoryRead(work.now_ms, event.account, read))


def _judge_trades(work: Work, account_name: str, contract: str) -> None:
    account = work.state.accounts[account_name]
    keys = [key for key in account.unjudged if key[0] == contract]
    trades = {key: account.unjudged.pop(key) for key in keys}
    foreign: list[VenueTrade] = []
    for key, trade in trades.items():
        if key in account.listed:
            continue
        order = _order_of(work, account_name, trade)
        if order is None:
            foreign.append(trade)
        else:
            on_fill(work, FillReported(work.now_ms, _fill_of(work, order, trade)))
    if foreign:
        _find_trades(work, account_name, contract, foreign)


def _order_of(work: Work, account: str, trade: VenueTrade) -> Order | None:
    """Return the order of ours that the venue's id belongs to, if it is one that ended."""
    for order in work.state.ended.values():
        if order.intent.account == account and order.venue_order_id == trade.order_id != "":
            return order
    return None


def _fill_of(work: Work, order: Order, trade: VenueTrade) -> Fill:
    contract = work.state.desk.contracts[order.intent.contract]
    return Fill(
        trade_id=trade.trade_id,
        client_order_id=order.intent.client_order_id,
        price=trade.price,
        contracts=abs(trade.units) / contract.contract_size,
        fee=trade.fee,
        at_ms=trade.at_ms,
    )


def _find_trades(work: Work, account: str, contract: str, foreign: Sequence[VenueTrade]) -> None:
    trades = tuple(sorted(foreign, key=lambda trade: trade.at_ms))
    units = total(trade.units for trade in trades)
    first, last = iso(trades[0].at_ms), iso(trades[-1].at_ms)
    when = f"at {first}" if len(trades) == 1 else f"from {first} to {last}"
    number = work.state.break_count + 1
    cause = (
        f"the venue lists {len(trades)} trade(s) of {contract} {when}, {text(units)} together, "
        "that the records do not know: somebody else traded, or the store is an older backup"
    )
    repair = (
        f"rebalancer adopt {number} --reason WHY books them; where nothing is to be booked, "
        f"rebalancer explain {number} --reason WHY"
    )
    found = Break(
        kind=BreakKind.FOREIGN_TRADE,
        account=account,
        contract=contract,
        units=units,
        cause=cause,
        repair=repair,
        trades=trades,
    )
    find(work, found, halts=True)


def _judge_orders(
    work: Work, account: str, contract: str, standing: Iterable[StandingOrder]
) -> None:
    """Halt a contract while an order stands that is not ours: it may trade at any moment."""
    ours = {**work.state.orders, **work.state.ended}
    foreign = [order for order in standing if order.client_order_id not in ours]
    number = open_break(work, BreakKind.FOREIGN_ORDER, account, contract)
    if number is not None and not foreign:
        _end_orders(work, number, contract)
    if number is not None or not foreign:
        return
    named = ", ".join(f"{text(each.units)} (order {each.order_id})" for each in foreign[:NAMED_MAX])
    cause = f"{len(foreign)} order(s) of {contract} that this desk did not send stand: {named}"
    found = Break(
        kind=BreakKind.FOREIGN_ORDER,
        account=account,
        contract=contract,
        units=total(order.units for order in foreign),
        cause=cause,
        repair="cancel what stands at the venue: the break and the halt end by themselves then",
    )
    number = find(work, found, halts=False)
    known = work.state.scopes.get((Scope.CONTRACT, contract))
    if known is None or not known.halted:
        set_scope(
            work, Scope.CONTRACT, contract, TradingState.HALTED, _halt_reason(number, found.cause)
        )


def _end_orders(work: Work, number: int, contract: str) -> None:
    cause = work.state.breaks[number].cause
    work.record(BreakEnded(work.now_ms, number, BreakEnd.VANISHED, "nothing foreign stands"))
    work.alert(Severity.INFO, "break_ended", contract, f"break {number}: nothing foreign stands")
    known = work.state.scopes.get((Scope.CONTRACT, contract))
    if known is not None and known.reason == _halt_reason(number, cause):
        set_scope(work, Scope.CONTRACT, contract, TradingState.ACTIVE, f"break {number} ended")


def _halt_reason(number: int, cause: str) -> str:
    return f"break {number}: {cause}"
