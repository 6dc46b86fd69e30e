"""Every planted fault is found by a promise of the judge, on the day that the table names."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog

from tests.planting import Mutant, Vacuous, planted
from tests.simulation import sweep
from tests.simulation.day import day_of
from tests.simulation.mutants import MUTANTS, SEEDS_MAX, killed, recorded

FEWEST = 24


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    sweep.quiet()
    yield
    structlog.reset_defaults()


def test_the_table_names_a_day_for_every_fault_and_no_other() -> None:
    names = [mutant.name for mutant in MUTANTS]
    assert sorted(recorded()) == sorted(set(names))
    assert len(names) >= FEWEST
    assert all(kill.seed < SEEDS_MAX for kill in recorded().values())


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_desk_with_this_fault_breaks_a_promise(mutant: Mutant) -> None:
    kill = recorded()[mutant.name]
    assert killed(mutant, kill.seed) == kill.promise


def test_the_sound_desk_keeps_every_promise_on_the_same_days() -> None:
    seeds = sorted({kill.seed for kill in recorded().values()})
    broken = [str(each) for each in map(sweep.judged, map(day_of, seeds)) if each is not None]
    assert not broken, "\n".join(broken)


def test_a_fault_that_no_longer_fits_the_code_is_refused() -> None:
    gone = Mutant(name="gone", where="rebalancer.core.trust:fresh", old="x > 1", new="x")
    with pytest.raises(Vacuous, match="occurs 0 times"), planted(gone):
        pass


def test_the_code_is_sound_again_after_a_fault() -> None:
    mutant = next(each for each in MUTANTS if each.name == "a stale price is traded on")
    from rebalancer.core.trust import fresh  # noqa: PLC0415 - what it is now, not what it was

    before = fresh.__code__
    with planted(mutant):
        assert fresh.__code__ is not before
    assert fresh.__code__ is before
