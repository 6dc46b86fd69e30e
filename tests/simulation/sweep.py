"""Many days: by seed, with a crash at every step, with a second crash during recovery."""

from __future__ import annotations

import functools
import gc
import hashlib
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import NoReturn

import structlog

from rebalancer.store.codec import CODEC
from tests.simulation.day import Day, Trouble, day_of
from tests.simulation.judge import judge
from tests.simulation.world import World

#: so long a desk that was killed is watched before it is judged: four minutes, as an order of an
#: earlier process is proved away in three and a half at XT
WATCHED_TICKS = 48
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
    """Have the desk say nothing: a sweep lives through thousands of lives.

    What is imported by now stays: a copy of the process then shares it, and no sweep of the
    collector goes through it.
    """
    _keep_what_is_imported()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


@functools.cache
def _keep_what_is_imported() -> None:
    gc.collect()
    gc.freeze()


def lived(day: Day, kills: tuple[int, ...] = (), short: int | None = None) -> World:
    """Return a day that is over; what the desk raised against itself is a violation."""
    world = World(day, kills=kills, short=short)
    _live(world)
    return world


def _live(world: World) -> None:
    try:
        world.live()
    except Exception as error:  # noqa: BLE001 - whatever ended it, the day is lost
        world.violations.append(f"the desk ended with {type(error).__name__}: {error}")


def judged(day: Day, kills: tuple[int, ...] = (), short: int | None = None) -> Broken | None:
    """Live through a day; return what was broken. A whole day has to meet its trouble, too."""
    world = lived(day, kills, short)
    problems = tuple(judge(world))
    if short is None and not world.struck:
        problems += ("nothing went wrong on this day: its trouble met nothing",)
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
    yield from _branches(day, {point: (point,) for point in points})


def double_crashes(day: Day, points: Iterable[int]) -> Iterator[Broken]:
    """Kill the desk at each of `points`, and again while it recovers; yield the bad ones."""
    again = {each: each + 1 + (each * 7 + day.seed) % RECOVERY_ROUNDS for each in points}
    yield from _branches(day, {point: (point, second) for point, second in again.items()})


def _branches(day: Day, kills: Mapping[int, tuple[int, ...]]) -> Iterator[Broken]:
    """Live a day once; at each point a copy of the process goes on with the desk killed there.

    What a copy comes to is what `judged(day, its kills, WATCHED_TICKS)` comes to, without living
    through the morning again.
    """
    branch = _Branch(kills)
    world = World(day, short=WATCHED_TICKS, fork=branch.at)
    _live(world)
    if branch.copied is not None:
        branch.tell(judge(world))
    for killed, problems in branch.found:
        yield Broken(day.seed, day.trouble, killed, problems)


class _Branch:
    """Copies this process where a desk is to be killed, and hears what became of the copies."""

    def __init__(self, kills: Mapping[int, tuple[int, ...]]) -> None:
        self._kills = kills
        #: in a copy, where it tells what it found; None in the process that lives the whole day
        self.copied: Connection | None = None
        self.found: list[tuple[tuple[int, ...], tuple[str, ...]]] = []

    def at(self, turn: int) -> tuple[int, ...] | None:
        """Return when this process is killed, in the copy that is; None in the one that lives."""
        killed = None if self.copied is not None else self._kills.get(turn)
        if killed is None:
            return None
        ours, theirs = Pipe(duplex=False)
        with ours, theirs:
            process = os.fork()
            if not process:
                self.copied = Connection(os.dup(theirs.fileno()), readable=False)
                return killed
            theirs.close()
            try:
                problems: tuple[str, ...] = ours.recv()
            except EOFError:
                problems = ("its process ended without a word",)
            os.waitpid(process, 0)
        if problems:
            self.found.append((killed, problems))
        return None

    def tell(self, problems: list[str]) -> NoReturn:
        """Tell what a copy came to, and end it before anything of the other process runs twice."""
        try:
            if self.copied is not None:
                self.copied.send(tuple(problems))
                self.copied.close()
        finally:
            os._exit(0)


def digest(world: World) -> str:
    """Return what a day came to, byte for byte."""
    sha = hashlib.sha256()
    for record in world.disk.records:
        encoded = CODEC.encode(record)
        sha.update(f"{encoded.kind}{encoded.body}".encode())
    return sha.hexdigest()
