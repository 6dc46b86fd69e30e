"""A fund: one leveraged token as its operator describes it. Nothing in here changes while it runs.

What does change (shares, cash, units, the last rebalancing point) is `core/state.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from rebalancer.core.cash_account import CashAccount
from rebalancer.core.coherence import refuse_impossible
from rebalancer.core.consolidation import Consolidation
from rebalancer.core.fees import ManagementFee
from rebalancer.core.instant import HOUR_MS, SECOND_MS
from rebalancer.core.methodology import Methodology
from rebalancer.core.money import ONE, ZERO, number, positive, total
from rebalancer.core.premium import PremiumTerms
from rebalancer.errors import ConfigRefused


class PriceSource(StrEnum):
    """Which price of a contract drives the formula NAV and the price rules."""

    MARK = "mark"
    INDEX = "index"
    SPOT = "spot"
    LAST = "last"


class NavKind(StrEnum):
    """One of the two NAVs that are kept side by side."""

    ACCOUNT = "account"
    FORMULA = "formula"


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """How a run becomes orders."""

    #: largest child order, in base coins and in quote currency; None is unlimited
    max_child_units: Decimal | None = None
    max_child_notional: Decimal | None = None
    #: pause between the child orders of one run
    interval_ms: int = SECOND_MS
    #: how much a pause may differ from it, as a share of it; drawn from the id of the order before
    jitter: Decimal = ZERO
    #: how far from the mark an order may fill, in basis points
    collar_bps: Decimal = Decimal(100)
    #: orders under this are skipped, on top of the venue's own minimum, in quote currency
    min_notional: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds checked before an order leaves; a breach halts the fund. None is unlimited."""

    max_order_notional: Decimal | None = None
    max_run_notional: Decimal | None = None
    max_day_notional: Decimal | None = None
    #: in one minute of the clock
    max_minute_notional: Decimal | None = None
    max_orders_per_run: int = 500
    max_runs_per_day: int | None = None
    #: largest magnitude of leverage that an order may lead to
    max_leverage: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fund:
    """One leveraged token: target, basket, rules, execution and limits."""

    name: str
    #: empty: the fund is index-only, computed and published, and never orders
    account: str
    #: the promised signed multiple M, never zero
    target_leverage: Decimal
    #: weight by contract symbol, each above zero, summing to 1; until the first reconstitution
    basket: Mapping[str, Decimal]
    methodology: Methodology = field(default_factory=Methodology)
    initial_nav: Decimal = Decimal(100)
    initial_shares: Decimal = Decimal(10_000)
    price_source: PriceSource = PriceSource.MARK
    #: oldest price a decision may use; None for history, where a price is what was known
    max_age_ms: int | None = 10 * SECOND_MS
    #: the same for fixed runs where it differs (a replay: one interval); None means max_age_ms
    fixed_max_age_ms: int | None = None
    #: time of day, in UTC, at which the daily NAV is struck
    nav_boundary_ms: int = 16 * HOUR_MS
    size_from: NavKind = NavKind.ACCOUNT
    formula_base: NavKind = NavKind.FORMULA
    execution: Execution = field(default_factory=Execution)
    limits: Limits = field(default_factory=Limits)
    #: None: running the fund costs its holders nothing
    management_fee: ManagementFee | None = None
    #: None: borrowed cash costs nothing, and no index level is published
    cash_account: CashAccount | None = None
    consolidation: Consolidation = field(default_factory=Consolidation)
    #: None: nobody looks at what the token costs on its secondary market
    premium: PremiumTerms | None = None
    #: alert when the two NAVs differ by more, in basis points of the formula NAV; None: never
    gap_alarm_bps: Decimal | None = None
    description: str = ""
    risk_statement: str = ""

    def __post_init__(self) -> None:
        where = f"funds.{self.name}"
        if number(self.target_leverage, f"{where}.target_leverage") == 0:
            raise ConfigRefused(f"{where}.target_leverage: must not be zero")
        for place, basket in self.baskets:
            _refuse_basket(f"{where}.{place}", basket)
        positive(self.initial_nav, f"{where}.initial_nav")
        positive(self.initial_shares, f"{where}.initial_shares")
        refuse_impossible(self.methodology, self.name, self.target_leverage)
        if self.management_fee is not None:
            self.management_fee.refuse_impossible(f"{where}.management_fee")
        self.consolidation.refuse_impossible(f"{where}.consolidation")
        if self.premium is not None:
            self.premium.refuse_impossible(f"{where}.premium")

    @property
    def sees_closes_only(self) -> bool:
        """Whether this is history: its price rules look once at each price, when it is known."""
        return self.fixed_max_age_ms is not None

    @property
    def index_only(self) -> bool:
        """Whether the fund has no account: its runs happen on paper, at the price, at no cost."""
        return not self.account

    @property
    def baskets(self) -> tuple[tuple[str, Mapping[str, Decimal]], ...]:
        """Every basket the fund will ever have, oldest first, each with the key it stands at."""
        rule = self.methodology.reconstitution
        changes = rule.changes if rule else ()
        later = (("rules.reconstitution.changes", each.basket) for each in changes)
        return (("basket", self.basket), *later)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every contract the fund will ever hold, in the operator's order."""
        if self.methodology.reconstitution is None:
            return tuple(self.basket)
        return tuple(dict.fromkeys(symbol for _, basket in self.baskets for symbol in basket))

    def basket_at(self, at_ms: int) -> Mapping[str, Decimal]:
        """Return the basket that a run opened at an instant goes to."""
        rule = self.methodology.reconstitution
        change = rule.in_force(at_ms) if rule else None
        return change.basket if change else self.basket

    def underlying_return(
        self, at_ms: int, begin: Mapping[str, Decimal], end: Mapping[str, Decimal]
    ) -> Decimal:
        """Return what the basket in force at an instant gained between two prices, as a fraction.

        The fund promises its multiple of it. Of a contract without one of the prices it is nought.
        """
        return total(
            weight * (end[symbol] / begin[symbol] - ONE)
            for symbol, weight in self.basket_at(at_ms).items()
            if symbol in end and symbol in begin
        )

    @property
    def mark_source(self) -> PriceSource:
        """The price behind equity, leverage and sizing: the mark, or an index's only price."""
        return self.price_source if self.index_only else PriceSource.MARK

    @property
    def sources(self) -> tuple[PriceSource, ...]:
        """The price sources that the fund depends on, its own first."""
        return tuple(dict.fromkeys((self.price_source, self.mark_source)))

    def age_limit_ms(self, *, for_fixed: bool) -> int | None:
        """Oldest price that a fixed run, or any other decision, may use."""
        if for_fixed and self.fixed_max_age_ms is not None:
            return self.fixed_max_age_ms
        return self.max_age_ms


def _refuse_basket(where: str, basket: Mapping[str, Decimal]) -> None:
    if not basket:
        raise ConfigRefused(f"{where}: name at least one contract")
    for symbol, weight in basket.items():
        positive(weight, f'{where}."{symbol}"')
    weight_sum = total(basket.values())
    if weight_sum != ONE:
        raise ConfigRefused(f"{where}: the weights sum to {weight_sum}, not to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One set of venue credentials; several funds may share it."""

    name: str
    venue: str = "paper"
    #: whether the venue keeps separate long and short books (XT always does)
    hedge: bool = False
    #: whether the venue takes reduce-only orders under its minimum notional
    waives_min_notional: bool = True
    #: margin asked for opening and keeping a position, as a share of notional
    initial_margin: Decimal = Decimal("0.01")
    maintenance_margin: Decimal = Decimal("0.005")

    def __post_init__(self) -> None:
        where = f"accounts.{self.name}"
        if not ZERO < self.maintenance_margin <= self.initial_margin <= ONE:
            raise ConfigRefused(
                f"{where}: margins must satisfy 0 < maintenance <= initial <= 1, got "
                f"{self.maintenance_margin} and {self.initial_margin}"
            )
