"""A replay: the daemon's engine, ledger and paper venue, driven by recorded prices.

One moment after the other, without a clock, a store or a task.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from rebalancer.core import engine
from rebalancer.core.actions import Action, SubmitOrder
from rebalancer.core.events import Event, PricesObserved, PriceTick, Woke
from rebalancer.core.folding import apply
from rebalancer.core.fund import Fund, PriceSource
from rebalancer.core.order import OrderIntent
from rebalancer.core.records import DeskOpened, Record
from rebalancer.core.state import Desk, DeskState
from rebalancer.feeds.candles import History, Moment
from rebalancer.venues.paper import PaperBook, PaperCosts

DESK_ID = "replay"


def desk_for_history(desk: Desk, histories: Mapping[str, History]) -> Desk:
    """Return `desk` as a replay of `histories` (by contract) runs it (spec section 8).

    No maximum age, but one interval for fixed runs; funds that start fully exposed at the first
    price, at no cost.
    """

    def unhurried(fund: Fund) -> Fund:
        known = [
            each.interval_ms
            for symbol in fund.symbols
            for each in (histories[symbol], histories[symbol].apart.get(fund.price_source))
            if each is not None
        ]
        return replace(fund, max_age_ms=None, fixed_max_age_ms=max(known))

    funds = {name: unhurried(fund) for name, fund in desk.funds.items()}
    return replace(desk, funds=funds, free_launch=True)


def sources_apart(histories: Mapping[str, History]) -> dict[str, frozenset[PriceSource]]:
    """Return by contract the sources that have a history of their own."""
    return {symbol: frozenset(each.apart) for symbol, each in histories.items() if each.apart}


@dataclass(slots=True)
class Replay:
    """A desk in the middle of a replay."""

    desk: Desk
    costs: Mapping[str, PaperCosts] = field(default_factory=dict)
    #: called with the records of each step, after they were folded in
    on_records: Callable[[tuple[Record, ...]], None] | None = None
    #: by contract the sources that have a history of their own; all others tell the same price
    apart: Mapping[str, frozenset[PriceSource]] = field(default_factory=dict)
    state: DeskState = field(init=False)
    books: dict[str, PaperBook] = field(init=False)
    moments: int = 0
    _sources: dict[str, tuple[PriceSource, ...]] = field(init=False)
    _arrivals: list[tuple[int, int, OrderIntent]] = field(default_factory=list)
    _sent: int = 0
    #: what is still to be stepped: the venue's answers wait until the step before them is done
    _inbox: deque[Event] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.state = DeskState.fresh(self.desk)
        apply(self.state, DeskOpened(0, DESK_ID, "replay"))
        engine.begin(self.state)
        self.books = {
            name: PaperBook(
                account=name,
                contracts=self.desk.contracts,
                costs=self.costs.get(name, PaperCosts()),
                initial_margin=account.initial_margin,
                maintenance_margin=account.maintenance_margin,
            )
            for name, account in self.desk.accounts.items()
        }
        self._sources = {
            symbol: tuple(
                dict.fromkeys(
                    source
                    for name in names
                    for source in self.desk.funds[name].sources
                    if source not in self.apart.get(symbol, ())
                )
            )
            for symbol, names in self.state.holders.items()
        }

    def run(self, moments: Iterable[Moment]) -> None:
        """Play every moment in time order."""
        for moment in moments:
            self.play(moment)
        while self._arrivals:
            self._wake_until(self._arrivals[0][0])

    def play(self, moment: Moment) -> None:
        """Play one moment: what is due before it, then its funding, then its prices."""
        at_ms = moment.at_ms
        if self.moments:
            self._wake_until(at_ms - 1)
        for symbol, price in moment.prices:
            for book in self.books.values():
                book.observe(symbol, price)
        for symbol, rate in moment.funding:
            self._settle_funding(symbol, rate, at_ms)
        if moment.prices or moment.apart:
            ticks = tuple(
                PriceTick(symbol, source, price, at_ms)
                for symbol, price in moment.prices
                for source in self._sources.get(symbol, ())
            )
            ticks += tuple(PriceTick(*each, at_ms) for each in moment.apart)
            self.take(PricesObserved(at_ms, ticks, confirmed=True))
            self.moments += 1
        self._wake_until(at_ms)

    def take(self, event: Event) -> None:
        """Step the engine and carry out what follows, the venue's answers included."""
        self._inbox.append(event)
        while self._inbox:
            following = self._inbox.popleft()
            step = engine.step(self.state, following)
            if step.records:
                for record in step.records:
                    for book in self.books.values():
                        book.deposit(record)
                if self.on_records is not None:
                    self.on_records(step.records)
            for action in step.actions:
                self._carry_out(action, following.at_ms)

    def _carry_out(self, action: Action, now_ms: int) -> None:
        if isinstance(action, SubmitOrder):  # nobody reads the alerts of a replay
            intent = action.intent
            latency_ms = self.books[intent.account].costs.latency_ms
            if latency_ms:
                self._sent += 1
                heapq.heappush(self._arrivals, (now_ms + latency_ms, self._sent, intent))
            else:
                self._inbox.extend(self.books[intent.account].fill(intent, now_ms))

    def _arrive(self, intent: OrderIntent, now_ms: int) -> None:
        for report in self.books[intent.account].fill(intent, now_ms):
            self.take(report)

    def _wake_until(self, until_ms: int) -> None:
        """Let everything happen that is due by the clock alone, oldest first."""
        while True:
            wake_ms = engine.next_wake_ms(self.state)
            arrive_ms = self._arrivals[0][0] if self._arrivals else None
            times = [at_ms for at_ms in (wake_ms, arrive_ms) if at_ms is not None]
            if not times or min(times) > until_ms:
                return
            if arrive_ms is not None and (wake_ms is None or arrive_ms <= wake_ms):
                self._arrive(heapq.heappop(self._arrivals)[2], arrive_ms)
            elif wake_ms is not None:
                self.take(Woke(wake_ms))

    def _settle_funding(self, symbol: str, rate: Decimal, at_ms: int) -> None:
        for book in self.books.values():
            mark = book.marks.get(symbol)
            if mark is not None:
                paid = book.fund(symbol, rate, mark, at_ms)
                if paid is not None:
                    self.take(paid)
