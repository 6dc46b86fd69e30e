"""Small builders with defaults, so that a test says only what it is about."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from random import Random
from typing import Any, TypeVar

from rebalancer.core import engine
from rebalancer.core.actions import Action, Alert, SubmitOrder
from rebalancer.core.contract import Contract
from rebalancer.core.engine import Step
from rebalancer.core.events import (
    Commanded,
    CommandKind,
    Event,
    FillReported,
    OrderReported,
    PricesObserved,
    PriceTick,
    Woke,
)
from rebalancer.core.folding import apply, fold
from rebalancer.core.fund import Account, Fund, PriceSource
from rebalancer.core.instant import SECOND_MS, parse
from rebalancer.core.methodology import (
    Emergency,
    Fixed,
    Methodology,
    PriceMove,
    Ratio,
    Side,
    default_emergency_ratio,
)
from rebalancer.core.order import Fill, OrderIntent, Outcome
from rebalancer.core.records import DeskOpened, Record
from rebalancer.core.scope import Scope
from rebalancer.core.state import Desk, DeskState, FundState
from rebalancer.feeds.candles import FundingPoint, History, PricePoint
from rebalancer.sim.backtest import Result, backtest
from rebalancer.sim.plan import plan
from rebalancer.sim.snapshot import read_snapshot
from rebalancer.venues.paper import PaperCosts

D = Decimal
BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
#: noon, so that the default fixed time (02:30 UTC) is half a day away on either side
NOON = parse("2026-01-01T12:00:00Z")
DUE = parse("2026-01-02T02:30:00Z")

Number = Decimal | int | str
AnyRecord = TypeVar("AnyRecord", bound=Record)


def dice_of(seed: int) -> Random:
    """Return random numbers that are the same in every run."""
    return Random(seed)  # noqa: S311 - for tests, not for secrets


def number(value: Number) -> Decimal:
    """Return a test's number as a decimal."""
    return Decimal(value)


def rules(target: Number, **over: Any) -> Methodology:
    """Return the methodology of a fund that names no rule; `over` replaces single rules."""
    leverage = number(target)
    chosen: dict[str, Any] = {
        "fixed": Fixed(),
        "price_move": PriceMove(threshold=PriceMove.default_threshold(leverage)),
    } | over
    has_price_rule = bool(chosen.get("price_move") or chosen.get("leverage_cap"))
    ratio = default_emergency_ratio(has_price_rule=has_price_rule)
    chosen.setdefault("emergency", Emergency(level=ratio.times(abs(leverage))))
    return Methodology(**chosen)


def only(**chosen: Any) -> Methodology:
    """Return a methodology of nothing but the given rules."""
    return Methodology(**chosen)


def move_rule(threshold: str, *, both: bool = False, **over: Any) -> PriceMove:
    """Return a price_move rule."""
    return PriceMove(threshold=number(threshold), side=Side.BOTH if both else Side.LOSING, **over)


def emergency_at(numerator: Number, denominator: Number = 1, **over: Any) -> Emergency:
    """Return an emergency rule at a leverage of numerator / denominator."""
    return Emergency(
        level=Ratio(numerator=number(numerator), denominator=number(denominator)), **over
    )


def fund(name: str = "BTC3L", target: Number = 3, **over: Any) -> Fund:
    """Return a fund on BTC alone, with the default rules."""
    fields: dict[str, Any] = {
        "account": "main",
        "basket": {BTC: Decimal(1)},
    } | over
    if "methodology" not in fields:
        fields["methodology"] = rules(target)
    return Fund(name=name, target_leverage=number(target), **fields)


def contract(symbol: str = BTC, **over: Number) -> Contract:
    """Return a contract; the default lot is 1e-9 coins."""
    return Contract(symbol, **{key: number(value) for key, value in over.items()})


def desk(
    *funds: Fund, contracts: Iterable[Contract] = (), account: Account | None = None, **over: Any
) -> Desk:
    """Return a desk with one account, main, and fine lots unless `contracts` say otherwise."""
    given = funds or (fund(),)
    symbols = {symbol for each in given for symbol in each.symbols}
    known = {symbol: Contract(symbol) for symbol in sorted(symbols)}
    known |= {each.symbol: each for each in contracts}
    owner = account or Account(name="main")
    return Desk(
        funds={each.name: each for each in given},
        accounts={owner.name: owner},
        contracts=known,
        **over,
    )


# --- the plan document -----------------------------------------------------------------------


def holding(  # one fund of a snapshot, at its last point unless told otherwise
    nav: Number = 100,
    leverage: Number = 3,
    price: Number = 100,
    symbol: str = BTC,
    at: str = "2026-01-01T02:30:00Z",
    **over: Any,
) -> dict[str, Any]:
    """Return a snapshot's fund of one share, exactly at target when the price was `price`."""
    units = number(nav) * number(leverage) / number(price)
    point = {"at": at, "nav": str(nav), "prices": {symbol: str(price)}}
    return {
        "shares": "1",
        "cash": str(number(nav) - units * number(price)),
        "units": {symbol: str(units)},
        "last_rebalance": point,
    } | over


def snapshot(
    funds: Mapping[str, Any], price: Any = "105", at: str = "2026-01-02T02:30:00Z", **over: Any
) -> dict[str, Any]:
    """Return a snapshot document with one price, of BTC."""
    return {"as_of": at, "prices": {BTC: price}, "funds": dict(funds)} | over


