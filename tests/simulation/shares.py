"""Where the time of a day goes: the desk, ccxt, Python's own modules, the simulated world.

By cProfile, which makes calls dearer than they are; a share is worth more than a time here.
"""

from __future__ import annotations

import cProfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rebalancer
from tests.simulation import sweep
from tests.simulation.day import day_of

DESK = str(Path(rebalancer.__file__).parent)
SIMULATED = str(Path(__file__).parents[1])
#: functions without a file that call each other are followed so far back
DEPTH_MAX = 4


@dataclass(frozen=True, slots=True)
class Spent:
    """What one function spent by itself, in seconds."""

    #: its file; of what is built in, or made by a dataclass, there is none
    file: str
    own_s: float
    #: by caller, as a place in the sequence, what it spent when called from there
    callers: Mapping[int, float]


def shares(count: int, first: int = 0) -> dict[str, float]:
    """Live so many days under a profiler; return each part's share of their time, largest first."""
    sweep.judged(day_of(first))  # what the first day alone does is of no day
    profile = cProfile.Profile()
    profile.enable()
    for seed in range(first, first + count):
        sweep.judged(day_of(seed))
    profile.disable()
    return shares_of(spent_of(profile.getstats()))


def spent_of(entries: Sequence[Any]) -> list[Spent]:
    """Return what `getstats` of a profiler says; `pstats` keeps one of all that have no file."""
    callers: defaultdict[Any, dict[int, float]] = defaultdict(dict)
    for place, entry in enumerate(entries):
        for call in entry.calls or ():
            callers[_key(call.code)][place] = call.inlinetime
    return [
        Spent(getattr(entry.code, "co_filename", ""), entry.inlinetime, callers[_key(entry.code)])
        for entry in entries
    ]


def _key(code: Any) -> Any:
    """Tell codes apart by identity: those of two dataclasses with the same fields are equal."""
    return code if isinstance(code, str) else id(code)


def shares_of(spent: Sequence[Spent]) -> dict[str, float]:
    """Return each part's share of the own times; what has no file counts to who called it."""
    parts: defaultdict[str, float] = defaultdict(float)
    for each in spent:
        for part, seconds in _to_parts(spent, each, each.own_s).items():
            parts[part] += seconds
    whole = sum(parts.values())
    largest_first = sorted(parts.items(), key=lambda each: -each[1])
    return {part: each / whole for part, each in largest_first}


def _to_parts(
    spent: Sequence[Spent], one: Spent, seconds: float, depth: int = 0
) -> Mapping[str, float]:
    """Share out what a function spent: to its file's part, or to those of its callers."""
    total = sum(one.callers.values())
    if _has_file(one.file) or not total or depth == DEPTH_MAX:
        return {_part(one.file): seconds}
    parts: defaultdict[str, float] = defaultdict(float)
    for place, theirs in one.callers.items():
        found = _to_parts(spent, spent[place], seconds * theirs / total, depth + 1)
        for part, share in found.items():
            parts[part] += share
    return parts


def _has_file(file: str) -> bool:
    return bool(file) and not file.startswith("<")


def _part(file: str) -> str:
    if file.startswith(DESK):
        return f"desk, {Path(file).relative_to(DESK).parts[0]}"
    if file.startswith(SIMULATED):
        return f"simulated, {Path(file).relative_to(SIMULATED).parts[0]}"
    return "ccxt" if "ccxt" in Path(file).parts else "Python and others"
