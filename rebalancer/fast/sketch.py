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
from rebalancer.core.money import BPS
from rebalancer.core.state import Desk
from rebalancer.fast.backtest import FastResult, books_of, fast_backtest, times_of
from rebalancer.fast.column import NEAR_MARGIN
from rebalancer.fast.compiled import play
from rebalancer.fast.known import unknown
from rebalancer.fast.rows import DOUBT, FULL, Floats, Ints, Log, Market, State, Terms
from rebalancer.fast.story import strikes_ms
from rebalancer.fast.tape import LARGEST_WHOLE, Tape, Tapes
from rebalancer.sim.backtest import refuse_unready
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
_LONG_AGO_MS = -(2**60)


@dataclass(frozen=True, slots=True)
class FundSketch:
    """One fund of a sketch; figures in quote currency and base coins."""

    fund: Fund
    #: account NAV at every bar, after what happened at it
    navs: Floats
    #: account NAV at every daily strike
    strikes: Floats
    #: when it rebalanced, why, the signed base coins that changed hands, and what that cost
    run_ms: Ints
    triggers: Sequence[Trigger]
    units: Floats
    run_costs: Floats
    #: fees, slippage, funding, management fee
    costs: Floats


@dataclass(frozen=True, slots=True)
class Sketch:
    """A finished sketch."""

    funds: Mapping[str, FundSketch]
    #: the funds that were left to the exact columns, or to the engine; None: there are none
    exact: FastResult | None


def sketch(desk: Desk, tapes: Tapes, costs: Mapping[str, PaperCosts]) -> Sketch:
    """Sketch what `tapes` hold; raises InputRefused as `sim.backtest.backtest` does."""
    refuse_unready(desk, tapes.histories)
    strange = {name for name, fund in desk.funds.items() if _strange(fund)}
    left = {desk.funds[name].account for name in strange.union(unknown(desk, costs))}
    found: dict[str, FundSketch] = {}
    for account, books in books_of(desk, ()).items():
        if account in left:
            continue
        drawn: dict[str, FundSketch] = {}
        paid = costs.get(account, PaperCosts())
        for symbol, names in books.items():
            tape = tapes.of(symbol, charged=paid.funding)
            book = _Book(desk.accounts[account], desk.contracts[symbol], tape, tapes.end_ms)
            drawn |= book.draw([desk.funds[name] for name in names], paid) or {}
        if len(drawn) == sum(map(len, books.values())):
            found |= drawn
    rest = {name: fund for name, fund in desk.funds.items() if name not in found}
    exact = fast_backtest(replace(desk, funds=rest), tapes, costs) if rest else None
    return Sketch(found, exact)


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

    def draw(self, funds: Sequence[Fund], costs: PaperCosts) -> dict[str, FundSketch] | None:
        """Play the funds of the book; None where the exact columns have to."""
        ticks = self.tape.ticks
        if ticks is None:
            return None
        market, terms = self._market(costs, ticks), self._terms(funds)
        days = 1 + (self.end_ms - self.tape.times_ms[0]) // DAY_MS
        capacity, ended, count = len(funds) * days * RUNS_A_DAY, FULL, 0
        while ended == FULL:
            log = _log(len(funds), len(ticks), capacity, len(terms.clocks[0]))
            state = self._state(terms, ticks[0])
            ended, count = play(market, self.tape.series, terms, state, log)
            capacity *= 2
        if ended == DOUBT:
            return None
        return {fund.name: _told(fund, row, terms, log, count) for row, fund in enumerate(funds)}

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
            last_run_ms=np.full(rows, _LONG_AGO_MS, np.int64),
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


def _told(fund: Fund, row: int, terms: Terms, log: Log, count: int) -> FundSketch:
    mine = np.flatnonzero(log.run_fund[:count] == row)
    first, stop = terms.places[0][row : row + 2]
    return FundSketch(
        fund=fund,
        navs=log.navs[row],
        strikes=log.strikes[first:stop],
        run_ms=log.run_ms[mine],
        triggers=[TRIGGERS[number] for number in log.run_trigger[mine]],
        units=log.run_units[mine],
        run_costs=log.run_cost[mine],
        costs=log.costs[row],
    )


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
