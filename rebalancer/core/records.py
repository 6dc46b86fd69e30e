"""Everything that is kept. Records are facts, appended once; the state is their fold.

Field types are limited to str, int, bool, Decimal, None, tuples, mappings from str, string enums
and nested dataclasses, so that one codec stores them all. A record whose `key` is not None can
exist only once in a store: that is what makes "exactly once" true over crashes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from rebalancer.core import breaks
from rebalancer.core.capital import CAPITAL_RECORDS
from rebalancer.core.configuration import RECORDS as CONFIGURATION_RECORDS
from rebalancer.core.delisting import RECORDS as LISTING_RECORDS
from rebalancer.core.events import CommandKind
from rebalancer.core.fund import PriceSource
from rebalancer.core.instant import MINUTE_MS
from rebalancer.core.methodology import Trigger
from rebalancer.core.order import Absence, Fill, OrderIntent, Outcome, PositionSide
from rebalancer.core.premium import PremiumStaged
from rebalancer.core.record import Priced
from rebalancer.core.record import Record as Record  # noqa: PLC0414 - re-exported
from rebalancer.core.run import RunPlan, RunStatus
from rebalancer.core.scope import Scope

TradeKey = tuple[str, str]
"""(client order id, or ACCOUNT/CONTRACT where no order was ours; trade id)."""


class TradingState(StrEnum):
    """What may be traded; `core/permission.py` has the table of what follows what."""

    ACTIVE = "active"
    REDUCING = "reducing"  # only what makes a fund's exposure smaller
    HALTED = "halted"  # NAV goes on, nothing is traded
    WIPED = "wiped"  # the gap rule ended the fund: formula NAV 0, position flattened


class Settlement(StrEnum):
    """What became of a fixed instant."""

    RUN = "run"
    SKIPPED = "skipped"
    MISSED = "missed"


@dataclass(frozen=True, slots=True)
class DeskOpened(Record):
    """The first record of every store; `desk_id` seeds the ids of orders."""

    desk_id: str
    version: str

    @property
    def key(self) -> str:
        return "desk"


@dataclass(frozen=True, slots=True)
class DeskStarted(Record):
    """A process took up the desk, in this mode and with this configuration."""

    mode: str
    config_digest: str
    #: number of the process on this store, from 1; every order belongs to one
    epoch: int = 0
    #: random, and part of every order id from here on: an old backup that is started again cannot
    #: give an id twice; empty in records of before
    nonce: str = ""


@dataclass(frozen=True, slots=True)
class ClockSetBack(Record):
    """The desk's clock went back: what began later than this record counts as begun now."""

    #: what the clock showed before
    from_ms: int


@dataclass(frozen=True, slots=True)
class FundLaunched(Record):
    """A fund received its seed capital; NAV is cash / shares."""

    fund: str
    #: empty for an index-only fund
    account: str
    shares: Decimal
    #: quote currency
    cash: Decimal

    @property
    def key(self) -> str:
        return f"launch/{self.fund}"


@dataclass(frozen=True, slots=True)
class PositionsAdopted(Record):
    """A fund took over positions at no cost: a replay's start, or on paper an index-only fund."""

    fund: str
    #: empty for an index-only fund
    account: str
    #: signed base coins that were added, by contract, and the prices that they were added at
    units: Mapping[str, Decimal]
    prices: Mapping[str, Decimal]
    #: whether the account's venue keeps separate long and short books
    hedge: bool = False


@dataclass(frozen=True, slots=True)
class PointSet(Record):
    """A rebalancing point: S_k, P_k and L_k of the formula NAV from now on."""

    fund: str
    nav: Decimal
    prices: Mapping[str, Decimal]
    leverage: Decimal
    #: when the run was opened that led here: it knew the basket of then
    opened_ms: int
    #: the basket by weight; empty: that of the configuration, as before baskets could change
    weights: Mapping[str, Decimal] = field(default_factory=dict)
    #: of the prices; None: that of the configuration, as before it was kept
    source: PriceSource | None = None


@dataclass(frozen=True, slots=True)
class BreachSeen(Record):
    """Leverage left its band: the fund must be rebalanced by `due_ms`."""

    fund: str
    since_ms: int
    due_ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class BreachLapsed(Record):
    """Leverage came back by itself, and the fund's band lets the duty end with that."""

    fund: str
    reason: str


@dataclass(frozen=True, slots=True)
class VerdictChanged(Record):
    """The evaluation of a fund came to another answer than before."""

    fund: str
    trigger: Trigger
    reason: str


@dataclass(frozen=True, slots=True)
class FixedSettled(Record):
    """What became of one fixed instant of one fund: exactly one of these exists for each."""

    fund: str
    due_ms: int
    settlement: Settlement
    reason: str
    run_id: str = ""

    @property
    def key(self) -> str:
        return f"fixed/{self.fund}/{self.due_ms}"


@dataclass(frozen=True, slots=True)
class RunOpened(Record):
    """A rebalance begins; its target is frozen."""

    plan: RunPlan

    @property
    def key(self) -> str:
        return f"run/{self.plan.run_id}"


