"""What an account is worth and what it may still open: pure sums over its positions and orders."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from tests.loopback.accounts import Account, Margin, Position
from tests.loopback.instruments import ZERO, Instrument
from tests.loopback.orders import Book, Order, OrderRequest

Instruments = Mapping[str, Instrument]


def unrealized(account: Account, instruments: Instruments) -> Decimal:
    """Return the profit of every position at the marks."""
    return sum((p.unrealized(instruments[p.instrument]) for p in account.held()), ZERO)


def equity(account: Account, instruments: Instruments) -> Decimal:
    """Return the wallet plus unrealized profit."""
    return account.wallet + unrealized(account, instruments)


def position_margin(account: Account, position: Position, instruments: Instruments) -> Decimal:
    """Return the initial margin that a position binds at the mark."""
    instrument = instruments[position.instrument]
    notional = abs(instrument.notional(position.contracts, instrument.mark))
    return notional / account.leverage(position.instrument, position.book)


def order_margin(account: Account, order: Order, instruments: Instruments) -> Decimal:
    """Return the initial margin that what is left of an open order binds."""
    request = order.request
    if request.reduce_only or closes(request):
        return ZERO
    instrument = instruments[request.instrument]
    price = request.price if request.price is not None else instrument.mark
    notional = instrument.notional(order.remaining, price)
    return notional / account.leverage(request.instrument, request.book)


def position_margins(account: Account, instruments: Instruments) -> Decimal:
    """Return the initial margin of all positions."""
    return sum((position_margin(account, p, instruments) for p in account.held()), ZERO)


def order_margins(account: Account, instruments: Instruments) -> Decimal:
    """Return the initial margin of all open orders."""
    return sum((order_margin(account, o, instruments) for o in account.open_orders()), ZERO)


def maintenance(account: Account, instruments: Instruments) -> Decimal:
    """Return the equity below which the venue liquidates."""
    return sum((position_maintenance(p, instruments[p.instrument]) for p in account.held()), ZERO)


def spare(account: Account, instruments: Instruments) -> Decimal:
    """Return equity less maintenance: below zero the venue liquidates.

    In one pass, as it is asked after every move of every price.
    """
    left = account.wallet
    for (name, _), position in account.positions.items():
        contracts = position.contracts
        if contracts:
            instrument = instruments[name]
            units, mark = contracts * instrument.contract_size, instrument.mark
            left += (
                units * (mark - position.entry) - abs(units) * mark * instrument.maintenance_rate
            )
    return left


def position_maintenance(position: Position, instrument: Instrument) -> Decimal:
    """Return the maintenance margin of one position at the mark."""
    notional = abs(instrument.notional(position.contracts, instrument.mark))
    return notional * instrument.maintenance_rate


def available(account: Account, instruments: Instruments) -> Decimal:
    """Return what is free to open with, never below zero.

    Equity less the margins of positions and orders, in one pass: every order is checked by it, and
    an account of this desk may hold five hundred positions.
    """
    free = account.wallet - order_margins(account, instruments)
    for (name, book), position in account.positions.items():
        if position.contracts:
            instrument = instruments[name]
            units = position.contracts * instrument.contract_size
            free += units * (instrument.mark - position.entry)
            free -= abs(units) * instrument.mark / account.leverage(name, book)
    return max(free, ZERO)


def liquidation_price(account: Account, position: Position, instruments: Instruments) -> Decimal:
    """Return the mark of this instrument at which the account is liquidated, others unchanged.

    Zero where no such price exists. Solves equity(p) = maintenance(p), both linear in p.
    """
    instrument = instruments[position.instrument]
    units = position.contracts * instrument.contract_size
    slope = units - abs(units) * instrument.maintenance_rate
    if slope == 0:
        return ZERO
    return max(instrument.mark - spare(account, instruments) / slope, ZERO)


def isolated_margin(account: Account, position: Position, instruments: Instruments) -> Decimal:
    """Return what an isolated position has set apart, with its profit; zero for a cross one."""
    if account.margin(position.instrument, position.book) is Margin.CROSS:
        return ZERO
    profit = position.unrealized(instruments[position.instrument])
    return position_margin(account, position, instruments) + profit


def closes(request: OrderRequest) -> bool:
    """Whether the order closes a hedged book: selling the long one or buying the short one."""
    if request.book is Book.NET:
        return False
    return (request.side.sign < 0) == (request.book is Book.LONG)


def opening(account: Account, request: OrderRequest) -> Decimal:
    """Return how many contracts of the order would open rather than close."""
    if request.reduce_only or closes(request):
        return ZERO
    held = account.contracts(request.instrument, request.book)
    if held * request.side.sign < 0:
        return max(request.contracts - abs(held), ZERO)
    return request.contracts
