"""Every fault planted into the fast path is found, by the history that the table names."""

from __future__ import annotations

import pytest

from tests.fast.faults import MUTANTS
from tests.fast.mutants import SEEDS_MAX, differs, killed, recorded

KILLS = recorded()
FEWEST = 100


def test_the_table_names_a_history_for_every_fault_and_no_other() -> None:
    names = [mutant.name for mutant in MUTANTS]
    assert sorted(KILLS) == sorted(set(names))
    assert len(names) == len(set(names)) >= FEWEST
    assert all(seed < SEEDS_MAX for seed in KILLS.values())


@pytest.mark.parametrize("seed", sorted(set(KILLS.values())))
def test_a_history_finds_its_faults_out_and_nothing_else(seed: int) -> None:
    """The sound fast path equals the engine on every history on which a faulty one does not."""
    assert differs(seed) == []
    mine = [mutant for mutant in MUTANTS if KILLS[mutant.name] == seed]
    assert [mutant.name for mutant in mine if not killed(mutant, seed)] == []
