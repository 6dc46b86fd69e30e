"""The state of the desk: the fold of its records (`core/folding.py`), and what is volatile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from rebalancer.core.attribution import GapBook, Standing
from rebalancer.core.breaks import Break, VenueTrade
from rebalancer.core.cash_account import CashPeriod, RateQuote, accrued, index_level
from rebalancer.core.configuration import Renewal, Waiting
from rebalancer.core.consolidation import Announced, Conversion
from rebalancer.core.contract import Contract
from rebalancer.core.delisting import frozen_at, gone, listed_share
from rebalancer.core.duty import Duty
from rebalancer.core.flow import Flow
from rebalancer.core.fund import Account, Fund, PriceSource
from rebalancer.core.funding import Intervals
from rebalancer.core.instant import DAY_MS, MINUTE_MS
from rebalancer.core.limits import Spent
from rebalancer.core.market import Market, Suspicion
from rebalancer.core.methodology import Trigger
from rebalancer.core.money import ZERO, total
from rebalancer.core.nav import Point, Valuation, ValueInputs, value
from rebalancer.core.order import Order, PositionSide
from rebalancer.core.permission import Permission, strictest
from rebalancer.core.position import Holding, Prices
from rebalancer.core.premium import PremiumStage, TokenQuote, premium_of
from rebalancer.core.records import TradingState
from rebalancer.core.run import Run
from rebalancer.core.scope import Scope
from rebalancer.core.seen import SeenTrades
from rebalancer.core.watch import AlarmClock, WatchIndex
from rebalancer.errors import ensure

#: NAV is a quotient of 60 digits: NAV x shares gives the equity back to within its last digits.
NAV_TOLERANCE = Decimal("1e-55")


@dataclass(frozen=True, slots=True)
class Desk:
    """What the operator configured; a reload replaces its funds and nothing else of it."""

    funds: Mapping[str, Fund]
    accounts: Mapping[str, Account]
    contracts: Mapping[str, Contract]
    #: how old a reference rate may be, in milliseconds, by the name of its source
    rates: Mapping[str, int] = field(default_factory=dict)
    #: contracts of launched funds that the venue of the prices lists no more: nobody asks for them
    unlisted: frozenset[str] = frozenset()
    #: funds take their first exposure at the first price, at no cost (a replay of history)
    free_launch: bool = False

    def contract(self, symbol: str) -> Contract:
        """Return what is known of a contract; that of a paper fund need not be described."""
        return self.contracts.get(symbol) or Contract(symbol)


@dataclass(slots=True)
class Costs:
    """What a fund has paid so far, in quote currency; funding may be negative (received)."""

    fees: Decimal = ZERO
    slippage: Decimal = ZERO
    funding: Decimal = ZERO
    management_fee: Decimal = ZERO
    #: of the cash account; negative: earned
    financing: Decimal = ZERO


@dataclass(slots=True)
class FundState:
    """One fund as it stands."""

    fund: Fund
    #: SHA-256 (hex) of the configuration that `fund` is from
    config_digest: str = ""
    #: volatile: the settings of a reload that the fund cannot take over yet
    waiting: Waiting | None = None
    launched_ms: int | None = None
    shares: Decimal = ZERO
    holding: Holding = field(default_factory=Holding)
    point: Point | None = None
    #: weights that the formula NAV counts with since the point; empty: those of the configuration
    weights: Mapping[str, Decimal] = field(default_factory=dict)
    #: when the run that set the point was opened: changes of the basket up to then are in it
    sized_ms: int | None = None
    #: a breach of the band that must be mended by a deadline
    duty: Duty | None = None
    trading: TradingState = TradingState.ACTIVE
    trading_reason: str = ""
    run: Run | None = None
    verdict: tuple[Trigger, str] | None = None
    #: when the last run ended, and the last emergency run
    last_run_ms: int | None = None
    last_emergency_ms: int | None = None
    #: the newest fixed instant that was settled
    fixed_settled_ms: int | None = None
    strike_ms: int | None = None
    #: the newest instant at which the management fee was taken
    fee_ms: int | None = None
    #: the newest start with other settings than before
    renewal: Renewal | None = None
    #: flows that wait to be dealt, and all that were ever taken, by the holder's key
    flows: dict[str, Flow] = field(default_factory=dict)
    flow_keys: dict[str, Flow] = field(default_factory=dict)
    #: of the cash account, since the last rebalance
    cash_period: CashPeriod | None = None
    #: a conversion of shares that the NAV asks for, and the one that was announced
    proposal: Conversion | None = None
    announced: Announced | None = None
    #: how many there were
    conversions: int = 0
    #: how far the token's price had left the NAV when that was last judged
    premium_stage: PremiumStage = PremiumStage.NONE
    #: volatile: the newest live quote of the token, when it was first asked for, and what is wrong
    quote: TokenQuote | None = None
    quotes_since_ms: int | None = None
    quote_problem: str = ""
    #: why an operator ended the fund; empty while it lives
    winding: str = ""
    #: why an operator has it sold until it is resumed; empty while it follows its rules
    flattening: str = ""
    #: why the two NAVs differ
    gap: GapBook = field(default_factory=GapBook)
    #: volatile: the operator was told that they differ by too much
    gap_told: bool = False
    #: reason of an operator's rebalance command that no run has taken up yet
    manual: str | None = None
    costs: Costs = field(default_factory=Costs)
    #: runs opened so far; numbers the next one
    run_seq: int = 0
    #: runs opened and notional ordered on the UTC day that began at day_ms
    day_ms: int = 0
    day_runs: int = 0
    #: rule of the incomplete run that gave way to the one which is opened next
    gave_way: Trigger | None = None
    day_notional: Decimal = ZERO
    #: notional ordered in the minute that began at minute_ms
    minute_ms: int = 0
    minute_notional: Decimal = ZERO
    #: volatile: ticks beyond a trigger that wait for confirmation
    suspicions: dict[Trigger, Suspicion] = field(default_factory=dict)
    #: volatile: the operator was told that a winner drifts under its target
    drift_told: bool = False
    #: volatile: the fixed instant of which the operator was told that its run is late
    late_told_ms: int | None = None
    #: volatile: the next tick of any member must be looked at
    restless: bool = True

    @property
    def name(self) -> str:
        """The fund's name."""
        return self.fund.name

    @property
    def basket(self) -> Mapping[str, Decimal]:
        """The weights in force since the last rebalancing point."""
        return self.weights or self.fund.basket

    def members(self, at_ms: int) -> tuple[str, ...]:
        """Return every contract whose price a decision at an instant depends on."""
        if self.fund.methodology.reconstitution is None and not self.weights:
            return self.fund.symbols
        return tuple({**self.basket, **self.fund.basket_at(at_ms), **self.holding.units})

    def spent(self, now_ms: int) -> Spent:
        """Return the notional ordered so far in the present day and minute of the clock."""
        same_day = self.day_ms == now_ms // DAY_MS * DAY_MS
        same_minute = self.minute_ms == now_ms // MINUTE_MS * MINUTE_MS
        return Spent(
            day=self.day_notional if same_day else ZERO,
            minute=self.minute_notional if same_minute else ZERO,
        )

    @property
    def ending(self) -> bool:
        """Whether an operator has it sold, for good or until a resume: no rule but the gap acts."""
        return bool(self.winding or self.flattening)

    @property
    def closed(self) -> bool:
        """Whether an operator ended the fund and everything is sold."""
        return bool(self.winding) and not self.holding.units

    @property
    def flows_shut(self) -> str:
        """Why the premium shuts subscriptions and redemptions; empty where it does not."""
        terms = self.fund.premium
        if terms is None or self.premium_stage is not PremiumStage.HALT:
            return ""
        return (
            f"its price on {terms.market} left the NAV by {terms.halt:%} or more, and did not come "
            f"back under {terms.release:%}"
        )

    def premium(self, nav: Decimal, now_ms: int) -> Decimal | None:
        """Return the premium over an account NAV; None without a live quote."""
        terms, quote = self.fund.premium, self.quote
        if terms is None or quote is None or nav <= 0 or self.quote_problem:
            return None
        return premium_of(quote.price, nav) if now_ms - quote.at_ms <= terms.max_age_ms else None

    def inputs(self, now_ms: int) -> ValueInputs:
        """Return what a valuation at `now_ms` needs; the fund must be launched."""
        return ValueInputs(
            basket=self.basket,
            shares=self.shares,
            holding=self.holding,
            point=self.point,
            initial_nav=self.fund.initial_nav,
            wiped=self.trading is TradingState.WIPED,
            accrued=self.accrued(now_ms),
        )

    def standing(self, marks: Prices, nav: Decimal, formula_nav: Decimal) -> Standing:
        """Return what an attribution of the gap between the two NAVs needs."""
        return Standing(self.point, self.basket, marks, nav, formula_nav)

    def accrued(self, now_ms: int) -> Decimal:
        """Return what the cash account owes at `now_ms` and the ledger does not show yet."""
        return ZERO if self.cash_period is None else accrued(self.cash_period, now_ms)

    def fee_accrued(self, equity: Decimal, now_ms: int) -> Decimal:
        """Return what has grown due of the management fee since its last instant."""
        fee = self.fund.management_fee
        if fee is None or not self.shares or self.closed or self.trading is TradingState.WIPED:
            return ZERO
        return fee.accrued(equity, now_ms)

    def index_level(self, prices: Prices, now_ms: int) -> Decimal | None:
        """Return the cash-account index level; None where the fund publishes none."""
        period = self.cash_period
        if self.fund.cash_account is None or period is None:
            return None
        return index_level(period, prices, now_ms)


