"""A sketch: a backtest of many funds in compiled floats, with the NAV at every bar.

Its runs are the engine's, and its figures within 1e-9 of the engine's; the digits beyond mean
nothing. An account that it does not know, or has a doubt about, the exact columns play instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import accumulate
from math import inf

import numpy as np

from rebalancer.core.contract import Contract
from rebalancer.core.fund import Account, Fund, NavKind
from rebalancer.core.instant import DAY_MS
from rebalancer.core.methodology import Destination, Methodology, PriceMove, Side, Trigger
from rebalancer.core.money import BPS, ZERO
from rebalancer.core.state import Costs, Desk
from rebalancer.fast.backtest import FastResult, books_of, fast_backtest, times_of
from rebalancer.fast.column import NEAR_MARGIN
from rebalancer.fast.compiled import play
from rebalancer.fast.known import unknown
from rebalancer.fast.rows import DOUBT, FULL, Floats, Ints, Log, Market, State, Terms
from rebalancer.fast.story import strikes_ms
from rebalancer.fast.tape import LARGEST_WHOLE, Tape, Tapes
from rebalancer.sim.backtest import refuse_unready
from rebalancer.sim.summary import Day, Summary, Way, summaries_of
from rebalancer.venues.paper import PaperCosts

#: the triggers that a log numbers, in the order of `fast/rows.py`
TRIGGERS = (
    Trigger.NONE,
    Trigger.EMERGENCY,
    Trigger.LEVERAGE_CAP,
    Trigger.PRICE_MOVE,
    Trigger.LEVERAGE_BAND,
    Trigger.FIXED,
)
#: runs a day and fund that a log has room for, before it is made larger
RUNS_A_DAY = 4
#: digits of a figure that are the engine's, with one to spare
DIGITS = 11
_LONG_AGO_MS = -(2**60)


@dataclass(frozen=True, slots=True)
class FundSketch:
    """One fund of a sketch; figures in quote currency and base coins."""

    fund: Fund
    final_nav: float
    final_formula_nav: float
    #: when every bar was known, and the account NAV after what happened at it; no NAVs where nobody
    #: asked for them
    times: Ints
    navs: Floats
    #: account NAV at every daily strike, and the price that it was struck at
    strikes: Floats
    strike_prices: Floats
    #: when it rebalanced, why, at what price, and what that cost
    run_ms: Ints
    triggers: Sequence[Trigger]
    run_prices: Floats
    run_costs: Floats
    #: the signed base coins that each run was opened to trade
    run_units: Floats
    #: fees, slippage, funding, management fee
    costs: Floats

    def summary(self) -> Summary:
        """Return what is compared of the fund; money to 1e-9 of its size."""
        fixed = self.triggers.count(Trigger.FIXED)
        gained, moved = (row[1:] / row[:-1] - 1.0 for row in (self.strikes, self.strike_prices))
        return Summary(
            fund=self.fund,
            final_nav=_meant(self.final_nav),
            final_formula_nav=_meant(self.final_formula_nav),
            fixed_runs=fixed,
            other_runs=len(self.triggers) - fixed,
            costs=Costs(*map(_meant, self.costs)),
            traded=float(np.abs(self.run_units) @ self.run_prices),
            equities=(self.strikes * float(self.fund.initial_shares)).tolist(),
            days=list(map(Day, gained.tolist(), moved.tolist())),
            by=Way.SKETCH,
        )


@dataclass(frozen=True, slots=True)
class Sketch:
    """A finished sketch."""

    funds: Mapping[str, FundSketch]
    #: all funds, as the operator orders them
    order: Sequence[str]
    #: the funds that were left to the exact columns, or to the engine; None: there are none
    exact: FastResult | None

    def summaries(self) -> dict[str, Summary]:
        """Return what is compared of each fund, whoever played it."""
        found = {name: each.summary() for name, each in self.funds.items()}
        if self.exact is not None:
            found |= summaries_of(self.exact)
        return {name: found[name] for name in self.order if name in found}


def sketch(
    desk: Desk, tapes: Tapes, costs: Mapping[str, PaperCosts], *, navs: bool = False
) -> Sketch:
    """Sketch what `tapes` hold, with the `navs` at every bar if asked: 8 bytes per bar and fund.

    Raises InputRefused as `sim.backtest.backtest` does.
    """
    refuse_unready(desk, tapes.histories)
    strange = {name for name, fund in desk.funds.items() if _strange(fund)}
    strange.update(unknown(desk, costs, tapes.histories))
    left = {desk.funds[name].account for name in strange}
    found: dict[str, FundSketch] = {}
    for account, books in books_of(desk, ()).items():
        if account in left:
            continue
        drawn: dict[str, FundSketch] = {}
        paid = costs.get(account, PaperCosts())
        for symbol, names in books.items():
            tape = tapes.of(symbol, charged=paid.funding)
            book = _Book(desk.accounts[account], desk.contracts[symbol], tape, tapes.end_ms, navs)
            drawn |= book.draw([desk.funds[name] for name in names], paid) or {}
        if len(drawn) == sum(map(len, books.values())):
            found |= drawn
    rest = {name: fund for name, fund in desk.funds.items() if name not in found}
    exact = fast_backtest(replace(desk, funds=rest), tapes, costs) if rest else None
    return Sketch(found, tuple(desk.funds), exact)


def _strange(fund: Fund) -> bool:
    """Whether a fund does more than run to its target by price, leverage and time of day."""
    rules, fixed = fund.methodology, fund.methodology.fixed
    return (
        fund.index_only
        or fund.size_from is NavKind.FORMULA
        or fund.formula_base is NavKind.ACCOUNT
        or rules.elapsed is not None
        or any(goal.to is not Destination.TARGET for goal in rules.goals.values())
        or (fixed is not None and (fixed.skip_below_move, fixed.skip_within) != (None, None))
        or max(_fraction(fund)) > LARGEST_WHOLE
    )


def _fraction(fund: Fund) -> tuple[int, int]:
    """Return the threshold as a fraction of whole numbers; 1/0 where the rule never acts."""
    rule = fund.methodology.price_move
    if rule is None or (rule.side is Side.LOSING and 0 < fund.target_leverage <= 1):
        return 1, 0
    return rule.threshold.as_integer_ratio()


@dataclass(frozen=True, slots=True)
class _Book:
    """One contract of one account."""

    account: Account
    contract: Contract
    tape: Tape
    end_ms: int
    #: whether the NAVs at every bar are wanted
    navs: bool

    def draw(self, funds: Sequence[Fund], costs: PaperCosts) -> dict[str, FundSketch] | None:
        """Play the funds of the book; None where the exact columns have to."""
        ticks = self.tape.ticks
        if ticks is None:
            return None
        market, terms = self._market(costs, ticks), self._terms(funds)
        days = 1 + (self.end_ms - self.tape.times_ms[0]) // DAY_MS
        capacity, ended, count = len(funds) * days * RUNS_A_DAY, FULL, 0
        while ended == FULL:
            log = _log(len(funds), len(ticks) if self.navs else 0, capacity, len(terms.clocks[0]))
            state = self._state(terms, ticks[0])
            ended, count = play(market, self.tape.series, terms, state, log)
            capacity *= 2
        if ended == DOUBT:
            return None
        return {
            fund.name: self._told(fund, row, (terms, state, log), count)
            for row, fund in enumerate(funds)
        }

    def _told(
        self, fund: Fund, row: int, played: tuple[Terms, State, Log], count: int
    ) -> FundSketch:
        terms, state, log = played
        mine = np.flatnonzero(log.run_fund[:count] == row)
        strikes = slice(*terms.places[0][row : row + 2])
        price = float(self.tape.closes[-1])
        equity = state.cash[row] + state.units[row] * price
        gain = state.leverage[row] * (price / state.base[row] - 1.0)
        return FundSketch(
            fund=fund,
            final_nav=float(equity / terms.shares[row]),
            final_formula_nav=float(state.base_nav[row] * (1.0 + gain)),
            times=self.tape.times,
            navs=log.navs[row],
            strikes=log.strikes[strikes],
            strike_prices=self._prices(terms.clocks[0][strikes]),
            run_ms=log.run_ms[mine],
            triggers=[TRIGGERS[number] for number in log.run_trigger[mine]],
            run_prices=self._prices(log.run_ms[mine]),
            run_costs=log.run_cost[mine],
            run_units=log.run_units[mine],
            costs=log.costs[row],
        )

    def _prices(self, times_ms: Ints) -> Floats:
        """Return the last price known at each of some instants."""
        prices = self.tape.series[0]
        return prices[np.searchsorted(self.tape.times, times_ms, "right") - 1]

    def _market(self, costs: PaperCosts, ticks: Ints) -> Market:
        contract, tape = self.contract, self.tape
        return Market(
            times=tape.times,
            ticks=ticks,
            settled_ms=np.array(tape.settled_ms, np.int64),
            settled=_floats(tape.settled),
            end_ms=self.end_ms,
            interval_ms=tape.interval_ms,
            lot=float(contract.units_in(contract.lot)),
            min_lots=float(contract.min_amount / contract.lot),
            min_notional=float(contract.min_notional),
            fee=float(costs.fee_bps / BPS),
            slip=float(costs.slippage_bps / BPS),
            most=float(NEAR_MARGIN / self.account.initial_margin),
        )

    def _terms(self, funds: Sequence[Fund]) -> Terms:
        rules = [fund.methodology for fund in funds]
        moves = np.array([_fraction(fund) for fund in funds], np.int64)
        bands = [each.leverage_band for each in rules]
        start_ms = self.tape.times_ms[0]
        times = [times_of(fund, start_ms, self.end_ms) for fund in funds]
        rows = (
            [strikes_ms(fund, start_ms, self.end_ms) for fund in funds],
            [each.fees_ms for each in times],
            [each.fixed_ms for each in times],
        )
        fees = [fund.management_fee for fund in funds]
        strikes, fee_times, fixed_times = (np.array(_chained(row), np.int64) for row in rows)
        of_strikes, of_fees, of_fixed = (_places(row) for row in rows)
        return Terms(
            target=_floats(fund.target_leverage for fund in funds),
            shares=_floats(fund.initial_shares for fund in funds),
            capital=_floats(fund.initial_shares * fund.initial_nav for fund in funds),
            base_nav=_floats(fund.initial_nav for fund in funds),
            fee=_floats(fee.share if fee else 0 for fee in fees),
            min_notional=_floats(fund.execution.min_notional for fund in funds),
            move_num=moves[:, 0].copy(),
            move_den=moves[:, 1].copy(),
            losing=np.array([_losing(each.price_move) for each in rules]),
            emergency=_floats(x.emergency.level.value if x.emergency else inf for x in rules),
            cap=_floats(x.leverage_cap.upper if x.leverage_cap else inf for x in rules),
            lower=_floats(band.lower if band else -inf for band in bands),
            upper=_floats(band.upper if band else inf for band in bands),
            cooldowns=np.array([_cooldowns(each) for each in rules], np.int64),
            clocks=(strikes, fee_times, fixed_times),
            places=(of_strikes, of_fees, of_fixed),
        )

    def _state(self, terms: Terms, ticks: int) -> State:
        """Return the funds at the first price, fully exposed at no cost."""
        rows, price = len(terms.target), float(self.tape.closes[0])
        settled = float(self.tape.settled_by(self.tape.times_ms[0]))
        units = terms.target * terms.capital / price
        return State(
            cash=terms.capital - units * price,
            units=units,
            settled=np.full(rows, settled),
            base_nav=terms.base_nav.copy(),
            base=np.full(rows, price),
            base_ticks=np.full(rows, ticks, np.int64),
            leverage=terms.target.copy(),
            last_run_ms=np.full(rows, self.tape.times_ms[0], np.int64),  # a point is a done run
            last_emergency_ms=np.full(rows, _LONG_AGO_MS, np.int64),
            first=np.zeros(rows, np.int64),
            next_ms=np.zeros(rows, np.int64),
            due=np.zeros((rows, 3), np.int64),
            trigger=np.zeros(rows, np.int64),
            wanted=np.zeros(rows),
            spent=np.zeros(rows),
        )


def _log(funds: int, bars: int, runs: int, strikes: int) -> Log:
    return Log(
        navs=np.empty((funds, bars)),
        run_ms=np.empty(runs, np.int64),
        run_fund=np.empty(runs, np.int64),
        run_trigger=np.empty(runs, np.int64),
        run_units=np.empty(runs),
        run_cost=np.empty(runs),
        strikes=np.empty(strikes),
        costs=np.zeros((funds, 4)),
    )


def _meant(value: float) -> Decimal:
    """Return a figure without the digits that mean nothing."""
    return Decimal(f"{value:.{DIGITS}g}") + ZERO  # which has no sign


def _floats(values: Iterable[Decimal | float]) -> Floats:
    return np.array([float(value) for value in values], np.float64)


def _chained(rows: Iterable[Sequence[int]]) -> list[int]:
    return [at_ms for row in rows for at_ms in row]


def _places(rows: Iterable[Sequence[int]]) -> Ints:
    return np.array([0, *accumulate(map(len, rows))], np.int64)


def _losing(rule: PriceMove | None) -> bool:
    return rule is not None and rule.side is Side.LOSING


def _cooldowns(rules: Methodology) -> tuple[int, int, int, int]:
    kinds = (rules.emergency, rules.leverage_cap, rules.price_move, rules.leverage_band)
    emergency, cap, move, band = (rule.cooldown_ms if rule else 0 for rule in kinds)
    return emergency, cap, move, band
