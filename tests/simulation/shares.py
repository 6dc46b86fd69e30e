"""Where the time of a day goes: the desk, ccxt, Python's own modules, the simulated world.

By cProfile, which makes calls dearer than they are; a share is worth more than a time here.
"""

from __future__ import annotations

import cProfile
import pstats
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import rebalancer
from tests.simulation import sweep
from tests.simulation.day import day_of

DESK = str(Path(rebalancer.__file__).parent)
SIMULATED = str(Path(__file__).parents[1])
#: pstats' own shape: (file, line, function) -> (calls, calls, own time, time, callers)
Stats = Mapping[tuple[str, int, str], tuple[int, int, float, float, Mapping[Any, Any]]]


def shares(count: int, first: int = 0) -> dict[str, float]:
    """Live so many days under a profiler; return each part's share of their time, largest first."""
    sweep.judged(day_of(first))  # what the first day alone does is of no day
    profile = cProfile.Profile()
    profile.enable()
    for seed in range(first, first + count):
        sweep.judged(day_of(seed))
    profile.disable()
    stats: Any = pstats.Stats(profile)
    return shares_of(stats.stats)


def shares_of(stats: Stats) -> dict[str, float]:
    """Return each part's share of the own times; what is built in counts to who called it."""
    spent: defaultdict[str, float] = defaultdict(float)
    for (file, _, _), (_, _, own, _, callers) in stats.items():
        if not _built_in(file):
            spent[_part(file)] += own
            continue
        for (caller, _, _), (_, _, theirs, _) in callers.items():
            spent[_part(caller)] += theirs
    whole = sum(spent.values())
    largest_first = sorted(spent.items(), key=lambda each: -each[1])
    return {part: each / whole for part, each in largest_first}


def _built_in(file: str) -> bool:
    return file == "~" or file.startswith("<")


def _part(file: str) -> str:
    if file.startswith(DESK):
        return f"desk, {Path(file).relative_to(DESK).parts[0]}"
    if file.startswith(SIMULATED):
        return f"simulated, {Path(file).relative_to(SIMULATED).parts[0]}"
    return "ccxt" if "ccxt" in Path(file).parts else "Python and others"
