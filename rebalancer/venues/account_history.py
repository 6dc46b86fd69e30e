"""Lists what an account traded and what stands in its name, so that the desk finds what it missed.

At a start the list goes on where the records say that it was read to; then round by round.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from rebalancer.core.breaks import VenueTrade
from rebalancer.core.contract import Contract
from rebalancer.core.events import HistoryReported, LiquidationReported, StandingOrder
from rebalancer.core.instant import MINUTE_MS
from rebalancer.core.order import OrderSide, PositionSide
from rebalancer.ports import Clock, Emit
from rebalancer.venues.exchange_account import ExchangeAccount
from rebalancer.venues.statements import OpenOrder, OwnTrade

#: a trade may be listed this long after it was made; so much is listed again each time
LATE_MS = MINUTE_MS
#: of so many orders it is remembered whether the venue made them
ORDERS_MAX = 10_000


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
        #: by the venue's id of an order, whether the venue made it; oldest first
        self._forced: dict[str, bool] = {}

    def know(self, order_id: str, *, forced: bool = False) -> None:
        """Remember who made an order: its trades need not be asked about."""
        self._forced[order_id] = forced
        if len(self._forced) > ORDERS_MAX:
            del self._forced[next(iter(self._forced))]

    async def begin(
        self, read_ms: Mapping[str, int], emit: Emit, ours: Collection[str] = ()
    ) -> None:
        """Report everything since `read_ms` by contract; one that was never read begins now.

        `ours` are the venue's ids of orders that this desk made. Raises VenueUnavailable where the
        venue does not list it all.
        """
        for order_id in ours:
            self.know(order_id)
        now_ms = self._book.venue_clock.now_ms()
        self._since_ms = {symbol: read_ms.get(symbol, now_ms) for symbol in self._contracts}
        await self.report(self._contracts, emit)

    async def report(self, contracts: Iterable[str], emit: Emit) -> None:
        """Report trades and standing orders of `contracts`, of those that `begin` began with.

        What the venue traded by itself is told first, and apart: the desk books it as that.

        Raises VenueUnavailable; then nothing is told, and all of it the next time.
        """
        until_ms: dict[str, int] = {}
        trades: dict[str, tuple[VenueTrade, ...]] = {}
        orders: list[StandingOrder] = []
        closed: list[OwnTrade] = []
        for symbol in contracts:
            if symbol not in self._since_ms:
                continue
            since_ms = self._since_ms[symbol]
            asked_ms = self._book.venue_clock.now_ms()
            found = await self._book.trades(symbol, since_ms)
            listed = [trade for trade in found if trade.at_ms >= since_ms]
            by_itself = [trade for trade in listed if await self._made_by_venue(trade)]
            trades[symbol] = tuple(_traded(trade) for trade in listed if trade not in by_itself)
            closed += by_itself
            orders += [_standing(order) for order in await self._book.open_orders(symbol)]
            until_ms[symbol] = max(since_ms, asked_ms - LATE_MS)
        for trade in closed:
            emit(self._liquidated(trade))
        if until_ms:
            emit(HistoryReported(self._clock.now_ms(), self._name, until_ms, trades, tuple(orders)))
            self._since_ms |= until_ms

    async def _made_by_venue(self, trade: OwnTrade) -> bool:
        if trade.order_id not in self._forced:
            self.know(trade.order_id, forced=await self._book.made_by_venue(trade))
        return self._forced[trade.order_id]

    def _liquidated(self, trade: OwnTrade) -> LiquidationReported:
        return LiquidationReported(
            at_ms=self._clock.now_ms(),
            account=self._name,
            contract=trade.contract,
            position_side=PositionSide.of(-trade.units, hedge=self._book.hedge),
            trade_id=trade.trade_id,
            units=trade.units,
            price=trade.price,
            fee=trade.fee,
            made_ms=trade.at_ms,
        )


def _traded(trade: OwnTrade) -> VenueTrade:
    return VenueTrade(
        trade_id=trade.trade_id,
        order_id=trade.order_id,
        units=trade.units,
        price=trade.price,
        fee=trade.fee,
        at_ms=trade.at_ms,
    )


def _standing(order: OpenOrder) -> StandingOrder:
    units = -order.remaining if order.side is OrderSide.SELL else order.remaining
    return StandingOrder(order.contract, order.client_order_id, order.order_id, units)
