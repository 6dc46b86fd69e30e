"""What a rule sees of its fund, and what it may answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from rebalancer.core.flow import Flow
from rebalancer.core.fund import Fund
from rebalancer.core.methodology import Trigger
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
    #: nobody owns the fund: nothing but a flow can be due
    empty: bool = False
    #: a snapshot may force a run of this trigger
    forced: Trigger | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """A rule fires. It becomes a run when its price is confirmed and its cool-down is over."""

    trigger: Trigger
    reason: str
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


Rule = Callable[[FundView], Signal | None]


def percent(ratio: Decimal) -> str:
    """Write a ratio for a person: -0.152 as "-15.20 %"."""
    return f"{ratio * 100:.2f} %"
