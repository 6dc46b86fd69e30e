"""The time of a day is shared out by who spent it; what is built in counts to its caller."""

from __future__ import annotations

from tests.simulation.shares import DESK, SIMULATED, Stats, shares_of

ENGINE = (f"{DESK}/core/engine.py", 1, "step")
WORLD = (f"{SIMULATED}/simulation/world.py", 1, "live")
SIGN = ("/venv/site-packages/ccxt/binance.py", 1, "sign")
DECODE = ("/lib/json/decoder.py", 1, "decode")
LEN = ("~", 0, "<built-in method len>")


def test_own_times_and_what_was_built_in_are_shared_out_to_the_last() -> None:
    stats: Stats = {
        ENGINE: (1, 1, 4.0, 9.0, {}),
        WORLD: (1, 1, 1.0, 9.0, {}),
        SIGN: (1, 1, 1.0, 9.0, {}),
        DECODE: (1, 1, 1.0, 9.0, {}),
        LEN: (9, 9, 3.0, 3.0, {ENGINE: (1, 1, 1.0, 1.0), WORLD: (8, 8, 2.0, 2.0)}),
    }
    assert shares_of(stats) == {
        "desk, core": 0.5,
        "simulated, simulation": 0.3,
        "ccxt": 0.1,
        "Python and others": 0.1,
    }
