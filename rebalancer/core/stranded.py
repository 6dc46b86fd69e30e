"""Orders of a contract that its venue lists no more: nobody can be asked, so an operator says it.

What they traded is in the venue's own history, which a person can look at. Until then such an order
counts as open, and what the venue holds of its contract is not compared.
"""

from __future__ import annotations

from decimal import Decimal

from rebalancer.core.actions import Severity
from rebalancer.core.delisting import followed
from rebalancer.core.events import ContractChanged, FillReported, OrderSettled
from rebalancer.core.money import text
from rebalancer.core.order import WORKING, Fill, Order, OrderIntent, OrderSide, Outcome
from rebalancer.core.outcomes import look_again, on_fill
from rebalancer.core.records import OrderMoved
from rebalancer.core.run import RunStatus
from rebalancer.core.state import DeskState, FundState
from rebalancer.core.work import Work
from rebalancer.errors import CommandRefused

#: what the id of the trade that an operator books begins with; the order's follows, of which there
#: is one: a trade is known by its contract and id, and a contract may have had more such orders
BY_HAND = "settled-by-hand-"
NOTHING_LISTED = "none of its contracts is listed any more"


def tell_of_stranded(work: Work, event: ContractChanged) -> None:
    """Tell of each order that is open of a contract which is listed no more."""
    for order in _stranded(work.state):
        intent = order.intent
        if intent.contract == event.contract:
            work.alert(
                Severity.WARNING,
                "order_stranded",
                intent.client_order_id,
                f"nobody can be asked what became of {intent.side} {text(intent.contracts)} "
                f"{intent.contract}, {text(order.filled_contracts)} of it on record: look at the "
                f"venue's own history, then rebalancer settle {intent.client_order_id} "
                "--filled CONTRACTS --price PRICE --reason WHY",
            )


def on_settled(work: Work, event: OrderSettled) -> None:
    """Book what an operator says that a stranded order traded, and end it."""
    order = refuse_settlement(work.state, event)
    missing = event.filled_contracts - order.filled_contracts
    if missing and event.price is not None:
        fill = Fill(
            trade_id=f"{BY_HAND}{event.client_order_id}",
            client_order_id=event.client_order_id,
            price=event.price,
            contracts=missing,
            fee=event.fee,
            at_ms=event.at_ms,
        )
        on_fill(work, FillReported(event.at_ms, fill))
    if order.status in WORKING:
        work.record(
            OrderMoved(
                work.now_ms,
                event.client_order_id,
                Outcome.CLOSED,
                event.filled_contracts,
                order.venue_order_id,
                f"settled by an operator: {event.reason}",
            )
        )
    look_again(work, order.intent)


def end_stranded_run(work: Work, fund: FundState) -> None:
    """End a run that can come to its target no more, for no contract of its fund is listed.

    Its holders would wait for its end to be paid.
    """
    run = fund.run
    if run is None or not any(run.plan.target_units.values()):
        return
    if followed(work.state, fund, work.now_ms):
        return
    if not any(work.state.working_on(fund.fund.account, each) for each in run.plan.target_units):
        work.move_run(fund, RunStatus.HALTED, NOTHING_LISTED)


def refuse_settlement(state: DeskState, event: OrderSettled) -> Order:
    """Return the order that is meant; raises CommandRefused where it cannot be ended so."""
    order_id, filled = event.client_order_id, event.filled_contracts
    order = state.orders.get(order_id)
    if order is None:
        known = ", ".join(each.intent.client_order_id for each in _stranded(state)) or "none"
        raise CommandRefused(f"order {order_id} is not open; to be settled by hand: {known}")
    if order.intent.contract not in state.desk.unlisted:
        raise CommandRefused(
            f"{order.intent.contract} was listed when the desk began: its venue is asked what "
            f"became of order {order_id} until it says so; restart the desk where it is gone since"
        )
    _refuse_size(order, filled)
    _refuse_beyond(order.intent, event.price)
    missing = filled - order.filled_contracts
    if missing and event.price is None:
        raise CommandRefused(
            f"{text(missing)} of order {order_id} is not on record yet: say with --price at what "
            "it traded"
        )
    if not missing and (event.price is not None or event.fee):
        raise CommandRefused(
            f"all that order {order_id} filled is on record: leave out --price and --fee"
        )
    return order


def _refuse_size(order: Order, filled: Decimal) -> None:
    """Raise CommandRefused for an amount that the order cannot have filled."""
    least, most = order.filled_contracts, order.intent.contracts
    if order.closed_contracts is not None:
        least = most = order.closed_contracts
    if not least <= filled <= most:
        span = text(most) if least == most else f"{text(least)} to {text(most)}"
        raise CommandRefused(
            f"order {order.intent.client_order_id} filled {span} contracts in all, not "
            f"{text(filled)}"
        )


def _refuse_beyond(intent: OrderIntent, price: Decimal | None) -> None:
    """Raise CommandRefused for a price that the order's limit did not allow: a slip of the pen."""
    if price is None:
        return
    limit, buys = intent.limit_price, intent.side is OrderSide.BUY
    if price > limit if buys else price < limit:
        raise CommandRefused(
            f"order {intent.client_order_id} could not {intent.side} at {text(price)}: its limit "
            f"was {text(limit)}"
        )


def _stranded(state: DeskState) -> list[Order]:
    return [
        order for order in state.orders.values() if order.intent.contract in state.desk.unlisted
    ]
