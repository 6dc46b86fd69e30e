"""The matching core: one venue's market and accounts as a plain value.

It does no IO, reads no clock (every call is told the time in milliseconds) and draws no chance, so
that a copy of it answers exactly like the original. What happened is appended to `outbox`.
Orders never meet each other: each trades against the synthetic book of its instrument.

From memory, as no live venue was asked: a reduce-only order larger than the position is cut to it
and its rest expires; a closing order of a hedged book that is too large is refused.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from tests.loopback import figures
from tests.loopback.accounts import Account, Funding, Income, IncomeKind, Position
from tests.loopback.happenings import Execution, Happening, OrderMoved, WalletMoved
from tests.loopback.instruments import ZERO, Instrument, Level, Listing
from tests.loopback.orders import (
    Book,
    Force,
    Kind,
    Order,
    OrderRequest,
    Refusal,
    Refused,
    Side,
    Status,
    Trade,
)

MAX_OPEN_ORDERS = 200


@dataclass(slots=True, kw_only=True)
class Core:
    """Instruments, accounts and the one sequence of ids they share."""

    instruments: dict[str, Instrument]
    #: by API key
    accounts: dict[str, Account]
    #: whether a client order id must be unique among an account's open orders
    unique_open_ids: bool = True
    next_id: int = 1_000_001
    #: every settlement, oldest first
    fundings: list[Funding] = field(default_factory=list)
    outbox: list[Happening] = field(default_factory=list)

    def id(self) -> int:
        """Return the next id of anything."""
        self.next_id += 1
        return self.next_id

    def take_outbox(self) -> list[Happening]:
        """Return what happened since the last call."""
        happened, self.outbox = self.outbox, []
        return happened

    def place(self, account: Account, request: OrderRequest, now_ms: int) -> Order:
        """Take an order and fill what the book holds for it; Refused changes nothing."""
        instrument = self._checked(account, request)
        order = Order(
            order_id=self.id(),
            account=account.name,
            request=request,
            created_ms=now_ms,
            updated_ms=now_ms,
        )
        account.orders[order.order_id] = order
        account.open_ids[order.order_id] = None
        account.by_client_id[request.client_order_id] = order.order_id
        self.tell(order, Execution.NEW, now_ms)
        for level in self._reachable(instrument, request):
            if not order.open:
                break
            self.fill(account, order, level, now_ms, maker=False)
        stays = request.kind is Kind.LIMIT and request.force in (Force.GTC, Force.GTX)
        if order.open and not stays:
            self.finish(account, order, Status.EXPIRED, now_ms)
        return order

    def cancel(self, account: Account, order: Order, now_ms: int) -> Order:
        """Take an open order out; a closed one is unknown to the book."""
        if not order.open:
            raise Refused(Refusal.UNKNOWN_ORDER)
        self.finish(account, order, Status.CANCELED, now_ms)
        return order

    def find(
        self, account: Account, *, order_id: int | None = None, client_order_id: str | None = None
    ) -> Order:
        """Return the order with that id, or the latest with that client id."""
        if order_id is None:
            order_id = account.by_client_id.get(client_order_id or "")
        order = account.orders.get(order_id) if order_id is not None else None
        if order is None:
            raise Refused(Refusal.UNKNOWN_ORDER)
        return order

    def instrument(self, name: str) -> Instrument:
        """Return a listed instrument."""
        instrument = self.instruments.get(name)
        if instrument is None:
            raise Refused(Refusal.UNKNOWN_INSTRUMENT)
        return instrument

    def rest(self, instrument: Instrument, now_ms: int) -> None:
        """Fill, as makers, resting orders that the book of a new price has reached."""
        for account in self.accounts.values():
            for order in account.open_orders():
                request = order.request
                if request.instrument != instrument.name or request.price is None:
                    continue
                for level in self._reachable(instrument, request):
                    if not order.open:
                        break
                    at_limit = Level(request.price, level.contracts)
                    self.fill(account, order, at_limit, now_ms, maker=True)

    def fill(
        self, account: Account, order: Order, level: Level, now_ms: int, *, maker: bool
    ) -> None:
        """Trade what is left of an order with one level of the book."""
        request = order.request
        contracts = min(order.remaining, level.contracts)
        if request.reduce_only or figures.closes(request):
            held = account.contracts(request.instrument, request.book)
            contracts = min(contracts, abs(held) if held * request.side.sign < 0 else ZERO)
        if not contracts:
            self.finish(account, order, Status.EXPIRED, now_ms)
            return
        trade = self._trade(account, order, Level(level.price, contracts), now_ms, maker=maker)
        execution = Execution.LIQUIDATED if order.liquidation else Execution.TRADE
        self.tell(order, execution, now_ms, trade)

    def _trade(
        self, account: Account, order: Order, level: Level, now_ms: int, *, maker: bool
    ) -> Trade:
        request = order.request
        instrument = self.instruments[request.instrument]
        position = account.position(request.instrument, request.book)
        signed = level.contracts * request.side.sign
        realized = position.trade(signed, level.price, instrument)
        position.updated_ms = now_ms
        rate = instrument.maker_rate if maker else instrument.taker_rate
        trade = Trade(
            trade_id=self.id(),
            order_id=order.order_id,
            instrument=request.instrument,
            side=request.side,
            book=request.book,
            price=level.price,
            contracts=level.contracts,
            fee=instrument.notional(level.contracts, level.price) * rate,
            realized=realized,
            maker=maker,
            at_ms=now_ms,
        )
        order.trades.append(trade)
        account.trades.append(trade)
        order.filled += level.contracts
        order.turnover += level.contracts * level.price
        order.updated_ms = now_ms
        order.status = Status.PARTIALLY_FILLED if order.remaining else Status.FILLED
        if not order.open:
            account.open_ids.pop(order.order_id, None)
        if realized:
            self.book_income(account, IncomeKind.REALIZED_PNL, realized, trade, now_ms)
        self.book_income(account, IncomeKind.COMMISSION, -trade.fee, trade, now_ms)
        self.tell_wallet(account, position, now_ms)
        return trade

    def finish(self, account: Account, order: Order, status: Status, now_ms: int) -> None:
        """Close an order whose rest will not trade."""
        order.status = status
        order.updated_ms = now_ms
        account.open_ids.pop(order.order_id, None)
        self.tell(order, Execution(status.value), now_ms)

    def book_income(
        self, account: Account, kind: IncomeKind, amount: Decimal, trade: Trade, now_ms: int
    ) -> None:
        """Move the wallet because of a trade and write down why."""
        account.wallet += amount
        account.incomes.append(
            Income(
                income_id=self.id(),
                kind=kind,
                instrument=trade.instrument,
                book=trade.book,
                amount=amount,
                at_ms=now_ms,
                trade_id=trade.trade_id,
            )
        )

    def tell(
        self, order: Order, execution: Execution, now_ms: int, trade: Trade | None = None
    ) -> None:
        """Publish an order as it stands."""
        self.outbox.append(
            OrderMoved(
                account=order.account,
                at_ms=now_ms,
                execution=execution,
                order=copy.copy(order),
                trade=trade,
            )
        )

    def tell_wallet(
        self,
        account: Account,
        position: Position,
        now_ms: int,
        reason: IncomeKind | None = None,
        amount: Decimal = ZERO,
    ) -> None:
        """Publish the wallet and one position as they stand."""
        self.outbox.append(
            WalletMoved(
                account=account.name,
                at_ms=now_ms,
                reason=reason,
                wallet=account.wallet,
                amount=amount,
                positions=(copy.copy(position),),
            )
        )

    def _checked(self, account: Account, request: OrderRequest) -> Instrument:
        instrument = self.instrument(request.instrument)
        for refusal in self._refusals(account, request, instrument):
            raise Refused(refusal)
        return instrument

    def _refusals(
        self, account: Account, request: OrderRequest, instrument: Instrument
    ) -> Iterator[Refusal]:
        reducing = request.reduce_only or figures.closes(request)
        yield from _mode_refusals(account, request, instrument, reducing=reducing)
        yield from _shape_refusals(request, instrument, reducing=reducing)
        if self.unique_open_ids and self._taken(account, request.client_order_id):
            yield Refusal.DUPLICATE_ID
        if len(account.open_ids) >= MAX_OPEN_ORDERS:
            yield Refusal.TOO_MANY
        if reducing and not self._reduces(account, request):
            yield Refusal.NOT_REDUCING
        if not self._affordable(account, request, instrument):
            yield Refusal.NO_MARGIN
        if request.force in (Force.GTX, Force.FOK):
            offered = sum((level.contracts for level in self._reachable(instrument, request)), ZERO)
            if request.force is Force.GTX and offered:
                yield Refusal.WOULD_TAKE
            if request.force is Force.FOK and offered < request.contracts:
                yield Refusal.CANNOT_FILL

    def _taken(self, account: Account, client_order_id: str) -> bool:
        order_id = account.by_client_id.get(client_order_id)
        return bool(client_order_id) and order_id in account.open_ids

    def _reduces(self, account: Account, request: OrderRequest) -> bool:
        held = account.contracts(request.instrument, request.book)
        if held * request.side.sign >= 0:
            return False
        if request.reduce_only:
            return True
        pending = sum(
            (
                order.remaining
                for order in account.open_orders()
                if figures.closes(order.request)
                and order.request.instrument == request.instrument
                and order.request.book is request.book
            ),
            ZERO,
        )
        return request.contracts + pending <= abs(held)

    def _affordable(self, account: Account, request: OrderRequest, instrument: Instrument) -> bool:
        contracts = figures.opening(account, request)
        if not contracts:
            return True
        price = request.price if request.price is not None else instrument.mark
        notional = instrument.notional(contracts, price)
        needed = notional / account.leverage(request.instrument, request.book)
        fee = notional * instrument.taker_rate
        return needed + fee <= figures.available(account, self.instruments)

    def _reachable(self, instrument: Instrument, request: OrderRequest) -> Iterator[Level]:
        depth = instrument.depth
        if request.side is Side.BUY:
            levels = depth.asks(instrument.last, instrument.tick)
        else:
            levels = depth.bids(instrument.last, instrument.tick)
        for level in levels:
            beyond = request.price is not None and (
                (level.price - request.price) * request.side.sign > 0
            )
            if beyond:
                return
            yield level


def _mode_refusals(
    account: Account, request: OrderRequest, instrument: Instrument, *, reducing: bool
) -> Iterator[Refusal]:
    if instrument.listing is Listing.HALTED:
        yield Refusal.NOT_TRADING
    if instrument.listing is Listing.DELISTING and not reducing:
        yield Refusal.REDUCE_ONLY_MARKET
    if account.hedged == (request.book is Book.NET):
        yield Refusal.WRONG_BOOK
    if account.hedged and request.reduce_only:
        yield Refusal.REDUCE_ONLY_IN_HEDGE


def _shape_refusals(
    request: OrderRequest, instrument: Instrument, *, reducing: bool
) -> Iterator[Refusal]:
    if request.contracts <= 0:
        yield Refusal.BAD_QUANTITY
    if request.contracts % instrument.lot:
        yield Refusal.OFF_LOT
    if request.contracts > instrument.max_contracts:
        yield Refusal.TOO_LARGE
    price = request.price
    if price is not None:
        if price <= 0:
            yield Refusal.BAD_PRICE
        if price % instrument.tick:
            yield Refusal.OFF_TICK
        if (price / instrument.mark - 1) * request.side.sign > instrument.price_band:
            yield Refusal.TOO_HIGH if request.side is Side.BUY else Refusal.TOO_LOW
    notional = instrument.notional(request.contracts, price or instrument.mark)
    if notional < instrument.min_notional and not reducing:
        yield Refusal.MIN_NOTIONAL
