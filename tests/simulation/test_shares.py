"""The time of a day is shared out by who spent it; what has no file counts to its caller."""

from __future__ import annotations

import cProfile
from dataclasses import dataclass

import pytest

from tests.simulation.shares import DESK, SIMULATED, Spent, shares_of, spent_of

ENGINE, WORLD = f"{DESK}/core/engine.py", f"{SIMULATED}/simulation/world.py"
SIGN, DECODE = "/venv/site-packages/ccxt/binance.py", "/lib/json/decoder.py"
MADE, BUILT_IN = "<string>", ""


def test_own_times_and_what_was_built_in_are_shared_out_to_the_last() -> None:
    spent = [
        Spent(ENGINE, 4.0, {}),
        Spent(WORLD, 1.0, {}),
        Spent(SIGN, 1.0, {}),
        Spent(DECODE, 1.0, {}),
        Spent(BUILT_IN, 3.0, {0: 1.0, 1: 2.0}),
    ]
    assert shares_of(spent) == {
        "desk, core": 0.5,
        "simulated, simulation": 0.3,
        "ccxt": 0.1,
        "Python and others": 0.1,
    }


def test_what_a_dataclass_made_and_what_that_calls_counts_to_who_made_the_instance() -> None:
    spent = [
        Spent(ENGINE, 1.0, {}),
        Spent(SIGN, 1.0, {}),
        Spent(MADE, 4.0, {0: 3.0, 1: 1.0}),
        Spent(BUILT_IN, 4.0, {2: 4.0}),
    ]
    assert shares_of(spent) == {"desk, core": 0.7, "ccxt": pytest.approx(0.3)}


@dataclass(frozen=True)
class One:
    value: int


@dataclass(frozen=True)
class Other:
    value: int


def test_every_dataclass_has_an_entry_of_its_own() -> None:
    def make_other() -> None:
        Other(1)

    profile = cProfile.Profile()
    profile.enable()
    One(1)
    make_other()
    profile.disable()
    found = spent_of(profile.getstats())
    made = [each for each in found if each.file == MADE]
    assert len(made) == 2
    callers = [found[place].file for each in made for place in each.callers]
    assert callers == [__file__], "the profiler was switched on within the caller of the first"
