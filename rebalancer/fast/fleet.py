"""A fleet: thousands of funds as rows, valued, asked and planned at once; the core decides edges.

For studies of a whole desk at one instant; a running desk asks the core itself. A fund whose rule
may fire, and a contract whose net lies near a lot or a minimum, is handed to the core's own rules
and planner: every verdict and every order is the core's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import numpy.typing as npt
from numba import njit

from rebalancer.core import rules
from rebalancer.core.contract import Contract
from rebalancer.core.fund import Fund
from rebalancer.core.money import total
from rebalancer.core.nav import Point, Valuation, ValueInputs, value
from rebalancer.core.order import OrderSide
from rebalancer.core.planner import Book, Want, plan_book, target_units
from rebalancer.core.position import Holding
from rebalancer.core.rules.view import FundView, Signal
from rebalancer.fast.column import edges_of
from rebalancer.fast.rows import Floats, Ints
from rebalancer.fast.scan import GUARD, may_fire


@dataclass(frozen=True, slots=True)
class Row:
    """One fund on one contract of its account, as it stands."""

    fund: Fund
    cash: Decimal
    units: Decimal
    shares: Decimal
    point: Point


@dataclass(frozen=True, slots=True)
class Order:
    """What leaves for one contract."""

    symbol: str
    side: OrderSide
    #: without sign
    contracts: Decimal
    reduce_only: bool


@dataclass(frozen=True, slots=True)
class Sight:
    """All funds at one instant."""

    navs: Floats
    #: signed; meaningless where equity is not above zero
    leverages: Floats
    #: by row: what fires there, in order of precedence
    fired: Mapping[int, tuple[Signal, ...]]


@dataclass(frozen=True, slots=True)
class Fleet:
    """Funds on single contracts that trade on one account with a net position per contract."""

    rows: Sequence[Row]
    contracts: Sequence[Contract]
    #: contract of each row; cash, units, shares, P_k, L_k and M of each
    places: Ints
    figures: Floats
    #: per row, as `fast/scan.py: Edges`
    edges: Floats
    #: per contract: base coins in a lot, smallest order in lots and in quote currency
    lots: Floats
    #: per row: the fund's own minimum notional
    least: Floats

    @classmethod
    def of(cls, rows: Sequence[Row], contracts: Sequence[Contract]) -> Fleet:
        """Return the fleet of `rows`; every contract must be among `contracts`."""
        place = {contract.symbol: number for number, contract in enumerate(contracts)}
        symbols = [next(iter(row.point.prices)) for row in rows]
        return cls(
            rows=rows,
            contracts=contracts,
            places=np.array([place[symbol] for symbol in symbols], np.int64),
            figures=_table(
                (
                    row.cash,
                    row.units,
                    row.shares,
                    row.point.prices[symbol],
                    row.point.leverage,
                    row.fund.target_leverage,
                )
                for row, symbol in zip(rows, symbols, strict=True)
            ),
            edges=_table(edges_of(row.fund, None) for row in rows),
            lots=_table(
                (each.units_in(each.lot), each.min_amount / each.lot, each.min_notional)
                for each in contracts
            ),
            least=np.array([float(row.fund.execution.min_notional) for row in rows]),
        )

    def look(self, marks: Sequence[Decimal], now_ms: int) -> Sight:
        """Value every fund at `marks` (one per contract) and ask every rule that may fire."""
        prices = np.array([float(mark) for mark in marks])
        navs, leverages = np.empty(len(self.rows)), np.empty(len(self.rows))
        flagged = np.zeros(len(self.rows), np.bool_)
        sweep(self.places, self.figures, self.edges, prices, (navs, leverages, flagged))
        asked = {
            int(row): rules.signals(self.view(int(row), marks, now_ms))
            for row in np.flatnonzero(flagged)
        }
        return Sight(navs, leverages, {row: fired for row, fired in asked.items() if fired})

    def view(self, place: int, marks: Sequence[Decimal], now_ms: int) -> FundView:
        """Return a row as the core's rules see it, without what the clock alone asks for."""
        row = self.rows[place]
        return FundView(
            fund=row.fund,
            now_ms=now_ms,
            point=row.point,
            worth=self._worth(place, marks),
            last_run_ms=None,
            last_emergency_ms=None,
            fixed_after_ms=None,
            holds=bool(row.units),
        )

    def _worth(self, place: int, marks: Sequence[Decimal]) -> Valuation:
        row, number = self.rows[place], int(self.places[place])
        symbol = self.contracts[number].symbol
        prices = {symbol: marks[number]}
        held = Holding(row.cash, {symbol: row.units} if row.units else {})
        inputs = ValueInputs(
            row.fund.basket, row.shares, held, row.point, row.fund.initial_nav, wiped=False
        )
        return value(inputs, prices, prices)

    def plan(self, marks: Sequence[Decimal]) -> list[Order]:
        """Return the net orders that bring every fund to its target at `marks`, by contract.

        Every fund must have equity above zero.
        """
        prices = np.array([float(mark) for mark in marks])
        nets = np.zeros((len(self.contracts), 5))
        net_wants(self.places, self.figures, prices, self.least, nets)
        lots = np.zeros(len(self.contracts), np.int64)
        whole_lots(nets, prices, self.lots, lots)
        sides, held, terms = nets[:, 0].tolist(), nets[:, 2].tolist(), self.lots[:, 0].tolist()
        orders = []
        for place, count in enumerate(lots.tolist()):
            if count < 0:
                orders += self.plan_exactly(marks, place)
            elif count:
                contract, net = self.contracts[place], sides[place]
                side = OrderSide.BUY if net > 0 else OrderSide.SELL
                shrinks = held[place] * net < 0 and count * terms[place] <= abs(held[place])
                orders.append(Order(contract.symbol, side, count * contract.lot, shrinks))
        return orders

    def plan_exactly(self, marks: Sequence[Decimal], place: int) -> list[Order]:
        """Plan one contract by the core's own planner."""
        contract, mark = self.contracts[place], marks[place]
        mine = [self.rows[int(row)] for row in np.flatnonzero(self.places == place)]
        wants = {}
        for row in mine:
            equity = row.cash + row.units * mark
            goal = target_units(
                row.fund.target_leverage, equity, row.fund.basket, {contract.symbol: mark}
            )
            delta = goal[contract.symbol] - row.units
            wants[row.fund.name] = Want(units=delta, min_notional=row.fund.execution.min_notional)
        book = Book(contract=contract, mark=mark, net_units=total(row.units for row in mine))
        return [
            Order(contract.symbol, leg.side, leg.contracts, leg.reduce_only)
            for leg in plan_book(book, wants).legs
        ]


