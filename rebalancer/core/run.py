"""A run: one rebalance of one fund, from its frozen target to its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from rebalancer.core.methodology import Trigger
from rebalancer.core.money import ONE, ZERO
from rebalancer.errors import ensure


class RunStatus(StrEnum):
    """Where a run stands."""

    WORKING = "working"  # orders are planned from live positions to the frozen target
    INCOMPLETE = "incomplete"  # gave up for now; the base stays, it is resumed after its cool-down
    DONE = "done"  # at its target within a lot: a rebalancing point
    HALTED = "halted"  # a limit was breached; an operator decides
    SUPERSEDED = "superseded"  # a newer run of the fund took over what was left


_R = RunStatus
TRANSITIONS: Mapping[RunStatus, frozenset[RunStatus]] = {
    _R.WORKING: frozenset({_R.INCOMPLETE, _R.DONE, _R.HALTED, _R.SUPERSEDED}),
    _R.INCOMPLETE: frozenset({_R.WORKING, _R.HALTED, _R.SUPERSEDED}),
    _R.DONE: frozenset(),
    _R.HALTED: frozenset(),
    _R.SUPERSEDED: frozenset(),
}
#: Runs in these states are over and leave the fund's state.
ENDED = frozenset({_R.DONE, _R.HALTED, _R.SUPERSEDED})


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """What a run was opened for; frozen, so that planning again converges."""

    run_id: str
    fund: str
    trigger: Trigger
    reason: str
    #: signed leverage the run aims at; zero flattens
    target_leverage: Decimal
    #: signed base coins by contract at the end of the run
    target_units: Mapping[str, Decimal]
    #: target less held when the run was opened, by contract
    delta_units: Mapping[str, Decimal]
    #: marks that sized the run
    marks: Mapping[str, Decimal]
    #: formula NAV and prices of the fund's own source that become S_k and P_k
    base_nav: Decimal
    base_prices: Mapping[str, Decimal]
    #: account NAV and signed leverage before the first order; leverage None when equity <= 0
    nav: Decimal
    leverage: Decimal | None
    #: the fixed instants that this run satisfies
    due_ms: tuple[int, ...]
    opened_ms: int
    #: whether its end is a rebalancing point; a flow that keeps the leverage is none
    sets_point: bool = True
    #: the basket by weight that the formula NAV counts with from then on; empty: no other
    base_weights: Mapping[str, Decimal] = field(default_factory=dict)
    #: SHA-256 (hex) of the configuration it was opened under; empty in records of before
    config_digest: str = ""


@dataclass(slots=True)
class Run:
    """A run under way and how far it has come."""

    plan: RunPlan
    status: RunStatus = RunStatus.WORKING
    #: child orders sent for this run
    orders: int = 0
    #: rounds since the run was opened or resumed that brought it no nearer
    fruitless_rounds: int = 0
    #: notional sent to the venue for this run, in quote currency
    ordered_notional: Decimal = ZERO
    #: fees and slippage paid, in quote currency
    cost: Decimal = ZERO
    #: of it: against the marks that sized the orders; and the notional that the venue traded
    slippage: Decimal = ZERO
    traded_notional: Decimal = ZERO
    #: what fees and merges did meanwhile to the base NAV that the run will set
    base_scale: Decimal = ONE
    #: the next child order may leave at this time
    next_slice_ms: int = 0
    #: when it began to work, or was taken up again
    working_since_ms: int = 0
    #: base coins by contract, without sign: what it may trade and what it has, crosses included
    planned: dict[str, Decimal] = field(default_factory=dict)
    traded: dict[str, Decimal] = field(default_factory=dict)

    def count(self, symbol: str, units: Decimal) -> None:
        """Count signed `units` that were traded of a contract."""
        self.traded[symbol] = self.traded.get(symbol, ZERO) + abs(units)

    def moved_to(self, status: RunStatus) -> None:
        """Change the status by the table; anything else raises BrokenInvariant."""
        ensure(
            status in TRANSITIONS[self.status],
            f"run {self.plan.run_id} is {self.status} and cannot become {status}",
        )
        self.status = status
