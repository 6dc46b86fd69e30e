"""What must hold of trading states: nothing halted trades, what is reducing only reduces.

All of it is counted again from the records, with nothing of the desk's own arithmetic.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from rebalancer.core.money import ZERO
from rebalancer.core.records import (
    Crossed,
    IntentCreated,
    Record,
    ScopeChanged,
    Traded,
    TradingChanged,
    TradingState,
)
from rebalancer.core.scope import Scope


@dataclass(slots=True)
class Permissions:
    """What may be traded, and what each fund holds, followed record by record."""

    states: dict[tuple[Scope, str], TradingState] = field(default_factory=dict)
    held: defaultdict[tuple[str, str], Decimal] = field(
        default_factory=lambda: defaultdict(Decimal)
    )

    def follow(self, record: Record) -> Iterator[str]:
        """Take the next record; yield what it should not have done."""
        if isinstance(record, TradingChanged):
            self.states[Scope.FUND, record.fund] = record.state
        elif isinstance(record, ScopeChanged):
            self.states[record.scope, record.name] = record.state
        elif isinstance(record, IntentCreated):
            intent = record.intent
            yield from self._trade(intent.account, intent.contract, intent.wanted)
        elif isinstance(record, Crossed):
            yield from self._trade(record.account, record.contract, record.units)
            self._book(record.contract, record.units)
        elif isinstance(record, Traded):
            self._book(record.contract, record.allocations)

    def _book(self, contract: str, moved: Mapping[str, Decimal]) -> None:
        for fund, units in moved.items():
            self.held[fund, contract] += units

    def _trade(self, account: str, contract: str, wanted: Mapping[str, Decimal]) -> Iterator[str]:
        for fund, units in wanted.items():
            over = (
                (Scope.DESK, ""),
                (Scope.ACCOUNT, account),
                (Scope.CONTRACT, contract),
                (Scope.FUND, fund),
            )
            found = {self.states.get(key) for key in over}
            if TradingState.HALTED in found:
                yield f"{fund} trades {units} {contract} though it is halted"
            elif TradingState.REDUCING in found and not self._reduces(fund, contract, units):
                yield f"{fund} trades {units} {contract} though it may only reduce"

    def _reduces(self, fund: str, contract: str, units: Decimal) -> bool:
        held = self.held[fund, contract]
        return held * units < ZERO and abs(units) <= abs(held)


def permissions(records: Iterable[Record]) -> Iterator[str]:
    """Orders and trades inside the desk are only those that their trading states allow."""
    followed = Permissions()
    for record in records:
        yield from followed.follow(record)
