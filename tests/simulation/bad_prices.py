"""Bad prices by the thousand: the real engine is handed an observation that must not be traded on.

Each case is one seed: a desk that waits, a bad observation or a few, and then what came of it. What
is bad is drawn so that it would trade if it were believed: it lies far beyond every threshold.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from functools import cache
from random import Random

from rebalancer.core import engine
from rebalancer.core.actions import SubmitOrder
from rebalancer.core.events import FillReported, OrderReported, PricesObserved, PriceTick, Woke
from rebalancer.core.folding import apply
from rebalancer.core.fund import PriceSource
from rebalancer.core.instant import HOUR_MS, SECOND_MS
from rebalancer.core.money import ZERO
from rebalancer.core.order import Fill, Outcome
from rebalancer.core.records import DeskOpened, IntentCreated, NavStruck, RunOpened
from rebalancer.core.state import DeskState
from tests.simulation.day import BEGIN_MS, BTC, DUE_MS, ETH, START_PRICES, desk_of_the_day

D = Decimal
MARK, INDEX = PriceSource.MARK, PriceSource.INDEX
NO_NUMBERS = (
    *map(D, ("NaN", "sNaN", "-NaN", "Infinity", "-Infinity", "0", "-0", "-1E-18")),
    # What some venues write for none: the largest float, the smallest, and no float at all.
    *map(D, ("1.7976931348623157E+308", "5E-324", "1E+30", "1E+9999999", "1E-9999999")),
)

#: longer than a launch, its slices and the cool-down after it
CALM_SECONDS = 150

Told = list[tuple[int, list[PriceTick]]]
"""Observations: the desk's clock, and the ticks that come then."""
Case = Callable[[Random, int], Told]


def both(contract: str, price: Decimal, stamp_ms: int) -> list[PriceTick]:
    """Return what two sources say that agree."""
    return [PriceTick(contract, source, price, stamp_ms) for source in (MARK, INDEX)]


def honest(now_ms: int) -> list[PriceTick]:
    """Return the true prices of now."""
    return [
        tick for contract, price in START_PRICES.items() for tick in both(contract, price, now_ms)
    ]


def wild(dice: Random) -> Decimal:
    """Return a price far beyond every threshold, or far beyond all sense."""
    factor = dice.choice((0.01, 0.3, 0.5, 0.62, 0.8, 1.2, 1.38, 1.7, 3, 1e6, 1e24, 1e-9))
    return START_PRICES[BTC] * D(repr(factor * dice.uniform(0.98, 1.02)))


def no_number(dice: Random, now_ms: int) -> Told:
    """Both sources tell what is no price, again and again."""
    price = dice.choice((*NO_NUMBERS, -wild(dice)))
    return [(now_ms + n * SECOND_MS, both(BTC, price, now_ms + n * SECOND_MS)) for n in range(3)]


def stale(dice: Random, now_ms: int) -> Told:
    """After a silence both sources tell the newest they know, older than a decision may use."""
    price, age_ms = wild(dice), dice.randrange(11_000, 3 * HOUR_MS)
    at_ms = now_ms + age_ms
    return [(at_ms + n * SECOND_MS, both(BTC, price, now_ms + n * SECOND_MS)) for n in range(3)]


def future(dice: Random, now_ms: int) -> Told:
    """Both sources tell the price of a time that has not come."""
    price, ahead_ms = wild(dice), dice.randrange(5_000, HOUR_MS)
    return [(now_ms + n, both(BTC, price, now_ms + ahead_ms + n)) for n in range(3)]


def frozen(dice: Random, now_ms: int) -> Told:
    """The same instant is told again and again: one opinion, however often."""
    price, source = wild(dice), dice.choice((MARK, INDEX))
    tick = PriceTick(BTC, source, price, now_ms)
    return [(now_ms + n * SECOND_MS, [tick]) for n in range(8)]


def swapped(_dice: Random, now_ms: int) -> Told:
    """One source tells the price of another contract, once."""
    ticks = [
        PriceTick(BTC, MARK, START_PRICES[ETH], now_ms),
        PriceTick(ETH, MARK, START_PRICES[BTC], now_ms),
    ]
    return [(now_ms, ticks)]


