"""Days with flows, fees and a cash account: what the judge says of them, and `verify` then."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog

from tests.simulation import sweep
from tests.simulation.capital import lived, verified
from tests.simulation.day import Trouble, day_of
from tests.simulation.judge import judge


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    sweep.quiet()
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("trouble", [Trouble.THIN_LOST, Trouble.KILL, Trouble.STORE_AFTER])
def test_every_figure_of_a_day_with_capital_is_worked_out_anew(trouble: Trouble) -> None:
    seed = next(each for each in range(1_000) if day_of(each).trouble is trouble)
    world = lived(seed)
    assert judge(world) == []
    found = verified(world)
    assert found.problems == []
    assert not found.left_out
    assert found.counts["flows"] >= 5
    assert found.counts["fees"] == 6
    assert found.counts["cash periods"] == 2
