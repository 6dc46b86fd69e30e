"""Has the sketch compiled once, where several workers need it at the same time."""

from __future__ import annotations

import fcntl

import pytest

from tests.factories import BTC, contract, desk, fund


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Compile what the sketch runs on, or wait for who does: the others load what numba kept."""
    from rebalancer.fast.sketch import sketch  # noqa: PLC0415 - numba takes a second to load
    from rebalancer.fast.tape import Tapes  # noqa: PLC0415 - as above
    from tests.fast.test_backtest import minutes  # noqa: PLC0415 - as above

    with (tmp_path_factory.getbasetemp().parent / "compiling").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        one = desk(fund("BTC3L"), contracts=[contract(lot="0.01")])
        sketch(one, Tapes({BTC: minutes(["100", "101", "102"])}), {}, navs=True)
