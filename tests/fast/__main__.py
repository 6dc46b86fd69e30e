"""Soak: `python -m tests.fast --count 2000`: random histories by arrays and by the engine.

`--mutants --count 1000` searches for the history that finds each planted fault out; with `--write`
it keeps the table of kills.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from operator import add
from pathlib import Path

from tests.fast import mutants
from tests.fast.cases import FILES, case_of, real_case
from tests.fast.faults import MUTANTS
from tests.fast.judge import differences

#: a run of an hour says so often how far it is
SO_FAR_SECONDS = 60.0


def judged(seed: int | Path) -> tuple[int | Path, list[str], tuple[int, int, int], Counter[str]]:
    """Return what differs for a seed or a file, who played its funds, and its runs."""
    case = real_case(seed) if isinstance(seed, Path) else case_of(seed)
    found, fast, drawn = differences(case.desk, case.histories, case.costs)
    runs = Counter(str(run.trigger) for each in fast.columns.values() for run in each.runs)
    return seed, found, (len(fast.columns), len(drawn.funds), len(fast.replayed)), runs


def main() -> int:
    """Run what the command line asks for; 1 where the two differ, or a fault survives."""
    parser = argparse.ArgumentParser(prog="python -m tests.fast")
    parser.add_argument("--count", type=int, default=2_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--mutants", action="store_true")
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    if asked.mutants:
        return _hunt(asked)
    begun, broken, counts = time.perf_counter(), 0, (0, 0, 0)
    runs: Counter[str] = Counter()
    told_at = begun
    with ProcessPoolExecutor(asked.jobs) as pool:
        seeds = [*FILES, *range(asked.first, asked.first + asked.count)]
        # Heard as they are done: one that takes minutes holds up the word of no other.
        for done, each in enumerate(as_completed(pool.submit(judged, seed) for seed in seeds), 1):
            seed, found, counted, made = each.result()
            arrays, sketched, engine = map(add, counts, counted)
            counts, runs = (arrays, sketched, engine), runs + made
            broken += bool(found)
            for problem in found:
                sys.stdout.write(f"{seed}: {problem}\n")
            if time.perf_counter() - told_at > SO_FAR_SECONDS:
                told_at = time.perf_counter()
                sys.stdout.write(f"fast: {done} of {len(seeds)} judged, {broken} differ so far\n")
                sys.stdout.flush()
    told = ", ".join(f"{count} {trigger}" for trigger, count in runs.most_common())
    sys.stdout.write(
        f"fast: {len(FILES)} real histories and {asked.count} from seed {asked.first}, "
        f"{broken} differ; {counts[0]} funds by arrays, {counts[1]} of them sketched too, "
        f"{counts[2]} by the engine; runs: {told}; "
        f"{time.perf_counter() - begun:.0f} s with {asked.jobs} processes\n"
    )
    return 1 if broken else 0


def _hunt(asked: argparse.Namespace) -> int:
    begun, last = time.perf_counter(), asked.first + asked.count
    # Those that go from crash to crash are short, and find most.
    seeds = sorted(range(asked.first, last), key=lambda seed: seed % 4 < 2)
    kills = {}
    with ProcessPoolExecutor(asked.jobs) as pool:
        for name, seed in mutants.hunted(pool, seeds, together=asked.jobs):
            kills[name] = seed
            sys.stdout.write(f"{seed}: {name}\n")
            sys.stdout.flush()
    for name in mutants.BY_NAME.keys() - kills.keys():
        sys.stdout.write(f"survived: {name}\n")
    sys.stdout.write(
        f"fast mutants: {len(kills)} of {len(MUTANTS)} killed within {asked.count} "
        f"histories from seed {asked.first}; {time.perf_counter() - begun:.0f} s\n"
    )
    if asked.write:
        mutants.write(kills)
    return 0 if len(kills) == len(MUTANTS) else 1


if __name__ == "__main__":
    sys.exit(main())
