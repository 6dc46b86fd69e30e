"""Ten seconds of reloads over a live desk; minutes of it are part of `make soak`."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.storm import run


def test_a_storm_of_reloads_over_a_live_desk_loses_doubles_and_mixes_nothing(
    tmp_path: Path,
) -> None:
    counts = run(tmp_path, 10.0, seed=1)
    assert counts["reload: refused"] > 5
    assert counts["configurations taken over"] > 5
    assert counts["rebalance: taken"] > 0
    assert counts["runs"] > 5
