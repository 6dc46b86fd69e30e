"""Days on which capital moves, too: flows both ways, management fees and a cash account.

Everything else is the day of the seed, with its trouble. Those of odd seeds go over a midnight of
UTC: a daily strike, a day's count of runs and a day of financing end in the middle of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from random import Random

from rebalancer.core.cash_account import CashAccount
from rebalancer.core.events import FlowsRequested
from rebalancer.core.fees import ManagementFee
from rebalancer.core.flow import Flow, FlowKind, FlowRule, OnBusy
from rebalancer.core.instant import HOUR_MS, MINUTE_MS, parse
from rebalancer.core.methodology import Fixed
from rebalancer.core.state import Desk
from rebalancer.core.verification import Verifier
from tests.simulation.day import BEGIN_MS, BINANCE, TICKS, D, day_of, desk_of_the_day
from tests.simulation.judge import judge
from tests.simulation.world import World

#: instants of the fee: two within the day, and two about midnight
FEE_TIMES_MS = (
    2 * HOUR_MS + 17 * MINUTE_MS,
    2 * HOUR_MS + 40 * MINUTE_MS,
    23 * HOUR_MS + 57 * MINUTE_MS,
    20 * MINUTE_MS,
)
#: a day over midnight begins at 23:50; its fixed time comes as long after that as in any other
NIGHT_MS = parse("2026-01-01T23:50:00Z")
NIGHTLY = Fixed(times_of_day_ms=(10 * MINUTE_MS,), utc_offset_ms=0)
FLOWS = 8


def desk_with_capital(venue: str = BINANCE, *, over_midnight: bool = False) -> Desk:
    """Return the funds of a day with terms for capital."""
    known = desk_of_the_day(venue)
    fixed = NIGHTLY if over_midnight else Fixed()
    flows = FlowRule(
        creation_fee=D("0.001"), redemption_fee=D("0.002"), on_busy=OnBusy.QUEUE, maximum=D(9_000)
    )
    funds = {
        name: replace(
            fund,
            methodology=replace(fund.methodology, flow=flows, fixed=fixed),
            nav_boundary_ms=0,
            management_fee=ManagementFee(daily=D("0.01"), times_of_day_ms=FEE_TIMES_MS),
        )
        for name, fund in known.funds.items()
    }
    terms = CashAccount(reference=D("0.02"), spread=D("0.01"), coupon=D("0.03"))
    funds["ETH2L"] = replace(funds["ETH2L"], cash_account=terms)
    return replace(known, funds=funds)


def flows_of(seed: int) -> dict[int, Callable[[World], None]]:
    """Draw what is asked for at which tick, by a file of one to three flows of a fund."""
    dice = Random(seed)  # noqa: S311 - for tests, not for secrets
    asked: dict[int, Callable[[World], None]] = {}
    for number, tick in enumerate(sorted(dice.sample(range(5, TICKS), FLOWS))):
        fund = dice.choice(("BTC3L", "BTC3S", "ETH2L"))
        flows = []
        for place in range(dice.randint(1, 3)):
            kind = dice.choice(tuple(FlowKind))
            # Some are over the rule's maximum, and are refused as they are dealt.
            amount = (
                dice.randrange(100, 9_500) if kind is FlowKind.SUBSCRIBE else dice.randrange(1, 99)
            )
            flows.append(Flow(fund=fund, key=f"{number}-{place}", kind=kind, amount=D(amount)))
        asked[tick] = partial(_ask, flows=tuple(flows))
    return asked


def _ask(world: World, flows: tuple[Flow, ...]) -> None:
    world.inbox.put(FlowsRequested(world.clock.now_ms(), flows))


def lived(seed: int) -> World:
    """Return the day of a seed with capital, once it is over."""
    over_midnight = seed % 2 == 1
    world = World(
        day_of(seed),
        begins_ms=NIGHT_MS if over_midnight else BEGIN_MS,
        desk_of=partial(desk_with_capital, over_midnight=over_midnight),
        hands=flows_of(seed),
        capital_moves=True,
    )
    world.live()
    return world


def tried(seeds: Iterable[int]) -> Iterator[str]:
    """Live the day of each seed with capital; yield what was broken or is not verified."""
    for seed in seeds:
        world = lived(seed)
        for problem in (*judge(world), *verified(world).problems):
            yield f"seed {seed} with capital: {problem}"


def verified(world: World) -> Verifier:
    """Check the records of a day as `rebalancer verify` does."""
    verifier = Verifier(world.desk, "simulated")
    for record in world.disk.records:
        verifier.take(record)
    verifier.end()
    return verifier
