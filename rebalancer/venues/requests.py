"""Requests: one of our orders, written as the arguments that ccxt turns into exactly one request.

Sizes and prices are ours, in exact decimals. ccxt rounds prices to the nearest tick, which could
put a limit beyond the collar; a price that is on the tick already it leaves alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from rebalancer.core.contract import Contract
from rebalancer.core.order import OrderIntent, OrderSide, PositionSide
from rebalancer.errors import ensure
from rebalancer.venues.facts_shape import Call, Named, Params, Spelling, VenueFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """What is handed to ccxt's `create_order`."""

    symbol: str
    #: ccxt's name of an order type, or the venue's own number
    type: str | int
    side: str
    #: contracts, as text; a number where ccxt compares it as one
    amount: str | int
    price: str
    params: Params

    @property
    def call(self) -> Call:
        """The order as one call."""
        arguments = (self.symbol, self.type, self.side, self.amount, self.price, dict(self.params))
        return Call("create_order", arguments)

    @property
    def in_batch(self) -> dict[str, Any]:
        """The order as an item of ccxt's `create_orders`."""
        return {
            "symbol": self.symbol,
            "type": self.type,
            "side": self.side,
            "amount": self.amount,
            "price": self.price,
            "params": dict(self.params),
        }


def order_request(
    facts: VenueFacts, intent: OrderIntent, contract: Contract, *, leverage: int | None = None
) -> OrderRequest:
    """Return the price-collared IOC order for `intent`; `leverage` is that of the account.

    An intent that does not fit the venue's books, lots or ids raises BrokenInvariant.
    """
    spelling = facts.spelling
    book = intent.position_side
    hedged = book is not PositionSide.NET
    ensure(intent.contract == contract.symbol, "intent and contract are of two symbols")
    ensure(book in spelling.books, f"{facts.venue_id} has no {book} book")
    opens = OrderSide.BUY if book is PositionSide.LONG else OrderSide.SELL
    ensure(
        not hedged or intent.reduce_only == (intent.side is not opens),
        f"a {intent.side} on the {book} book with reduce_only={intent.reduce_only}",
    )
    params = {
        **spelling.always,
        **spelling.books[book],
        "clientOrderId": facts.client_ids.to_venue(intent.client_order_id),
    }
    if intent.reduce_only:
        params |= spelling.shrink_hedged if hedged else spelling.shrink_net
    if spelling.leverage_param and leverage is not None:
        params[spelling.leverage_param] = leverage
    return OrderRequest(
        symbol=contract.symbol,
        type=spelling.order_type,
        side=intent.side.value,
        amount=_amount(spelling, intent.contracts, contract),
        price=_plain(limit_price(spelling, intent, contract)),
        params=params,
    )


def limit_price(spelling: Spelling, intent: OrderIntent, contract: Contract) -> Decimal:
    """Return the intent's limit on the venue's price grid, never beyond the collar."""
    rounding = ROUND_FLOOR if intent.side is OrderSide.BUY else ROUND_CEILING
    price = intent.limit_price
    if contract.tick:
        price = _to_step(price, contract.tick, rounding)
    if spelling.price_digits is not None:
        # Whole prices are allowed however long they are.
        step = min(Decimal(1), Decimal(1).scaleb(price.adjusted() + 1 - spelling.price_digits))
        price = _to_step(price, step, rounding)
    ensure(price > 0, f"{contract.symbol}: a limit of {intent.limit_price} is under one tick")
    return price


def named(
    facts: VenueFacts, symbol: str, market_id: str, client_order_id: str, order_id: str = ""
) -> Named:
    """Return how `facts` has to name one of our orders in questions and cancels."""
    return Named(
        symbol=symbol,
        market_id=market_id,
        client_id=facts.client_ids.to_venue(client_order_id),
        order_id=order_id,
    )


def _amount(spelling: Spelling, contracts: Decimal, contract: Contract) -> str | int:
    ensure(contracts > 0, f"{contract.symbol}: an order of {contracts} contracts")
    ensure(contracts % contract.lot == 0, f"{contract.symbol}: {contracts} is no whole lot")
    if not spelling.whole_amounts:
        return _plain(contracts)
    whole = int(contracts)
    ensure(contracts == whole, f"{contract.symbol}: {contracts} is no whole contract")
    return whole


def _to_step(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    return (value / step).to_integral_value(rounding=rounding) * step


def _plain(value: Decimal) -> str:
    written = format(value, "f")
    return written.rstrip("0").rstrip(".") if "." in written else written
