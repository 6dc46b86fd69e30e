"""The rows that `fast/compiled.py` works on: one contract at its venue, and one row per fund."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: after everything
NEVER = np.iinfo(np.int64).max
#: how a play ends
DONE, DOUBT, FULL = 0, 1, 2
#: triggers by the core's precedence, as they are logged
NOTHING, EMERGENCY, CAP, MOVE, BAND, FIXED = 0, 1, 2, 3, 4, 5


class Market(NamedTuple):
    """One contract and its venue."""

    times: Ints
    #: prices in whole ticks
    ticks: Ints
    #: when funding was settled, and its sum after each; the first is before any
    settled_ms: Ints
    settled: Floats
    end_ms: int
    interval_ms: int
    #: base coins in one lot, smallest order in lots and in quote currency
    lot: float
    min_lots: float
    min_notional: float
    fee: float
    slip: float
    #: leverage beyond which a margin check is near
    most: float


class Terms(NamedTuple):
    """One row per fund."""

    target: Floats
    shares: Floats
    capital: Floats
    base_nav: Floats
    #: share of equity that one fee instant takes
    fee: Floats
    min_notional: Floats
    #: the threshold of the price move as a fraction of whole numbers; 1/0: no rule
    move_num: Ints
    move_den: Ints
    losing: npt.NDArray[np.bool_]
    emergency: Floats
    cap: Floats
    lower: Floats
    upper: Floats
    #: cool-downs in ms: emergency, cap, price_move, band
    cooldowns: Ints
    #: instants of all funds in one row each: strikes, fees and fixed runs
    clocks: tuple[Ints, Ints, Ints]
    #: where those of each fund begin, and one place more
    places: tuple[Ints, Ints, Ints]


class Log(NamedTuple):
    """What came out; runs beyond `count` are not written."""

    #: of every fund at every bar; no bars where nobody asked for them
    navs: Floats
    run_ms: Ints
    run_fund: Ints
    run_trigger: Ints
    #: signed base coins from what was held to the target, and what getting there cost
    run_units: Floats
    run_cost: Floats
    #: the NAV struck at each instant of the strikes' row
    strikes: Floats
    #: per fund: fees, slippage, funding, management fee
    costs: Floats


class State(NamedTuple):
    """One row per fund, as it stands."""

    cash: Floats
    units: Floats
    #: what had been settled per unit when that was the cash
    settled: Floats
    base_nav: Floats
    base: Floats
    base_ticks: Ints
    leverage: Floats
    last_run_ms: Ints
    last_emergency_ms: Ints
    #: the first bar whose NAV is not written yet
    first: Ints
    next_ms: Ints
    #: the next strike, fee and fixed run
    due: Ints
    #: what asks for a run now, and the way to its target
    trigger: Ints
    wanted: Floats
    spent: Floats
