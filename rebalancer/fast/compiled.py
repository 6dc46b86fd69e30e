"""A whole account on one contract, compiled: floats throughout, and a way out of every doubt.

This knows the runs that go to the target and nothing out of the ordinary. Whatever comes within
GUARD of an edge, a lot or a minimum, a price that is too old, a fund near its margin or its end:
it stops and says so, and the exact columns (`fast/column.py`) play the account instead. Moves of
the price since the last point are compared as whole ticks, so these are exact.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from rebalancer.fast.rows import (
    BAND,
    CAP,
    DONE,
    DOUBT,
    EMERGENCY,
    FIXED,
    FULL,
    MOVE,
    NEVER,
    NOTHING,
    Ints,
    Log,
    Market,
    State,
    Terms,
)
from rebalancer.fast.scan import GUARD, Series, first_bar


@njit(cache=True)
def bar_at(times: Ints, at_ms: int) -> int:
    """Return the newest bar at an instant."""
    return int(np.searchsorted(times, at_ms, "right")) - 1


@njit(cache=True)
def beyond(size: float, edge: float, equity: float) -> int:
    """Say whether `size` is over `edge` x `equity`: 1 or 0; -1 where that is in doubt."""
    bound = edge * equity
    if abs(size - bound) <= GUARD * size:
        return -1
    return 1 if size > bound else 0


@njit(cache=True)
def verdict(
    market: Market, terms: Terms, state: State, fund: int, moment: tuple[int, int, float]
) -> int:
    """Return the trigger that fires at a close (`core/rules`), NOTHING, or -1 in doubt."""
    now_ms, ticks, price = moment
    exposure = state.units[fund] * price
    equity, size, target = state.cash[fund] + exposure, abs(exposure), terms.target[fund]
    gain = state.leverage[fund] * (price / state.base[fund] - 1.0)
    ends = equity <= GUARD * size or 1.0 + gain <= GUARD * (1.0 + abs(state.leverage[fund]))
    if ends or size > market.most * equity:
        return -1
    run_ms, cooldowns = state.last_run_ms[fund], terms.cooldowns[fund]
    over = beyond(size, terms.emergency[fund], equity)
    if over != 0 and now_ms - state.last_emergency_ms[fund] >= cooldowns[0]:
        return EMERGENCY if over > 0 else -1
    over = beyond(size, terms.cap[fund], equity)
    if over != 0 and now_ms - run_ms >= cooldowns[1]:
        return CAP if over > 0 else -1
    moved = abs(ticks - state.base_ticks[fund])
    if moved * terms.move_den[fund] >= terms.move_num[fund] * state.base_ticks[fund]:
        over = 1
        if terms.losing[fund]:
            over = beyond(size, abs(target), equity) if gain < 0.0 else 0
        if over != 0 and now_ms - run_ms >= cooldowns[2]:
            return MOVE if over > 0 else -1
    directed = exposure if target > 0.0 else -exposure
    over = beyond(directed, terms.upper[fund], equity)
    if over == 0 and terms.lower[fund] > 0.0:
        over = beyond(terms.lower[fund] * equity, 1.0, directed) if directed > 0.0 else -1
    if over != 0 and now_ms - run_ms >= cooldowns[3]:
        return BAND if over > 0 else -1
    return NOTHING


@njit(cache=True)
def write_navs(series: Series, terms: Terms, state: State, log: Log, fund: int, stop: int) -> None:
    """Write the fund's NAVs of the bars that are not written yet, up to `stop`, where asked to."""
    if log.navs.shape[1] == 0:
        return
    prices, settled = series[0], series[1]
    units = state.units[fund] / terms.shares[fund]
    cash = state.cash[fund] / terms.shares[fund] + units * state.settled[fund]
    # Slices from zero on: such a loop becomes vector instructions.
    first = state.first[fund]
    navs, marks, paid = log.navs[fund, first:stop], prices[first:stop], settled[first:stop]
    for bar in range(len(navs)):
        navs[bar] = cash + units * (marks[bar] - paid[bar])
    state.first[fund] = max(state.first[fund], stop)


@njit(cache=True)
def set_next(
    market: Market, series: Series, terms: Terms, state: State, fund: int, bar: int
) -> None:
    """Find the next instant at which the fund must be looked at."""
    coming = NEVER
    for clock in range(3):
        place = terms.places[clock][fund] + state.due[fund, clock]
        if place < terms.places[clock][fund + 1]:
            coming = min(coming, terms.clocks[clock][place])
    stop = len(market.times)
    if coming != NEVER:
        stop = bar_at(market.times, coming - 1) + 1
    num, den = terms.move_num[fund], terms.move_den[fund]
    move = num / den if den else np.inf
    most = min(terms.emergency[fund], terms.cap[fund], market.most)
    stand = (
        state.cash[fund],
        state.units[fund],
        state.settled[fund],
        state.base[fund],
        state.leverage[fund],
    )
    edges = (
        terms.target[fund],
        move,
        terms.losing[fund],
        most,
        terms.lower[fund],
        terms.upper[fund],
    )
    found = first_bar(series, bar + 1, stop, stand, edges)
    state.next_ms[fund] = market.times[found] if found < stop else coming


