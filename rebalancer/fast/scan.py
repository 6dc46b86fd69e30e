"""The search, compiled: the first bar at which a rule of a fund may fire, and NAVs at every bar.

Floats only find the bars at which the core has to look; they decide nothing. A bar counts as found
when it comes within GUARD of an edge, which is a thousand times what floats lose on the way.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

GUARD = 1e-9
#: bars that are passed over together where their extremes are quiet
BLOCK_BARS = 64


Edges = tuple[float, float, bool, float, float, float]
"""Where the rules of a fund fire; an infinite edge is never reached.

(signed target leverage M, magnitude of the move since the last point, whether only a loss counts,
the lower of the magnitudes of leverage of emergency and cap, lower and upper edge of the band.)
"""

Stand = tuple[float, float, float, float, float]
"""What a fund holds and measures from.

(Cash, units, what had been settled per unit when that was the cash, P_k and L_k of the last point.)
"""

Series = tuple[
    npt.NDArray[np.float64],
    npt.NDArray[np.float64],
    npt.NDArray[np.float64],
    npt.NDArray[np.float64],
    npt.NDArray[np.bool_],
]
"""(Prices, settled per unit as of each bar; lows, highs and "nothing is settled" of each block.)"""


@njit(cache=True)
def may_fire(price: float, cash: float, stand: Stand, edges: Edges) -> bool:
    """Whether a rule may fire at `price`: the rules of `core/rules`, each GUARD early."""
    _, units, _, base, leverage = stand
    target, least_move, losing, most, lower, upper = edges
    exposure = units * price
    equity = cash + exposure
    size = abs(exposure)
    if equity <= GUARD * size:
        return True
    move = price / base - 1.0
    gain = leverage * move
    if 1.0 + gain <= GUARD * (1.0 + abs(leverage)):
        return True
    if abs(move) >= least_move * (1.0 - GUARD) and (
        not losing or (gain < 0.0 and size > abs(target) * equity * (1.0 - GUARD))
    ):
        return True
    if size >= most * equity * (1.0 - GUARD):
        return True
    directed = exposure if target > 0.0 else -exposure
    return directed > upper * equity * (1.0 - GUARD) or directed < lower * equity * (1.0 + GUARD)


@njit(cache=True)
def first_bar(series: Series, start: int, stop: int, stand: Stand, edges: Edges) -> int:
    """Return the first bar in [start, stop) at which a rule may fire; `stop` when there is none.

    Each rule fires on one side of a price as long as no funding comes in between, so a block that
    is quiet at both its extremes is quiet.
    """
    prices, settled, lows, highs, steady = series
    cash_at_zero = stand[0] + stand[1] * stand[2]
    bar = start
    while bar < stop:
        cash = cash_at_zero - stand[1] * settled[bar]
        end = bar + BLOCK_BARS
        block = bar // BLOCK_BARS
        if bar % BLOCK_BARS == 0 and end <= stop and steady[block]:
            if not may_fire(lows[block], cash, stand, edges) and not may_fire(
                highs[block], cash, stand, edges
            ):
                bar = end
                continue
            for inner in range(bar, end):
                if may_fire(prices[inner], cash, stand, edges):
                    return inner
            bar = end
        elif may_fire(prices[bar], cash, stand, edges):
            return bar
        else:
            bar += 1
    return stop


@njit(cache=True)
def fill_navs(
    prices: npt.NDArray[np.float64],
    settled: npt.NDArray[np.float64],
    spans: tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]],
    navs: npt.NDArray[np.float64],
) -> None:
    """Write the NAV at every bar from the first span on.

    `spans` is the first bar of each span, and per span: cash and units per share, and what had been
    settled per unit when the span began.
    """
    firsts, holdings = spans
    for span in range(len(firsts)):
        stop = firsts[span + 1] if span + 1 < len(firsts) else len(prices)
        units = holdings[span, 1]
        cash = holdings[span, 0] + units * holdings[span, 2]
        for bar in range(firsts[span], stop):
            navs[bar] = cash + units * (prices[bar] - settled[bar])