@dataclass(frozen=True, slots=True)
class RunMoved(Record):
    """A run changed its status; nav and leverage are those after the change, None if unknown."""

    fund: str
    run_id: str
    status: RunStatus
    reason: str
    nav: Decimal | None
    leverage: Decimal | None
    cost: Decimal
    marks: Mapping[str, Decimal]
    #: of the cost, and the notional that it was paid on; None in records of before
    slippage: Decimal | None = None
    traded_notional: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Crossed(Record):
    """Opposite deltas met inside the desk at the mark; signed units by fund sum to zero.

    Of a contract that is listed no more: what funds held against each other, at its settlement.
    """

    account: str
    contract: str
    price: Decimal
    units: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class IntentCreated(Record):
    """An order is meant to be sent; committed before it is."""

    intent: OrderIntent

    @property
    def key(self) -> str:
        # By its turn and not by its id, which is random text: a plan of hundreds of orders would
        # write as many pages of the key's index. Filled up so that text sorts as numbers do.
        return f"order/{self.intent.account}/{self.intent.seq:09}"


@dataclass(frozen=True, slots=True)
class OrderMoved(Record):
    """Evidence changed what is known of an order."""

    client_order_id: str
    outcome: Outcome
    filled_contracts: Decimal | None
    venue_order_id: str
    reason: str
    #: where the outcome is `absent`; None in records of before
    absence: Absence | None = None


@dataclass(frozen=True, slots=True)
class Traded(Record):
    """The venue traded for the account; units, fees and slippage by fund sum to the trade's."""

    account: str
    contract: str
    #: the book of the venue that changed
    position_side: PositionSide
    fill: Fill
    #: signed base coins the account received
    units: Decimal
    allocations: Mapping[str, Decimal]
    fees: Mapping[str, Decimal]
    #: cost against the mark that sized the order, in quote currency
    slippage: Mapping[str, Decimal]
    #: the venue did it by itself: a liquidation or auto-deleveraging
    forced: bool = False

    @property
    def trade(self) -> TradeKey:
        """What makes the trade unique: venues number trades per market only."""
        ours = self.fill.client_order_id
        return (ours or f"{self.account}/{self.contract}", self.fill.trade_id)

    @property
    def made_ms(self) -> int:
        """When the venue made it, by its clock, which is ahead of ours by a minute at most."""
        return min(self.fill.at_ms, self.at_ms + MINUTE_MS)

    @property
    def key(self) -> str:
        return f"fill/{self.account}/{self.contract}/{self.fill.trade_id}"


@dataclass(frozen=True, slots=True)
class FundingPosted(Record):
    """Funding of one contract on one account; paid is what each fund paid (negative = received)."""

    account: str
    contract: str
    rate: Decimal
    mark: Decimal
    paid: Mapping[str, Decimal]
    #: when the venue settled it, by its clock; None where nobody could tell it twice
    settled_ms: int | None = None
    #: signed base coins that each held then; empty in records of before, which went by what was
    #: held when it was posted
    held: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FundWiped(Record):
    """The gap rule fired: the formula NAV is 0 from here on and the fund takes no more runs."""

    fund: str
    reason: str
    #: account NAV when it fired; negative where the fund owes
    nav: Decimal
    #: of the fund's own source
    prices: Mapping[str, Decimal]
    #: what the account NAV is at; empty in records of before
    marks: Mapping[str, Decimal] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"wiped/{self.fund}"


@dataclass(frozen=True, slots=True)
class ShortfallCovered(Record):
    """The desk's loss account made good what a fund owed that was wiped, or that nobody owns.

    Of a fund without holders it also takes what selling left over: below zero.
    """

    fund: str
    #: empty for an index-only fund
    account: str
    #: quote currency
    amount: Decimal


@dataclass(frozen=True, slots=True)
class TradingChanged(Record):
    """A fund may trade, or may not."""

    fund: str
    state: TradingState
    reason: str


@dataclass(frozen=True, slots=True)
class ScopeChanged(Record):
    """The desk, an account or a contract may trade, or may not; `name` is empty for the desk."""

    scope: Scope
    name: str
    state: TradingState
    reason: str


@dataclass(frozen=True, slots=True)
class NavStruck(Priced):
    """The daily NAV of a fund at its boundary; both NAVs unrounded."""

    fund: str
    boundary_ms: int
    nav: Decimal
    formula_nav: Decimal
    equity: Decimal
    shares: Decimal

    @property
    def key(self) -> str:
        return f"strike/{self.fund}/{self.boundary_ms}"


@dataclass(frozen=True, slots=True)
class CommandTaken(Record):
    """An operator's command was taken; kept for the audit."""

    kind: CommandKind
    scope: Scope
    #: of the fund, account or contract; empty for the desk
    name: str
    reason: str


RECORD_TYPES: tuple[type[Record], ...] = (
    DeskOpened,
    DeskStarted,
    ClockSetBack,
    FundLaunched,
    PositionsAdopted,
    PointSet,
    BreachSeen,
    BreachLapsed,
    VerdictChanged,
    FixedSettled,
    RunOpened,
    RunMoved,
    Crossed,
    IntentCreated,
    OrderMoved,
    Traded,
    FundingPosted,
    FundWiped,
    ShortfallCovered,
    TradingChanged,
    ScopeChanged,
    NavStruck,
    CommandTaken,
    *CAPITAL_RECORDS,
    *breaks.RECORDS,
    PremiumStaged,
    *CONFIGURATION_RECORDS,
    *LISTING_RECORDS,
)
