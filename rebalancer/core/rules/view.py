"""What a rule sees of its fund, and what it may answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from rebalancer.core.duty import Duty
from rebalancer.core.flow import Flow
from rebalancer.core.fund import Fund
from rebalancer.core.methodology import TO_TARGET, Destination, Goal, Trigger
from rebalancer.core.nav import Point, Valuation


@dataclass(frozen=True, slots=True)
class FundView:
    """One fund at one instant: everything a rule may look at."""

    fund: Fund
    now_ms: int
    point: Point | None
    worth: Valuation
    #: when the last run and the last emergency run ended
    last_run_ms: int | None
    last_emergency_ms: int | None
    #: start of the time whose fixed instants are still open
    fixed_after_ms: int | None
    #: reason of a rebalance command that waits
    manual: str | None = None
    #: flows that wait to be dealt
    flows: tuple[Flow, ...] = ()
    #: why the fund is ended by an operator; empty while it lives
    winding: str = ""
    #: why it is sold until an operator resumes it; empty while it follows its rules
    flattening: str = ""
    #: whether it holds any units
    holds: bool = True
    #: nobody owns the fund: nothing but a flow can be due
    empty: bool = False
    #: the breach that must be mended by a deadline
    duty: Duty | None = None
    #: changes of the basket up to then are in the last point
    sized_ms: int | None = None
    #: a snapshot may force a run of this trigger
    forced: Trigger | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """A rule fires. It becomes a run when its price is confirmed and its cool-down is over."""

    trigger: Trigger
    reason: str
    #: where the run goes, if nothing stricter meets it
    goal: Goal = TO_TARGET
    #: whether the price that fired it is falling; None where no price fired it
    falling: bool | None = None
    #: whether that price is the mark, else it is the fund's own source
    by_mark: bool = True
    #: ticks that must confirm the price; 0 where only a fresh price is asked for
    confirm_ticks: int = 0
    #: the run must wait until then
    not_before_ms: int = 0
    #: fixed instants that are due, oldest first
    due_ms: tuple[int, ...] = ()
    #: do not trade, but settle the instants: the reason why they are skipped
    skip: str | None = None
    #: do not trade, but record that a breach must be mended by its deadline
    duty: Duty | None = None

    @property
    def trades(self) -> bool:
        """Whether it asks for a run of its own, with a place to go to."""
        flows = self.trigger is Trigger.FLOW
        return self.skip is None and self.duty is None and not flows

    def at_edge(self, goal: Goal) -> bool:
        """Whether a run with this goal may end where the signal still fires, within one lot.

        Then the signal may only act where something can be traded, or it would act without end.
        """
        return self.falling is not None and self.by_mark and goal.to is not Destination.TARGET

    @property
    def by_clock(self) -> bool:
        """Whether the time alone fired it, so that the price of one interval ago may serve."""
        return self.falling is None and self.trigger is not Trigger.MANUAL


Rule = Callable[[FundView], Signal | None]


def percent(ratio: Decimal) -> str:
    """Write a ratio for a person: -0.152 as "-15.20 %"."""
    return f"{ratio * 100:.2f} %"
