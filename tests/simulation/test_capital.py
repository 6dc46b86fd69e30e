"""Days with flows, fees and a cash account: what the judge says of them, and `verify` then."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog

from rebalancer.core.capital import FinancingPosted
from rebalancer.core.instant import MINUTE_MS
from rebalancer.core.records import NavStruck
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


def test_a_day_over_midnight_is_struck_and_financed_in_the_middle_of_it() -> None:
    world = lived(1)
    midnight_ms = world.begins_ms + 10 * MINUTE_MS
    records = world.disk.records
    struck = [each for each in records if isinstance(each, NavStruck)]
    assert [(each.fund, each.boundary_ms) for each in struck] == [
        (name, midnight_ms) for name in world.desk.funds
    ]
    (paid,) = [each for each in records if isinstance(each, FinancingPosted)]
    assert paid.at_ms > midnight_ms
    assert paid.financing > 0
    assert judge(world) == []
    assert verified(world).problems == []