@dataclass(slots=True)
class AccountState:
    """One account as it stands."""

    account: Account
    #: signed base coins by contract and book of the venue
    books: dict[tuple[str, PositionSide], Decimal] = field(default_factory=dict)
    #: cash of the account's funds together, in quote currency
    cash: Decimal = ZERO
    #: what the account's funds hold together, in signed base coins by contract
    held: dict[str, Decimal] = field(default_factory=dict)
    #: when each contract traded last
    traded_ms: dict[str, int] = field(default_factory=dict)
    #: the newest settlement of funding that was booked, by contract
    funded_ms: dict[str, int] = field(default_factory=dict)
    #: volatile: funding that is to be settled, by contract; empty: asked for and not known
    funding: dict[str, Intervals] = field(default_factory=dict)
    #: up to when the venue's own list of trades was read, by contract and the venue's clock
    read_ms: dict[str, int] = field(default_factory=dict)
    #: trades since then that are known, with their instant, by contract and trade id
    listed: dict[tuple[str, str], int] = field(default_factory=dict)
    #: volatile: listed trades that wait until the order that is working on their contract is over
    unjudged: dict[tuple[str, str], VenueTrade] = field(default_factory=dict)
    #: quote currency that it lacks of what its funds own, as an operator explained
    explained_missing: Decimal = ZERO
    #: volatile: looks in a row that found more than that missing
    short_looks: int = 0
    #: number of the last order
    order_seq: int = 0

    def position(self, contract: str) -> Decimal:
        """Return the net position in `contract`, in signed base coins."""
        return total(self.books.get((contract, side), ZERO) for side in PositionSide)


