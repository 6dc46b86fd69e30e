"""The story of each fund, gathered from its records as they come: strikes, runs, samples.

The same gatherer serves a replay and the store of a desk. It folds the records into a state of its
own, one by one, because what is asked of a daily NAV (the causes of its gap, the costs so far) is
true between two records only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from rebalancer.core.attribution import attribute
from rebalancer.core.capital import Consolidated
from rebalancer.core.folding import apply
from rebalancer.core.fund import Fund
from rebalancer.core.methodology import Trigger
from rebalancer.core.money import ONE, ZERO
from rebalancer.core.premium import PremiumStaged
from rebalancer.core.records import (
    Crossed,
    FundWiped,
    NavStruck,
    Record,
    RunMoved,
    RunOpened,
    Traded,
)
from rebalancer.core.run import RunStatus
from rebalancer.core.state import Desk, DeskState


@dataclass(frozen=True, slots=True)
class Strike:
    """A daily NAV, with what drove it; per share, as shares were before any merge or split."""

    at_ms: int
    nav: Decimal
    formula_nav: Decimal
    equity: Decimal
    #: of the fund's own source
    prices: Mapping[str, Decimal]
    #: account NAV less formula NAV by cause, since the launch
    gap: Mapping[str, Decimal]
    #: management fee since the launch, per share
    management_fee: Decimal


@dataclass(frozen=True, slots=True)
class Sample:
    """A fund at one instant; what a record does not tell is None."""

    at_ms: int
    nav: Decimal
    formula_nav: Decimal | None
    #: signed
    leverage: Decimal | None


@dataclass(slots=True)
class RunTold:
    """One rebalance: why, what it traded and what that cost, in quote currency."""

    run_id: str
    at_ms: int
    trigger: Trigger
    reason: str
    marks: Mapping[str, Decimal]
    equity: Decimal
    leverage_before: Decimal | None
    leverage_after: Decimal | None = None
    status: RunStatus = RunStatus.WORKING
    ended_ms: int | None = None
    #: at the prices of the fills, crosses inside the desk included; without sign
    traded: Decimal = ZERO
    fees: Decimal = ZERO
    slippage: Decimal = ZERO

    @property
    def slippage_bp_of_traded(self) -> Decimal | None:
        """Slippage against the marks that sized the orders, in basis points of what was traded."""
        return self.slippage / self.traded * 10_000 if self.traded else None

    @property
    def slippage_bp_of_nav(self) -> Decimal | None:
        """The same as a part of the fund: what its holders lost by it."""
        return self.slippage / self.equity * 10_000 if self.equity > 0 else None


@dataclass(slots=True)
class Story:
    """Everything that a report tells of one fund, in order of time."""

    fund: Fund
    strikes: list[Strike] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    runs: list[RunTold] = field(default_factory=list)
    premiums: list[PremiumStaged] = field(default_factory=list)
    wiped: FundWiped | None = None
    #: what one share of today is of a share at the launch
    factor: Decimal = ONE


class Gatherer:
    """Takes records in their order, and samples of a live state between them."""

    def __init__(self, desk: Desk, spacing_ms: int = 0) -> None:
        """Begin before the first record; `sample` keeps one sample per `spacing_ms` and fund."""
        self.stories = {name: Story(fund) for name, fund in desk.funds.items()}
        self.spacing_ms = spacing_ms
        self._state = DeskState.fresh(desk)
        self._working: dict[str, RunTold] = {}
        self._sampled_ms: int | None = None

    def records(self, records: Iterable[Record]) -> None:
        """Follow what was recorded."""
        for record in records:
            apply(self._state, record)
            self._note(record)

    def sample(self, state: DeskState) -> None:
        """Look at every launched fund of a state that stands between two events."""
        now_ms = state.now_ms
        if self._sampled_ms is not None and now_ms < self._sampled_ms + self.spacing_ms:
            return
        self._sampled_ms = now_ms
        for name, story in self.stories.items():
            fund = state.funds[name]
            worth = state.worth(fund) if fund.launched_ms is not None else None
            if worth is not None:
                nav, formula_nav = worth.nav / story.factor, worth.formula_nav / story.factor
                story.samples.append(Sample(now_ms, nav, formula_nav, worth.leverage))

    def _note(self, record: Record) -> None:
        if isinstance(record, NavStruck):
            self._note_strike(record)
        elif isinstance(record, RunOpened):
            self._note_opened(record)
        elif isinstance(record, RunMoved):
            self._note_moved(record)
        elif isinstance(record, Traded):
            self._note_traded(record)
        elif isinstance(record, Crossed):
            for name, units in record.units.items():
                self._count(name, abs(units) * record.price)
        elif isinstance(record, Consolidated):
            self.stories[record.fund].factor *= record.shares_before / record.shares_after
        elif isinstance(record, PremiumStaged):
            self.stories[record.fund].premiums.append(record)
        elif isinstance(record, FundWiped):
            self.stories[record.fund].wiped = record

    def _note_strike(self, record: NavStruck) -> None:
        fund, story = self._state.funds[record.fund], self.stories[record.fund]
        standing = fund.standing(record.marks, record.nav, record.formula_nav)
        factor = story.factor
        paid = fund.costs.management_fee / fund.shares if fund.shares else ZERO
        gap = {cause: part / factor for cause, part in attribute(fund.gap, standing).items()}
        strike = Strike(
            at_ms=record.boundary_ms,
            nav=record.nav / factor,
            formula_nav=record.formula_nav / factor,
            equity=record.equity,
            prices=record.own_prices,
            gap=gap,
            management_fee=paid / factor,
        )
        story.strikes.append(strike)
        if strike.nav > 0:
            leverage = (
                fund.holding.exposure(record.marks) / record.equity if record.equity else None
            )
            story.samples.append(Sample(record.at_ms, strike.nav, strike.formula_nav, leverage))

    def _note_opened(self, record: RunOpened) -> None:
        plan, story = record.plan, self.stories[record.plan.fund]
        told = RunTold(
            run_id=plan.run_id,
            at_ms=plan.opened_ms,
            trigger=plan.trigger,
            reason=plan.reason,
            marks=plan.marks,
            equity=plan.nav * self._state.funds[plan.fund].shares,
            leverage_before=plan.leverage,
        )
        story.runs.append(told)
        self._working[plan.fund] = told
        if plan.leverage is not None:
            story.samples.append(Sample(record.at_ms, plan.nav / story.factor, None, plan.leverage))

    def _note_moved(self, record: RunMoved) -> None:
        story, told = self.stories[record.fund], self._working.get(record.fund)
        if told is not None and told.run_id == record.run_id:
            told.status, told.leverage_after = record.status, record.leverage
            told.ended_ms = None if record.status is RunStatus.WORKING else record.at_ms
        if record.nav is not None and record.leverage is not None:
            nav = record.nav / story.factor
            story.samples.append(Sample(record.at_ms, nav, None, record.leverage))

    def _note_traded(self, record: Traded) -> None:
        for name, units in record.allocations.items():
            told = self._count(name, abs(units) * record.fill.price)
            if told is not None:
                told.fees += record.fees.get(name, ZERO)
                told.slippage += record.slippage.get(name, ZERO)

    def _count(self, fund: str, notional: Decimal) -> RunTold | None:
        told = self._working.get(fund)
        if told is not None:
            told.traded += notional
        return told
