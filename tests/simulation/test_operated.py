"""Days with a person at the desk, and faults in what the desk makes of that person's word."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from rebalancer.core.configuration import ConfigurationChanged
from rebalancer.core.records import CommandTaken, ScopeChanged
from rebalancer.core.scope import Scope
from tests.desk.rig import of
from tests.simulation import sweep
from tests.simulation.operated import lived, problems_of
from tests.simulation.operated_faults import FAULTS, Fault, found


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    sweep.quiet()
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("seed", range(6))
def test_a_day_with_a_person_at_the_desk_keeps_every_promise(seed: int, tmp_path: Path) -> None:
    world = lived(seed, tmp_path)
    assert problems_of(world) == []
    assert (
        len(of(world.disk.records, CommandTaken))
        + len(of(world.disk.records, ConfigurationChanged))
        >= 3
    )
    assert world.state is not None
    assert not world.state.scopes, "everything is resumed in the end"


def test_the_switch_halts_the_desk_until_it_is_released_and_resumed(tmp_path: Path) -> None:
    world = lived(6, tmp_path)
    states = [
        each.state for each in of(world.disk.records, ScopeChanged) if each.scope is Scope.DESK
    ]
    assert states == ["halted", "active"]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_fault_is_shown_by_its_day(fault: Fault, tmp_path: Path) -> None:
    assert any(fault.says in each for each in found(fault, fault.seed, tmp_path))
