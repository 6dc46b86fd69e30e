"""A column: one fund of a fast replay, exact to the last digit at every instant that matters.

Between two such instants nothing happens to a fund but funding, which is a product: units x what
was settled per unit. Everything that decides or moves money calls the core's own functions.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from math import inf
from typing import NamedTuple

from rebalancer.core.contract import Contract
from rebalancer.core.fund import Fund, NavKind
from rebalancer.core.methodology import Side, Trigger
from rebalancer.core.money import ONE, ZERO, round_to_places, trunc_to_paper
from rebalancer.core.nav import Point, Valuation, ValueInputs, basket_move, formula_nav, value
from rebalancer.core.planner import Book, target_units
from rebalancer.core.position import Holding
from rebalancer.core.records import Settlement
from rebalancer.core.state import Costs
from rebalancer.fast.scan import Edges, Stand, first_bar, may_fire
from rebalancer.fast.tape import Tape

#: a fund whose initial margin asks for more than this of its equity may fail a check of the core
NEAR_MARGIN = Decimal("0.5")


class Undecided(Exception):
    """The core must replay this account; the text says why."""


@dataclass(frozen=True, slots=True)
class Times:
    """When the clock alone asks for a look at a fund, oldest first, after its first price."""

    fixed_ms: Sequence[int]
    fees_ms: Sequence[int]


class Run(NamedTuple):
    """One run as it was made; figures in quote currency and base coins."""

    at_ms: int
    trigger: Trigger
    #: empty: the reason of a fixed run at its time
    reason: str
    due_ms: tuple[int, ...]
    aim: Decimal
    target: Decimal
    delta: Decimal
    price: Decimal
    cash_before: Decimal
    units_before: Decimal
    cash_after: Decimal
    units_after: Decimal
    base_nav: Decimal
    cost: Decimal


class Span(NamedTuple):
    """What a fund held from an instant on, until the next span."""

    at_ms: int
    cash: Decimal
    units: Decimal
    #: what had been settled per unit when that was the cash
    settled: Decimal
    #: S_k, P_k and L_k
    base_nav: Decimal
    base_price: Decimal
    leverage: Decimal
    wiped: bool


@dataclass(slots=True)
class Column:
    """One fund on one contract as it stands at `now_ms`."""

    fund: Fund
    contract: Contract
    tape: Tape
    times: Times
    #: magnitude of leverage that puts the margin of an account in doubt which funds share
    most: Decimal | None = None
    #: the book that the fund trades in with others; an index-only fund has none
    book: Callable[[], Book] | None = None
    edges: Edges = field(init=False)
    symbol: str = field(init=False)
    now_ms: int = 0
    bar: int = 0
    price: Decimal = ZERO
    launched_ms: int = 0
    cash: Decimal = ZERO
    units: Decimal = ZERO
    shares: Decimal = ZERO
    settled: Decimal = ZERO
    base_nav: Decimal = ZERO
    base_price: Decimal = ONE
    leverage: Decimal = ZERO
    point_ms: int = 0
    last_run_ms: int | None = None
    last_emergency_ms: int | None = None
    fixed_after_ms: int = 0
    fees_after_ms: int = 0
    wiped: bool = False
    #: the next bar has to be looked at, whatever its price
    restless: bool = False
    costs: Costs = field(default_factory=Costs)
    runs: list[Run] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    fixed: Counter[str] = field(default_factory=Counter)
    _stand: Stand = (0.0, 0.0, 0.0, 1.0, 0.0)

    def __post_init__(self) -> None:
        self.symbol = self.contract.symbol
        self.edges = edges_of(self.fund, self.most)
        self._launch()

    def _launch(self) -> None:
        """Take the seed capital and the full exposure at the first price, at no cost."""
        fund, tape = self.fund, self.tape
        self.now_ms = self.launched_ms = self.point_ms = tape.times_ms[0]
        self.last_run_ms = self.point_ms  # a point is a done run
        self.fixed_after_ms = self.fees_after_ms = self.now_ms
        self.price = self.base_price = tape.closes[0]
        self.shares, self.base_nav = fund.initial_shares, fund.initial_nav
        self.leverage = fund.target_leverage
        self.settled = tape.settled_by(self.now_ms)
        capital = fund.initial_nav * fund.initial_shares
        marks = {self.symbol: self.price}
        fit = trunc_to_paper if fund.index_only else round_to_places
        self.units = fit(target_units(self.leverage, capital, fund.basket, marks)[self.symbol])
        self.cash = capital - self.units * self.price
        self.mark_span()

    def go_to(self, at_ms: int) -> None:
        """Go on to an instant: its price and the funding on the way there."""
        tape = self.tape
        self.now_ms = at_ms
        self.bar = tape.bar_at(at_ms)
        self.price = tape.closes[self.bar]
        settled = tape.settled_by(at_ms)
        if settled != self.settled:
            paid = self.units * (settled - self.settled)
            self.cash -= paid
            self.costs.funding += paid
            self.settled = settled

    def refuse_near_margin(self) -> None:
        """Raise Undecided where this fund might keep others of its account from trading.

        Any other adds more to its account's equity than the account asks of it.
        """
        if self.most is not None and abs(self.units) * self.price > self.most * self.equity:
            raise Undecided(f"{self.fund.name} comes near the margin of an account that it shares")

    @property
    def closes_now(self) -> bool:
        """Whether the price became known at this very instant."""
        return self.tape.times_ms[self.bar] == self.now_ms

    @property
    def age_ms(self) -> int:
        """How old the price is."""
        return self.now_ms - self.tape.times_ms[self.bar]

    @property
    def equity(self) -> Decimal:
        """Cash and units at the present price, in quote currency."""
        return self.cash + self.units * self.price

    def charge_fees(self) -> None:
        """Take the management fee of every instant that has passed (core/charging.py)."""
        fee, after_ms = self.fund.management_fee, self.fees_after_ms
        if fee is None:
            return
        times = self.times.fees_ms
        for place in range(bisect_right(times, after_ms), bisect_right(times, self.now_ms)):
            equity = self.equity
            if equity <= 0:
                self.restless = True  # asked again with the next price
                return
            amount = fee.charge(equity)
            self.cash -= amount
            self.base_nav *= ONE - fee.share
            self.costs.management_fee += amount
            self.fees_after_ms = times[place]
            self.mark_span()

    def settle_missed(self) -> None:
        """Settle every fixed instant that is too old to be caught up."""
        rule = self.fund.methodology.fixed
        if rule is None or self.wiped:
            return
        times = self.times.fixed_ms
        first = bisect_right(times, self.fixed_after_ms)
        last = bisect_right(times, self.now_ms - rule.catch_up_ms - 1)
        if first < last:
            self.settle_fixed(times[first:last], Settlement.MISSED)

    def settle_fixed(self, due_ms: Sequence[int], settlement: Settlement) -> None:
        """Settle fixed instants."""
        if due_ms:
            self.fixed[settlement] += len(due_ms)
            self.fixed_after_ms = due_ms[-1]

    def due(self) -> Sequence[int]:
        """Return the fixed instants that are due and open; none without the rule."""
        times = self.times.fixed_ms
        return times[bisect_right(times, self.fixed_after_ms) : bisect_right(times, self.now_ms)]

    def formula_nav(self) -> Decimal:
        """Return the formula NAV at the present price."""
        prices = {self.symbol: self.price}
        point = self.point()
        return formula_nav(point, basket_move(self.fund.basket, point, prices))

    def point(self) -> Point:
        """Return the last rebalancing point."""
        return Point(self.point_ms, self.base_nav, {self.symbol: self.base_price}, self.leverage)

    def worth(self) -> Valuation:
        """Value the fund at the present price, as the core does."""
        marks = {self.symbol: self.price}
        inputs = ValueInputs(
            basket=self.fund.basket,
            shares=self.shares,
            holding=Holding(self.cash, {self.symbol: self.units} if self.units else {}),
            point=self.point(),
            initial_nav=self.fund.initial_nav,
            wiped=self.wiped,
        )
        return value(inputs, marks, marks)

    def may_fire(self) -> bool:
        """Whether a price rule may fire at the present price; the core then decides."""
        cash, price = float(self.cash), float(self.price)
        found: bool = may_fire.py_func(price, cash, self._stand, self.edges)
        return found

    def end_run(self, run: Run) -> None:
        """End `run`, whose trades are made: its aim, price and base NAV are the next point's."""
        self.last_run_ms = self.point_ms = self.now_ms
        if run.trigger is Trigger.EMERGENCY:
            self.last_emergency_ms = self.now_ms
        self.runs.append(run)
        if run.trigger is Trigger.GAP:
            self.cash += max(ZERO, -self.equity)  # the desk covers what is missing
        else:
            self.base_nav, self.base_price, self.leverage = run.base_nav, self.price, run.aim
            if self.fund.formula_base is NavKind.ACCOUNT:
                self.base_nav = self.equity / self.shares
        self.mark_span()

    def mark_span(self) -> None:
        """Note what is held from here on."""
        self.spans.append(
            Span(
                self.now_ms,
                self.cash,
                self.units,
                self.settled,
                self.base_nav,
                self.base_price,
                self.leverage,
                self.wiped,
            )
        )
        self._stand = (
            float(self.cash),
            float(self.units),
            float(self.settled),
            float(self.base_price),
            float(self.leverage),
        )

    def next_look_ms(self) -> int | None:
        """Return the next instant at which the fund must be looked at; None: never again."""
        tape, times = self.tape, self.times
        bar, last = self.bar + 1, len(tape.times_ms)
        coming = []
        if self.restless and bar < last:
            coming.append(tape.times_ms[bar])
        self.restless = False
        if self.wiped:
            return min(coming, default=None)
        for each in (times.fixed_ms, times.fees_ms):
            place = bisect_right(each, self.now_ms)
            if place < len(each):
                coming.append(each[place])
        elapsed = self.fund.methodology.elapsed
        if elapsed is not None:
            due_ms = elapsed.due_ms(self.point_ms)
            if due_ms > self.now_ms:
                coming.append(due_ms)
        stop = bisect_right(tape.times_ms, min(coming) - 1) if coming else last
        found = first_bar(tape.series, bar, stop, self._stand, self.edges)
        if found < stop:
            return tape.times_ms[found]
        return min(coming, default=None)


def edges_of(fund: Fund, most: Decimal | None) -> Edges:
    """Return where the price rules of a fund fire, as floats."""
    rules, target = fund.methodology, fund.target_leverage
    move, emergency, cap = rules.price_move, rules.emergency, rules.leverage_cap
    losing = move is not None and move.side is Side.LOSING
    deaf = move is None or (losing and 0 < target <= 1)
    band = rules.leverage_band
    return (
        float(target),
        inf if deaf or move is None else float(move.threshold),
        losing,
        min(
            float(emergency.level.value) if emergency else inf,
            float(cap.upper) if cap else inf,
            float(most) if most is not None else inf,
        ),
        float(band.lower) if band else -inf,
        float(band.upper) if band else inf,
    )