@njit(cache=True)
def take_due(terms: Terms, state: State, fund: int, clock: int, now_ms: int) -> int:
    """Return the place of the strike (0), fee (1) or fixed run (2) that is due now, else -1."""
    place = int(terms.places[clock][fund] + state.due[fund, clock])
    if place < terms.places[clock][fund + 1] and terms.clocks[clock][place] == now_ms:
        state.due[fund, clock] += 1
        return place
    return -1


@njit(cache=True)
def look(
    market: Market,
    series: Series,
    terms: Terms,
    state: State,
    log: Log,
    moment: tuple[int, int, int, float],
) -> bool:
    """Settle what is due at a `moment` (fund, instant, bar, settled) and ask the fund's rules."""
    fund, now_ms, bar, settled = moment
    price, closes = series[0][bar], market.times[bar] == now_ms
    paid = state.units[fund] * (settled - state.settled[fund])
    state.cash[fund] -= paid
    log.costs[fund, 2] += paid
    state.settled[fund] = settled
    equity = state.cash[fund] + state.units[fund] * price
    if equity <= GUARD * abs(state.units[fund]) * price:
        return False
    place = take_due(terms, state, fund, 0, now_ms)
    if place >= 0:
        log.strikes[place] = equity / terms.shares[fund]
    if take_due(terms, state, fund, 1, now_ms) >= 0:
        write_navs(series, terms, state, log, fund, bar if closes else bar + 1)
        amount = equity * terms.fee[fund]
        equity -= amount
        state.cash[fund] -= amount
        state.base_nav[fund] *= 1.0 - terms.fee[fund]
        log.costs[fund, 3] += amount
    found = NOTHING
    if closes:
        found = verdict(market, terms, state, fund, (now_ms, market.ticks[bar], price))
    due = take_due(terms, state, fund, 2, now_ms) >= 0
    if found < 0 or (due and now_ms - market.times[bar] > market.interval_ms):
        return False
    if found == NOTHING and due:
        found = FIXED
    state.trigger[fund] = found
    if found != NOTHING:
        state.wanted[fund] = terms.target[fund] * equity / price - state.units[fund]
    return True


@njit(cache=True)
def cross(state: State, price: float) -> float:
    """Exchange opposite wants inside the desk; return what is left, signed."""
    buys, sells = 0.0, 0.0
    for fund in range(len(state.trigger)):
        if state.trigger[fund] != NOTHING:
            buys += max(state.wanted[fund], 0.0)
            sells += max(-state.wanted[fund], 0.0)
    crossed = min(buys, sells)
    for fund in range(len(state.trigger)):
        if crossed > 0.0 and state.trigger[fund] != NOTHING and state.wanted[fund] != 0.0:
            side = buys if state.wanted[fund] > 0.0 else sells
            # The smaller side crosses fully: nothing of it is left, not even a float's last bit.
            units = state.wanted[fund] if side == crossed else crossed * state.wanted[fund] / side
            state.units[fund] += units
            state.cash[fund] -= units * price
            state.wanted[fund] -= units
    return buys - sells


@njit(cache=True)
def lots_of(market: Market, terms: Terms, state: State, net: float, price: float) -> int:
    """Return how many lots of `net` leave as one order (`core/planner.py`); -1 in doubt."""
    held, size, least = 0.0, 0.0, np.inf
    for fund in range(len(state.trigger)):
        held += state.units[fund]
        size += abs(state.units[fund])
        if state.trigger[fund] != NOTHING and state.wanted[fund] != 0.0:
            least = min(least, terms.min_notional[fund])
    exact = abs(net) / market.lot
    slack = max(GUARD, 1e-11 * size / market.lot)
    lots = int(np.floor(exact))
    if exact < slack:
        return 0
    if exact - lots < slack or lots + 1 - exact < slack:
        return -1
    units = lots * market.lot
    if abs(units - abs(held)) <= slack * market.lot:
        return -1
    reduces = held * net < 0.0 and units < abs(held)
    notional = units * price
    for minimum in (market.min_notional, least):
        if not reduces and abs(notional - minimum) <= GUARD * minimum:
            return -1
        if not reduces and notional < minimum:
            return 0
    return lots if lots >= market.min_lots - GUARD else 0


