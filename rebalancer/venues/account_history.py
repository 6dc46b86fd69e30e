"""Lists what an account traded and what stands in its name, so that the desk finds what it missed.

At a start the list goes on where the records say that it was read to; then round by round.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rebalancer.core.breaks import VenueTrade
from rebalancer.core.contract import Contract
from rebalancer.core.events import HistoryReported, StandingOrder
from rebalancer.core.instant import MINUTE_MS
from rebalancer.core.order import OrderSide
from rebalancer.ports import Clock, Emit
from rebalancer.venues.exchange_account import ExchangeAccount
from rebalancer.venues.statements import OpenOrder

#: a trade may be listed this long after it was made; so much is listed again each time
LATE_MS = MINUTE_MS


class AccountHistory:
    """Reads the lists of one account."""

    def __init__(
        self, name: str, book: ExchangeAccount, contracts: Mapping[str, Contract], clock: Clock
    ) -> None:
        self._name = name
        self._book = book
        self._contracts = tuple(contracts)
        self._clock = clock
        self._since_ms: dict[str, int] = {}

    async def begin(self, read_ms: Mapping[str, int], emit: Emit) -> None:
        """Report everything since `read_ms` by contract; one that was never read begins now.

        Raises VenueUnavailable where the venue does not list it all.
        """
        now_ms = self._book.venue_clock.now_ms()
        self._since_ms = {symbol: read_ms.get(symbol, now_ms) for symbol in self._contracts}
        await self.report(self._contracts, emit)

    async def report(self, contracts: Iterable[str], emit: Emit) -> None:
        """Report trades and standing orders of `contracts`, of those that `begin` began with.

        Raises VenueUnavailable; then nothing is told, and all of it the next time.
        """
        until_ms: dict[str, int] = {}
        trades: dict[str, tuple[VenueTrade, ...]] = {}
        orders: list[StandingOrder] = []
        for symbol in contracts:
            if symbol not in self._since_ms:
                continue
            since_ms = self._since_ms[symbol]
            asked_ms = self._book.venue_clock.now_ms()
            trades[symbol] = await self._trades(symbol, since_ms)
            orders += [_standing(order) for order in await self._book.open_orders(symbol)]
            until_ms[symbol] = max(since_ms, asked_ms - LATE_MS)
        if until_ms:
            emit(HistoryReported(self._clock.now_ms(), self._name, until_ms, trades, tuple(orders)))
            self._since_ms |= until_ms

    async def _trades(self, symbol: str, since_ms: int) -> tuple[VenueTrade, ...]:
        return tuple(
            VenueTrade(
                trade_id=trade.trade_id,
                order_id=trade.order_id,
                units=trade.units,
                price=trade.price,
                fee=trade.fee,
                at_ms=trade.at_ms,
            )
            for trade in await self._book.trades(symbol, since_ms)
            if trade.at_ms >= since_ms
        )


def _standing(order: OpenOrder) -> StandingOrder:
    units = -order.remaining if order.side is OrderSide.SELL else order.remaining
    return StandingOrder(order.contract, order.client_order_id, order.order_id, units)