def _table(rows: object) -> Floats:
    return np.array([[float(each) for each in row] for row in rows])  # type: ignore[attr-defined]


@njit(cache=True)
def sweep(
    places: Ints,
    figures: Floats,
    edges: Floats,
    prices: Floats,
    found: tuple[Floats, Floats, npt.NDArray[np.bool_]],
) -> None:
    """Write NAV, leverage and whether a rule may fire, of every row."""
    navs, leverages, flagged = found
    for row in range(len(places)):
        cash, units, shares, base, leverage, _ = figures[row]
        target, move, losing, most, lower, upper = edges[row]
        price = prices[places[row]]
        exposure = units * price
        equity = cash + exposure
        navs[row] = equity / shares
        leverages[row] = exposure / equity if equity else 0.0
        stand = (cash, units, 0.0, base, leverage)
        terms = (target, move, losing > 0.0, most, lower, upper)
        flagged[row] = may_fire(price, cash, stand, terms)


@njit(cache=True)
def net_wants(places: Ints, figures: Floats, prices: Floats, least: Floats, nets: Floats) -> None:
    """Write per contract: net, gross and held units; least minimum of the buyers and sellers."""
    nets[:, 3:] = np.inf
    for row in range(len(places)):
        place, price = places[row], prices[places[row]]
        cash, units, target = figures[row, 0], figures[row, 1], figures[row, 5]
        goal = target * (cash + units * price) / price
        net = nets[place]
        net[0] += goal - units
        net[1] += abs(goal) + abs(units)
        net[2] += units
        side = 3 if goal > units else 4
        net[side] = min(net[side], least[row])


@njit(cache=True)
def whole_lots(nets: Floats, prices: Floats, terms: Floats, lots: Ints) -> None:
    """Write the lots of each contract's order, 0 for none; -1 where the core has to decide."""
    for place in range(len(nets)):
        net, gross, held = nets[place, 0], nets[place, 1], nets[place, 2]
        lot, min_lots, min_notional = terms[place]
        exact = abs(net) / lot
        slack = max(GUARD, 1e-14 * gross / lot)
        count = int(exact)
        units = count * lot
        near = exact - count < slack or count + 1 - exact < slack
        near = near or abs(units - abs(held)) <= slack * lot or abs(count - min_lots) <= GUARD
        reduces = held * net < 0.0 and units < abs(held)
        bound = max(min_notional, nets[place, 3] if net > 0.0 else nets[place, 4])
        notional = units * prices[place]
        near = near or (not reduces and abs(notional - bound) <= GUARD * bound)
        if near:
            lots[place] = -1
        elif count >= min_lots and (reduces or notional >= bound):
            lots[place] = count
