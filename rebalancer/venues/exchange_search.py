"""Finding one order at an exchange: by its client id, in the lists of its contract, by its trades.

Three places, because one that shows nothing proves nothing: look-ups by client id forget orders
without fills (Binance after three days, OKX after two hours, Gate after 60 s), and lists lag.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from rebalancer.core.instant import SECOND_MS
from rebalancer.core.order import OrderIntent
from rebalancer.errors import VenueUnavailable
from rebalancer.venues.ccxt_client import CcxtClient, NoSuchOrder
from rebalancer.venues.departures import Departures
from rebalancer.venues.exchange_lists import WholeLists, own_trades
from rebalancer.venues.exchange_order_lists import OrderLists
from rebalancer.venues.facts_shape import Ask, Named, VenueFacts
from rebalancer.venues.questions import Questions
from rebalancer.venues.requests import named
from rebalancer.venues.venue_clock import VenueClock

#: orders are listed from longer before than trades, so that each trade has its order among them
ORDERS_BEFORE_MS = 55 * SECOND_MS


@dataclass(slots=True)
class _Look:
    """One look for one order."""

    intent: OrderIntent
    order: Named
    #: ids of the venue's orders of this contract that are certainly not ours
    others: set[str] = field(default_factory=set)


class OrderSearch:
    """Looks for orders of one account."""

    def __init__(
        self,
        client: CcxtClient,
        facts: VenueFacts,
        questions: Questions,
        departures: Departures,
        venue_clock: VenueClock,
    ) -> None:
        self._client = client
        self._departures = departures
        self._facts = facts
        self._questions = questions
        self._trades = WholeLists(questions.ask, facts.venue_id, venue_clock)
        self._lists = OrderLists(questions.ask, facts.venue_id, venue_clock)

    async def find(self, intent: OrderIntent) -> str | None:
        """Return the venue's id of the order; None when every place answered and none shows it.

        Raises VenueUnavailable where no place shows it and one did not answer, could not be read,
        or shows a trade that may be its own: then it is not absent.
        """
        look = _Look(intent, self._named(intent))
        outage: VenueUnavailable | None = None
        for place in (self._by_client_id, self._in_lists, self._in_trades):
            try:
                order_id = await place(look)
            except VenueUnavailable as unanswered:
                outage = outage or unanswered
            else:
                if order_id is not None:
                    return order_id
        if outage is not None:
            raise outage
        return None

    def is_anothers(self, intent: OrderIntent, order: Mapping[str, Any]) -> bool:
        """Whether an order as the venue shows it names a client id, and not that of `intent`."""
        shown = self._client_id_in(order)
        return bool(shown) and shown not in _names_of(intent, self._named(intent))

    def _named(self, intent: OrderIntent) -> Named:
        market_id = self._client.markets[intent.contract]["id"]
        return named(self._facts, intent.contract, market_id, intent.client_order_id)

    async def _by_client_id(self, look: _Look) -> str | None:
        for step in self._facts.lookup.steps(look.order):
            try:
                answer = await self._questions.ask(step, Ask.QUERY)
            except NoSuchOrder:
                continue
            order_id = self._mine_among(self._entries(answer, look), look)
            if order_id is not None:
                return order_id
        return None

    async def _in_lists(self, look: _Look) -> str | None:
        since_ms = self._departures.since_ms(look.intent) - ORDERS_BEFORE_MS
        for listing in self._facts.lookup.lists:
            async with aclosing(self._lists.pages(listing, look.order.symbol, since_ms)) as pages:
                async for page in pages:
                    order_id = self._mine_among(page, look)
                    if order_id is not None:
                        return order_id
                    look.others |= {str(each["id"]) for each in page if each.get("id")}
        return None

    async def _in_trades(self, look: _Look) -> str | None:
        """Return the order of a trade that names our client id.

        A trade that names none has to belong to an order that the lists showed as another's.
        """
        since_ms = self._departures.since_ms(look.intent)
        whole = own_trades(self._facts)
        listed = await self._trades.whole(whole, look.order.symbol, since_ms)
        unexplained = ""
        for trade in listed:
            name = self._name_in(trade, self._facts.lookup.trade_field)
            if name in _names_of(look.intent, look.order):
                return _id_of(trade, "order", self._facts.venue_id)
            if not name and str(trade.get("order")) not in look.others:
                unexplained = f"trade {trade.get('id')} of {look.order.symbol} may be the order's"
        if unexplained:
            raise VenueUnavailable(f"{self._facts.venue_id}: {unexplained}")
        return None

    def _entries(self, answer: Any, look: _Look) -> Sequence[Mapping[str, Any]]:
        """Return the unified orders in an answer to a step: one order, a list, or raw ones."""
        if not self._facts.lookup.raw:
            return answer if isinstance(answer, list) else [answer]
        market = self._client.markets[look.order.symbol]
        return self._client.parse_orders(_raw_orders(answer), market)

    def _mine_among(self, orders: Sequence[Mapping[str, Any]], look: _Look) -> str | None:
        mine = _names_of(look.intent, look.order)
        for each in orders:
            if self._client_id_in(each) in mine:
                return _id_of(each, "id", self._facts.venue_id)
        return None

    def _client_id_in(self, order: Mapping[str, Any]) -> str:
        told = order.get("clientOrderId")
        return str(told) if told else self._name_in(order, self._facts.lookup.order_field)

    @staticmethod
    def _name_in(entry: Mapping[str, Any], field_name: str) -> str:
        """Return a field of the venue's own entry; "" where there is none."""
        return str((entry.get("info") or {}).get(field_name) or "") if field_name else ""


def _names_of(intent: OrderIntent, order: Named) -> tuple[str, str]:
    return (order.client_id, intent.client_order_id)


def _id_of(entry: Mapping[str, Any], key: str, venue_id: str) -> str:
    if not entry.get(key):
        raise VenueUnavailable(f"{venue_id} shows the order, not its id")
    return str(entry[key])


def _raw_orders(answer: Any) -> list[Any]:
    """Return the venue's own order entries in an answer: a list or one, under result or data."""
    inner = answer.get("result", answer.get("data")) if isinstance(answer, Mapping) else answer
    if isinstance(inner, Mapping) and "items" in inner:
        inner = inner["items"]
    if inner is None:
        return []
    return list(inner) if isinstance(inner, Sequence) else [inner]
