"""Permissions: what may be traded. The strictest of a fund's scopes says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from rebalancer.core.money import ZERO
from rebalancer.core.records import TradingState
from rebalancer.core.scope import Scope, title

_S = TradingState
#: state -> states that may follow it. Nothing follows the end of a fund.
TRANSITIONS: Mapping[TradingState, frozenset[TradingState]] = {
    _S.ACTIVE: frozenset({_S.REDUCING, _S.HALTED, _S.WIPED}),
    _S.REDUCING: frozenset({_S.ACTIVE, _S.HALTED, _S.WIPED}),
    _S.HALTED: frozenset({_S.ACTIVE, _S.REDUCING}),
    _S.WIPED: frozenset(),
}
#: a wiped fund only flattens, and that is what reducing lets through
_STRICTNESS = {_S.ACTIVE: 0, _S.WIPED: 0, _S.REDUCING: 1, _S.HALTED: 2}


@dataclass(frozen=True, slots=True)
class Permission:
    """What one scope allows, and why."""

    scope: Scope
    #: of the fund, account or contract; empty for the desk
    name: str
    state: TradingState
    reason: str

    @property
    def halted(self) -> bool:
        """Whether nothing may be traded."""
        return self.state is TradingState.HALTED

    @property
    def text(self) -> str:
        """Say it: "halted: holiday", or "account main is halted: holiday"."""
        if self.scope is Scope.FUND:
            return f"{self.state}: {self.reason}"
        return f"{title(self.scope, self.name)} is {self.state}: {self.reason}"

    def lets_through(self, held: Decimal, wanted: Decimal) -> Decimal:
        """Return the part of `wanted` that who holds `held` may trade; all in signed units."""
        if self.halted:
            return ZERO
        if self.state is not TradingState.REDUCING:
            return wanted
        if held * wanted >= 0:
            return ZERO
        return wanted if abs(wanted) <= abs(held) else -held


def strictest(one: Permission, other: Permission | None) -> Permission:
    """Return the stricter of two permissions, the first where they are equally strict."""
    if other is None or _STRICTNESS[other.state] <= _STRICTNESS[one.state]:
        return one
    return other
