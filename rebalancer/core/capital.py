"""Records about capital: flows, fees, financing. See `core/records.py` for what a record is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from rebalancer.core.cash_account import DayCount
from rebalancer.core.consolidation import ConversionKind
from rebalancer.core.flow import Flow, FlowKind
from rebalancer.core.funding import Intervals
from rebalancer.core.money import ONE, ZERO
from rebalancer.core.record import Priced, Record


@dataclass(frozen=True, slots=True)
class ManagementFeeCharged(Priced):
    """The manager took the fee of one instant; exactly one of these exists for each."""

    fund: str
    account: str
    due_ms: int
    #: share of equity, by which the formula NAV falls too
    share: Decimal
    equity: Decimal
    formula_nav: Decimal
    #: quote currency
    amount: Decimal

    @property
    def key(self) -> str:
        return f"fee/{self.fund}/{self.due_ms}"


@dataclass(frozen=True, slots=True)
class FlowTaken(Record):
    """A subscription or redemption was taken; it is dealt or refused later, or at once."""

    flow: Flow
    #: the file it came in; empty for a single command
    batch: str = ""

    @property
    def key(self) -> str:
        return f"flow/{self.flow.fund}/{self.flow.key}"


@dataclass(frozen=True, slots=True)
class BatchTaken(Record):
    """A file of flows was taken, all of it."""

    batch: str
    #: SHA-256 of what it asked for
    digest: str
    count: int

    @property
    def key(self) -> str:
        return f"batch/{self.batch}"


@dataclass(frozen=True, slots=True)
class FlowDealt(Priced):
    """Shares were issued or taken back at a NAV; shares and cash are signed, into the fund."""

    fund: str
    account: str
    #: the flow's own key
    flow: str
    kind: FlowKind
    nav: Decimal
    shares: Decimal
    cash: Decimal
    #: to the manager: on top of the cash of a subscription, out of that of a redemption
    fee: Decimal
    shares_after: Decimal
    #: what had grown due of the management fee and is not posted: the NAV is after it
    fee_accrued: Decimal = ZERO
    #: by contract, what had accrued of funding to come: the NAV is after it (below zero: received)
    funding_accrued: Mapping[str, Decimal] = field(default_factory=dict)
    #: by contract, the settlements that it comes from; empty in records of before
    funding_expected: Mapping[str, Intervals] = field(default_factory=dict)
    #: contracts held of which no fresh rate was known: the NAV is without theirs
    funding_unknown: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"dealt/{self.fund}/{self.flow}"


@dataclass(frozen=True, slots=True)
class FlowRefused(Record):
    """A flow that was taken could not be dealt; nothing moved."""

    fund: str
    flow: str
    reason: str

    @property
    def key(self) -> str:
        return f"refused/{self.fund}/{self.flow}"


@dataclass(frozen=True, slots=True)
class CashPeriodBegun(Record):
    """A rebalance fixed the terms of a cash account until the next one; see `CashPeriod`."""

    fund: str
    reference: Decimal
    level: Decimal
    borrowed: Decimal
    equity: Decimal
    units: Mapping[str, Decimal]
    #: of the fund's own source
    prices: Mapping[str, Decimal]
    #: None in records of before: those of the configuration at hand counted
    rate: Decimal | None = None
    coupon: Decimal | None = None
    day_count: DayCount | None = None
    #: what the equity is at; empty in records of before
    marks: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FinancingPosted(Record):
    """What a cash account cost (negative: earned) and paid out since it was last posted."""

    fund: str
    account: str
    financing: Decimal
    coupon: Decimal


@dataclass(frozen=True, slots=True)
class ConsolidationProposed(Priced):
    """The NAV crossed a threshold: a conversion of shares is due, and somebody has to agree."""

    fund: str
    kind: ConversionKind
    ratio: int
    nav: Decimal


@dataclass(frozen=True, slots=True)
class ConsolidationAnnounced(Record):
    """Shares will be converted; from `freeze_ms` until it is done no flow is dealt."""

    fund: str
    kind: ConversionKind
    ratio: int
    freeze_ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class ConsolidationCancelled(Record):
    """An announced conversion will not happen."""

    fund: str
    reason: str


@dataclass(frozen=True, slots=True)
class Consolidated(Priced):
    """All shares of a fund were converted at once; `equity` is NAV x shares before and after."""

    fund: str
    kind: ConversionKind
    ratio: int
    shares_before: Decimal
    shares_after: Decimal
    nav_before: Decimal
    nav_after: Decimal
    equity: Decimal
    #: of the fund's conversions, from 1
    number: int

    @property
    def key(self) -> str:
        return f"consolidated/{self.fund}/{self.number}"


def factor_since(conversions: Iterable[Consolidated], at_ms: int) -> Decimal:
    """Return what an amount per share at `at_ms` is multiplied with to be in today's shares.

    `conversions` are those of one fund. At one instant a strike comes before a conversion.
    """
    factor = ONE
    for each in conversions:
        if each.at_ms >= at_ms:
            factor = factor * each.shares_before / each.shares_after
    return factor


@dataclass(frozen=True, slots=True)
class WindDownBegun(Record):
    """A fund is ended by an operator: flattened, then closed; holders may still redeem."""

    fund: str
    reason: str

    @property
    def key(self) -> str:
        return f"wind-down/{self.fund}"


CAPITAL_RECORDS: tuple[type[Record], ...] = (
    ManagementFeeCharged,
    FlowTaken,
    BatchTaken,
    FlowDealt,
    FlowRefused,
    CashPeriodBegun,
    FinancingPosted,
    ConsolidationProposed,
    ConsolidationAnnounced,
    ConsolidationCancelled,
    Consolidated,
    WindDownBegun,
)
