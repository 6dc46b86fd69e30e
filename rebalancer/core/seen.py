"""Trades that were booked, so that a report which comes again books nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from rebalancer.core.records import TradeKey

#: trades of so many ended orders are remembered
ENDED_ORDERS_MAX = 1_000


@dataclass(slots=True)
class SeenTrades:
    """All that can matter still, and no more: a desk runs for years.

    A trade of a working order could be booked twice, so these are all here. One of an order that
    ended cannot be: it has no order to be booked to. The newest are kept because venues repeat
    themselves soon if at all; one of an older order is told to a person as foreign. What a venue
    closed by itself is kept for good: each halts its funds, so there are few.
    """

    #: trade ids by client order id, or by account and contract for what the venue closed itself
    _open: dict[str, set[str]] = field(default_factory=dict)
    #: the same of orders that ended, oldest first
    _ended: dict[str, set[str]] = field(default_factory=dict)

    def __contains__(self, trade: TradeKey) -> bool:
        owner, trade_id = trade
        return trade_id in self._open.get(owner, ()) or trade_id in self._ended.get(owner, ())

    def __len__(self) -> int:
        """Return how many trades are remembered."""
        return sum(len(ids) for ids in (*self._open.values(), *self._ended.values()))

    def add(self, trade: TradeKey) -> None:
        """Remember a trade."""
        owner, trade_id = trade
        self._open.setdefault(owner, set()).add(trade_id)

    def end(self, client_order_id: str) -> None:
        """Note that the order is over; forget those of the order that ended longest ago."""
        trades = self._open.pop(client_order_id, None)
        if trades is None:
            return
        # A trade that came late joins those from before the end.
        self._ended[client_order_id] = self._ended.pop(client_order_id, set()) | trades
        if len(self._ended) > ENDED_ORDERS_MAX:
            del self._ended[next(iter(self._ended))]
