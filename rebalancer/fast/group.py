"""A group: the columns of one book, one contract of one account, netted as the core nets them.

Funds of a book go their own ways until two of them trade at one instant.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from rebalancer.core.fund import Account
from rebalancer.core.money import BPS, ONE, ZERO, split_pro_rata, total, trunc_to_paper
from rebalancer.core.order import OrderSide
from rebalancer.core.planner import Book, Leg, Want, plan_book
from rebalancer.core.records import Settlement
from rebalancer.fast.column import NEAR_MARGIN, Column, Run, Undecided
from rebalancer.fast.deciding import Wish, decide, look
from rebalancer.venues.paper import PaperCosts

#: rounds of runs at one instant; the core makes as many
ROUNDS_MAX = 10


@dataclass(slots=True)
class Group:
    """The columns of one book, in the operator's order."""

    account: Account | None
    columns: Sequence[Column]
    costs: PaperCosts
    #: the columns that are looked at now
    _playing: Sequence[Column] = ()
    _queue: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.account is not None:
            for column in self.columns:
                column.book = self.book

    def book(self) -> Book:
        """Return the book as the planner has to know it; only where there is an account."""
        now = self._playing[0]
        return Book(
            contract=now.contract,
            mark=now.price,
            net_units=total(column.units for column in self.columns),
        )

    def run(self, end_ms: int) -> None:
        """Play everything up to and at an instant; raises Undecided where the core must decide."""
        for rank in range(len(self.columns)):
            self._queue_up(rank, end_ms)
        while self._queue:
            now_ms = self._queue[0][0]
            ranks = []
            while self._queue and self._queue[0][0] == now_ms:
                ranks.append(heapq.heappop(self._queue)[1])
            self._play([self.columns[rank] for rank in ranks], now_ms)
            for rank in ranks:
                self._queue_up(rank, end_ms)
        for column in self.columns:
            column.go_to(end_ms)
            column.settle_missed()

    def _queue_up(self, rank: int, end_ms: int) -> None:
        next_ms = self.columns[rank].next_look_ms()
        if next_ms is not None and next_ms <= end_ms:
            heapq.heappush(self._queue, (next_ms, rank))

    def _play(self, columns: Sequence[Column], now_ms: int) -> None:
        self._playing = columns
        for column in columns:
            column.go_to(now_ms)
        wishes = [(column, wish) for column in columns if (wish := look(column))]
        for round_number in range(ROUNDS_MAX):
            if not wishes:
                return
            if round_number and len(self.columns) > 1:
                raise Undecided("funds of one account rebalance twice at one instant")
            self._trade(wishes)
            acted = [column for column, _ in wishes if not column.wiped]
            wishes = [(column, wish) for column in acted if (wish := decide(column))]
        raise Undecided("an instant does not come to rest")

    def _trade(self, wishes: Sequence[tuple[Column, Wish]]) -> None:
        """Net what the runs want, trade it at the mark with its costs, and end the runs."""
        before = [(column.cash, column.units, column.formula_nav()) for column, _ in wishes]
        if self.account is None:
            spent = [self._on_paper(column, wish) for column, wish in wishes]
        else:
            for column, wish in wishes:
                self._refuse_near_margin(column, wish)
            spent = self._at_venue(wishes)
        for (column, wish), (cash, units, base_nav), cost in zip(
            wishes, before, spent, strict=True
        ):
            column.settle_fixed(wish.due_ms, Settlement.RUN)
            column.end_run(
                Run(
                    at_ms=column.now_ms,
                    trigger=wish.trigger,
                    reason=wish.reason,
                    due_ms=wish.due_ms,
                    aim=wish.aim,
                    target=wish.target,
                    delta=wish.delta,
                    price=column.price,
                    cash_before=cash,
                    units_before=units,
                    cash_after=column.cash,
                    units_after=column.units,
                    base_nav=base_nav,
                    cost=cost,
                )
            )

    def _on_paper(self, column: Column, wish: Wish) -> Decimal:
        units = trunc_to_paper(wish.delta)
        column.units += units
        column.cash -= units * column.price
        return ZERO

    def _at_venue(self, wishes: Sequence[tuple[Column, Wish]]) -> list[Decimal]:
        """Return what each run paid in fees and slippage."""
        columns = {column.fund.name: column for column, _ in wishes}
        first = wishes[0][0]
        wants = {
            column.fund.name: Want(
                units=wish.delta, min_notional=column.fund.execution.min_notional
            )
            for column, wish in wishes
        }
        plan = plan_book(self.book(), wants)
        for name, units in plan.crosses.items():
            columns[name].units += units
            columns[name].cash -= units * first.price
        paid = dict.fromkeys(columns, ZERO)
        for leg in plan.legs:
            for name, cost in self._fill(leg, plan.wanted, columns, first).items():
                paid[name] += cost
        return list(paid.values())

    def _fill(
        self,
        leg: Leg,
        wanted: Mapping[str, Decimal],
        columns: Mapping[str, Column],
        first: Column,
    ) -> dict[str, Decimal]:
        """Fill one order as the paper venue does, and share it as the core does."""
        slip = self.costs.slippage_bps / BPS
        price = first.price * (ONE + slip if leg.side is OrderSide.BUY else ONE - slip)
        fee = abs(leg.units) * price * self.costs.fee_bps / BPS
        share = leg.units / total(wanted.values())
        weights = {name: abs(units * share) for name, units in wanted.items()}
        fees = split_pro_rata(fee, weights)
        paid = {}
        for name, units in split_pro_rata(leg.units, weights).items():
            column, slippage = columns[name], (price - first.price) * units
            column.units += units
            column.cash -= units * price + fees[name]
            column.costs.fees += fees[name]
            column.costs.slippage += slippage
            paid[name] = fees[name] + slippage
        return paid

    def _refuse_near_margin(self, column: Column, wish: Wish) -> None:
        """Leave to the core a trade that its venue might refuse for want of margin."""
        if self.account is None or column.units * wish.delta < 0:
            return
        margin = abs(column.units + wish.delta) * column.price * self.account.initial_margin
        if margin > column.equity * NEAR_MARGIN:
            raise Undecided("a fund comes near its margin")
