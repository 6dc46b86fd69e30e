"""Everything that comes in. An event is a fact or a wish from outside; the engine decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from rebalancer.core.breaks import VenueTrade
from rebalancer.core.flow import Flow
from rebalancer.core.fund import Fund, PriceSource
from rebalancer.core.order import Absence, Fill, OrderSide, Outcome, PositionSide
from rebalancer.core.scope import Scope


class PriceTick(NamedTuple):
    """One price of one contract, stamped by its venue."""

    contract: str
    source: PriceSource
    price: Decimal
    at_ms: int


@dataclass(frozen=True, slots=True)
class PricesObserved:
    """Prices that became known together; `at_ms` is our time of receipt."""

    at_ms: int
    ticks: tuple[PriceTick, ...]
    #: prices of a snapshot or of history need no second opinion
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class Woke:
    """Time passed. Carries no meaning: the engine looks up what is due."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class OrderReported:
    """Evidence about one of our orders, from its send or from a query."""

    at_ms: int
    client_order_id: str
    outcome: Outcome
    #: contracts filled in all, where the outcome is `closed`
    filled_contracts: Decimal | None = None
    venue_order_id: str = ""
    reason: str = ""
    #: where the outcome is `absent`
    absence: Absence | None = None


@dataclass(frozen=True, slots=True)
class FillReported:
    """One trade of one of our orders."""

    at_ms: int
    fill: Fill


@dataclass(frozen=True, slots=True)
class FundingPaid:
    """The venue settled funding: longs pay `rate` x units x mark, shorts receive it.

    No `mark` where the venue booked nothing, because the account was flat: the desk's own counts.
    """

    at_ms: int
    account: str
    contract: str
    rate: Decimal
    mark: Decimal | None
    #: when the venue settled it, by its clock; a settlement that is told again is booked once
    settled_ms: int | None = None


@dataclass(frozen=True, slots=True)
class FundingExpected:
    """What a venue expects the next settlement to cost: longs will pay `rate` x units x mark.

    No `rate` where the venue was asked and it could not be read.
    """

    at_ms: int
    account: str
    contract: str
    rate: Decimal | None
    #: the interval that is under way, by our clock
    from_ms: int = 0
    due_ms: int = 0


@dataclass(frozen=True, slots=True)
class LiquidationReported:
    """The venue closed part of an account's position by itself; `units` is signed."""

    at_ms: int
    account: str
    contract: str
    position_side: PositionSide
    trade_id: str
    units: Decimal
    price: Decimal
    fee: Decimal
    #: by the venue's clock; None where it is told at once
    made_ms: int | None = None


@dataclass(frozen=True, slots=True)
class PositionsReported:
    """What the venue says an account holds, in signed base coins by contract."""

    at_ms: int
    account: str
    units: Mapping[str, Decimal]
    #: when the venue was asked; a contract that traded shortly before then, or since, is not judged
    #: by the answer
    asked_ms: int | None = None


@dataclass(frozen=True, slots=True)
class BalanceReported:
    """What an account is worth at its venue, with the profit of what it holds."""

    at_ms: int
    account: str
    currency: str
    equity: Decimal


@dataclass(frozen=True, slots=True)
class StandingOrder:
    """An order that can still trade at the venue, whoever sent it."""

    contract: str
    client_order_id: str
    order_id: str
    #: signed base coins still to trade
    units: Decimal


@dataclass(frozen=True, slots=True)
class HistoryReported:
    """What the venue lists of an account, of the contracts in `until_ms` and whole up to there."""

    at_ms: int
    account: str
    #: by contract, by the venue's clock
    until_ms: Mapping[str, int]
    trades: Mapping[str, tuple[VenueTrade, ...]]
    orders: tuple[StandingOrder, ...]


class CommandKind(StrEnum):
    """What an operator can ask for."""

    REBALANCE = "rebalance"
    HALT = "halt"
    REDUCE = "reduce"
    RESUME = "resume"
    FLATTEN = "flatten"  # sell all, and then only reduce until a resume
    ADOPT = "adopt"  # a break, named by its number
    EXPLAIN = "explain"


@dataclass(frozen=True, slots=True)
class Commanded:
    """An operator's command for one fund, or for what else `scope` says."""

    at_ms: int
    kind: CommandKind
    #: of the fund, account or contract; empty for the desk
    name: str
    reason: str
    scope: Scope = Scope.FUND
    #: of an adoption, in quote currency; None: the desk's own mark
    price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class OrderSettled:
    """An operator says what became of an order whose contract is listed no more."""

    at_ms: int
    client_order_id: str
    #: in all, what is on record included
    filled_contracts: Decimal
    #: of what is not on record, in quote currency; None where all is
    price: Decimal | None
    #: of the same, in quote currency
    fee: Decimal
    reason: str


