"""How the records of trading are checked: orders, fills, trades inside the desk, funding.

`core/verification.py` calls these before a record is folded in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from rebalancer.core import records
from rebalancer.core.money import ZERO, split_pro_rata, trunc_to_places
from rebalancer.core.order import OrderStatus, Outcome, client_order_id
from rebalancer.core.planner import cross
from rebalancer.core.record import Record
from rebalancer.core.recount import Recount, Sharing


def _funding(recount: Recount, record: records.FundingPosted) -> None:
    recount.counts["funding payments"] += 1
    held = _held(recount, record, record.settled_ms if record.held else None)
    due = {name: record.rate * units * record.mark for name, units in held.items()}
    same = not record.held or held == record.held
    recount.hold(same, "what each fund held is another")
    recount.hold(due == record.paid, "each fund's funding is another")


def _intent(recount: Recount, record: records.IntentCreated) -> None:
    intent = record.intent
    recount.counts["orders"] += 1
    wanted = client_order_id(recount.state.id_seed, intent.account, intent.contract, intent.seq)
    recount.hold(
        intent.client_order_id == wanted,
        f"the id {intent.client_order_id} is not of this desk",
    )


def _order_moved(recount: Recount, record: records.OrderMoved) -> None:
    """Hold that an order which counts as absent was unknown before; the fold holds how long."""
    if record.outcome is not Outcome.ABSENT:
        return
    if record.absence is None:
        recount.leave_out()
        return
    recount.counts["absences"] += 1
    order = recount.state.orders.get(record.client_order_id)
    looked = order is not None and order.status is OrderStatus.UNKNOWN
    recount.hold(
        looked or not record.absence.window_ms, "no look before it found the order nowhere"
    )


def _traded(recount: Recount, record: records.Traded) -> None:
    recount.counts["fills"] += 1
    recount.hold(
        record.trade not in recount.state.seen_trades,
        f"trade {record.fill.trade_id} is booked twice",
    )
    fill = record.fill
    ours = fill.client_order_id
    order = recount.state.orders.get(ours) or recount.state.ended.get(ours)
    if order is None:
        _by_the_venue(recount, record)
        return
    if ours in recount.state.ended:
        recount.late |= record.allocations.keys()
    weights = {name: abs(size) for name, size in order.intent.wanted.items()}
    for what, told, whole in (
        ("units", record.allocations, record.units),
        ("fees", record.fees, fill.fee),
    ):
        recount.hold(
            told == split_pro_rata(whole, weights),
            f"the {what} are shared as nobody wanted them",
        )
    lost = fill.price - order.intent.mark
    slippage = {name: lost * units for name, units in record.allocations.items()}
    recount.hold(record.slippage == slippage, "the slippage is not that to its mark")


def _crossed(recount: Recount, record: records.Crossed) -> None:
    """Work out what opposite wants exchanged inside the desk (spec section 4.2).

    Of a contract that is listed no more it is all that funds held against each other.
    """
    recount.counts["crosses"] += 1
    if record.contract in recount.state.delisted:
        rest = {name: -units for name, units in _held(recount, record, None).items()}
        recount.hold(rest == record.units, "not all that was held against each other is settled")
        return
    wanted = {name: _wanted(recount, name, record.contract) for name in record.units}
    recount.hold(
        cross(wanted) == record.units, "the funds wanted other units of each other than these"
    )


def _wanted(recount: Recount, name: str, symbol: str) -> Decimal:
    """Return the signed units that a fund's run may still trade of a contract, to 18 decimals."""
    fund = recount.state.named(name)
    if fund.run is None:
        return ZERO
    held = fund.holding.units.get(symbol, ZERO)
    missing = fund.run.plan.target_units.get(symbol, held) - held
    return trunc_to_places(recount.state.permission(fund, symbol).lets_through(held, missing))


def _by_the_venue(recount: Recount, record: records.Traded) -> None:
    """Hold that what no order explains is shared among those that hold the contract.

    A liquidation among those on its side; what was adopted where nobody holds it any more by
    what the funds aim at, which is a setting.
    """
    held = _sharing(recount, record).held
    if not held:
        recount.leave_out()
        return
    closed = {name: abs(size) for name, size in held.items() if size * record.units < 0}
    everybody = {name: abs(size) for name, size in held.items()}
    shared = [split_pro_rata(record.units, each) for each in (closed, everybody) if each]
    recount.hold(
        record.allocations in shared, "it is not shared among those that hold the contract"
    )


def _sharing(recount: Recount, record: records.Traded) -> Sharing:
    """Return who holds what of a contract; of trades in a row, before the first of them."""
    last, where = recount.sharing, (record.account, record.contract)
    if last is not None and (last.account, last.contract, last.seq + 1) == (*where, recount.seq):
        recount.sharing = replace(last, seq=recount.seq)
        return recount.sharing
    recount.sharing = Sharing(*where, _held(recount, record, None), recount.seq)
    return recount.sharing


def _held(
    recount: Recount,
    record: records.FundingPosted | records.Traded | records.Crossed,
    at_ms: int | None,
) -> dict[str, Decimal]:
    """Return who held what of the record's contract on its account, at an instant or now."""
    return {
        name: units
        for name, fund in recount.state.funds.items()
        if fund.fund.account == record.account
        and (units := fund.holding.held_at(record.contract, at_ms))
    }


CHECKS: Mapping[type[Record], Callable[[Recount, Any], None]] = {
    records.IntentCreated: _intent,
    records.OrderMoved: _order_moved,
    records.Traded: _traded,
    records.Crossed: _crossed,
    records.FundingPosted: _funding,
}
