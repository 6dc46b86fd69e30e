"""What a plan rests on, in so few characters that it can be compared: the parts of the state."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal

from rebalancer.core.money import text
from rebalancer.core.state import AccountState, DeskState, FundState

#: characters of SHA-256 that tell one state of a part from another
_CHARACTERS = 16


def fingerprints(state: DeskState, funds: Collection[str]) -> dict[str, str]:
    """Return a digest of each part of the desk that an order of `funds` can depend on.

    Those are their accounts, every fund on them, working orders among it, and what is not active.
    Prices and the time are no part of it.
    """
    accounts = {state.funds[name].fund.account for name in funds}
    neighbours = [fund for fund in state.funds.values() if fund.fund.account in accounts]
    parts: dict[str, Iterable[object]] = {
        f"fund {fund.name}": _fund(fund) for fund in neighbours if fund.fund.account
    }
    parts |= {f"fund {name}": _fund(state.funds[name]) for name in funds}
    parts |= {
        f"account {name}": _account(state, state.accounts[name])
        for name in sorted(accounts)
        if name
    }
    parts["what may be traded"] = sorted(
        f"{scope} {name} {permission.state}" for (scope, name), permission in state.scopes.items()
    )
    return {name: _digest(facts) for name, facts in parts.items()}


def moved_on(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the parts that are not as they were, by name."""
    return [name for name in {**before, **now} if before.get(name) != now.get(name)]


def _fund(fund: FundState) -> Iterable[object]:
    run, point = fund.run, fund.point
    yield from (fund.config_digest, fund.launched_ms, fund.shares, fund.holding.cash)
    yield from sorted(f"{symbol} {text(size)}" for symbol, size in fund.holding.units.items())
    yield from ("point", *((point.at_ms, point.nav, point.leverage) if point else ()))
    yield from ("run", *((run.plan.run_id, run.status, run.orders) if run else ()))
    yield from (fund.trading, fund.manual, fund.winding, fund.flattening, fund.run_seq)
    yield from ("waiting", fund.waiting.digest if fund.waiting else None, *sorted(fund.flows))


def _account(state: DeskState, account: AccountState) -> Iterable[object]:
    yield from (account.cash, account.order_seq)
    yield from sorted(f"{key[0]} {key[1]} {text(size)}" for key, size in account.books.items())
    yield from sorted(
        f"{name} {text(order.filled_contracts)}"
        for name, order in state.orders.items()
        if order.intent.account == account.account.name
    )


def _digest(facts: Iterable[object]) -> str:
    written = "\n".join(text(each) if isinstance(each, Decimal) else str(each) for each in facts)
    return hashlib.sha256(written.encode()).hexdigest()[:_CHARACTERS]
