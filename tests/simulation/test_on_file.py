"""Days on the product's own store: what the judge says of them, and `verify` when they are over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.simulation import sweep
from tests.simulation.day import Trouble, day_of
from tests.simulation.judge import judge
from tests.simulation.on_file import lived_on_file, unverified

#: the first day of each of these troubles
TROUBLES = (
    Trouble.WIRE,
    Trouble.LATE_SIGHT,
    Trouble.ECHO,
    Trouble.KILL,
    Trouble.STORE_BEFORE,
    Trouble.STORE_AFTER,
)


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    sweep.quiet()
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_day_on_a_file_is_the_day_in_memory_and_can_be_verified(
    trouble: Trouble, tmp_path: Path
) -> None:
    seed = next(each for each in range(1_000) if day_of(each).trouble is trouble)
    with lived_on_file(seed, tmp_path) as (world, disk):
        assert judge(world) == []
        assert world.struck
        assert unverified(world, disk) == []
        assert sweep.digest(world) == sweep.digest(sweep.lived(day_of(seed)))