@dataclass(slots=True)
class DeskState:
    """Everything the engine decides from."""

    desk: Desk
    funds: dict[str, FundState]
    accounts: dict[str, AccountState]
    market: Market
    watch: WatchIndex = field(default_factory=WatchIndex)
    alarms: AlarmClock = field(default_factory=AlarmClock)
    #: place of each fund in the operator's order, in which funds are decided
    rank: dict[str, int] = field(default_factory=dict)
    #: funds by contract of their basket
    holders: dict[str, tuple[str, ...]] = field(default_factory=dict)
    desk_id: str = ""
    #: number of the process that runs the desk, its start, and what makes its order ids its own
    epoch: int = 0
    started_ms: int = 0
    #: SHA-256 (hex) of the newest configuration; funds that wait still run on an older one
    config_digest: str = ""
    nonce: str = ""
    #: cash of the desk's own loss account (negative: it covered shortfalls)
    desk_cash: Decimal = ZERO
    #: working orders by client order id
    orders: dict[str, Order] = field(default_factory=dict)
    #: fills already booked, so that a repeated report is a no-op
    seen_trades: SeenTrades = field(default_factory=SeenTrades)
    #: orders that are over, the newest last, by client order id: a late fill may still come
    ended: dict[str, Order] = field(default_factory=dict)
    #: open breaks by their number, and how many there ever were
    breaks: dict[int, Break] = field(default_factory=dict)
    break_count: int = 0
    #: what is not active of the desk, its accounts and contracts
    scopes: dict[tuple[Scope, str], Permission] = field(default_factory=dict)
    #: contracts that their venue once listed no more, until they may be traded again
    delisted: frozenset[str] = frozenset()
    #: files of flows by batch id: the digest of what each asked for
    batches: dict[str, str] = field(default_factory=dict)
    #: volatile: reference rates by the name of their source
    rates: dict[str, RateQuote] = field(default_factory=dict)
    #: the time of the newest record
    recorded_ms: int = 0
    #: volatile: the time of the newest event, up to which a cash account has accrued
    now_ms: int = 0
    #: volatile: funds that the last step touched and `engine.rest` has not armed yet
    unarmed: set[str] = field(default_factory=set)

    @classmethod
    def fresh(cls, desk: Desk) -> DeskState:
        """Return the state before the first record."""
        holders: dict[str, list[str]] = {}
        for fund in desk.funds.values():
            for symbol in fund.symbols:
                holders.setdefault(symbol, []).append(fund.name)
        return cls(
            desk=desk,
            funds={name: FundState(fund) for name, fund in desk.funds.items()},
            accounts={name: AccountState(account) for name, account in desk.accounts.items()},
            market=Market(frozenset(holders)),
            rank={name: place for place, name in enumerate(desk.funds)},
            holders={symbol: tuple(names) for symbol, names in holders.items()},
        )

    def named(self, name: str) -> FundState:
        """Return the fund that a record names; BrokenInvariant where it is not configured."""
        found = self.funds.get(name)
        ensure(found is not None, f"a record names the fund {name}, which is not configured")
        assert found is not None  # noqa: S101 - for the type checker; ensured above
        return found

    def in_order(self, names: Iterable[str]) -> list[FundState]:
        """Return the named funds in the operator's order."""
        return [self.funds[name] for name in sorted(names, key=self.rank.__getitem__)]

    def worth(self, fund: FundState) -> Valuation | None:
        """Value a launched fund at the newest prices, however old; None where one is unknown."""
        return self.worth_by(fund, self.market.price)

    def worth_by(
        self, fund: FundState, price_of: Callable[[str, PriceSource], Decimal | None]
    ) -> Valuation | None:
        """Value a launched fund at the prices that are told; None where one is unknown."""
        marks, prices, absent = {}, {}, gone(self, fund)
        source, mark_source = fund.fund.price_source, fund.fund.mark_source
        needed = {**fund.basket, **fund.holding.units}
        for symbol in dict.fromkeys((*needed, *fund.fund.symbols)):
            mark = price_of(symbol, mark_source)
            price = mark if source is mark_source else price_of(symbol, source)
            if symbol in absent:
                mark, price = frozen_at(fund, symbol)
            if mark is None or price is None:
                if symbol in needed:
                    return None
                continue  # a member to be: nothing depends on its price before it joins
            marks[symbol], prices[symbol] = mark, price
        worth = value(fund.inputs(self.now_ms), marks, prices)
        if absent:
            basket = fund.fund.basket_at(self.now_ms)
            worth = replace(worth, listed=listed_share(basket, absent))
        if not fund.shares:
            return worth
        gap = worth.nav * fund.shares - worth.equity
        ensure(abs(gap) <= abs(worth.equity) * NAV_TOLERANCE, "NAV x shares is not the equity")
        return worth

    @property
    def id_seed(self) -> str:
        """What the ids of the orders of this process are made from."""
        return f"{self.desk_id}/{self.nonce}" if self.nonce else self.desk_id

    def permission(self, fund: FundState, contract: str | None = None) -> Permission:
        """Return what a fund may trade, of one contract where it is named: its strictest scope."""
        found = Permission(Scope.FUND, fund.name, fund.trading, fund.trading_reason)
        if not self.scopes:
            return found
        found = strictest(found, self.scopes.get((Scope.DESK, "")))
        found = strictest(found, self.scopes.get((Scope.ACCOUNT, fund.fund.account)))
        return strictest(found, self.scopes.get((Scope.CONTRACT, contract or "")))

    def working_on(self, account: str, contract: str) -> bool:
        """Whether an order on this contract may still trade; then it takes no new one."""
        return any(
            order.intent.account == account and order.intent.contract == contract
            for order in self.orders.values()
        )