@dataclass(frozen=True, slots=True)
class ContractChanged:
    """A contract is no longer what the desk sized its orders for; `reason` says what changed."""

    at_ms: int
    contract: str
    reason: str


@dataclass(frozen=True, slots=True)
class KillSwitchFound:
    """Somebody set the kill switch: nothing may leave any more."""

    at_ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class FlowsRequested:
    """Subscriptions and redemptions: one, or a file of them, which is taken as a whole."""

    at_ms: int
    flows: tuple[Flow, ...]
    #: id of the file, and SHA-256 of what it asks for; empty for a single request
    batch: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class ConsolidationAsked:
    """An operator announces a merge or split, or cancels the one that is announced."""

    at_ms: int
    fund: str
    reason: str
    #: None: the one that is proposed
    ratio: int | None = None
    split: bool = False
    cancel: bool = False


@dataclass(frozen=True, slots=True)
class WindDownAsked:
    """An operator ends a fund."""

    at_ms: int
    fund: str
    reason: str


@dataclass(frozen=True, slots=True)
class ConfigurationOffered:
    """A new configuration that was read, checked and compared, to be taken over whole or not."""

    at_ms: int
    #: SHA-256 (hex) of the configuration that it was compared with, and of itself
    before: str
    digest: str
    #: every fund of it, by name
    funds: Mapping[str, Fund]
    #: funds whose new settings count from the next time a rule asks for a run
    at_point: frozenset[str] = frozenset()
    #: for the records: one line for each setting that differs
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedOrder:
    """An order as a plan shows it; `contracts` has no sign."""

    account: str
    contract: str
    side: OrderSide
    position_side: PositionSide
    contracts: Decimal
    reduce_only: bool

    def __str__(self) -> str:
        reduces = " reduce-only" if self.reduce_only else ""
        book = "" if self.position_side is PositionSide.NET else f" {self.position_side}"
        size = f"{self.contracts.normalize():f}"
        return f"{self.account} {self.side} {size} {self.contract}{book}{reduces}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """What an operator saw and said yes to; nothing else may come of it."""

    as_of_ms: int
    expires_ms: int
    #: largest move of a price since then, as a share of it
    max_move: Decimal
    desk_id: str
    #: SHA-256 (hex) of the configuration that was in force
    config_digest: str
    #: digest of each part of the state that the plan rests on, by its name
    fingerprints: Mapping[str, str]
    orders: tuple[PlannedOrder, ...]
    #: signed base coins by account, contract and fund
    crosses: Mapping[tuple[str, str, str], Decimal]


@dataclass(frozen=True, slots=True)
class PlanOffered:
    """An operator wants funds rebalanced together, sized by the prices of a plan."""

    at_ms: int
    funds: tuple[str, ...]
    reason: str
    #: in quote currency, by contract and source; those of the market where none is named
    prices: Mapping[tuple[str, PriceSource], Decimal]
    #: None: tried on a copy of the state, to see what it leads to
    agreed: Agreed | None = None


@dataclass(frozen=True, slots=True)
class ClockStepped:
    """The desk's clock showed `from_ms` a moment ago, and an earlier instant now."""

    at_ms: int
    from_ms: int


@dataclass(frozen=True, slots=True)
class RateObserved:
    """A source of reference rates said what it is: a share per year, as of `as_of_ms`."""

    at_ms: int
    name: str
    rate: Decimal
    as_of_ms: int


@dataclass(frozen=True, slots=True)
class TokenQuoted:
    """What the secondary market of a fund's token shows: its best bid and ask, in quote currency.

    None where the book has no such side. With a `problem` nothing could be read at all.
    """

    at_ms: int
    fund: str
    bid: Decimal | None = None
    ask: Decimal | None = None
    #: when the market says that this was so; None where it does not say
    quoted_ms: int | None = None
    problem: str = ""


Event = (
    PricesObserved
    | Woke
    | ClockStepped
    | OrderReported
    | FillReported
    | FundingPaid
    | FundingExpected
    | LiquidationReported
    | PositionsReported
    | BalanceReported
    | HistoryReported
    | Commanded
    | OrderSettled
    | ContractChanged
    | KillSwitchFound
    | FlowsRequested
    | ConsolidationAsked
    | WindDownAsked
    | RateObserved
    | TokenQuoted
    | ConfigurationOffered
    | PlanOffered
)
