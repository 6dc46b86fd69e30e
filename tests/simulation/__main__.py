"""Soak: `python -m tests.simulation days --count 20000`, and the other sweeps; prints what it did.

days      one day of each seed
crashes   every step of so many days, the desk killed there
double    the same, and killed again during recovery, until the count is reached
mutants   every planted fault against seed after seed; --write keeps the table of kills
prices    bad prices, one case of each seed
kills     SIGKILL of real desks on exchanges of their own, both processes of this machine
storage   full, locked, read-only and torn files under a real store
files     one day of each seed on the product's own store, verified when it is over
capital   one day of each seed with flows, fees and a cash account, verified when it is over
operated  one day of each seed with a person at the desk, verified when it is over
day       one seed, told step by step
shares    where the time of a day goes
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from tempfile import TemporaryDirectory

from rebalancer.core.instant import iso
from tests.e2e.kills import AT_ONE_PLACE, killed
from tests.e2e.test_live_desk import KINDS
from tests.simulation import bad_prices, capital, mutants, on_file, operated, shares, sweep
from tests.simulation.day import day_of
from tests.simulation.judge import judge
from tests.store import storage_faults

COUNTS = {
    "days": 20_000,
    "crashes": 100,
    "double": 5_000,
    "mutants": 1_000,
    "prices": 200_000,
    "kills": 300,
    "storage": 500,
    "files": 500,
    "capital": 1_000,
    "operated": 1_000,
}
#: a sweep of hours says so often how far it is
SO_FAR_SECONDS = 60.0
#: seeds that one task of a process takes
CHUNKS = {
    "days": 50,
    "prices": 1_000,
    "kills": AT_ONE_PLACE,
    "storage": 10,
    "files": 10,
    "capital": 20,
    "operated": 20,
}


def main() -> int:
    """Run what the command line asks for; 1 where a promise was broken."""
    asked = _parser().parse_args()
    if asked.what == "day":
        return _tell(asked.seed, tuple(asked.kill))
    sweep.quiet()
    if asked.what == "shares":
        return _share(asked.count)
    if asked.what == "mutants":
        return _hunt(asked)
    begun = time.perf_counter()
    work: dict[str, Callable[[int, int], tuple[int, list[str]]]] = {
        "days": _days,
        "crashes": _crashes,
        "double": _double,
        "prices": _prices,
        "kills": _kills,
        "storage": _storage,
        "files": _files,
        "capital": _capital,
        "operated": _operated,
    }
    step = CHUNKS.get(asked.what, 1)
    lived, broken, told = 0, 0, begun
    with ProcessPoolExecutor(asked.jobs, initializer=sweep.quiet) as pool:
        starts = itertools.count(asked.first, step)
        for count, problems in _until(pool, work[asked.what], starts, step, asked):
            lived += count
            broken += len(problems)
            for problem in problems:
                sys.stdout.write(problem + "\n")
            if time.perf_counter() - told > SO_FAR_SECONDS:
                told = time.perf_counter()
                sys.stdout.write(f"{asked.what}: {lived} lived, {broken} broken so far\n")
                sys.stdout.flush()
    seconds = time.perf_counter() - begun
    sys.stdout.write(
        f"{asked.what}: {lived} lived from seed {asked.first}, {broken} broken, "
        f"{seconds:.0f} s with {asked.jobs} processes, "
        f"{lived / seconds / asked.jobs:.1f} a second and process\n"
    )
    return 1 if broken else 0


def _until(
    pool: ProcessPoolExecutor,
    work: Callable[[int, int], tuple[int, list[str]]],
    starts: Iterator[int],
    step: int,
    asked: argparse.Namespace,
) -> Iterator[tuple[int, list[str]]]:
    """Hand out chunks of seeds until the count is reached: of days, or of kills for `double`.

    Two chunks wait for each process, and each is heard when it is done: one day of crashes may
    take as long as ten others.
    """
    counts_kills = asked.what == "double"
    left = itertools.islice(starts, None if counts_kills else -(-asked.count // step))
    handed: set[Future[tuple[int, list[str]]]] = set()
    reached = 0
    while reached < asked.count:
        room = asked.jobs * 3 - len(handed)
        handed |= {pool.submit(work, first, step) for first in itertools.islice(left, room)}
        done, handed = wait(handed, return_when=FIRST_COMPLETED)
        for each in done:
            count, problems = each.result()
            yield count, problems
            reached += count if counts_kills else step
    for each in handed:
        each.cancel()


def _days(first: int, count: int) -> tuple[int, list[str]]:
    return count, [str(each) for each in sweep.days(range(first, first + count))]


def _crashes(seed: int, _count: int) -> tuple[int, list[str]]:
    day = day_of(seed)
    points = sweep.crash_points(day)
    return len(points), [str(each) for each in sweep.crashes(day, points)]


def _double(seed: int, _count: int) -> tuple[int, list[str]]:
    day = day_of(seed)
    points = sweep.crash_points(day)[::7]
    return len(points), [str(each) for each in sweep.double_crashes(day, points)]


def _prices(first: int, count: int) -> tuple[int, list[str]]:
    return count, list(bad_prices.tried(range(first, first + count)))


def _kills(first: int, count: int) -> tuple[int, list[str]]:
    kind = KINDS[first // count % len(KINDS)]
    with TemporaryDirectory() as folder:
        _, problems = killed(Path(folder), kind, count, seed=first)
    return count, [f"kills from seed {first} at {kind.venue}: {each}" for each in problems]


def _storage(first: int, count: int) -> tuple[int, list[str]]:
    with TemporaryDirectory() as folder:
        return count, list(storage_faults.tried(range(first, first + count), Path(folder)))


def _files(first: int, count: int) -> tuple[int, list[str]]:
    with TemporaryDirectory() as folder:
        return count, list(on_file.tried(range(first, first + count), Path(folder)))


def _capital(first: int, count: int) -> tuple[int, list[str]]:
    return count, list(capital.tried(range(first, first + count)))


def _operated(first: int, count: int) -> tuple[int, list[str]]:
    return count, list(operated.tried(range(first, first + count)))


def _hunt(asked: argparse.Namespace) -> int:
    """Search seeds for a day that finds each fault out; 1 where one of them survives."""
    seeds = range(asked.first, asked.first + asked.count)
    begun, kills = time.perf_counter(), []
    with ProcessPoolExecutor(asked.jobs, initializer=sweep.quiet) as pool:
        hunts = pool.map(mutants.hunted, mutants.MUTANTS, [seeds] * len(mutants.MUTANTS))
        for mutant, kill in zip(mutants.MUTANTS, hunts, strict=True):
            how = f"{kill.promise} on seed {kill.seed}" if kill else "SURVIVED"
            sys.stdout.write(f"{mutant.name}: {how}\n")
            kills += [kill] if kill else []
    survivors = len(mutants.MUTANTS) - len(kills)
    sys.stdout.write(
        f"mutants: {len(kills)} of {len(mutants.MUTANTS)} killed within {asked.count} seeds from "
        f"{asked.first}, {time.perf_counter() - begun:.0f} s with {asked.jobs} processes\n"
    )
    if asked.write and not survivors:
        mutants.write(kills)
    return 1 if survivors else 0


def _tell(seed: int, kills: tuple[int, ...]) -> int:
    day = day_of(seed)
    sys.stdout.write(f"{day.trouble} at tick {day.tick} for {day.ticks}, {day.wire}\n")
    world = sweep.lived(day, kills)
    for record in world.disk.records:
        sys.stdout.write(f"{iso(record.at_ms)} {record}\n")
    for alert in world.alerts:
        sys.stdout.write(f"{iso(alert.at_ms)} ALERT {alert.name} {alert.subject}: {alert.text}\n")
    problems = judge(world)
    sys.stdout.write("\n".join(problems or ["every promise was kept"]) + "\n")
    return 1 if problems else 0


def _share(count: int) -> int:
    for part, share in shares.shares(count).items():
        sys.stdout.write(f"{share:6.1%}  {part}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    commands = parser.add_subparsers(dest="what", required=True)
    for name, count in COUNTS.items():
        each = commands.add_parser(name)
        each.add_argument("--count", type=int, default=count)
        each.add_argument("--first", type=int, default=0, help="the first seed")
        each.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
        if name == "mutants":
            each.add_argument("--write", action="store_true", help="keep the table of kills")
    one = commands.add_parser("day")
    one.add_argument("seed", type=int)
    one.add_argument("--kill", type=lambda text: [int(n) for n in text.split(",")], default=[])
    share = commands.add_parser("shares")
    share.add_argument("--count", type=int, default=40)
    return parser


if __name__ == "__main__":
    sys.exit(main())