def planned(known: Desk, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plan document for a snapshot."""
    return plan(read_snapshot(json.dumps(document), known))


# --- the backtest document -------------------------------------------------------------------


def history(
    prices: Iterable[tuple[str, Number]],
    symbol: str = BTC,
    funding: Iterable[tuple[str, Number]] = (),
) -> History:
    """Return a history of prices observed at ISO instants."""
    return History.observed(
        symbol,
        [PricePoint(parse(at), number(price)) for at, price in prices],
        [FundingPoint(parse(at), number(rate)) for at, rate in funding],
    )


def with_spot(marks: History, prices: Iterable[tuple[str, Number]]) -> History:
    """Return the history of a perpetual with that of the spot beside it."""
    return replace(marks, apart={PriceSource.SPOT: history(prices, marks.contract)})


def replayed(known: Desk, *histories: History, **costs: Any) -> Result:
    """Return the finished backtest of `known` over `histories`."""
    chosen = {name: PaperCosts(**costs) for name in known.accounts}
    return backtest(known, {each.contract: each for each in histories}, chosen)


# --- the engine, one event at a time ---------------------------------------------------------


@dataclass
class Bench:
    """A desk in the hands of a test: events go in one by one, records and actions pile up."""

    desk: Desk
    now_ms: int = NOON
    state: DeskState = field(init=False)
    records: list[Record] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = DeskState.fresh(self.desk)
        opened = DeskOpened(self.now_ms, "bench", "test")
        apply(self.state, opened)
        self.records.append(opened)
        engine.begin(self.state)

    def restarted(self) -> Bench:
        """Return the same desk after a crash: what is on record, and not one price."""
        made = Bench(self.desk, now_ms=self.now_ms)
        made.records = list(self.records)
        made.state = fold(self.desk, self.records)
        engine.begin(made.state)
        return made

    def take(self, event: Event) -> Step:
        """Step the engine with `event` and keep what follows."""
        step = engine.step(self.state, event)
        self.records += step.records
        self.actions += step.actions
        return step

    def later(self, seconds: int = 0, ms: int = 0) -> Bench:
        """Let time pass without telling the engine."""
        self.now_ms += seconds * SECOND_MS + ms
        return self

    def tick(
        self,
        price: Number,
        *,
        symbol: str = BTC,
        source: PriceSource = PriceSource.MARK,
        stamp_ms: int | None = None,
        trusted: bool = False,
    ) -> Step:
        """Observe one price now, stamped now unless `stamp_ms` says otherwise."""
        stamp = self.now_ms if stamp_ms is None else stamp_ms
        tick = PriceTick(symbol, source, number(price), stamp)
        return self.take(PricesObserved(self.now_ms, (tick,), confirmed=trusted))

    def known(self, price: Number, *, symbol: str = BTC) -> Step:
        """Observe one price beyond doubt."""
        return self.tick(price, symbol=symbol, trusted=True)

    def wake(self) -> Step:
        """Let the engine notice the time."""
        return self.take(Woke(self.now_ms))

    def command(
        self,
        kind: CommandKind,
        name: str = "BTC3L",
        reason: str = "asked for",
        scope: Scope = Scope.FUND,
    ) -> Step:
        """Give an operator's command, about a fund unless `scope` says otherwise."""
        return self.take(Commanded(self.now_ms, kind, name, reason, scope))

    def report(self, order: OrderIntent, outcome: Outcome, **over: Any) -> Step:
        """Report evidence about an order."""
        return self.take(OrderReported(self.now_ms, order.client_order_id, outcome, **over))

    def fill(
        self,
        order: OrderIntent,
        contracts: Number | None = None,
        *,
        price: Number | None = None,
        fee: Number = 0,
        trade_id: str = "",
    ) -> Step:
        """Report one trade of an order: all of it at its mark unless told otherwise."""
        filled = Fill(
            trade_id=trade_id or f"t-{len(self.records)}",
            client_order_id=order.client_order_id,
            price=order.mark if price is None else number(price),
            contracts=order.contracts if contracts is None else number(contracts),
            fee=number(fee),
            at_ms=self.now_ms,
        )
        return self.take(FillReported(self.now_ms, filled))

    def complete(self, order: OrderIntent) -> Step:
        """Accept, fill and close an order."""
        self.report(order, Outcome.ACCEPTED, venue_order_id="v")
        self.fill(order)
        return self.report(order, Outcome.CLOSED, filled_contracts=order.contracts)

    def of(self, kind: type[AnyRecord]) -> list[AnyRecord]:
        """Return every record of one kind so far."""
        return [record for record in self.records if isinstance(record, kind)]

    @property
    def orders(self) -> list[OrderIntent]:
        """Every order sent so far."""
        return [each.intent for each in self.actions if isinstance(each, SubmitOrder)]

    @property
    def alerts(self) -> list[str]:
        """The names of all alerts so far."""
        return [each.name for each in self.actions if isinstance(each, Alert)]

    def fund(self, name: str = "BTC3L") -> FundState:
        """Return a fund as it stands."""
        return self.state.funds[name]


def bench(*funds: Fund, price: Number = 100, **over: Any) -> Bench:
    """Return a desk whose funds stand at target since noon, at `price` for every contract."""
    made = Bench(desk(*funds, free_launch=True, **over))
    for symbol in made.state.holders:
        made.known(price, symbol=symbol)
    return made
