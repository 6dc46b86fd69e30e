"""Run a loopback venue as a process: `python -m tests.loopback --venue binance --seconds 60`.

The first line of its output is `{"port": 40123}`; it ends by itself after `--seconds`, at once on
SIGTERM or SIGINT, and with a last line that counts calls and violations. `control` says how to move
prices and plan faults from outside.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from decimal import Decimal

from tests.loopback.control import state
from tests.loopback.instruments import Depth
from tests.loopback.presets import VENUES, many_instruments
from tests.loopback.server import LoopbackVenue

LONGEST_S = 3600


def _arguments(given: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.loopback", description=__doc__)
    parser.add_argument("--venue", choices=sorted(VENUES), default="binance")
    parser.add_argument("--seconds", type=float, default=60.0, help="life time, at most an hour")
    parser.add_argument("--beat-ms", type=int, default=1000, help="time between price frames")
    parser.add_argument("--contracts", type=int, default=0, help="list this many equal contracts")
    parser.add_argument("--depth", type=Decimal, help="contracts on offer at each level")
    parser.add_argument("--port", type=int, default=0, help="a free one unless given")
    return parser.parse_args(given)


async def run(given: list[str]) -> None:
    """Serve until the time is over or a signal comes."""
    arguments = _arguments(given)
    depth = Depth(contracts=arguments.depth)
    listed = many_instruments(arguments.contracts, depth) if arguments.contracts else None
    dialect = VENUES[arguments.venue](listed)
    if arguments.depth is not None:
        for instrument in dialect.core.instruments.values():
            instrument.depth = depth
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    venue = LoopbackVenue(dialect, beat_ms=arguments.beat_ms, port=arguments.port)
    async with venue:
        _say({"port": venue.port})
        try:
            async with asyncio.timeout(min(arguments.seconds, LONGEST_S)):
                await stop.wait()
        except TimeoutError:
            pass
        _say(state(venue))


def _say(document: object) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1:]))
