"""Plants each fault into the fast path and finds the history that finds it out.

`killers.csv` has the seeds: a history on which the engine and the fast path with the fault differ.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import nullcontext
from functools import lru_cache
from pathlib import Path

from tests.fast.cases import Case, case_of
from tests.fast.faults import MUTANTS
from tests.fast.interpreted import interpreted
from tests.fast.judge import Replayed, compared, replayed
from tests.planting import Mutant, Vacuous, planted

#: within so many seeds a fault has to be found
SEEDS_MAX = 1_000
TABLE = Path(__file__).with_name("killers.csv")
BY_NAME = {mutant.name: mutant for mutant in MUTANTS}


def hunted(pool: Executor, seeds: Iterable[int], together: int) -> Iterator[tuple[str, int]]:
    """Yield each fault with the first of the seeds that finds it out, asking so many at a time."""
    left, waiting = [mutant.name for mutant in MUTANTS], list(seeds)
    while left and waiting:
        batch, waiting = waiting[:together], waiting[together:]
        for seed, found in zip(batch, pool.map(kills_at, batch, [left] * len(batch)), strict=True):
            for name in (each for each in found if each in left):
                left.remove(name)
                yield name, seed


@lru_cache(maxsize=8)
def played(seed: int) -> tuple[Case, Replayed]:
    """Return the case of a seed, and what the engine makes of it."""
    case = case_of(seed)
    return case, replayed(case.desk, case.histories, case.costs)


def differs(seed: int, mutant: Mutant | None = None) -> list[str]:
    """Return in what the interpreted fast path, with a fault or as it is, is not the engine's."""
    case, engine = played(seed)
    with interpreted(), planted(mutant) if mutant else nullcontext():
        return compared(engine, case.desk, case.histories, case.costs)[0]


def killed(mutant: Mutant, seed: int) -> bool:
    """Whether the history of a seed finds the fault out; a fault that ends the program is found."""
    played(seed)  # whatever this raises is no fault's doing
    try:
        return bool(differs(seed, mutant))
    except Vacuous:
        raise
    except Exception:  # noqa: BLE001 - whatever a faulty program raises
        return True


def kills_at(seed: int, names: Iterable[str]) -> list[str]:
    """Return which of the faults the history of a seed finds out."""
    return [name for name in names if killed(BY_NAME[name], seed)]


def recorded() -> dict[str, int]:
    """Return the table of kills: the seed of each fault."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return {row["mutant"]: int(row["seed"]) for row in csv.DictReader(file)}


def write(kills: Mapping[str, int]) -> None:
    """Write the table of kills, in the order of the faults."""
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("mutant", "seed"))
        table.writerows((name, kills[name]) for name in BY_NAME if name in kills)
