"""NAVs at every bar as a file: what a chart or a statistic of one's own begins with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from rebalancer.errors import InputRefused
from rebalancer.fast.rows import Floats, Ints
from rebalancer.fast.sketch import Sketch

#: when a bar was known, in Unix milliseconds, and the account NAV after what happened at it
ROW = np.dtype([("at_ms", np.int64), ("nav", np.float64)])


def write_navs(path: Path, drawn: Sketch) -> None:
    """Write a NumPy file (npz) with an array of `ROW` for every fund that arrays played.

    The engine keeps no NAV of every bar, so that its funds are left out. Raises InputRefused where
    the file cannot be written.
    """
    series = {name: _rows(each.times, each.navs) for name, each in drawn.funds.items()}
    if drawn.exact is not None:
        for name, column in drawn.exact.columns.items():
            series[name] = _rows(column.tape.times, drawn.exact.navs(name))
    try:
        np.savez(path, allow_pickle=False, **series)
    except OSError as error:
        raise InputRefused(f"--navs {path}: cannot be written: {error.strerror}") from None


def _rows(times: Ints, navs: Floats) -> npt.NDArray[np.void]:
    rows = np.empty(len(navs), ROW)
    rows["at_ms"], rows["nav"] = times, navs
    return rows
