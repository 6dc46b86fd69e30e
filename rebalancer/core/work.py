"""One step under construction: records are folded in as they are made, actions wait for the commit.

Every handler of the engine takes a `Work`, reads the state in it and adds to it; nothing else is
ever changed.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from rebalancer.core.actions import Action, Alert, Severity
from rebalancer.core.capital import FlowRefused
from rebalancer.core.delisting import anything_delisted
from rebalancer.core.flow import FlowKind
from rebalancer.core.folding import apply
from rebalancer.core.methodology import Trigger
from rebalancer.core.nav import Valuation
from rebalancer.core.planner import Skip
from rebalancer.core.records import (
    FixedSettled,
    IntentCreated,
    Record,
    RunMoved,
    RunOpened,
    VerdictChanged,
)
from rebalancer.core.run import RunStatus
from rebalancer.core.state import DeskState, FundState
from rebalancer.errors import ensure

#: records that change nothing of what a valuation looks at: cash, units, shares, points, fees
_WORTH_NOTHING = frozenset({FixedSettled, IntentCreated, RunMoved, RunOpened, VerdictChanged})

BookKey = tuple[str, str]
"""(account, contract): orders are planned for one of these at a time."""


@dataclass(slots=True)
class Work:
    """What one event led to so far."""

    state: DeskState
    now_ms: int
    records: list[Record] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    #: funds to look at in this step
    due: set[str] = field(default_factory=set)
    #: funds whose ranges and alarms must be set anew at the end
    touched: set[str] = field(default_factory=set)
    #: books whose orders must be planned
    books: set[BookKey] = field(default_factory=set)
    #: what was wanted and not ordered, by account and contract
    skips: list[tuple[BookKey, Skip]] = field(default_factory=list)
    #: the same as (account, contract, fund): for these the run is where it can get
    skipped: set[tuple[str, str, str]] = field(default_factory=set)
    #: a snapshot may force a run of this trigger on every fund
    forced: Trigger | None = None
    #: what the funds are worth, as long as nothing was recorded that could change it
    _worths: dict[str, Valuation | None] = field(default_factory=dict)

    def record(self, record: Record) -> None:
        """Fold a record into the state and keep it for the commit."""
        apply(self.state, record)
        self.records.append(record)
        # What is listed no more is frozen at the prices that its fund's run and point had.
        if type(record) not in _WORTH_NOTHING or anything_delisted(self.state):
            self._worths.clear()

    def alert(self, severity: Severity, name: str, subject: str, text: str) -> None:
        """Tell a person, once the step is committed."""
        self.actions.append(Alert(self.now_ms, severity, name, subject, text))

    def refuse_flows(
        self, fund: FundState, reason: str, kinds: Collection[FlowKind] = tuple(FlowKind)
    ) -> None:
        """Record that flows of the fund that wait will not be dealt."""
        for key, flow in tuple(fund.flows.items()):
            if flow.kind in kinds:
                self.record(FlowRefused(self.now_ms, fund.name, key, reason))

    def touch(self, fund: FundState) -> None:
        """Have the fund's ranges and alarm set anew when the step ends."""
        self.touched.add(fund.name)

    def plan_books_of(self, fund: FundState) -> None:
        """Have orders planned for every contract the fund's run is about."""
        if fund.run is not None and not fund.fund.index_only:
            for symbol in fund.run.plan.target_units:
                self.books.add((fund.fund.account, symbol))

    def worth(self, fund: FundState) -> Valuation | None:
        """Value a launched fund at the newest prices, however old; None where one is unknown."""
        if fund.name not in self._worths:
            self._worths[fund.name] = self.state.worth(fund)
        return self._worths[fund.name]

    def move_run(self, fund: FundState, status: RunStatus, reason: str) -> None:
        """Record that the fund's run changed its status, with the NAV and leverage it left."""
        run, worth = fund.run, self.worth(fund)
        ensure(run is not None, f"{fund.name} has no run to move")
        assert run is not None  # noqa: S101 - for the type checker; ensured above
        self.record(
            RunMoved(
                at_ms=self.now_ms,
                fund=fund.name,
                run_id=run.plan.run_id,
                status=status,
                reason=reason,
                nav=worth.nav if worth else None,
                leverage=worth.leverage if worth else None,
                cost=run.cost,
                marks=worth.marks if worth else {},
                slippage=run.slippage,
                traded_notional=run.traded_notional,
            )
        )
        self.touch(fund)
