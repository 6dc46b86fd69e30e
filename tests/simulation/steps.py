"""What holds at every step of a day, and not only at its end: the venue's own count and ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal

from rebalancer.core.contract import Contract
from rebalancer.core.money import ZERO, text, total
from rebalancer.core.order import Order
from rebalancer.core.state import DeskState
from tests.loopback.matching import Core
from tests.simulation.day import INSTRUMENTS


def problems(core: Core, state: DeskState, contracts: Mapping[str, Contract]) -> Iterator[str]:
    """Yield what the venue has that neither the books nor the orders still open explain."""
    (owner,) = core.accounts.values()
    if len(owner.orders) != len(owner.by_client_id):
        made = Counter(order.request.client_order_id for order in owner.orders.values())
        yield f"I1: the venue has orders of one id: {[each for each in made if made[each] > 1]}"
    for symbol, contract in contracts.items():
        at_venue = total(
            contract.units_in(position.contracts)
            for (name, _), position in owner.positions.items()
            if name == INSTRUMENTS[symbol]
        )
        more = at_venue - state.accounts["main"].position(symbol)
        may = [_left(each, contract) for each in state.orders.values() if _is_of(each, symbol)]
        lowest = total(min(each, ZERO) for each in may)
        highest = total(max(each, ZERO) for each in may)
        if not lowest <= more <= highest:
            yield (
                f"I4: {symbol}: the venue has {text(more)} more than is booked, and open orders "
                f"explain from {text(lowest)} to {text(highest)}"
            )


def _is_of(order: Order, symbol: str) -> bool:
    return order.intent.contract == symbol


def _left(order: Order, contract: Contract) -> Decimal:
    unfilled = order.intent.contracts - order.filled_contracts
    return contract.units_in(unfilled).copy_sign(order.intent.units)
