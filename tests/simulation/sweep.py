"""Many days: by seed, with a crash at every step, with a second crash during recovery."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import structlog

from rebalancer.store.codec import CODEC
from tests.simulation.day import Day, Trouble, day_of
from tests.simulation.judge import judge
from tests.simulation.world import World

#: so long a desk that was killed is watched before it is judged: over three minutes
WATCHED_TICKS = 40
#: a start takes about this many turns of the loop until it is ready
RECOVERY_ROUNDS = 60


@dataclass(frozen=True, slots=True)
class Broken:
    """A day on which a promise was broken, and how to see it again."""

    seed: int
    trouble: Trouble
    kills: tuple[int, ...]
    problems: tuple[str, ...]

    def __str__(self) -> str:
        killed = f" --kill {','.join(map(str, self.kills))}" if self.kills else ""
        told = "\n  ".join(self.problems)
        return f"python -m tests.simulation day {self.seed}{killed}   ({self.trouble})\n  {told}"


def quiet() -> None:
    """Have the desk say nothing: a sweep lives through thousands of lives."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def lived(day: Day, kills: tuple[int, ...] = (), short: int | None = None) -> World:
    """Return a day that is over; what the desk raised against itself is a violation."""
    world = World(day, kills=kills, short=short)
    try:
        world.live()
    except Exception as error:  # noqa: BLE001 - whatever ended it, the day is lost
        world.violations.append(f"the desk ended with {type(error).__name__}: {error}")
    return world


def judged(day: Day, kills: tuple[int, ...] = (), short: int | None = None) -> Broken | None:
    """Live through a day; return what was broken."""
    problems = tuple(judge(lived(day, kills, short)))
    return Broken(day.seed, day.trouble, kills, problems) if problems else None


def days(seeds: Iterable[int]) -> Iterator[Broken]:
    """Live one day of each seed; yield the bad ones."""
    for seed in seeds:
        broken = judged(day_of(seed))
        if broken is not None:
            yield broken


def crash_points(day: Day) -> tuple[int, ...]:
    """Return the turns of the loop before which disk, wire or venue had changed.

    A crash at any other turn leaves the world as a crash at the one before it does.
    """
    return tuple(lived(day).changes)


def crashes(day: Day, points: Iterable[int]) -> Iterator[Broken]:
    """Kill the desk at each of `points`, one life-time each; yield the bad ones."""
    for point in points:
        broken = judged(day, (point,), WATCHED_TICKS)
        if broken is not None:
            yield broken


def double_crashes(day: Day, points: Iterable[int]) -> Iterator[Broken]:
    """Kill the desk at each of `points`, and again while it recovers; yield the bad ones."""
    for point in points:
        again = point + 1 + (point * 7 + day.seed) % RECOVERY_ROUNDS
        broken = judged(day, (point, again), WATCHED_TICKS)
        if broken is not None:
            yield broken


def digest(world: World) -> str:
    """Return what a day came to, byte for byte."""
    sha = hashlib.sha256()
    for record in world.disk.records:
        encoded = CODEC.encode(record)
        sha.update(f"{encoded.kind}{encoded.body}".encode())
    return sha.hexdigest()
