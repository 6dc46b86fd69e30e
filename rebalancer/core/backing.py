"""Whether an account still has the money that its funds own, by the venue's own count."""

from __future__ import annotations

from decimal import Decimal

from rebalancer.core.breaking import find, open_break, vanished
from rebalancer.core.breaks import Break, BreakKind
from rebalancer.core.events import BalanceReported
from rebalancer.core.fund import PriceSource
from rebalancer.core.instant import MINUTE_MS
from rebalancer.core.money import ZERO, total
from rebalancer.core.state import AccountState
from rebalancer.core.work import Work

#: of what is held: the venue's marks are of another moment than ours, and funding of now is booked
#: a little later
NOISE_OF_GROSS = Decimal("0.01")
#: of what the funds own: fees and rounding that nobody tells
NOISE_OF_EQUITY = Decimal("0.001")
#: so many looks in a row have to find that money is missing
LOOKS = 2
#: with a mark older than this nothing is compared
OLD_MS = MINUTE_MS


def on_balance(work: Work, event: BalanceReported) -> None:
    """Compare what an account is worth at the venue with what its funds own there.

    Only what is missing is a break: more than the funds own is the operator's own money.
    """
    account = work.state.accounts[event.account]
    owned = _owned(work, account)
    if owned is None:
        return
    equity, gross = owned
    missing = equity - event.equity
    unexplained = missing - account.explained_missing
    short = unexplained > NOISE_OF_GROSS * gross + NOISE_OF_EQUITY * abs(equity)
    account.short_looks = account.short_looks + 1 if short else 0
    number = open_break(work, BreakKind.BALANCE, event.account)
    if number is not None and not short:
        reason = "the account has what its funds own again"
        vanished(work, number, reason)
    if number is None and account.short_looks >= LOOKS:
        _find(work, event, equity, missing)


def _find(work: Work, event: BalanceReported, equity: Decimal, missing: Decimal) -> None:
    number = work.state.break_count + 1
    cause = (
        f"account {event.account} is worth {event.equity:.2f} {event.currency} at the venue, its "
        f"funds own {equity:.2f}: {missing:.2f} was taken out, or never paid in"
    )
    found = Break(
        kind=BreakKind.BALANCE,
        account=event.account,
        contract="",
        units=-missing,
        cause=cause,
        repair=f"pay it in: the break ends by itself; or rebalancer explain {number} --reason WHY",
    )
    find(work, found, halts=False)


def _owned(work: Work, account: AccountState) -> tuple[Decimal, Decimal] | None:
    """Return equity and gross notional of an account's funds; None without a present mark."""
    market, worth = work.state.market, []
    for symbol, units in account.held.items():
        mark = market.price(symbol, PriceSource.MARK)
        if units and not market.fresh(symbol, PriceSource.MARK, work.now_ms, OLD_MS):
            return None
        worth.append(units * mark if mark is not None else ZERO)
    return account.cash + total(worth), total(abs(each) for each in worth)
