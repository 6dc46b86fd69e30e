"""A desk that is killed without warning, again and again, in the middle of its trades."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebalancer.core.records import Traded
from tests.desk.rig import of
from tests.e2e.kills import killed
from tests.e2e.test_live_desk import KINDS, Kind

#: at each exchange; together the ten of every run of the tests
KILLS = 5
#: "no order was sent twice" is only worth something if there were some
TRADES_MIN = 5


# At XT an order that may have been sent is proved away in two and a half minutes.
@pytest.mark.timeout(480)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.venue))
def test_a_desk_that_is_killed_at_random_moments_loses_nothing_and_sends_nothing_twice(
    kind: Kind, tmp_path: Path
) -> None:
    campaign, problems = killed(tmp_path, kind, KILLS, seed=20260101)
    assert not problems, "\n".join(problems)
    assert campaign.answered
    assert len(of(campaign.records, Traded)) >= TRADES_MIN
