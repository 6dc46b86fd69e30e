"""What a verification works with: the state so far, which settings counted, and what was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from rebalancer.core.flow import Register
from rebalancer.core.nav import Valuation, value
from rebalancer.core.position import Prices
from rebalancer.core.state import NAV_TOLERANCE, DeskState, FundState

#: problems that are told one by one; more of them say nothing new
PROBLEMS_MAX = 20


@dataclass(frozen=True, slots=True)
class Dealing:
    """Flows that are dealt one after another, all at the NAV of before the first."""

    fund: str
    #: None where it is not known: they are left out together
    register: Register | None
    #: of the newest record that belongs to them
    seq: int


@dataclass(frozen=True, slots=True)
class Sharing:
    """Trades that an adoption books one after another, by what was held before the first."""

    account: str
    contract: str
    #: signed base coins by fund
    held: Mapping[str, Decimal]
    #: of the newest record that belongs to them
    seq: int


@dataclass(slots=True)
class Recount:
    """The fold of the records before the present one, and what checking them said."""

    state: DeskState
    #: SHA-256 of the configuration at hand
    config_digest: str
    counts: Counter[str] = field(default_factory=Counter)
    #: figures that could not be worked out, by the kind of the record that states them
    left_out: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    #: number and kind of the present record
    seq: int = 0
    kind: str = ""
    #: by fund, the digest of the configuration that it runs on
    in_force: dict[str, str] = field(default_factory=dict)
    #: by fund, when a reload gave it other settings last
    reconfigured_ms: dict[str, int] = field(default_factory=dict)
    #: by fund, when it was and at which marks it was valued when its run moved last
    moved: dict[str, tuple[int, Prices]] = field(default_factory=dict)
    #: funds whose cash account has terms of which no record tells
    untold_terms: set[str] = field(default_factory=set)
    #: funds whose run got a fill of an order that was over: a break, and nothing that it planned
    late: set[str] = field(default_factory=set)
    dealing: Dealing | None = None
    sharing: Sharing | None = None

    @property
    def place(self) -> str:
        """The present record, as problems name it."""
        return f"record {self.seq} ({self.kind})"

    def as_configured(self, fund: FundState) -> bool:
        """Return whether the fund ran on the configuration at hand at the present record."""
        return self.in_force.get(fund.name) == self.config_digest

    def renewed_ms(self, fund: FundState) -> int:
        """Return when the fund got other settings last, by a start or a reload; 0: never."""
        started_ms = 0 if fund.renewal is None else fund.renewal.at_ms
        return max(started_ms, self.reconfigured_ms.get(fund.name, 0))

    def terms_known(self, fund: FundState) -> bool:
        """Return whether it is known what the fund's cash account costs now."""
        return fund.name not in self.untold_terms or self.as_configured(fund)

    def worth(
        self, fund: FundState, marks: Prices, own_prices: Prices | None = None
    ) -> Valuation | None:
        """Value a fund at prices that a record has; None where it has not enough of them.

        Without `own_prices` the formula NAV of the valuation means nothing.
        """
        if not self.terms_known(fund) or not {*fund.basket, *fund.holding.units} <= set(marks):
            return None
        return value(fund.inputs(self.state.now_ms), marks, own_prices or marks)

    def formula_known(self, fund: FundState) -> bool:
        """Return whether the records alone tell what the formula NAV counts with."""
        return self.as_configured(fund) or (fund.point is not None and bool(fund.weights))

    def same_formula(self, told: Decimal, worth: Valuation) -> None:
        """Hold that a formula NAV of the present record is that of the valuation."""
        self.counts["formula NAVs"] += 1
        self.same("formula NAV", told, worth.formula_nav)

    def leave_out(self) -> None:
        """Count that a figure of the present record could not be worked out."""
        self.counts["left out"] += 1
        self.left_out[self.kind] += 1

    def hold(self, holds: bool, problem: str) -> None:
        """Keep a problem of the present record where something does not hold."""
        self.note(holds, f"{self.place}: {problem}")

    def note(self, holds: bool, problem: str) -> None:
        """Keep a problem that is no single record's where something does not hold."""
        if not holds and len(self.problems) < PROBLEMS_MAX:
            self.problems.append(problem)

    def same(self, what: str, told: Decimal | None, found: Decimal | None) -> None:
        """Hold that a figure of the present record is the one that was worked out."""
        if told is None or found is None:
            self.hold(told is found, f"{what} is {found}, the record says {told}")
            return
        slack = max(abs(told), Decimal(1)) * NAV_TOLERANCE
        self.hold(abs(told - found) <= slack, f"{what} is {found}, the record says {told}")
