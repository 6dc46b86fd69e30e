"""NAVs at every bar, written to a file that NumPy reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rebalancer.errors import InputRefused
from rebalancer.fast.series import write_navs
from rebalancer.fast.sketch import Sketch, sketch
from rebalancer.fast.tape import Tapes
from tests.factories import BTC, D, contract, desk, fund
from tests.fast.test_backtest import minutes

pytest_plugins = ["tests.fast.compiling"]
pytestmark = pytest.mark.usefixtures("compiled")


def drawn() -> Sketch:
    """A fund that is sketched, and an index-only one that exact columns play."""
    known = desk(fund("BTC3L"), fund("PAPER", 2, account=""), contracts=[contract(lot="0.01")])
    return sketch(known, Tapes({BTC: minutes(["100", "101", "102"])}), {}, navs=True)


def test_every_fund_has_its_navs_with_their_times(tmp_path: Path) -> None:
    write_navs(tmp_path / "one.npz", drawn())
    with np.load(tmp_path / "one.npz", allow_pickle=False) as file:
        assert file["BTC3L"]["nav"] == pytest.approx([100, 103, 106], rel=1e-12)
        assert file["PAPER"]["nav"] == pytest.approx([100, 102, 104], rel=1e-12)
        assert np.diff(file["BTC3L"]["at_ms"]).tolist() == [60_000, 60_000]


def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="cannot be written: No such file"):
        write_navs(tmp_path / "absent" / "one.npz", drawn())


def test_what_is_compared_has_no_digits_that_mean_nothing() -> None:
    assert drawn().summaries()["BTC3L"].final_nav == D("106")