@njit(cache=True)
def trade(market: Market, terms: Terms, state: State, log: Log, price: float) -> bool:
    """Net what the acting funds want and fill it with its costs; False in doubt."""
    net = cross(state, price)
    lots = lots_of(market, terms, state, net, price)
    if lots < 0:
        return False
    if lots == 0:
        return True
    share = lots * market.lot / abs(net)
    slip = market.slip if net > 0.0 else -market.slip
    for fund in range(len(state.trigger)):
        if state.trigger[fund] == NOTHING or state.wanted[fund] == 0.0:
            continue
        units = state.wanted[fund] * share
        fee, slippage = abs(units) * price * (1.0 + slip) * market.fee, units * price * slip
        state.units[fund] += units
        state.cash[fund] -= units * price + slippage + fee
        state.spent[fund] = fee + slippage
        log.costs[fund, 0] += fee
        log.costs[fund, 1] += slippage
    return True


@njit(cache=True)
def rebalance(
    market: Market,
    series: Series,
    terms: Terms,
    state: State,
    log: Log,
    moment: tuple[int, int, int],
) -> int:
    """Make the runs that are asked for now; return how many runs there are then, -1 in doubt."""
    now_ms, bar, count = moment
    first = count
    price, closes = series[0][bar], market.times[bar] == now_ms
    for fund in range(len(state.trigger)):
        if state.trigger[fund] != NOTHING:
            write_navs(series, terms, state, log, fund, bar if closes else bar + 1)
            state.spent[fund] = 0.0
            log.run_units[count] = state.wanted[fund]
            log.run_fund[count] = fund
            count += 1
    if not trade(market, terms, state, log, price):
        return -1
    for run in range(first, count):
        fund = log.run_fund[run]
        log.run_ms[run], log.run_trigger[run] = now_ms, state.trigger[fund]
        log.run_cost[run] = state.spent[fund]
        gain = state.leverage[fund] * (price / state.base[fund] - 1.0)
        state.base_nav[fund] *= 1.0 + gain
        state.base[fund], state.base_ticks[fund] = price, market.ticks[bar]
        state.leverage[fund] = terms.target[fund]
        state.last_run_ms[fund] = now_ms
        if state.trigger[fund] == EMERGENCY:
            state.last_emergency_ms[fund] = now_ms
        state.trigger[fund] = NOTHING
        if verdict(market, terms, state, fund, (now_ms, market.ticks[bar], price)) != NOTHING:
            return -1
    return count


@njit(cache=True)
def settle_up(market: Market, series: Series, terms: Terms, state: State, log: Log) -> None:
    """Charge the funding up to the end, and write the rest of the NAVs."""
    settled = market.settled[bar_at(market.settled_ms, market.end_ms) + 1]
    for fund in range(len(terms.target)):
        paid = state.units[fund] * (settled - state.settled[fund])
        write_navs(series, terms, state, log, fund, len(market.times))
        state.cash[fund] -= paid
        state.settled[fund] = settled
        log.costs[fund, 2] += paid


@njit(cache=True)
def look_at_due(
    market: Market,
    series: Series,
    terms: Terms,
    state: State,
    log: Log,
    moment: tuple[int, int],
) -> bool:
    """Look at every fund that is due at a `moment` (instant, bar); False in doubt."""
    now_ms, bar = moment
    settled = market.settled[bar_at(market.settled_ms, now_ms) + 1]
    for fund in range(len(terms.target)):
        due = state.next_ms[fund] == now_ms
        if due and not look(market, series, terms, state, log, (fund, now_ms, bar, settled)):
            return False
    return True


@njit(cache=True)
def play(market: Market, series: Series, terms: Terms, state: State, log: Log) -> tuple[int, int]:
    """Play the account to the end; return DONE, DOUBT or FULL, and how many runs were made."""
    count, funds, capacity = 0, len(terms.target), len(log.run_ms)
    for fund in range(funds):
        set_next(market, series, terms, state, fund, 0)
    while True:
        now_ms = state.next_ms.min()
        if now_ms > market.end_ms:
            break
        if count + funds > capacity:
            return FULL, count
        bar = bar_at(market.times, now_ms)
        if not look_at_due(market, series, terms, state, log, (now_ms, bar)):
            return DOUBT, count
        if state.trigger.any():
            count = rebalance(market, series, terms, state, log, (now_ms, bar, count))
            if count < 0:
                return DOUBT, 0
        for fund in range(funds):
            if state.next_ms[fund] == now_ms:
                set_next(market, series, terms, state, fund, bar)
    settle_up(market, series, terms, state, log)
    return DONE, count
