"""What the venue does of its own accord: prices move, funding is settled, accounts liquidated."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from tests.loopback import figures
from tests.loopback.accounts import Account, Funding, Income, IncomeKind, Margin, Position
from tests.loopback.happenings import LeverageMoved, Priced
from tests.loopback.instruments import Level
from tests.loopback.matching import Core
from tests.loopback.orders import (
    Book,
    Force,
    Order,
    OrderRequest,
    Refusal,
    Refused,
    Side,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One line of a price script; what is None stays with the last price."""

    at_ms: int
    instrument: str
    last: Decimal
    mark: Decimal | None = None
    index: Decimal | None = None


@dataclass(slots=True)
class Script:
    """Prices to come, in the order of their instants."""

    moves: list[Move] = field(default_factory=list)

    def add(self, moves: Iterable[Move]) -> None:
        """Plan more moves."""
        self.moves = sorted([*self.moves, *moves], key=lambda move: move.at_ms)

    def due(self, now_ms: int) -> list[Move]:
        """Take out the moves whose instant has come."""
        count = sum(1 for move in self.moves if move.at_ms <= now_ms)
        ripe, self.moves = self.moves[:count], self.moves[count:]
        return ripe


def move_price(core: Core, move: Move) -> None:
    """Set prices, then fill resting orders they reach and liquidate whom they ruin."""
    instrument = core.instrument(move.instrument)
    instrument.last = move.last
    instrument.mark = move.last if move.mark is None else move.mark
    instrument.index = instrument.mark if move.index is None else move.index
    instrument.priced_ms = move.at_ms
    core.outbox.append(Priced(at_ms=move.at_ms, instrument=move.instrument))
    core.rest(instrument, move.at_ms)
    for account in core.accounts.values():
        if figures.spare(account, core.instruments) < 0:
            liquidate(core, account, move.at_ms)


def settle_funding(core: Core, name: str, now_ms: int, rate: Decimal | None = None) -> None:
    """Let longs pay shorts (or the other way) `rate` of the notional at the mark."""
    instrument = core.instrument(name)
    if rate is not None:
        instrument.funding_rate = rate
    core.fundings.append(
        Funding(instrument=name, rate=instrument.funding_rate, mark=instrument.mark, at_ms=now_ms)
    )
    for account in core.accounts.values():
        for position in account.held():
            if position.instrument != name:
                continue
            notional = instrument.notional(position.contracts, instrument.mark)
            pay(core, account, IncomeKind.FUNDING_FEE, -notional * instrument.funding_rate,
                position, now_ms)  # fmt: skip


def pay(
    core: Core,
    account: Account,
    kind: IncomeKind,
    amount: Decimal,
    position: Position,
    now_ms: int,
) -> None:
    """Move the wallet because of a position, write it down and tell."""
    account.wallet += amount
    account.incomes.append(
        Income(
            income_id=core.id(),
            kind=kind,
            instrument=position.instrument,
            book=position.book,
            amount=amount,
            at_ms=now_ms,
        )
    )
    core.tell_wallet(account, position, now_ms, kind, amount)


def liquidate(core: Core, account: Account, now_ms: int) -> None:
    """Cancel every order, close every position at its mark; the venue covers what is missing."""
    for order in account.open_orders():
        core.cancel(account, order, now_ms)
    held = list(account.held())
    for position in held:
        instrument = core.instruments[position.instrument]
        size = abs(position.contracts)
        request = OrderRequest(
            instrument=position.instrument,
            side=Side.SELL if position.contracts > 0 else Side.BUY,
            contracts=size,
            price=instrument.mark,
            force=Force.IOC,
            book=position.book,
            reduce_only=position.book is Book.NET,
            client_order_id=f"autoclose-{now_ms}{core.id()}",
        )
        order = Order(
            order_id=core.id(),
            account=account.name,
            request=request,
            created_ms=now_ms,
            updated_ms=now_ms,
            liquidation=True,
        )
        account.orders[order.order_id] = order
        account.by_client_id[request.client_order_id] = order.order_id
        core.fill(account, order, Level(instrument.mark, size), now_ms, maker=False)
    if account.wallet < 0 and held:
        pay(core, account, IncomeKind.LIQUIDATION_FEE, -account.wallet, held[0], now_ms)


def set_leverage(
    core: Core, account: Account, name: str, leverage: int, now_ms: int, *books: Book
) -> None:
    """Change the leverage that sizes initial margin, in the given books or in all."""
    instrument = core.instrument(name)
    if not 1 <= leverage <= instrument.max_leverage:
        raise Refused(Refusal.BAD_LEVERAGE)
    for book in books or tuple(Book):
        account.leverages[name, book] = leverage
        core.outbox.append(
            LeverageMoved(
                account=account.name,
                at_ms=now_ms,
                instrument=name,
                book=book,
                leverage=leverage,
            )
        )


def set_margin(core: Core, account: Account, name: str, margin: Margin, *books: Book) -> None:
    """Change the margin mode of an instrument on which nothing is open."""
    core.instrument(name)
    wanted = books or tuple(Book)
    if all(account.margin(name, book) is margin for book in wanted):
        raise Refused(Refusal.NO_CHANGE)
    if any(order.request.instrument == name for order in account.open_orders()):
        raise Refused(Refusal.OPEN_ORDERS)
    if any(position.instrument == name for position in account.held()):
        raise Refused(Refusal.OPEN_POSITIONS)
    for book in wanted:
        account.margins[name, book] = margin


def set_hedged(account: Account, *, hedged: bool) -> None:
    """Change the position mode of an account on which nothing is open."""
    if account.hedged == hedged:
        raise Refused(Refusal.NO_CHANGE)
    if account.open_ids:
        raise Refused(Refusal.OPEN_ORDERS)
    if any(account.held()):
        raise Refused(Refusal.OPEN_POSITIONS)
    account.hedged = hedged