def one_of_two(dice: Random, now_ms: int) -> Told:
    """One source lies once, the other tells the truth."""
    lie = PriceTick(BTC, MARK, wild(dice), now_ms)
    truth = PriceTick(BTC, INDEX, START_PRICES[BTC], now_ms)
    ticks = [lie, truth] if dice.random() < 0.5 else [truth, lie]
    return [(now_ms, ticks), (now_ms + SECOND_MS, honest(now_ms + SECOND_MS))]


def gap_of_one(dice: Random, now_ms: int) -> Told:
    """The price jumps by 1 to 60 % in one source alone, and comes back with the next tick."""
    size = D(dice.randrange(10, 600)) / 1_000 * dice.choice((1, -1))
    jumped = PriceTick(BTC, MARK, START_PRICES[BTC] * (1 + size), now_ms)
    return [(now_ms, [jumped]), (now_ms + 900, honest(now_ms + 900))]


def old_at_the_fixed_time(dice: Random, now_ms: int) -> Told:
    """The fixed time comes, and no price is younger than what a decision may use."""
    late_ms = max(DUE_MS, now_ms + 10_001) + dice.randrange(0, HOUR_MS)
    return [(late_ms + n * SECOND_MS, []) for n in range(3)]


CASES: tuple[Case, ...] = (
    no_number,
    stale,
    future,
    frozen,
    swapped,
    one_of_two,
    gap_of_one,
    old_at_the_fixed_time,
)


@cache
def _waiting() -> DeskState:
    """Return a desk at its targets, at the start prices, with nothing to do."""
    desk = desk_of_the_day()
    state = DeskState.fresh(desk)
    apply(state, DeskOpened(BEGIN_MS, "simulated", "test"))
    engine.begin(state)
    now_ms = BEGIN_MS
    for _ in range(CALM_SECONDS):
        now_ms += SECOND_MS
        step = engine.step(state, PricesObserved(now_ms, tuple(honest(now_ms))))
        waiting = [each.intent for each in step.actions if isinstance(each, SubmitOrder)]
        while waiting:
            intent = waiting.pop(0)
            fill = Fill(
                trade_id=f"t{intent.seq}",
                client_order_id=intent.client_order_id,
                price=intent.mark,
                contracts=intent.contracts,
                fee=ZERO,
                at_ms=now_ms,
            )
            end = OrderReported(now_ms, intent.client_order_id, Outcome.CLOSED, intent.contracts)
            for event in (FillReported(now_ms, fill), end):
                actions = engine.step(state, event).actions
                waiting += [each.intent for each in actions if isinstance(each, SubmitOrder)]
    return state


def waiting() -> DeskState:
    """Return the waiting desk anew; what is never changed is not copied."""
    state = _waiting()
    desk = state.desk
    lasting = (desk, *desk.funds.values(), *desk.accounts.values(), *desk.contracts.values())
    return copy.deepcopy(state, {id(each): each for each in lasting})


def traded_on(seed: int) -> str | None:
    """Hand the bad prices of a seed to a desk; say what it did by them, None for nothing."""
    dice = Random(seed)  # noqa: S311 - for tests, not for secrets
    case, state = CASES[seed % len(CASES)], waiting()
    told = case(dice, state.now_ms + dice.randrange(1_000, 8_000))
    try:
        problem = _believed(state, told)
    except Exception as error:  # noqa: BLE001 - a price ended the desk, whatever it raised
        problem = f"{type(error).__name__}: {error}"
    return problem and f"seed {seed}: {case.__name__} led to {problem}"


def _believed(state: DeskState, told: Told) -> str | None:
    for at_ms, ticks in told:
        for event in (PricesObserved(at_ms, tuple(ticks)), Woke(at_ms)):
            for record in engine.step(state, event).records:
                if isinstance(record, RunOpened | IntentCreated):
                    return str(record)
                if isinstance(record, NavStruck) and not (0 < record.nav < D("Infinity")):
                    return f"a NAV of {record.nav}"
    for name, fund in state.funds.items():
        worth = state.worth(fund)
        if worth is None or not worth.nav.is_finite():
            return f"{name} without a NAV"
    return None


def tried(seeds: Iterable[int]) -> Iterator[str]:
    """Try the bad prices of each seed; yield what was traded on."""
    for seed in seeds:
        problem = traded_on(seed)
        if problem is not None:
            yield problem
