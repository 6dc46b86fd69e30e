"""Days on which a person works at the desk, too: halts, resumes, rebalances, reloads, the switch.

Everything else is the day of the seed, with its trouble. What was stopped is resumed well before
the day is over, so that everything can still come to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from rebalancer.core.events import Commanded, CommandKind, ConfigurationOffered
from rebalancer.core.fund import Fund
from rebalancer.core.methodology import Trigger
from rebalancer.core.records import TradingState
from rebalancer.core.scope import Scope
from rebalancer.desk.kill_switch import KillSwitch
from tests.mixtures import mixed_runs, orders_beyond
from tests.simulation.capital import verified
from tests.simulation.day import DUE_TICK, SHOCK_TICK, TICKS, day_of
from tests.simulation.judge import judge
from tests.simulation.world import World

#: how often a person does something, and then undoes it
EPISODES = 6
#: by scope, what a person stops
STOPPED = {
    Scope.FUND: ("BTC3L", "BTC3S", "ETH2L"),
    Scope.CONTRACT: ("BTC/USDT:USDT", "ETH/USDT:USDT"),
    Scope.ACCOUNT: ("main",),
    Scope.DESK: ("",),
}
#: these go to flat whatever is configured
AT_ONCE = frozenset({Trigger.GAP, Trigger.WIND_DOWN})
#: so long before the end everything is resumed, again and again: a desk that is down hears nothing
TIDY_TICKS = range(TICKS - 60, TICKS, 12)
Hand = Callable[[World], None]


def hands_of(seed: int) -> dict[int, Hand]:
    """Draw what a person does at which tick: most of it near where the desk trades."""
    dice = Random(seed)  # noqa: S311 - for tests, not for secrets
    hands: dict[int, Hand] = dict.fromkeys(TIDY_TICKS, tidy)
    for _ in range(EPISODES):
        about = dice.choice((3, DUE_TICK, SHOCK_TICK, dice.randrange(TICKS)))
        begins = max(1, about + dice.randrange(-3, 6))
        lasts = dice.choice((1, 2, 5, 12, 40))
        does, undoes = _episode(dice)
        for tick, hand in ((begins, does), (begins + lasts, undoes)):
            if hand is not None and tick < TIDY_TICKS.start:
                hands[tick] = _both(hands.get(tick), hand)
    return hands


def _episode(dice: Random) -> tuple[Hand, Hand | None]:
    what = dice.choice(("stop", "stop", "switch", "rebalance", "flatten", "reload", "reload"))
    fund = dice.choice(STOPPED[Scope.FUND])
    if what == "stop":
        scope = dice.choice(tuple(STOPPED))
        name = dice.choice(STOPPED[scope])
        kind = dice.choice((CommandKind.HALT, CommandKind.REDUCE))
        command = partial(say, scope=scope, name=name)
        return partial(command, kind=kind), partial(command, kind=CommandKind.RESUME)
    if what == "switch":
        return throw, release
    if what == "rebalance":
        return partial(say, name=fund, kind=CommandKind.REBALANCE), None
    if what == "flatten":
        command = partial(say, name=fund)
        return partial(command, kind=CommandKind.FLATTEN), partial(command, kind=CommandKind.RESUME)
    share, child = dice.choice(("0.9", "1", "1.1")), dice.choice((15_000, 25_000, 40_000))
    return partial(offer, share=Decimal(share), child=Decimal(child)), None


def _both(first: Hand | None, second: Hand) -> Hand:
    def hand(world: World) -> None:
        if first is not None:
            first(world)
        second(world)

    return hand


def say(world: World, kind: CommandKind, name: str, scope: Scope = Scope.FUND) -> None:
    """Give a command, which may be refused."""
    world.inbox.put(Commanded(world.clock.now_ms(), kind, name, "by hand", scope))


def throw(world: World) -> None:
    """Throw the kill switch."""
    assert world.kill_switch is not None
    world.kill_switch.set("by hand", world.clock.now_ms())


def release(world: World) -> None:
    """Release the kill switch, and resume the desk."""
    assert world.kill_switch is not None
    world.kill_switch.release()
    say(world, CommandKind.RESUME, "", Scope.DESK)


def configured(world: World, share: Decimal, child: Decimal) -> dict[str, Fund]:
    """Return the funds of the day with another target and another size of child orders."""
    return {
        name: replace(
            fund,
            target_leverage=fund.target_leverage * share,
            execution=replace(fund.execution, max_child_notional=child),
        )
        for name, fund in world.desk.funds.items()
    }


def offer(world: World, share: Decimal, child: Decimal) -> None:
    """Have another configuration taken over: targets count from the next point, orders at once."""
    if world.state is None:
        return
    before, funds = world.state.desk.funds, configured(world, share, child)
    moved = {name for name in funds if funds[name].target_leverage != before[name].target_leverage}
    world.inbox.put(
        ConfigurationOffered(
            world.clock.now_ms(),
            before=world.state.config_digest,
            digest=f"{share} {child}",
            funds=funds,
            at_point=frozenset(moved),
        )
    )


def tidy(world: World) -> None:
    """Resume whatever does not trade."""
    if world.state is None:
        return
    release(world)
    for scope, name in world.state.scopes:
        say(world, CommandKind.RESUME, name, scope)
    for fund in world.state.funds.values():
        if fund.trading in (TradingState.HALTED, TradingState.REDUCING):
            say(world, CommandKind.RESUME, fund.name)


def lived(seed: int, folder: Path) -> World:
    """Return the day of a seed with a person at the desk, once it is over."""
    switch = KillSwitch(folder / f"{seed}.killed")
    world = World(day_of(seed), hands=hands_of(seed), operated=True, kill_switch=switch)
    world.live()
    return world


def problems_of(world: World) -> list[str]:
    """Return every promise that was broken on such a day, and what `verify` says of its records."""
    return [*judge(world), *mixtures(world), *verified(world).problems]


def mixtures(world: World) -> Iterator[str]:
    """Yield every run and order that does not follow one whole configuration, which was offered."""
    records, settings_of = world.disk.records, partial(_settings, world)
    for plan, _ in mixed_runs(records, settings_of, to_flat=AT_ONCE):
        yield f"{plan.run_id} goes to {plan.target_leverage}, not as {plan.config_digest}"
    for intent in orders_beyond(records, settings_of):
        yield f"{intent.client_order_id} is larger than its run's settings allow"


def _settings(world: World, digest: str, fund: str) -> Fund:
    share, _, child = digest.partition(" ")
    offered = configured(world, Decimal(share), Decimal(child)) if child else world.desk.funds
    return offered[fund]


def tried(seeds: Iterable[int]) -> Iterator[str]:
    """Live the day of each seed with a person at the desk; yield what was broken."""
    with TemporaryDirectory() as folder:
        for seed in seeds:
            for problem in problems_of(lived(seed, Path(folder))):
                yield f"seed {seed} with a person at the desk: {problem}"
